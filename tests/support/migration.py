"""The migration's commands, run as an operator runs them, and what they leave behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import requests

from migrations_from_rds import __main__ as command
from migrations_from_rds.__main__ import main, prepare_process
from migrations_from_rds.commands import copy, plan, rollback, verify
from panzoto.config import Settings
from panzoto.models import User, bind_models
from panzoto.models.bulk import BulkTables
from tests.support.aws import aws_environment
from tests.support.dynamodb_fake import CHANGES, TABLES, key_in

Item = dict[str, Any]


_bound: dict[str, Any] = {}
# The commands that speak to many rows at once.
_WITH_TABLES = (copy, plan, rollback, verify)
# For each number of threads, what speaks to the tables behind the models as they are bound.
_tables: dict[int, BulkTables] = {}


def _bind_once(aws_url: str, settings: Settings) -> None:
    """Bind the models unless they still are as the last command bound them, which takes longer than most."""
    if _bound.get("to") != aws_url or _bound["connection"] is not User._connection:
        bind_models(settings)
        _tables.clear()
        _bound.update(to=aws_url, connection=User._connection)


def _tables_of(threads: int) -> BulkTables:
    """Return what was made for the last command that had so many threads; making its client takes long."""
    if threads not in _tables:
        _tables[threads] = BulkTables(threads)
    return _tables[threads]


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


class Migration:
    """One migration from one database into one DynamoDB, with a state folder of its own."""

    def __init__(
        self, aws_url: str, database_url: str, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.aws_url = aws_url
        self.state = folder / "state"
        self._capsys = capsys
        self._environment = {
            **aws_environment(aws_url),
            "DATABASE_URL": database_url,
            "PANZOTO_DATA_DIR": str(folder / "data"),
        }

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Outcome:
        """Run a command in this process, as far as a command can tell."""
        self._capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self._environment, **(environment or {})}.items():
                patch.setenv(name, value)
            patch.setattr(command, "bind_models", partial(_bind_once, self.aws_url))
            for module in _WITH_TABLES:
                patch.setattr(module, "BulkTables", _tables_of)
            status = main([*arguments, "--state-dir", str(self.state)])
        printed = self._capsys.readouterr()
        return Outcome(int(status), printed.out, printed.err)

    def done(self, *arguments: str) -> Outcome:
        """Run a command that must go through."""
        outcome = self.run(*arguments)
        assert outcome.status == 0, outcome
        return outcome

    @contextmanager
    def started(self, *arguments: str) -> Iterator[BaseProcess]:
        """Start a command in a process of its own; it is killed when the block ends, if it still runs."""
        process = multiprocessing.get_context("fork").Process(target=self._silently, args=(arguments,))
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()

    def _silently(self, arguments: tuple[str, ...]) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.environ.update(self._environment)
        prepare_process()
        try:
            os._exit(main([*arguments, "--state-dir", str(self.state)]))
        except SystemExit as end:
            os._exit(int(str(end.code)))

    def fact(self, name: str) -> Any:
        """Return what the state says."""
        with sqlite3.connect(self.state / "manifest.sqlite3") as manifest:
            (found,) = manifest.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
        return json.loads(found)

    def rewrite_fact(self, name: str, value: Any) -> None:
        """Let the state say something else."""
        with sqlite3.connect(self.state / "manifest.sqlite3") as manifest:
            manifest.execute("UPDATE facts SET value = ? WHERE name = ?", [json.dumps(value), name])

    def interrupted(self, row_id: str, digests: list[bytes]) -> None:
        """Let the manifest look as after runs that noted these digests of a recording and were killed."""
        blob = bytes.fromhex(row_id.replace("-", ""))
        with sqlite3.connect(self.state / "manifest.sqlite3") as manifest:
            manifest.execute(
                "UPDATE written SET digest = NULL, intended = ? WHERE id = ?", [digests[-1], blob]
            )
            for digest in digests[:-1]:
                manifest.execute("INSERT INTO attempted VALUES (1, ?, ?)", [blob, digest])

    def report(self) -> dict[str, Any]:
        """What the last command left in report.json."""
        found: dict[str, Any] = json.loads((self.state / "report.json").read_text("utf-8"))
        return found

    def rejects(self) -> list[dict[str, Any]]:
        lines = (self.state / "rejects.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def write_rejects(self, entries: list[dict[str, Any]]) -> None:
        """Mend the reject file."""
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        (self.state / "rejects.jsonl").write_text(text, "utf-8")

    def items(self, table: str) -> dict[str, Item]:
        """Everything that lies in a table, by key."""
        found: dict[str, Item] = {}
        more: dict[str, Any] = {}
        while True:
            page = self._ask("Scan", {"TableName": table, **more})
            found |= {key_in(table, item): item for item in page["Items"]}
            if "LastEvaluatedKey" not in page:
                return found
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _ask(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask DynamoDB over plain HTTP, since the SDK would look at every attribute of every item."""
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
        }
        answer = requests.post(self.aws_url, json.dumps(body), headers=headers, timeout=60)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def users(self) -> dict[str, Item]:
        return self.items("panzoto-users")

    def recordings(self) -> dict[str, Item]:
        return self.items("panzoto-audio-files")

    def claims(self) -> dict[str, Item]:
        return self.items("panzoto-claims")

    def changes(self) -> dict[str, Item]:
        """Every entry of the lists of changes, by owner and number."""
        return self.items(CHANGES)

    def put(self, table: str, item: Item) -> None:
        """Write what the service, or somebody else, has written."""
        self._ask("PutItem", {"TableName": table, "Item": item})

    def delete(self, table: str, key: str) -> None:
        """Delete what the service, or somebody else, has deleted."""
        self._ask("DeleteItem", {"TableName": table, "Key": {TABLES[table]: {"S": key}}})
