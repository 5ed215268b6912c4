"""Clips of sound as phones record them, made in memory: AAC and AMR in their containers, and bare."""

from __future__ import annotations

import io
import math
import random
from array import array
from fractions import Fraction
from functools import cache
from typing import Any

import av

AMR_MAGIC = b"#!AMR\n"
AMR_WIDE_MAGIC = b"#!AMR-WB\n"
# Frame types of AMR with how many bytes each takes, the first one included.
NARROW = {0: 13, 3: 18, 7: 32, 8: 6, 15: 1}
WIDE = {0: 18, 4: 41, 8: 61, 9: 6, 15: 1}


# How a sample is written, by the name of its format without the `p` of planes.
SAMPLES = {"u8": "B", "s16": "h", "s32": "i", "flt": "f", "dbl": "d"}


def encoded(  # noqa: PLR0917 - in the order in which one says them
    container: str,
    codec: str,
    rate: int,
    seconds: float,
    tone: int,
    layout: str = "mono",
    options: dict[str, str] | None = None,
) -> bytes:
    """Return a tone of `tone` Hz, encoded and packed by FFmpeg; `options` are the container's."""
    made = io.BytesIO()
    with av.open(made, "w", format=container, options=options or {}) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout=layout, options={"strict": "experimental"})
        step = stream.codec_context.frame_size or 1024
        kind = stream.codec_context.format.name
        wanted = kind.removesuffix("p")
        packed = 1 if kind.endswith("p") else len(stream.codec_context.layout.channels)
        # A whole number of waves fits into a second, so each is like the first.
        second = second_of(tone, rate, wanted, packed) * 2
        for begin in range(0, int(rate * seconds), step):
            frame = av.AudioFrame(format=kind, layout=layout, samples=step)
            frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
            first = begin % rate * packed
            for plane in frame.planes:
                plane.update(second[first : first + step * packed].tobytes())
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return made.getvalue()


@cache
def second_of(tone: int, rate: int, kind: str, packed: int) -> array[Any]:
    """Return a second of a tone, each sample so many times."""
    wave = [0.3 * math.sin(2 * math.pi * tone * at / rate) for at in range(rate)]
    if scale := {"u8": 127, "s16": 2**15 - 1, "s32": 2**31 - 1}.get(kind):
        middle = 128 if kind == "u8" else 0
        wave = [int(value * scale) + middle for value in wave]
    return array(SAMPLES[kind], wave if packed == 1 else [value for value in wave for _ in range(packed)])


def amr(seed: int, frames: int, wide: bool = False) -> bytes:
    """Return AMR with valid frame headers and noise in the frames, of changing types."""
    noise = random.Random(seed)
    sizes = WIDE if wide else NARROW
    made, kinds = bytearray(AMR_WIDE_MAGIC if wide else AMR_MAGIC), list(sizes)
    for _ in range(frames):
        kind = noise.choice(kinds)
        made.append(kind << 3 | 4)
        made += noise.randbytes(sizes[kind] - 1)
    return bytes(made)


def packets(data: bytes, **how: Any) -> list[tuple[bytes, int]]:
    """Return every frame of a file as (bytes, duration in the track's units)."""
    with av.open(io.BytesIO(data), options={"ignore_editlist": "1"}, **how) as container:
        return [(bytes(packet), packet.duration or 0) for packet in container.demux(audio=0) if packet.size]


def samples(data: bytes, **how: Any) -> int:
    """Decode a file to its end and return how many samples were heard."""
    with av.open(io.BytesIO(data), options={"ignore_editlist": "1"}, **how) as container:
        return sum(frame.samples for frame in container.decode(audio=0))
