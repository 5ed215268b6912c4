"""The process that hears, from the side of whoever asks it: one question at a time."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

# Questions that may wait behind the one that is being answered.
WAITING = 4
# What no sound that is taken needs; whoever hears for so long hangs.
LONGEST_HEARING_SECONDS = 1800.0
# So often is looked at whether it has ended.
LOOK_SECONDS = 0.5


class Busy(Exception):
    """As many questions wait as may wait."""


class NotReady(Exception):
    """Nobody hears yet, or nobody ever will; `retry_after` is None for the latter."""

    def __init__(self, reason: str, retry_after: int | None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Refused(Exception):
    """The sound, or what is asked about it, is not what can be heard; the sentence says why."""


class Failed(Exception):
    """The process that hears has died or failed over this question; another attempt may do."""


class Left(Exception):
    """Whoever asked has gone."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a sound; the engine detects the language when it is None."""

    content: bytes
    language: str | None
    prompt: str | None
    temperature: float
    words: bool

    def header(self) -> bytes:
        asked = {
            "bytes": len(self.content),
            "language": self.language,
            "prompt": self.prompt,
            "temperature": self.temperature,
            "words": self.words,
        }
        return json.dumps(asked).encode() + b"\n"


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Return the exit status of `process` once it has ended.

    A signal that comes just before a wait begins does not end it, but is handled once the wait is over, so
    there are many short ones.
    """
    while (status := process.poll()) is None:
        time.sleep(LOOK_SECONDS)
    return status


class Engine:
    """One process that hears, as threads share it. All that starts and ends it happens in one of them."""

    def __init__(
        self, command: Callable[[], Sequence[str]], environment: dict[str, str], retry_after: int
    ) -> None:
        self._command = command
        self._environment = environment
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_asked = False
        self._not_ready: NotReady | None = NotReady("The speech engine is being fetched.", retry_after)

    def state(self) -> NotReady | None:
        """Return why nothing is heard now, or None when something is."""
        with self._changed:
            return self._not_ready

    def tell(self, reason: str, retry_after: int | None) -> None:
        """Say to everybody who asks why nothing is heard."""
        with self._changed:
            self._not_ready = NotReady(reason, retry_after)
            self._changed.notify_all()

    def live(self) -> float:
        """Start the process and return when it has ended: for how many seconds it could be asked."""
        self.tell("The speech engine is loading its model.", 5)
        with subprocess.Popen(  # noqa: S603 - an interpreter of ours with arguments of ours
            self._command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=self._environment,
        ) as process:
            try:
                if not _pipe(process.stdout).readline():
                    return 0.0
                started = time.monotonic()
                with self._changed:
                    self._process, self._not_ready = process, None
                    self._changed.notify_all()
                wait_for(process)
                return time.monotonic() - started
            finally:
                with self._changed:
                    self._process = None
                    self._not_ready = NotReady("The speech engine is starting anew.", 5)
                process.kill()
                with self._changed:
                    # Whoever asks still holds its pipes, and is about to find them ended.
                    self._changed.wait_for(lambda: not self._is_asked)

    @contextmanager
    def place(self) -> Iterator[object]:
        """Hold a place among those who ask. Raises `Busy`."""
        mine = object()
        with self._changed:
            if len(self._queue) > WAITING:
                raise Busy
            self._queue.append(mine)
        try:
            yield mine
        finally:
            with self._changed:
                self._queue.remove(mine)
                self._changed.notify_all()

    def ask(self, place: object, question: Question, asker: socket.socket, patience: float) -> dict[str, Any]:
        """Return what is heard, once it is this place's turn.

        `patience` is how many seconds to wait for an engine that is not ready. Raises `NotReady`, `Refused`,
        `Failed` and `Left`.
        """
        process = self._turn(place, asker, patience)
        try:
            _pipe(process.stdin).write(question.header())
            _write_all(_pipe(process.stdin), question.content)
            answer = _answer(process, asker)
        except Left:
            # It would listen to the end for nobody, and others wait.
            process.kill()
            raise
        except OSError as error:
            raise Failed from error
        finally:
            with self._changed:
                self._is_asked = False
                self._changed.notify_all()
        if "refused" in answer:
            raise Refused(answer["refused"])
        if "heard" not in answer:
            raise Failed
        heard: dict[str, Any] = answer["heard"]
        return heard

    def _turn(self, place: object, asker: socket.socket, patience: float) -> subprocess.Popen[bytes]:
        deadline = time.monotonic() + patience
        with self._changed:
            while True:
                if self._not_ready and (self._not_ready.retry_after is None or time.monotonic() >= deadline):
                    raise NotReady(str(self._not_ready), self._not_ready.retry_after)
                if self._process and self._queue[0] is place:
                    self._is_asked = True
                    return self._process
                self._changed.wait(0.5)
                if has_gone(asker):
                    raise Left


def _answer(process: subprocess.Popen[bytes], asker: socket.socket) -> dict[str, Any]:
    """Return one line of the process. Raises `Failed` when it ends or hangs, `Left` when the asker goes."""
    output = _pipe(process.stdout)
    deadline = time.monotonic() + LONGEST_HEARING_SECONDS
    line = bytearray()
    while not line.endswith(b"\n"):
        if not select.select([output], [], [], 0.25)[0]:
            if has_gone(asker):
                raise Left
            if time.monotonic() > deadline:
                process.kill()
                raise Failed
            continue
        piece = os.read(output.fileno(), 1 << 16)
        if not piece:
            raise Failed
        line += piece
    answer: dict[str, Any] = json.loads(line)
    return answer


def _write_all(pipe: IO[bytes], content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[pipe.write(rest) :]


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - it was asked for
    return pipe


def has_gone(asker: socket.socket) -> bool:
    """Whether the other end of a connection has closed it."""
    # A socket with a timeout waits for it, whatever its flags say.
    if not select.select([asker], [], [], 0)[0]:
        return False
    try:
        return asker.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True
