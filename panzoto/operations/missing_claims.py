"""Claims for rows of the earlier service, which had none: written page by page, and resumable.

Run it while the earlier service is off. Killed anywhere, it goes on from its
checkpoint; run again after its end, it finds nothing to write.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panzoto.models.attributes import StoredModel
from panzoto.models.audio_file import AudioFile
from panzoto.models.claim import Claim
from panzoto.models.connection import storage_failures
from panzoto.models.user import User
from panzoto.recordings.settling import settle

PAGE = 100


@dataclass(slots=True)
class Tally:
    """How far the work is."""

    rows: int = 0
    written: int = 0
    conflicts: int = 0


Progress = Callable[[Tally], None]


def write_missing_claims(checkpoint: Path, progress: Progress) -> Tally:
    """Give every row its claim, and number and count every account's recordings.

    A row whose address or key another row has claimed is counted as a
    conflict; it goes on being reachable by its id. Raises `Unavailable`.
    """
    tally = Tally()
    stages: tuple[tuple[str, type[StoredModel], Callable[[list[Any], Tally], None]], ...] = (
        ("emails", User, _claim_emails),
        ("s3_keys", AudioFile, _claim_s3_keys),
        ("settled", User, _settle),
    )
    resumed = _Checkpoint(checkpoint)
    for stage, model, handle in stages:
        if resumed.is_past(stage, [name for name, _, _ in stages]):
            continue
        for page, last_key in _pages(model, resumed.position(stage)):
            handle(page, tally)
            tally.rows += len(page)
            resumed.save(stage, last_key)
            progress(tally)
    resumed.clear()
    return tally


def _pages(model: type[StoredModel], start: Any) -> Iterator[tuple[list[Any], Any]]:
    while True:
        with storage_failures():
            found = model.scan(limit=PAGE, last_evaluated_key=start)
            page = list(found)
        start = found.last_evaluated_key
        yield page, start
        if start is None:
            return


def _claim_emails(users: list[User], tally: Tally) -> None:
    # An account that signs in by OpenID has no address to sign in with, and never claims one.
    _take_all([Claim.for_email(user.email, user.user_id) for user in users if user.email], tally)


def _claim_s3_keys(files: list[AudioFile], tally: Tally) -> None:
    _take_all([audio_file.claim() for audio_file in files], tally)


def _settle(users: list[User], _: Tally) -> None:
    for user in users:
        if not user.is_counted and not user.being_deleted:
            settle(user)


def _take_all(claims: Iterable[Claim], tally: Tally) -> None:
    wanted = list(claims)
    there = Claim.those_taken({claim.claim for claim in wanted})
    for claim in wanted:
        holder = there.get(claim.claim)
        if holder is None and claim.take_if_free():
            there[claim.claim] = claim
            tally.written += 1
        elif holder is None or (holder.user_id, holder.file_id) != (claim.user_id, claim.file_id):
            tally.conflicts += 1


class _Checkpoint:
    """Where an interrupted run goes on: a stage and the last key that was handled."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stage, self._key = None, None
        if path.exists():
            saved = json.loads(path.read_text("utf-8"))
            self._stage, self._key = saved["stage"], saved["key"]

    def is_past(self, stage: str, order: list[str]) -> bool:
        return self._stage is not None and order.index(stage) < order.index(self._stage)

    def position(self, stage: str) -> Any:
        return self._key if stage == self._stage else None

    def save(self, stage: str, key: Any) -> None:
        draft = self._path.with_suffix(".draft")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"stage": stage, "key": key}), "utf-8")
        draft.replace(self._path)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)
