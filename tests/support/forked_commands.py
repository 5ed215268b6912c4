"""`flask panzoto …` in processes that are forked from one that has loaded the code already.

Each command runs in a process of its own, as one that is started anew does, but for the second that
importing takes. `python -m tests.support.forked_commands` is the process that they are forked from: it takes
lines of JSON, [file for the output, words of the command ...], and answers each with the exit status.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.aws import acting_as
from tests.support.service import ROOT, Service


class Commands:
    """Runs commands on the tables and the bucket of a running service."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self._process = process
        self._output = output

    def done(self, *words: str, status: int = 0) -> str:
        """Run a command to its end and return what it printed; it must end with `status`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(self._output), *words]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        printed = self._output.read_text("utf-8", errors="replace")
        assert answer.strip() == str(status), printed
        return printed


@contextmanager
def forked_commands(service: Service, role: str, more: Mapping[str, str] | None = None) -> Iterator[Commands]:
    """Give commands with the rights of `role`; `more` is added to their environment."""
    environment = acting_as(role, service.environment | {"AWS_ENDPOINT_URL": service.aws_url})
    with tempfile.TemporaryDirectory(prefix="panzoto-commands-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked_commands"],
            cwd=ROOT,
            env=environment | dict(more or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield Commands(process, Path(folder) / "output")
        finally:
            process.communicate(timeout=60)


def main() -> None:
    """Fork a process for each line."""
    import boto3  # noqa: PLC0415
    from flask.cli import main as flask  # noqa: PLC0415 - what is loaded here need not be loaded again

    import panzoto.operations.cli  # noqa: F401, PLC0415

    for name in ("s3", "dynamodb"):
        # What botocore reads to make one stays with its session.
        boto3.client(name)

    for line in sys.stdin:
        output, *words = json.loads(line)
        child = os.fork()
        if child == 0:
            with Path(output).open("wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            sys.argv = ["flask", "panzoto", *words]
            flask()
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)


if __name__ == "__main__":
    main()
