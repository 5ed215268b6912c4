"""Bringing everything back to one moment: tables into copies beside them, folders of the bucket in place.

A backup knows nothing of what happened after it. What people had erased since
is erased again in the copies, by the live table of erasures; and a recording
is opened from the copies before anybody is sent there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from panzoto.config import Settings
from panzoto.errors import DamagedRecord, Unavailable
from panzoto.models import AudioFile, Erasure, User, bind_models, damage
from panzoto.models.damage import require_whole
from panzoto.operations.backup import Backup
from panzoto.operations.resources import Resources
from panzoto.services import Services

# Whose rows belong together, by the names of their settings. What counts attempts may begin anew. The rows of
# recordings name transcripts and jobs, so those come back with them: a job that was waiting then, and whose
# message is gone by now, ends a day after it was asked for, and is asked for again.
RESTORED = (
    "users_table",
    "audio_files_table",
    "claims_table",
    "sessions_table",
    "events_table",
    "changes_table",
    "transcripts_table",
    "transcriptions_table",
    "erasures_table",
)

Report = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """What came of it: the settings that lead to the copies, and what a person must know."""

    settings: Settings
    objects_back: int = 0
    erased_again: int = 0
    # The erasures that a damaged row keeps from being done again: what their owners had erased is back.
    not_erased: list[str] = field(default_factory=list)
    # Accounts of the copy that the live table has not: deleted since, or lost with it. Nobody else can tell.
    not_alive: list[str] = field(default_factory=list)


class Restoring:
    """One restore of the tables and the bucket of `settings`. `report` gets a line for each step."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._backup = Backup(settings.region, report)

    def copies(self, suffix: str) -> dict[str, str]:
        """Return the names of the copies that end in `suffix`, by the names of their settings."""
        return {name: f"{getattr(self._settings, name)}-restored-{suffix}" for name in RESTORED}

    def run(self, moment: datetime, suffix: str, folders: Iterable[str]) -> Outcome:
        """Restore to `moment`, into tables that end in `suffix`; the live tables are only read.

        Afterwards the models of this process are bound to the copies. Raises
        `BackupError`, `ResourceError` and `Unavailable`.
        """
        copies = self.copies(suffix)
        self._backup.restore_beside(
            {getattr(self._settings, name): copy for name, copy in copies.items()}, moment
        )
        erasures = self._erasures_since(moment)
        alive = self._alive()
        outcome = Outcome(_settings_of(self._settings, copies))
        bind_models(outcome.settings)
        Resources(outcome.settings, self._report).harden_tables(copies.values())
        services = Services.build(outcome.settings)
        for folder in folders:
            outcome.objects_back += services.storage.bring_back(folder, moment)
        for erasure in erasures:
            try:
                outcome.erased_again += _erase_again(services, erasure)
            except DamagedRecord as error:
                damage.tell(error.row)
                outcome.not_erased.append(f"{erasure.user_id}/{erasure.erasure_id}")
        self._report(f"erasures asked for since, done again: {outcome.erased_again}")
        if alive is not None:
            outcome.not_alive = sorted(User.all_ids() - alive)
        return outcome

    def remove_copies(self, suffix: str) -> None:
        """Delete the copies again, as after a drill; one that cannot be deleted now is told."""
        for copy in self.copies(suffix).values():
            try:
                self._backup.delete_copy(copy)
            except Unavailable as error:
                self._report(f"{copy} could not be deleted; delete it yourself: {error.sentence}")

    def _erasures_since(self, moment: datetime) -> list[Erasure]:
        try:
            return list(Erasure.asked_since(moment))
        except Unavailable:
            self._report(
                f"{self._settings.erasures_table} cannot be read: what was erased since would come back."
                " Restore that table to its latest moment and name it by ERASURES_TABLE"
            )
            raise

    def _alive(self) -> set[str] | None:
        """Return the ids of the live accounts, or None where their table is gone."""
        try:
            return User.all_ids()
        except Unavailable:
            self._report(f"{self._settings.users_table} cannot be read, so nobody can tell who was deleted")
            return None


def _settings_of(settings: Settings, copies: dict[str, str]) -> Settings:
    changes: dict[str, Any] = dict(copies)
    return replace(settings, **changes)


def _erase_again(services: Services, erasure: Erasure) -> bool:
    """Erase in the copies what its owner had erased since; its objects are gone, or wait for the sweep.

    Raises `DamagedRecord`.
    """
    require_whole(erasure)
    row = AudioFile.row(erasure.file_id)
    if row is None or row.user_id != erasure.user_id:
        return False
    begun = services.trash.begin_erasure(row, erasure)
    if erasure.erased_at is not None:
        begun.remove()
    return True
