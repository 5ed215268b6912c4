"""The migration's commands, run as an operator runs them, and what they leave behind."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import boto3
import pytest

from migrations_from_rds.__main__ import main, prepare_process
from tests.support.aws import aws_environment
from tests.support.dynamodb_fake import TABLES

Item = dict[str, Any]


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

    def dynamodb(self) -> Any:
        return boto3.client(
            "dynamodb",
            endpoint_url=self.aws_url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def items(self, table: str) -> dict[str, Item]:
        """Everything that lies in a table, by key."""
        client, found = self.dynamodb(), {}
        for page in client.get_paginator("scan").paginate(TableName=table):
            found |= {item[TABLES[table]]["S"]: item for item in page["Items"]}
        return found

    def users(self) -> dict[str, Item]:
        return self.items("panzoto-users")

    def recordings(self) -> dict[str, Item]:
        return self.items("panzoto-audio-files")

    def claims(self) -> dict[str, Item]:
        return self.items("panzoto-claims")

    def put(self, table: str, item: Item) -> None:
        """Write what the service, or somebody else, has written."""
        self.dynamodb().put_item(TableName=table, Item=item)
