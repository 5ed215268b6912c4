"""Recordings in which a tone is heard at known places, in any container, and where it is heard in the end."""

from __future__ import annotations

import io
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av

RATE = 16000
BURST_MS = 60
# Where a burst begins, what is heard comes over this for the first time in so long.
LOUD = 6000
QUIET_MS = 200


@dataclass(frozen=True)
class Repeated:
    """A recording that is one stretch of bytes again and again, and is nowhere in memory."""

    opening: bytes
    stretch: bytes
    times: int

    @property
    def length(self) -> int:
        return len(self.opening) + len(self.stretch) * self.times

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        if start < len(self.opening):
            yield self.opening[start:stop]
            start = len(self.opening)
        while start < min(stop, self.length):
            at = (start - len(self.opening)) % len(self.stretch)
            piece = self.stretch[at : at + min(stop, self.length) - start]
            yield piece
            start += len(piece)


def bursts(rate: int, seconds: float, places_ms: Sequence[int]) -> array[int]:
    """Samples that are silent but for a tone of 1 kHz at each of the places."""
    made = array("h", bytes(2 * round(rate * seconds)))
    count = rate * BURST_MS // 1000
    tone = array("h", (int(20000 * math.sin(2 * math.pi * 1000 * at / rate)) for at in range(count)))
    for place in places_ms:
        start = round(rate * place / 1000)
        made[start : start + count] = tone
    return made


def encoded(
    samples: array[int], container: str, codec: str, rate: int, layout: str = "mono", **options: str
) -> bytes:
    """Return `samples`, the same in every channel, as FFmpeg encodes and packs them."""
    made = io.BytesIO()
    with av.open(made, "w", format=container, options=options) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout=layout, options={"strict": "experimental"})
        channels = len(stream.codec_context.layout.channels)
        for begin in range(0, len(samples), 1024):
            part = samples[begin : begin + 1024]
            frame = av.AudioFrame(format="s16", layout=layout, samples=len(part))
            frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
            frame.planes[0].update(_for_each_channel(part, channels).tobytes())
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return made.getvalue()


def _for_each_channel(samples: array[int], channels: int) -> array[int]:
    if channels == 1:
        return samples
    return array("h", (one for one in samples for _ in range(channels)))


def wav(samples: array[int], rate: int = RATE) -> bytes:
    return encoded(samples, "wav", "pcm_s16le", rate)


def decoded(flac: bytes) -> array[int]:
    """Return the samples of a piece, which is 16 kHz, mono, 16 bits."""
    heard = array("h")
    with av.open(io.BytesIO(flac), format="flac") as container:
        for frame in container.decode(audio=0):
            assert (frame.sample_rate, frame.layout.name, frame.format.name) == (RATE, "mono", "s16")
            heard.frombytes(bytes(frame.planes[0])[: 2 * frame.samples])
    return heard


def heard_at(samples: Iterable[int]) -> list[float]:
    """Return where bursts begin, in milliseconds."""
    found: list[float] = []
    last = -math.inf
    for at, sample in enumerate(samples):
        if abs(sample) > LOUD:
            if at - last > QUIET_MS * RATE // 1000:
                found.append(1000 * at / RATE)
            last = at
    return found
