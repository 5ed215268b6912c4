"""What becomes of a recording's row by time alone: old uploads, erasures begun, days in the trash over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from panzoto.errors import (
    AudioFileNotFound,
    ChecksumMismatch,
    SizeMismatch,
    UploadComplete,
    UploadIncomplete,
)
from panzoto.models import AudioFile
from panzoto.models.attributes import EPOCH
from panzoto.models.audio_file import ERASING, PENDING
from panzoto.playback.upgrade import Upgrade
from panzoto.recordings.trash import Trash
from panzoto.recordings.uploads import Uploads

# How long an announced upload, or a plan of a sitting, may lie.
YOUNG = timedelta(days=1)
# What reports call rows that are passed over since an attribute of theirs is of a wrong type.
UNREADABLE = "rows that cannot be read: damaged_record"


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done with a row: what reports call it, and what does it."""

    kind: str
    act: Callable[[], object]


@dataclass(frozen=True, slots=True)
class RowChores:
    """The chores of rows; `kept_in_trash` is how long a recording lies in the trash."""

    uploads: Uploads
    trash: Trash
    upgrade: Upgrade
    kept_in_trash: timedelta

    def due(self, row: AudioFile, moment: datetime, rests_until: datetime | None = None) -> Chore | None:
        """Return what is to be done with `row` at `moment`; safe to do twice, and after others did it.

        `rests_until` is that of its account, see `falls_due`.
        """
        falls_due = self.falls_due(row, rests_until)
        if falls_due is None or falls_due >= moment:
            return None
        if row.status == ERASING:
            return Chore("unfinished erasures", lambda: self.trash.finish_erasure(row))
        if row.status == PENDING:
            return Chore("stale pending uploads", lambda: self._settle_upload(row))
        if row.value("superseded_key") is not None:
            return Chore("leftovers of upgrades", lambda: _unless_gone(self.upgrade.remove_superseded, row))
        erase = partial(self.trash.erase_binned_before, moment=moment - self.kept_in_trash)
        return Chore("recordings past their days in the trash", lambda: _unless_gone(erase, row))

    def falls_due(self, row: AudioFile, rests_until: datetime | None = None) -> datetime | None:
        """Return when something is to be done with `row` by time alone; None for never.

        As long as its account rests, which its owner cannot reach or has just got back, only what the owner
        had asked for goes on: an erasure that has begun.
        """
        if row.status == ERASING:
            return row.value("erase_after") or EPOCH
        falls_due = self._falls_due_of_itself(row)
        return falls_due if falls_due is None or rests_until is None else max(falls_due, rests_until)

    def _falls_due_of_itself(self, row: AudioFile) -> datetime | None:
        if row.status == PENDING:
            announced_at = row.value("announced_at")
            return None if announced_at is None else announced_at + YOUNG
        if row.value("superseded_key") is not None:
            return EPOCH
        deleted_at = row.value("deleted_at")
        return None if deleted_at is None else deleted_at + self.kept_in_trash

    @staticmethod
    def has_no_index(row: AudioFile) -> bool:
        """Whether `row` is in a state that no index tells of, so that it must be kept in sight."""
        return row.status in (ERASING, PENDING) or row.value("superseded_key") is not None

    def _settle_upload(self, row: AudioFile) -> None:
        """What did arrive whole is a recording; what did not, or arrived wrong, is given up."""
        try:
            self.uploads.complete(row)
        except (UploadIncomplete, SizeMismatch, ChecksumMismatch):
            self._give_up(row)
        except AudioFileNotFound:
            # Its phone gave it up meanwhile.
            return

    def _give_up(self, row: AudioFile) -> None:
        try:
            self.uploads.abort(row)
        except (AudioFileNotFound, UploadComplete):
            # Its phone was faster, one way or the other.
            return


def _unless_gone(act: Callable[[AudioFile], object], row: AudioFile) -> None:
    # Another worker or its owner was faster, which an index, where rows are found, tells a moment later.
    with suppress(AudioFileNotFound):
        act(row)
