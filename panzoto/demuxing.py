"""Reads the frame tables of MP4 and 3GP clips with PyAV, in a process of its own.

FFmpeg is a large library that reads what somebody else wrote, so it runs
without secrets, under limits, and where a crash of it harms nobody.
`panzoto.remux` starts this file as a program; nothing imports it.

Standard input: for each clip its length (8 bytes, big-endian) and its bytes.
Standard output: one line of JSON, and then the sizes of all frames, each as
an `unsigned int` of this machine.  Nothing is written anywhere else.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
from array import array
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

MOST_FRAMES = 2_000_000
MOST_CHUNKS = 50_000
MEMORY_BYTES = 1024**3
CPU_SECONDS = 60
# `mov` alone is asked, so that no other format is recognised: some of them open further files.
# Edit lists are for players of one clip; here every frame counts.
HOW: dict[str, Any] = {
    "format": "mov",
    "options": {"ignore_editlist": "1"},
    "metadata_errors": "ignore",
}
# The same clips give the same bytes, whenever that is.
WRITTEN = {"fflags": "+bitexact", "use_editlist": "0"}


class Refused(Exception):
    """A clip cannot be joined; the reason is a word that `panzoto.remux` knows."""


class Tables:
    """What is known of the clips so far."""

    def __init__(self) -> None:
        self.template = b""
        self.timescale = 0
        self.sizes = array("I")
        self.durations: list[list[int]] = []
        # (clip, where in it, bytes, frames): frames that lie together.
        self.chunks: list[list[int]] = []
        self._kind: tuple[Any, ...] = ()

    def add(self, number: int, clip: bytes) -> None:
        """Add the frames of the next clip. Raises `Refused` and FFmpeg's own errors."""
        with av.open(io.BytesIO(clip), **HOW) as container:
            stream = _only_audio(container)
            kind = _kind(stream)
            if not self._kind:
                self._kind, self.timescale = kind, kind[0]
                self.template = _template(clip)
            if kind != self._kind:
                raise Refused("different")
            self._add_frames(number, container, stream)

    def _add_frames(self, number: int, container: InputContainer, stream: AudioStream) -> None:
        before = len(self.sizes)
        end = -1
        for packet in container.demux(stream):
            # The last one is empty and only says that nothing follows; one that is cut is no frame.
            if not packet.size or packet.is_corrupt:
                continue
            if packet.pos is None or not packet.duration:
                raise Refused("unreadable")
            if packet.pos != end:
                self.chunks.append([number, packet.pos, 0, 0])
            self._add_frame(packet.size, packet.duration)
            end = packet.pos + packet.size
        if len(self.sizes) == before:
            raise Refused("unreadable")

    def _add_frame(self, size: int, duration: int) -> None:
        self.sizes.append(size)
        chunk = self.chunks[-1]
        chunk[2] += size
        chunk[3] += 1
        if self.durations and self.durations[-1][1] == duration:
            self.durations[-1][0] += 1
        else:
            self.durations.append([1, duration])
        if max(len(self.sizes) - MOST_FRAMES, len(self.chunks) - MOST_CHUNKS) > 0:
            raise Refused("too_long")


def _only_audio(container: InputContainer) -> AudioStream:
    if len(container.streams.audio) != 1 or container.streams.video:
        raise Refused("unreadable")
    return container.streams.audio[0]


def _kind(stream: AudioStream) -> tuple[Any, ...]:
    """Return the timescale and whatever else a decoder is set up by."""
    context, base = stream.codec_context, stream.time_base
    if base is None or base.numerator != 1:
        raise Refused("unreadable")
    return (base.denominator, context.name, context.extradata, context.sample_rate, context.layout.name)


def _template(clip: bytes) -> bytes:
    """Return a whole file that holds the clip's first frame alone, as FFmpeg remuxes it."""
    made = io.BytesIO()
    with av.open(io.BytesIO(clip), **HOW) as container:
        stream = _only_audio(container)
        kind = "3gp" if clip[8:10] == b"3g" or stream.codec_context.name.startswith("amr") else "mp4"
        with av.open(made, "w", format=kind, options=WRITTEN) as out:
            copy = out.add_stream_from_template(stream)
            packet = next(container.demux(stream))
            packet.stream = copy
            out.mux(packet)
    return made.getvalue()


def _limit() -> None:
    for what, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_SECONDS)):
        # Some systems do not have this limit; the frames are counted all the same.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def _answer(values: dict[str, Any], rest: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(values).encode("ascii") + b"\n" + rest)
    sys.stdout.buffer.flush()


def main() -> None:
    """Read clips to the end of the input and answer once."""
    _limit()
    tables, number, source = Tables(), 0, sys.stdin.buffer
    try:
        while length := source.read(8):
            tables.add(number, source.read(int.from_bytes(length, "big")))
            number += 1
    except Refused as refused:
        _answer({"refused": number, "why": str(refused)})
    except Exception:  # noqa: BLE001 - whatever a clip makes of the library, it cannot be joined
        _answer({"refused": number, "why": "unreadable"})
    else:
        known = {
            "template": tables.template.hex(),
            "timescale": tables.timescale,
            "durations": tables.durations,
            "chunks": tables.chunks,
        }
        _answer(known, tables.sizes.tobytes())


if __name__ == "__main__":
    main()
