"""Joining MP4 and 3GP clips without re-encoding: the frames stay as they are, the tables before them are new.

The joined file is a head and then stretches of the clips' own bytes, so only
the head has to be made and kept.  FFmpeg, through PyAV, reads the clips in a
child process (`panzoto.media.demuxing`) that gets them through a pipe: nothing
plain touches a disk, a web worker does not hold the library, and neither a
crash nor a claim of a thousand million frames is its trouble.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from array import array
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

from panzoto.crypto.source import Recording
from panzoto.errors import Busy, ClipsNotJoinable, SittingTooLong
from panzoto.media.media_type import by_brand
from panzoto.media.mp4 import FrameTable, head
from panzoto.media.parts import Parts

PROGRAM = Path(__file__).with_name("demuxing.py")
# A clip is in the child's memory while it is read.
LONGEST_CLIP_BYTES = 64 * 1024 * 1024
# `-I`: neither this folder nor the environment decides what the child imports.
COMMAND = (sys.executable, "-I", "-B", str(PROGRAM))

log = logging.getLogger(__name__)


class Remux:
    """Clips on their way into one file. Use it as a context; leaving it ends the child."""

    def __init__(self) -> None:
        """Start the child. Raises `Busy` when the machine has no room for it."""
        try:
            self._child = subprocess.Popen(  # noqa: S603 - a fixed command
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
            )
        except OSError as error:
            raise Busy() from error
        self._gave_up = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        for pipe in (self._input, self._output):
            try:
                pipe.close()
            except BrokenPipeError:
                continue
        self._child.wait()

    def add(self, clip: Recording) -> None:
        """Send the next clip. Raises `SittingTooLong`, and what reading the clip raises."""
        if clip.length > LONGEST_CLIP_BYTES:
            raise SittingTooLong()
        self._send(clip.length.to_bytes(8, "big"))
        for piece in clip.plain(0, clip.length):
            self._send(piece)
            if self._gave_up:
                return

    def finish(self) -> Parts:
        """Return the head and the stretches that follow it.

        Raises `ClipsNotJoinable` and `SittingTooLong`; `clip` of either is the
        number of the clip that is the reason, where that is known.
        """
        self._send(b"", last=True)
        line = self._output.readline()
        sizes = array("I")
        sizes.frombytes(self._output.read())
        status = self._child.wait()
        if status or not line:
            log.error("demuxing_failed", extra={"status": status})
            raise ClipsNotJoinable()
        values: dict[str, Any] = json.loads(line)
        if "refused" in values:
            _refuse(values["why"], values["refused"])
        chunks = values["chunks"]
        frames = FrameTable(
            timescale=values["timescale"],
            sizes=sizes,
            durations=[(count, each) for count, each in values["durations"]],
            chunks=[(count, size) for _, _, size, count in chunks],
        )
        stretches = [(clip, start, start + size) for clip, start, size, _ in chunks]
        made = head(bytes.fromhex(values["template"]), frames)
        return Parts(made, stretches, frames.duration / frames.timescale, by_brand(made[8:12]))

    def _send(self, data: bytes, last: bool = False) -> None:
        """Write to the child; one that has given up says why when it is asked."""
        if self._gave_up:
            return
        try:
            self._input.write(data)
            if last:
                self._input.close()
        except BrokenPipeError:
            self._gave_up = True

    @property
    def _input(self) -> IO[bytes]:
        assert self._child.stdin is not None  # noqa: S101 - it was asked for
        return self._child.stdin

    @property
    def _output(self) -> IO[bytes]:
        assert self._child.stdout is not None  # noqa: S101 - likewise
        return self._child.stdout


def _refuse(why: str, clip: int) -> NoReturn:
    refusal = SittingTooLong() if why == "too_long" else ClipsNotJoinable()
    refusal.clip = clip
    raise refusal
