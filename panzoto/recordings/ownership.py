"""Whose an object is: naming a key is not owning what lies under it.

An object in the account's own folders is its owner's, since nobody else may
record a key there.  Any other object is a recording's only once it has opened
with its owner's keys: a row whose key has merely been named says `unproved`
until then.  Rows of the earlier service and of earlier releases say nothing,
and count as proved until another account's keys open the object.  The claim on
the key belongs to who opened it last; `note_opened` and `take_over` are the two
verbs that move it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from panzoto.crypto.header import V2
from panzoto.errors import DamagedRecord, KeyTaken, NotOpenedYet
from panzoto.models.audio_file import Action, AudioFile
from panzoto.models.claim import Claim
from panzoto.models.connection import IndexMissing, Transaction
from panzoto.object_keys import lies_in_folder_of
from panzoto.recordings.edits import Edit
from panzoto.recordings.ledger import add, edit, edit_all

# What decides whether an object is a recording's, and which.
WHOSE_IT_IS = frozenset({"user_id", "s3_key", "earlier_key", "unproved"})

log = logging.getLogger(__name__)


def is_proved(row: AudioFile, s3_key: str | None = None) -> bool:
    """Whether the object under the recording's key, or one it had before, is its owner's to read.

    No read for what lies in the owner's folders, else up to two, both strongly consistent.
    """
    s3_key = s3_key or row.s3_key
    if lies_in_folder_of(s3_key, row.user_id):
        return True
    if row.unproved:
        return False
    claim = Claim.on_s3_key(s3_key)
    if claim is None or claim.user_id == row.user_id:
        return True
    # Two rows of the earlier service may name one object; only opening it tells whose it is.
    holder = AudioFile.row(claim.file_id) if claim.file_id else None
    return holder is None or holder.format is None


def require_proof(row: AudioFile) -> None:
    """Raises `NotOpenedYet` unless the object under the recording's key is its owner's to read."""
    if not is_proved(row):
        raise NotOpenedYet()


def erasable_keys(row: AudioFile, *, with_account: bool = False) -> tuple[list[str], list[str]]:
    """Return the keys whose objects go when the recording is erased, and those of which nobody can tell yet.

    An object goes when it is proved to be the owner's and no other row names
    it; `with_account`, no row of another account.  One that has merely named
    the key keeps no object that the owner has opened.  The claims are taken where
    they are free, so that nobody records the keys meanwhile.  Nobody can tell
    as long as the table lacks `s3-key-index`: the log says so. Raises
    `DamagedRecord` for a row that does not tell whose its objects are.
    """
    if row.damaged & WHOSE_IT_IS:
        raise DamagedRecord(row.file_id)
    erasable: list[str] = []
    unclear: list[str] = []
    for s3_key in row.named_keys():
        if not (is_proved(row, s3_key) and _hold(row, s3_key, with_account)):
            continue
        try:
            if not row.is_named_beside(s3_key, with_account=with_account):
                erasable.append(s3_key)
        except IndexMissing:
            log.warning("index_missing", extra={"index": "s3-key-index"})
            # Nobody else records a key of these folders, and only rows of the earlier service might name one.
            (erasable if lies_in_folder_of(s3_key, row.user_id) else unclear).append(s3_key)
    return erasable, unclear


def _hold(row: AudioFile, s3_key: str, with_account: bool) -> bool:
    """Take the claim if it is free; tell whether it is this recording's, or `with_account` its account's."""
    if Claim.for_s3_key(s3_key, row.user_id, row.file_id).take_if_free():
        return True
    claim = Claim.on_s3_key(s3_key)
    if claim is None or claim.user_id != row.user_id:
        return False
    return with_account or claim.file_id == row.file_id


def note_opened(row: AudioFile, name: str) -> AudioFile:
    """Note that the owner's keys have just opened the recording, as `name`; return the row after it.

    That proves whose the object is, so the claim on its key becomes this
    row's, whoever had it.  Nothing is written where all that is known already.
    Raises `AudioFileNotFound`, `TokenInvalid` and `Unavailable`.
    """
    if not _says_more(row, name):
        return row
    return edit(
        row.file_id, row.user_id, lambda current, _: _noted([current], {row.file_id: name}).get(row.file_id)
    )


def note_all_opened(rows: Sequence[AudioFile], names: Sequence[str]) -> list[AudioFile]:
    """Do as `note_opened` does for many recordings of one account, some in one transaction.

    One that is gone meanwhile is returned as it was.
    """
    formats = {row.file_id: name for row, name in zip(rows, names, strict=True) if _says_more(row, name)}
    if not formats:
        return list(rows)
    noted = edit_all(rows[0].user_id, list(formats), lambda current, _: _noted(current, formats))
    return [noted.get(row.file_id, row) for row in rows]


def _says_more(row: AudioFile, name: str) -> bool:
    """Whether an opening as `name` may say something new; outside the owner's folders it always may."""
    return row.format != name or bool(row.unproved) or not lies_in_folder_of(row.s3_key, row.user_id)


def _noted(rows: list[AudioFile], formats: dict[str, str]) -> dict[str, Edit]:
    """Return what is to be written of these openings, by file_id.

    Of several rows that name one object, as those of the earlier service may, the first gets the claim.
    """
    claims = Claim.on_s3_keys({row.s3_key for row in rows})
    edits = {}
    for row in rows:
        actions = _opened_as(row, formats[row.file_id])
        claim = claims.pop(row.s3_key, None)
        if claim is not None and claim.user_id != row.user_id:
            edits[row.file_id] = Edit(actions, also=partial(_move, claim, row))
        elif actions:
            edits[row.file_id] = Edit(actions)
    return edits


def _opened_as(row: AudioFile, name: str) -> list[Action]:
    """Return what noting that `name` opened the recording changes on its row.

    What was version 2 stays so: an opening that began before an upgrade and ends after it does not count.
    """
    actions: list[Action] = []
    if row.format not in (name, V2):
        actions.append(AudioFile.format.set(name))
    if row.unproved:
        actions.append(AudioFile.unproved.remove())
    return actions


def held_by_another(s3_key: str, user_id: str) -> bool:
    """Whether another account has recorded `s3_key`, so that opening the object could make it `user_id`'s."""
    claim = Claim.on_s3_key(s3_key)
    if claim is not None:
        return claim.user_id != user_id
    return AudioFile.is_named_by_another(s3_key, user_id)


def take_over(s3_key: str, size: int, user_id: str, name: str) -> AudioFile:
    """Record an object that opened with `user_id`'s keys though another account has recorded its key.

    The record of the other stays in its list and loses the object. Returns the
    new recording. Raises `KeyTaken` when the claim moved meanwhile, `TokenInvalid` and `Unavailable`.
    """
    row = AudioFile.new(user_id, s3_key, size, format=name)
    claim = Claim.on_s3_key(s3_key)
    if claim is None:
        add(row)
    elif claim.user_id == user_id:
        raise KeyTaken()
    else:
        add(row, claimed=partial(_move, claim, row))
    log.info("ownership_moved", extra={"user_id": user_id, "file_id": row.file_id})
    return row


def _move(claim: Claim, row: AudioFile, transaction: Transaction) -> None:
    """Hand `claim` to `row`, as part of a transaction that fails when it has moved or gone meanwhile."""
    unmoved = (Claim.user_id == claim.user_id) & (Claim.file_id == claim.file_id)
    transaction.save(row.claim(), condition=unmoved)
