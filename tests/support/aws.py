"""An AWS stand-in of the tests' own: moto's real server, in a process of its own on a free loopback port.

Everything in it lives in that process: two stand-ins share nothing, and a stop forgets all.
"""

from __future__ import annotations

import os
import random
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.aws_calls import KEY_PREFIX
from tests.support.forked_commands import STAND_IN, Command, forked
from tests.support.server_process import end
from tests.support.waiting import comes_up

REGION = "us-east-1"
# Where the stand-in tells which of its tables have items, and empties them.
FILLED = "/tests/filled-tables"
# Linux takes outgoing connections' ports from 32768 on.
PORTS = (20_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """A loopback port that was free a moment ago, of those that the kernel gives to nobody by itself.

    One of the kernel's own choice may be given to somebody's outgoing connection before it is used. No
    port is given twice to one process: who got it may not listen yet.
    """
    while True:
        port = random.randrange(*PORTS)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def aws_environment(url: str) -> dict[str, str]:
    """The variables by which a child process finds the stand-in at `url` and nothing else of AWS."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def acting_as(role: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with the key of one of the policy's roles, whose calls are written down."""
    return {**environment, "AWS_ACCESS_KEY_ID": KEY_PREFIX + role}


@contextmanager
def start_moto(object_age_days: int = 0) -> Iterator[str]:
    """Run moto's server while the block runs; gives its URL once it answers.

    Objects look as if they had been put so many days ago. Raises `RuntimeError`
    with the server's own output when it does not come up.
    """
    with running_moto("tests.support.serial_moto", str(object_age_days)) as url:
        yield url


@contextmanager
def running_moto(module: str, *words: str) -> Iterator[str]:
    """Run a module that serves moto at the port that is its first word, and `words`, while the block runs.

    Raises as `start_moto`.
    """
    with tempfile.NamedTemporaryFile() as log:
        process, url = _start(Path(log.name), module, *words)
        try:
            yield url
        finally:
            end(process, 10)


def _start(log: Path, module: str, *words: str) -> tuple[Command, str]:
    # Somebody may take the port between our look and moto's bind, so the whole start is tried again.
    for _ in range(3):
        port = free_port()
        process = forked(STAND_IN).start_module(os.environ, module, str(port), *words, output=log)
        url = f"http://127.0.0.1:{port}"
        if comes_up(process, f"{url}/moto-api/data.json"):
            return process, url
        end(process, 10)
    raise RuntimeError("moto's server did not start:\n" + log.read_text("utf-8", errors="replace")[-4000:])
