"""What a recording's row says of its transcript, and how that changes with the transcript itself.

The row's `transcript` is a JSON object: what clients see (`TRANSCRIPT_FIELDS`), `number`, the transcript's
entry in the account's list of transcripts, `object`, the key of one that is too large for a row, and
`had_object`, that a former one had such a key.  It changes in the transaction that changes the transcript, so
the two never differ.
"""

from __future__ import annotations

from typing import Any

from panzoto.models.audio_file import Action, AudioFile
from panzoto.models.change import Change, transcripts_of
from panzoto.models.connection import Also, Transaction
from panzoto.models.transcript import Transcript


def known_of(row: AudioFile) -> dict[str, Any]:
    """Return what the row says; an empty object where it says nothing."""
    return dict(row.value("transcript") or {})


def had_object(known: dict[str, Any]) -> bool:
    """Whether a transcript of the recording lies in the bucket, or one did that may have been left there."""
    return known.get("object") is not None or bool(known.get("had_object"))


def setting(known: dict[str, Any]) -> Action:
    """Return the action that lets a row say this of its transcript."""
    kept = {name: value for name, value in known.items() if value is not None}
    return AudioFile.transcript.set(kept) if kept else AudioFile.transcript.remove()


def sized(new: Transcript | None) -> Action:
    """Return the action that lets a row say how long its transcript is, or that it has none."""
    return AudioFile.transcript_size.remove() if new is None else AudioFile.transcript_size.set(new.size)


def stored_as(row: AudioFile, new: Transcript, number: int) -> Also:
    """Return what writes `new` as the transcript of `row` and lists it under `number`."""

    def also(transaction: Transaction) -> None:
        new.add_to(transaction)
        _list_under(number, row, transaction)

    return also


def gone_with(row: AudioFile, number: int) -> Also | None:
    """Return what removes the transcript of `row` and lists that; None where there never was one."""
    if known_of(row).get("number") is None:
        return None

    def also(transaction: Transaction) -> None:
        Transcript.remove_in(transaction, row.user_id, row.file_id)
        _list_under(number, row, transaction)

    return also


def _list_under(number: int, row: AudioFile, transaction: Transaction) -> None:
    before = known_of(row).get("number")
    Change(transcripts_of(row.user_id), number, file_id=row.file_id).add_to(transaction, before)
