"""The stand-in of `make run` for tests: started by the very function, with the very key, of `make run`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import stand_in_launch
from deploy.local.listening import on_every_interface, port_of
from deploy.local.make_run import answers
from panzoto.config import Settings
from tests.support.service import BUCKET
from tests.support.waiting import eventually


@dataclass(frozen=True)
class RunningStandIn:
    """Where it is, its process, and the variables by which a service finds it and signs for it."""

    url: str
    pid: int
    variables: dict[str, str] = field(repr=False)


@contextmanager
def start_stand_in(folder: Path) -> Iterator[RunningStandIn]:
    """Run the stand-in on a free port, its state in `folder`, while the block runs."""
    settings = Settings(bucket=BUCKET, data_dir=folder, secret_key=secrets.token_urlsafe(48))
    with ExitStack() as ours:
        listeners = [ours.enter_context(listener) for listener in on_every_interface(0)]
        port = port_of(listeners[0])
        child = stand_in_launch.start(settings, listeners)
    try:
        log = folder / "aws" / "stand-in.log"
        eventually(
            lambda: child.process.poll() is not None or answers(port, stand_in_launch.HEALTH), log.read_text
        )
        child.require_alive()
        variables = stand_in_launch.aws_variables(settings, port)
        yield RunningStandIn(stand_in_launch.endpoint(port), child.process.pid, variables)
    finally:
        child.process.terminate()
        child.process.wait(60)
        if child.process.stdin:
            child.process.stdin.close()
