"""Run wrongly, or where it cannot work: each time a sentence that says how to run it rightly."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from migrations_from_rds.__main__ import INTERRUPTED, TERMINATED, main
from migrations_from_rds.errors import Status
from migrations_from_rds.transform import RULES
from tests.migrations_from_rds.filling import add_user, fill
from tests.support.aws import aws_environment
from tests.support.dynamodb_fake import Fake
from tests.support.forked_commands import forked
from tests.support.legacy import Legacy
from tests.support.migration import Migration
from tests.support.postgres import LOOSE, Database, Server

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("plan", "copy", "verify", "rollback")


def program(
    fake: Fake, database: Database, arguments: Sequence[str], *, before: str = "", stdout: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program from a shell, behind what the shell is to do `before`."""
    environment = os.environ | aws_environment(fake.url) | {"DATABASE_URL": database.url}
    shell = ["sh", "-c", f'{before} exec "$@"', "sh", sys.executable, "-m", "migrations_from_rds", *arguments]
    pipe = subprocess.PIPE
    return subprocess.run(
        shell,
        cwd=ROOT,
        env=environment,
        stdout=stdout or pipe,
        stderr=pipe,
        text=True,
        timeout=60,
        check=False,
    )


class TestCommandLine:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("", "the following arguments are required: command"),
            ("move", "invalid choice: 'move' (choose from"),
            ("rollback --since-last", "unrecognized arguments: --since-last"),
            ("copy --on-collision=any", "--on-collision: must be one of fail, skip, oldest, newest"),
            ("copy --threads=0", "--threads: must be a whole number from 1 to 64"),
            ("copy --threads=many", "--threads: must be a whole number from 1 to 64"),
            ("copy --max-write-units=-1", "--max-write-units: must be a number, more than 0"),
            ("plan --price-per-million=free", "--price-per-million: must be a number, more than 0"),
            ("copy --since-last --from-rejects", "--from-rejects and --since-last are two different runs"),
            ("verify --service-url=http://127.0.0.1", "--service-url goes with --account"),
        ],
    )
    def test_what_is_wrong_is_said_beside_the_usage(
        self, capsys: pytest.CaptureFixture[str], arguments: str, said: str
    ) -> None:
        with pytest.raises(SystemExit) as end:
            main(arguments.split())
        assert end.value.code == Status.USAGE
        printed = capsys.readouterr()
        assert printed.err.startswith("usage: python -m migrations_from_rds")
        assert said in printed.err

    def test_the_folders_are_where_one_stands_unless_they_are_named(
        self, fake: Fake, database: Database, tmp_path: Path
    ) -> None:
        environment = os.environ | aws_environment(fake.url) | {"DATABASE_URL": database.url}
        words = ("migrations_from_rds", "copy", "--from-rejects")
        errors = tmp_path / "errors"
        running = forked().start_module(environment, *words, folder=tmp_path, errors=errors)
        assert running.wait() == Status.REFUSED
        assert "There is no reject file .migration/rejects.jsonl" in errors.read_text("utf-8")
        assert (tmp_path / ".migration" / ".gitignore").read_text() == "*\n"


class TestManual:
    """docs/migration.md says what the program does."""

    MANUAL = (ROOT / "docs" / "migration.md").read_text("utf-8")

    def test_it_names_every_option(self, capsys: pytest.CaptureFixture[str]) -> None:
        named: set[str] = set()
        for command in COMMANDS:
            with pytest.raises(SystemExit):
                main([command, "--help"])
            named |= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert len(named) > 10
        assert {option for option in named if option not in self.MANUAL} == set()

    def test_it_has_every_rule_and_no_other(self) -> None:
        section = self.MANUAL.partition("## Problem rows")[2].partition("\n## ")[0]
        assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == RULES.keys()

    def test_it_has_every_exit_status(self) -> None:
        section = self.MANUAL.partition("## Exit status")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE)
        found = {int(number) for row in rows for number in row.split(",")}
        assert found == {*Status, INTERRUPTED, TERMINATED}


class TestStateFolder:
    @pytest.mark.parametrize("command", ["plan", "copy", "verify"])
    def test_one_that_cannot_be_written_is_told_before_anything_is_read(
        self, migration: Migration, command: str
    ) -> None:
        migration.state.write_text("a file")
        outcome = migration.run(command)
        assert outcome.status == Status.REFUSED
        assert "cannot be written to: File exists; give another --state-dir" in outcome.err

    @pytest.mark.parametrize("command", COMMANDS)
    def test_a_manifest_that_is_none(self, migration: Migration, command: str) -> None:
        migration.state.mkdir()
        (migration.state / "manifest.sqlite3").write_text("something else, and long enough to be looked at")
        outcome = migration.run(command)
        assert outcome.status == Status.REFUSED
        assert "is not a manifest of this program, or is damaged" in outcome.err

    def test_that_of_another_database(
        self, migration: Migration, database: Database, postgres: Server
    ) -> None:
        add_user(database, 1)
        migration.done("copy")
        with postgres.database(LOOSE) as other:
            for command in ("plan", "copy", "verify"):
                outcome = migration.run(command, "--database-url", other.url)
                assert outcome.status == Status.REFUSED
                assert "belongs to another database" in outcome.err

    def test_that_of_other_tables(self, migration: Migration, database: Database, fake: Fake) -> None:
        add_user(database, 1)
        migration.done("copy")
        fake.reset()
        for command in COMMANDS:
            outcome = migration.run(command)
            assert outcome.status == Status.REFUSED
            assert "belongs to a copy into other tables" in outcome.err

    def test_a_disk_that_is_full_stops_the_run_and_the_next_one_goes_on(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        fill(database, Legacy(200, 800, untidy=False))
        # No file may grow beyond 400 blocks of half a kilobyte, which the manifest would.
        arguments = ["copy", "--state-dir", str(migration.state)]
        outcome = program(fake, database, arguments, before="ulimit -f 400;")
        assert outcome.returncode == Status.STOPPED
        assert "run the same command again to go on" in outcome.stderr
        assert "Traceback" not in outcome.stderr
        migration.done("copy")
        migration.done("verify")
        assert fake.counts()["writes"] == 2 * 200 + 3 * 800


def test_a_reader_that_goes_away_does_not_stop_a_copy(
    migration: Migration, database: Database, fake: Fake
) -> None:
    add_user(database, 1)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        outcome = program(fake, database, ["copy", "--state-dir", str(migration.state)], stdout=writing)
    finally:
        os.close(writing)
    assert outcome.returncode == Status.DONE, outcome.stderr
    assert migration.report()["complete"] is True
    assert len(migration.users()) == 1
