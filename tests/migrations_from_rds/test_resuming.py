"""Killed, throttled, cut off: nothing is lost, nothing doubled, and it ends."""

from __future__ import annotations

import os
import random
import re
import signal
import time

import pytest

from migrations_from_rds.errors import Status
from tests.migrations_from_rds.filling import add_file, add_user, fill
from tests.support.dynamodb_fake import Fake
from tests.support.legacy import USER_EVERY, USER_KINDS, Legacy, file_id, user_id
from tests.support.migration import Migration
from tests.support.postgres import Database
from tests.support.waiting import eventually

# Every kind of untidiness; `python -m bench.migration trial` does the same with very many rows.
# They are more than two pages of each table, which a run reads and settles by the 500.
LEGACY = Legacy(USER_EVERY * len(USER_KINDS), 1100)
KILLS = 8
# So that the copy lasts long enough to be killed so often.
SLOWLY = ["--max-write-units", "2000"]


def written(migration: Migration) -> int:
    return (
        len(migration.users())
        + len(migration.recordings())
        + len(migration.claims())
        + len(migration.changes())
    )


def wait_for_writes(fake: Fake, count: int) -> None:
    eventually(lambda: fake.counts()["writes"] >= count, lambda: f"{fake.counts()} while waiting for {count}")


class TestKilled:
    def test_again_and_again_at_random_moments(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        fill(database, LEGACY)
        chance = random.Random(20)
        ended = []
        progress = []
        for _ in range(KILLS):
            # Some before they have written anything, the others after some more.
            enough = fake.counts()["writes"] + chance.randrange(-100, 400)
            with migration.started("copy", "--on-collision=newest", *SLOWLY) as process:
                wait_for_writes(fake, enough)
                process.join(chance.uniform(0, 0.2))
            ended.append(process.exitcode)
            progress.append(fake.counts()["writes"])
        assert ended == [-signal.SIGKILL] * KILLS
        assert len(set(progress)) > 3, "it was killed at moments that are all the same"
        migration.done("copy", "--on-collision=newest")
        # Every item was written once and by one request only.
        assert fake.counts()["writes"] == written(migration)
        migration.done("verify")
        assert migration.report()["differences"] == 0
        before = fake.counts()
        migration.done("copy")
        assert fake.counts()["TransactWriteItems"] == before["TransactWriteItems"]
        migration.done("rollback", "--yes")
        assert written(migration) == 0

    def test_and_taken_back_from_the_middle(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        """What was under way when it was killed is taken back too."""
        # More than two pages of recordings.
        fill(database, Legacy(100, 1100, untidy=False))
        with migration.started("copy", "--max-write-units", "3000"):
            wait_for_writes(fake, 500)
        assert written(migration) > 0
        migration.done("rollback", "--yes")
        assert written(migration) == 0
        migration.done("copy")
        migration.done("verify")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_asked_to_stop_it_can_go_on(
        self, migration: Migration, database: Database, fake: Fake, number: int
    ) -> None:
        fill(database, Legacy(50, 600, untidy=False))
        with migration.started("copy", "--max-write-units", "1000") as process:
            wait_for_writes(fake, 1)
            os.kill(process.pid or 0, number)
            process.join(20)
        assert process.exitcode == {signal.SIGTERM: 143, signal.SIGINT: 130}[signal.Signals(number)]
        assert migration.report()["complete"] is False
        migration.done("copy")
        assert migration.report()["complete"] is True
        migration.done("verify")


class TestFaults:
    def test_half_of_all_writes_throttled(self, migration: Migration, database: Database, fake: Fake) -> None:
        fake.reset(throttled=0.5, unprocessed=0.1, lost=0.05)
        fill(database, Legacy(150, 350))
        migration.done("copy", "--on-collision=oldest")
        counts = fake.counts()
        assert counts["throttled"] > 5
        assert counts["lost"] > 0
        assert counts["writes"] == written(migration)
        # The sweeps' hold is the one item that is put, until it is, and no request of the copying.
        held = counts["PutItem"] - 1
        assert migration.report()["throttled_requests"] + held == counts["throttled"]
        migration.done("verify")
        migration.done("rollback", "--yes")
        assert written(migration) == 0

    def test_a_dynamodb_that_is_away_is_waited_for_and_then_told(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        add_user(database, 1)
        add_file(database, 1, 1)
        fake.reset(throttled=1)
        outcome = migration.run("copy", "--patience", "0.5")
        assert outcome.status == Status.STOPPED
        assert "run the same command again to go on" in outcome.err
        assert migration.run("verify").status == Status.DIFFERENT

    def test_write_units_a_second_are_kept(self, migration: Migration, database: Database) -> None:
        fill(database, Legacy(10, 60, untidy=False))
        began = time.monotonic()
        migration.done("copy", "--max-write-units", "200")
        seconds = time.monotonic() - began
        # Two for the row, two for its claim, for a recording two for its entry among the changes, and one for
        # each index, of which recordings have three.
        units = 10 * 5 + 60 * 9
        assert migration.report()["write_units"] == units
        assert seconds > units / 200

    def test_one_run_at_a_time(self, migration: Migration, database: Database, fake: Fake) -> None:
        fill(database, Legacy(20, 300, untidy=False))
        with migration.started("copy", "--max-write-units", "500"):
            wait_for_writes(fake, 1)
            outcome = migration.run("copy")
        assert outcome.status == Status.REFUSED
        assert "Another run" in outcome.err


class TestRefusedMidway:
    """Once a row was written or removed a run ends with 4, and says how far it came and why."""

    def check(self, migration: Migration, fake: Fake, writes: int, *arguments: str) -> None:
        fake.refuse_after(writes)
        outcome = migration.run(*arguments)
        fake.refuse_after(None)
        assert outcome.status == Status.STOPPED, outcome
        assert "the AWS credentials have expired, so renew them" in outcome.err
        assert re.search(r"about [\d,]+ rows had been written or removed by then", outcome.err), outcome.err
        assert "nothing was written" not in outcome.err
        assert "run the same command again to go on" in outcome.err

    def test_a_copy_a_delta_and_a_rollback(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        # More than a page of recordings, so that something is settled and something is under way.
        fill(database, Legacy(100, 550, untidy=False))
        self.check(migration, fake, 600, "copy")
        migration.done("copy")
        database.execute("UPDATE audio_files SET file_size = 5")
        self.check(migration, fake, 250, "copy", "--since-last")
        migration.done("copy", "--since-last")
        migration.done("verify")
        self.check(migration, fake, 250, "rollback", "--yes")
        migration.done("rollback", "--yes")
        assert written(migration) == 0
        assert migration.changes() == {}

    def test_before_anything_was_written_it_is_refused(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        add_user(database, 1)
        fake.refuse_after(0)
        assert migration.run("copy").status == Status.REFUSED
        fake.refuse_after(None)


class TestComingLate:
    def test_what_changes_while_a_run_is_interrupted_is_taken_by_the_next(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        """A checkpoint lies behind rows of an earlier moment; what changed there is read again."""
        # The first page of 500 recordings, each with its claim and its entry, is behind the checkpoint then.
        fill(database, Legacy(50, 1100, untidy=False))
        with migration.started("copy", "--max-write-units", "2500"):
            wait_for_writes(fake, 2000)
        smallest = min(migration.recordings())
        database.execute("UPDATE audio_files SET file_size = 77 WHERE file_id = %s", [smallest])
        add_user(database, 5001)
        add_file(database, 5001, 5001)
        migration.done("copy")
        assert migration.recordings()[smallest]["file_size"] == {"N": "77"}
        assert file_id(5001) in migration.recordings()
        assert user_id(5001) in migration.users()
        migration.done("verify")
