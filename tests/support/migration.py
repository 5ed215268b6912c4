"""The migration's commands, run as an operator runs them, and what they leave behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from migrations_from_rds import __main__ as command
from migrations_from_rds.__main__ import main, prepare_process
from panzoto.config import Settings
from panzoto.models import User, bind_models
from tests.support.aws import aws_environment
from tests.support.dynamodb_fake import CHANGES, TABLES, key_in
from tests.support.service import aws_client

Item = dict[str, Any]


client_of = cache(partial(aws_client, "dynamodb"))


_bound: dict[str, Any] = {}


def _bind_once(aws_url: str, settings: Settings) -> None:
    """Bind the models unless they still are as the last command bound them, which takes longer than most."""
    if _bound.get("to") != aws_url or _bound["connection"] is not User._connection:
        bind_models(settings)
        _bound.update(to=aws_url, connection=User._connection)


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
        # Making one takes longer than most commands.
        self._client = client_of(aws_url)

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Outcome:
        """Run a command in this process, as far as a command can tell."""
        self._capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self._environment, **(environment or {})}.items():
                patch.setenv(name, value)
            patch.setattr(command, "bind_models", partial(_bind_once, self.aws_url))
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
        for page in self._client.get_paginator("scan").paginate(TableName=table):
            found |= {key_in(table, item): item for item in page["Items"]}
        return found

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
        self._client.put_item(TableName=table, Item=item)

    def delete(self, table: str, key: str) -> None:
        """Delete what the service, or somebody else, has deleted."""
        self._client.delete_item(TableName=table, Key={TABLES[table]: {"S": key}})
