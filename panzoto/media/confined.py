"""A program in the sandbox (`panzoto.host.sandbox`) as the process that feeds it sees it.

The program reads what strangers wrote, so it is believed nothing: it is read from in amounts that its
parent chose, may compute the longer the more it was given, and cannot keep its parent waiting.  One that
answers on and on is granted more by its parent, time for time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from panzoto.errors import Busy
from panzoto.host import sandbox

# `-I`: neither a folder nor the environment decides what the program imports.
COMMAND = (sys.executable, "-I", "-B", sandbox.__file__)
# Processor time to load it and for a mebibyte of what it reads.
LOADING_SECONDS = 15
SECONDS_PER_MIB = 3
MIB = 1024 * 1024
# From the start to the answer, however long its parent took to feed it.
DEADLINE_SECONDS = 300.0
ENDING_SECONDS = 5.0

log = logging.getLogger(__name__)


class ProgramFailed(Exception):
    """The program ended without an answer, or with one that cannot be one; `status` is its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Confined:
    """A running program. Use it as a context; leaving it ends the program."""

    def __init__(
        self, program: Path, seconds: float = DEADLINE_SECONDS, cpu_seconds: int = sandbox.CPU_SECONDS
    ) -> None:
        """Start the file `program`, which has so many seconds, and so much processor time at most.

        Raises `Busy` when there is no room for it.
        """
        sandbox.hide_memory()
        try:
            self._child = subprocess.Popen(  # noqa: S603 - a fixed command
                (*COMMAND, str(program), str(cpu_seconds)),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
            )
        except OSError as error:
            raise Busy() from error
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._cpu_seconds = cpu_seconds
        self._given = 0
        self._granted = 0.0
        self._begun = False
        for pipe in (self._input, self._output):
            os.set_blocking(pipe.fileno(), False)
        self._allow_time()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._input.close()
        self._output.close()

    @property
    def pid(self) -> int:
        return self._child.pid

    def send(self, data: bytes) -> bool:
        """Write `data`; return whether the program still reads. Raises `Busy` when its time is over."""
        self._given += len(data)
        self._allow_time()
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._input.fileno(), left) :]
            except BlockingIOError:
                self._wait_for(self._input, select.POLLOUT)
            except BrokenPipeError:
                return False
        return True

    def go_on(self, cpu_seconds: float = 0.0) -> None:
        """Begin the program's seconds anew, and grant it so much processor time more."""
        self._until = time.monotonic() + self._seconds
        if cpu_seconds:
            self._granted += cpu_seconds
            self._allow_time()

    def end_input(self) -> None:
        """Let the program read to the end of what it was sent."""
        self._input.close()

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes. Raises `ProgramFailed` when there are fewer.

        Raises `Busy` when its time is over, or memory was short.
        """
        self._begin()
        return self._read(count)

    def read_line(self, most: int) -> bytes:
        """Return the next line without its end. Raises as `read` does, and when it is longer than `most`."""
        self._begin()
        line = b""
        while len(line) <= most:
            byte = self._read(1)
            if byte == b"\n":
                return line
            line += byte
        raise self.failed()

    def failed(self) -> ProgramFailed:
        """End the program and return what is to be raised about it."""
        return ProgramFailed(self._end())

    def _ended(self) -> Exception:
        """Return what is to be raised when the output has ended, a moment before the program does."""
        try:
            status = self._child.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            return self.failed()
        # The kernel kills it when memory is short, which is no fault of what it reads.
        return Busy() if status == -signal.SIGKILL else ProgramFailed(status)

    def _begin(self) -> None:
        """Read how far the program is confined, which it tells before it has read anything."""
        if not self._begun:
            self._begun = True
            if self._read(1) != sandbox.FILTERED:
                _tell_of_no_filter()

    def _read(self, count: int) -> bytes:
        read = bytearray()
        while len(read) < count:
            try:
                piece = os.read(self._output.fileno(), min(count - len(read), MIB))
            except BlockingIOError:
                self._wait_for(self._output, select.POLLIN)
                continue
            if not piece:
                raise self._ended()
            read += piece
        return bytes(read)

    def _wait_for(self, pipe: IO[bytes], event: int) -> None:
        """Wait until `pipe` is ready, or its other end closed."""
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(max(0.0, self._until - time.monotonic()) * 1000):
            log.error("demuxing_slow")
            raise Busy()

    def _allow_time(self) -> None:
        allowed = LOADING_SECONDS + SECONDS_PER_MIB * self._given // MIB + int(self._granted)
        # At the second of these it would be killed, and look as if memory had been short.
        limits = (min(allowed, self._cpu_seconds), self._cpu_seconds + 1)
        # Not every system can limit another process, and one that has ended has no limits.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.prlimit(self._child.pid, resource.RLIMIT_CPU, limits)

    def _end(self) -> int:
        """End the program, if it has not ended by itself, and return its exit status."""
        self._child.kill()
        return self._child.wait()

    @property
    def _input(self) -> IO[bytes]:
        assert self._child.stdin is not None  # noqa: S101 - it was asked for
        return self._child.stdin

    @property
    def _output(self) -> IO[bytes]:
        assert self._child.stdout is not None  # noqa: S101 - likewise
        return self._child.stdout


@cache
def _tell_of_no_filter() -> None:
    """Say once in each process that the kernel does not filter the program's calls."""
    log.warning("sandbox_without_filter", extra={"system": f"{sys.platform} {os.uname().machine}"})
