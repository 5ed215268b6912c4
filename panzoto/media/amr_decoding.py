"""Decodes AMR with PyAV, in a process of its own.

It runs in a sandbox (`panzoto.host.sandbox`), as `panzoto.media.demuxing` does and for the same reasons:
`panzoto.media.wav` starts this file there as a program, and nothing imports it.

Standard input: `n` for AMR-NB or `w` for AMR-WB, and then blocks: how many frames, how many of those only
prepare the decoder (4 bytes each, big-endian), and for each frame its length (2 bytes) and its bytes.
Standard output: of each block the samples of the frames that are no preparation, as 16-bit little-endian
integers, always as many as those frames last.  Nothing is written anywhere else.

The decoders are those of OpenCORE, which FFmpeg knows beside its own: they know pauses (SID, NO_DATA) and
fill them with the comfort noise that the phone described, they conceal what is missing, and they calculate
with whole numbers, so that every machine finds the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import av

# PyAV imports these when it first needs them, and once the sandbox is closed nothing can be read.
import av.audio.codeccontext
import av.audio.frame
import av.audio.plane
import av.packet


@dataclass(frozen=True)
class Codec:
    """A decoder by its name at FFmpeg, samples of a frame, and the frame's bytes by its type; 0: unknown."""

    name: str
    samples: int
    sizes: tuple[int, ...]


# As `panzoto.media.frames` has the sizes, which this program cannot import, without what is another codec's.
CODECS = {
    b"n": Codec("libopencore_amrnb", 160, (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1)),
    b"w": Codec("libopencore_amrwb", 320, (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1)),
}
# NO_DATA, of which the decoder makes what it makes of a lost frame.
LOST = b"\x7c"


def blocks(source: BinaryIO) -> Iterator[tuple[int, list[bytes]]]:
    """Yield how many frames only prepare the decoder, and all frames of the block."""
    while head := source.read(8):
        count, preparing = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
        yield preparing, [source.read(int.from_bytes(source.read(2), "big")) for _ in range(count)]


def decoded(codec: Codec, frames: list[bytes]) -> list[bytes]:
    """Return the samples of each frame, by a decoder that has heard nothing before the first."""
    decoder: Any = av.CodecContext.create(codec.name, "r")
    decoder.thread_count = 1
    return [_decoded(decoder, codec, frame) for frame in frames]


def _decoded(decoder: Any, codec: Codec, frame: bytes) -> bytes:
    size = codec.sizes[frame[0] >> 3 & 15] if frame else 0
    whole = frame[:size] if 0 < size <= len(frame) else LOST
    try:
        heard = b"".join(
            bytes(made.planes[0])[: 2 * made.samples] for made in decoder.decode(av.Packet(whole))
        )
    except av.FFmpegError:
        heard = b""
    return heard[: 2 * codec.samples].ljust(2 * codec.samples, b"\0")


def main() -> None:
    """Read to the end of the input, and answer then: whoever writes need not read meanwhile."""
    source = sys.stdin.buffer
    codec = CODECS[source.read(1)]
    for preparing, frames in list(blocks(source)):
        for samples in decoded(codec, frames)[preparing:]:
            sys.stdout.buffer.write(samples)
