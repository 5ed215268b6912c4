"""Claims for rows of the earlier service, which had none: written by many threads, and resumable.

Run it while the earlier service is off. Killed anywhere, it goes on from its
checkpoint; run again after its end, it finds nothing to write, and has looked
at a hundred rows with one read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from panzoto.errors import DamagedRecord, Unavailable, UserNotFound
from panzoto.models.audio_file import AudioFile
from panzoto.models.bulk import (
    MOST_ACTIONS,
    BulkTables,
    Item,
    Throttled,
    WriteRefused,
    put_new,
    text,
)
from panzoto.models.claim import Claim
from panzoto.models.user import User
from panzoto.operations.checkpoint import Checkpoint
from panzoto.operations.parallel_scan import ROWS, Handled, ParallelScan, Run, Stage
from panzoto.recordings.settling import take_up

# Of items that are throttled one by one, a smaller transaction may pass.
THROTTLED_BEFORE_SPLIT = 3
# What the release before kept; it named no tables, so it counts for nothing.
EARLIER_CHECKPOINT = "missing-claims.json"
WRITTEN, CONFLICTS, SETTLED, LEFT = "written", "conflicts", "settled", "left"
# Of an account that is deleted meanwhile.
GONE = "gone"


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of it: rows seen, claims written, conflicts, accounts numbered and counted, rows left."""

    rows: int
    written: int
    conflicts: int
    settled: int
    left: int

    @property
    def is_nothing(self) -> bool:
        """Whether there was nothing to do."""
        return not self.written and not self.settled and not self.left


class MissingClaims:
    """Gives every row its claim, and numbers and counts every account's recordings.

    A row whose address or key another row has claimed is counted as a
    conflict; it goes on being reachable by its id.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pressure = run.pressure
        self._report = run.report
        self._tables = BulkTables(run.at_once)

    def write(self, folder: Path) -> Tally:
        """Do it all, with the checkpoint in `folder`.

        Raises `AwsRefused`, `CheckpointError`, `Stopped`, `TableMissing` and `Unavailable`.
        """
        what = f"missing claims {self._pressure.patiently(self._tables.identity)}"
        with Checkpoint(folder / "missing-claims.sqlite3", what) as checkpoint:
            scan = ParallelScan(self._run, self._tables, checkpoint)
            counts: Counter[str] = Counter()
            for stage in self._stages():
                counts += scan.through(stage)
            checkpoint.forget()
        (folder / EARLIER_CHECKPOINT).unlink(missing_ok=True)
        return Tally(counts[ROWS], counts[WRITTEN], counts[CONFLICTS], counts[SETTLED], counts[LEFT])

    def _stages(self) -> tuple[Stage, ...]:
        users, files = User.Meta.table_name, AudioFile.Meta.table_name
        return (
            # An account that signs in by OpenID has no address to sign in with, and never claims one.
            Stage(
                "emails",
                "claims of addresses",
                users,
                self._claim_emails,
                {"ProjectionExpression": "user_id, email"},
            ),
            Stage(
                "s3_keys",
                "claims of recordings",
                files,
                self._claim_s3_keys,
                {"ProjectionExpression": "file_id, user_id, s3_key"},
            ),
            # What is counted already says so, and is not even sent to us.
            Stage(
                "settled",
                "numbers and counts",
                users,
                self._settle,
                {
                    "FilterExpression": "(attribute_not_exists(claims_complete) OR claims_complete = :no)"
                    " AND attribute_not_exists(deletion_started_at)",
                    "ExpressionAttributeValues": {":no": {"BOOL": False}},
                    "ConsistentRead": True,
                },
                rows_at_once=1,
                drops_out=SETTLED,
            ),
        )

    def _claim_emails(self, users: list[Item]) -> Handled:
        return self._take_all(
            {"claim": {"S": Claim.name_of_email(email)}, "user_id": user["user_id"]}
            for user in users
            if (email := text(user, "email"))
        )

    def _claim_s3_keys(self, files: list[Item]) -> Handled:
        claims: list[Item] = []
        left = 0
        for file in files:
            s3_key, user_id = text(file, "s3_key"), text(file, "user_id")
            if s3_key is None or user_id is None:
                left += 1
                self._report(f"left alone, since it has no key or no owner: {file['file_id']['S']}")
            else:
                name = {"S": Claim.name_of_s3_key(s3_key)}
                claims.append({"claim": name, "user_id": {"S": user_id}, "file_id": file["file_id"]})
        handled = self._take_all(claims)
        return Handled({**handled.counts, LEFT: left})

    def _settle(self, users: list[Item]) -> Handled:
        counts: Counter[str] = Counter()
        for user in users:
            counts[self._settle_one(user)] += 1
        return Handled(counts)

    def _settle_one(self, item: Item) -> str:
        try:
            user = User.from_raw_data(item)
            while not self._pressure.patiently(lambda: take_up(user)):
                self._pressure.patiently(user.reload)
                if user.being_deleted:
                    return GONE
        except UserNotFound:
            return GONE
        except DamagedRecord as error:
            self._report(f"left alone, since it is damaged: {error.row}")
        except Unavailable as error:
            if error.__cause__ is not None:
                raise
            self._report(
                f"left to another run, since others write to it all the time: {item['user_id']['S']}"
            )
        else:
            if user.is_counted:
                return SETTLED
            why = "a move wrote to it a moment ago" if user.awaits_recordings else "a recording is damaged"
            self._report(f"left to another run, since {why}: {user.user_id}")
        return LEFT

    def _take_all(self, wanted: Iterable[Item]) -> Handled:
        claims = list(wanted)
        written = conflicts = 0
        while claims:
            there = self._fetched(claims)
            missing: dict[str, Item] = {}
            for claim in claims:
                holder = there.get(claim["claim"]["S"]) or missing.setdefault(claim["claim"]["S"], claim)
                conflicts += _owner(holder) != _owner(claim)
            refused = self._take(list(missing.values()))
            written += len(missing) - len(refused)
            # Somebody has taken these since: another run, for the same row, or another row.
            claims = refused
        return Handled({WRITTEN: written, CONFLICTS: conflicts})

    def _fetched(self, claims: list[Item]) -> dict[str, Item]:
        waiting = list({claim["claim"]["S"] for claim in claims})
        found: dict[str, Item] = {}

        def ask() -> None:
            nonlocal waiting
            some, waiting = self._tables.fetch_some(Claim, waiting)
            found.update(some)
            if waiting:
                self._pressure.note_throttled()
                raise Throttled()

        self._pressure.patiently(ask)
        return found

    def _take(self, claims: list[Item]) -> list[Item]:
        """Write claims that are free, in as few transactions as may be; return those that were not."""
        refused: list[Item] = []
        waiting = [claims[start : start + MOST_ACTIONS] for start in range(0, len(claims), MOST_ACTIONS)]
        while waiting:
            part = waiting.pop()
            transaction = self._tables.transaction([put_new(Claim, claim) for claim in part])
            at_most = THROTTLED_BEFORE_SPLIT if len(part) > 1 else 0
            try:
                self._pressure.patiently(
                    lambda sent=transaction: self._tables.write(sent),  # type: ignore[misc]
                    throttled_at_most=at_most,
                )
            except WriteRefused as error:
                pairs = list(zip(part, error.failed, strict=True))
                refused += [claim for claim, failed in pairs if failed]
                waiting.append([claim for claim, failed in pairs if not failed])
            except Throttled:
                middle = len(part) // 2
                waiting += [part[:middle], part[middle:]]
            waiting = [part for part in waiting if part]
        return refused


def _owner(claim: Item) -> tuple[str | None, str | None]:
    return text(claim, "user_id"), text(claim, "file_id")
