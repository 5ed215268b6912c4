"""The chores of `make run`: what a deployment's workers do all day, here at the start and every hour.

A worker of its own would take a hundred MiB for what is seldom there.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from typing import IO

from deploy.local.roles import COMMANDS, start_role
from deploy.serving.processes import Child, Signals
from panzoto.telemetry import logs

WORDS = ("chores", "run")
EVERY_SECONDS = 3600.0
STOP_SECONDS = 10.0


def _in_words(line: str) -> str | None:
    """Return a line of the log for whoever watches, and None for one that the command has printed."""
    if not line.startswith("{"):
        return None
    if not sys.stdout.isatty():
        return line
    try:
        return logs.in_words(json.loads(line))
    except ValueError:
        return None


class Chores:
    """What is due, at the start and every hour; it says what is new to say."""

    def __init__(self, environment: dict[str, str], say: Callable[[str], None]) -> None:
        self._say = say
        self._environment = environment
        self._next = time.monotonic()
        self._running: tuple[Child, IO[bytes]] | None = None
        self._said: list[str] = []

    def go_on(self) -> None:
        """Start what is due, and tell of what has ended."""
        if self._running:
            child, output = self._running
            if child.process.poll() is None:
                return
            self._tell(child, output)
            self._running = None
        if time.monotonic() >= self._next:
            self._next += EVERY_SECONDS
            output = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the command
            child = start_role("the chores", [*COMMANDS, *WORDS], self._environment, output=output)
            self._running = child, output

    def _tell(self, child: Child, output: IO[bytes]) -> None:
        with output:
            output.seek(0)
            lines = output.read().decode("utf-8", "replace").splitlines()
        # The hour's usual lines would only bury what a person looks for.
        told = [line.rstrip() for line in lines if line.strip()]
        if told == self._said and child.process.returncode == 0:
            return
        self._said = told
        command = " ".join(WORDS)
        self._say("\n".join(_in_words(line) or f"{command}: {line}" for line in told))
        if child.process.returncode:
            self._say(
                f"{command}: ended with status {child.process.returncode}; it is tried again within the hour"
            )

    def end(self, signals: Signals) -> None:
        """Stop what runs; it may be broken off anywhere and begun anew."""
        if self._running:
            child, output = self._running
            self._running = None
            with output:
                child.end(signals, STOP_SECONDS)
