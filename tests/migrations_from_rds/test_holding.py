"""While a move goes on no sweep removes anything: `plan` and `copy` set the hold, `done` clears it."""

from __future__ import annotations

from pathlib import Path

from tests.support.commands import done
from tests.support.forked_commands import forked
from tests.support.service import Service

# Nothing listens there: the hold stands before the database is asked.
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
STOPPED, DONE = 4, 0


def migrate(service: Service, folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Run the program and return its exit status and what it has printed."""
    # The service's hashes may cost less than any process but those of the tests takes.
    own = {name: value for name, value in service.environment.items() if not name.startswith("ARGON2_")}
    command = ["migrations_from_rds", *words, "--state-dir", str(folder)]
    running = forked().start_module(own | environment, *command)
    printed, _ = running.communicate()
    return running.wait(), printed


def test_plan_holds_the_sweeps_until_the_move_is_done(service: Service, tmp_path: Path) -> None:
    status, printed = migrate(service, tmp_path, "plan", "--database-url", NO_DATABASE)
    assert status == STOPPED, printed
    assert "The sweeps are held back" in printed
    assert "held back: hold migration" in done(service, "sweep", "sweeps", "status")
    _, printed = migrate(service, tmp_path, "rollback", "--yes")
    assert "hold migration" in done(service, "sweep", "sweeps", "status"), printed
    status, printed = migrate(service, tmp_path, "done")
    assert status == DONE, printed
    assert "The sweeps go on" in printed
    assert "hold migration" not in done(service, "sweep", "sweeps", "status")


def test_where_the_hold_cannot_be_written_the_command_is_named(service: Service, tmp_path: Path) -> None:
    _, printed = migrate(
        service, tmp_path, "plan", "--database-url", NO_DATABASE, SWEEPS_TABLE="test-none-of-that-name"
    )
    assert "flask panzoto sweeps hold migration" in printed
