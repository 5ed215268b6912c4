"""While a move goes on no sweep removes anything: `plan` and `copy` set the hold, `done` clears it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.commands import done
from tests.support.service import ROOT, Service

# Nothing listens there: the hold stands before the database is asked.
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
STOPPED, DONE = 4, 0


def migrate(
    service: Service, folder: Path, *words: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    # The service's hashes may cost less than any process but those of the tests takes.
    own = {name: value for name, value in service.environment.items() if not name.startswith("ARGON2_")}
    return subprocess.run(
        [sys.executable, "-m", "migrations_from_rds", *words, "--state-dir", str(folder)],
        cwd=ROOT,
        env=own | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )


def test_plan_holds_the_sweeps_until_the_move_is_done(service: Service, tmp_path: Path) -> None:
    planned = migrate(service, tmp_path, "plan", "--database-url", NO_DATABASE)
    assert planned.returncode == STOPPED, planned.stdout
    assert "The sweeps are held back" in planned.stdout
    assert "held back: hold migration" in done(service, "sweep", "sweeps", "status")
    rolled_back = migrate(service, tmp_path, "rollback", "--yes")
    assert "hold migration" in done(service, "sweep", "sweeps", "status"), rolled_back.stdout
    ended = migrate(service, tmp_path, "done")
    assert ended.returncode == DONE, ended.stdout
    assert "The sweeps go on" in ended.stdout
    assert "hold migration" not in done(service, "sweep", "sweeps", "status")


def test_where_the_hold_cannot_be_written_the_command_is_named(service: Service, tmp_path: Path) -> None:
    planned = migrate(
        service, tmp_path, "plan", "--database-url", NO_DATABASE, SWEEPS_TABLE="test-none-of-that-name"
    )
    assert "flask panzoto sweeps hold migration" in planned.stdout
