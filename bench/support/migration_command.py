"""The migration's real command on a real PostgreSQL, and what the kernel says of it when it has ended."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.support.service import ROOT
from tests.support.aws import aws_environment
from tests.support.legacy import Legacy
from tests.support.postgres import LOOSE, Database, run_postgres

SHOWN_CHARACTERS = 4000


@dataclass(frozen=True)
class Ran:
    """A command that has ended: its status, how long it took, its largest memory and what it printed."""

    status: int
    seconds: float
    peak_mib: float
    out: str


class Command:
    """The real command in processes of its own, all with one state folder below `folder`."""

    def __init__(self, aws_url: str, database: Database, folder: Path) -> None:
        self.state = folder / "state"
        self._environment = {
            **os.environ,
            **aws_environment(aws_url),
            "DATABASE_URL": database.url,
            "PANZOTO_DATA_DIR": str(folder / "data"),
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *arguments: str, log: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "migrations_from_rds", *arguments, "--state-dir", str(self.state)]
        return subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def run(self, *arguments: str) -> Ran:
        """Run to the end; a status that was not expected is for the caller to see."""
        with tempfile.TemporaryFile() as log:
            began = time.perf_counter()
            process = self.start(*arguments, log=log)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - began
            log.seek(0)
            out = log.read().decode(errors="replace")
        return Ran(process.returncode, seconds, usage.ru_maxrss / 1024, out)

    def must(self, *arguments: str) -> Ran:
        """Run what has to go through, and say how it went."""
        ran = self.run(*arguments)
        what = " ".join(arguments)
        print(f"    {what:42} status {ran.status}, {ran.seconds:7.1f} s, {ran.peak_mib:.0f} MiB", flush=True)
        if ran.status:
            raise SystemExit(ran.out[-SHOWN_CHARACTERS:])
        return ran

    def report(self) -> dict[str, Any]:
        """What the last command left in report.json."""
        found: dict[str, Any] = json.loads((self.state / "report.json").read_text())
        return found

    def checkpoint(self) -> tuple[str, float]:
        """The table that a copy is at, and the share of its ids that lie behind; ids are spread evenly."""
        manifest = self.state / "manifest.sqlite3"
        if not manifest.exists():
            return "", 0.0
        connection = sqlite3.connect(f"{manifest.as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            found = connection.execute("SELECT value FROM facts WHERE name = 'pass'").fetchone()
        except sqlite3.OperationalError:
            # It is being made at this moment.
            found = None
        finally:
            connection.close()
        now = json.loads(found[0]) if found else {}
        after = now.get("after")
        return now.get("stage", ""), int(after[:8], 16) / 2**32 if after else 0.0


@contextmanager
def legacy_database(legacy: Legacy) -> Iterator[Database]:
    """A real PostgreSQL with the rows of `legacy` in it."""
    with run_postgres() as server, server.database(LOOSE) as database:
        began = time.perf_counter()
        database.insert("users", legacy.user_rows())
        database.insert("audio_files", legacy.file_rows())
        database.execute("ANALYZE")
        took = time.perf_counter() - began
        print(f"  {legacy.users} users and {legacy.files} recordings in {took:.0f} s", flush=True)
        yield database
