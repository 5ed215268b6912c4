"""AMR as WAV, which every browser plays: decoded a few blocks at a time, whatever part is asked for.

    44 bytes of header ‖ 16-bit little-endian samples of one channel at 8 or 16 kHz, 20 ms for each frame

A decoder goes by what it has heard before.  So sound is decoded in blocks of ten seconds, each by a decoder
of its own that begins half a second earlier: a byte is the same whatever range asks for it, and a range costs
the blocks that it touches.  FFmpeg's child decodes them (`panzoto.media.amr_decoding`), a few at a time, and
has ended before a byte of them goes out, so a slow listener keeps no process.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from panzoto.crypto.source import Recording
from panzoto.errors import Busy, PanzotoError
from panzoto.host.sizing import RENDERERS
from panzoto.media.amr import WAV_HEAD_BYTES, Track, frames
from panzoto.media.confined import Confined, ProgramFailed

WAV_TYPE = "audio/wav"
PROGRAM = Path(__file__).with_name("amr_decoding.py")
# Of 20 ms each.
BLOCK_FRAMES, PREPARING_FRAMES = 500, 25
# What is decoded at one time doubles up to this; it is in memory until it has been sent.
FIRST_BLOCKS, MOST_BYTES = 2, 2_560_000
FIRST_WAIT_SECONDS, WAIT_SECONDS = 5.0, 60.0
DEADLINE_SECONDS = 60.0
# What a change of these figures, or of the decoder, makes of a sound is another one.
RENDERING = f"wav 1 {BLOCK_FRAMES} {PREPARING_FRAMES} {metadata.version('av')}"

Block = tuple[int, list[bytes]]

log = logging.getLogger(__name__)


class Renderers:
    """Children that decode, so many at one time in each process."""

    def __init__(
        self, at_once: int = RENDERERS, program: Path = PROGRAM, first_wait: float = FIRST_WAIT_SECONDS
    ) -> None:
        self._permits = threading.BoundedSemaphore(at_once)
        self._program = program
        self.first_wait = first_wait

    @contextmanager
    def permit(self, seconds: float) -> Iterator[None]:
        """Hold one of the permits. Raises `Busy` when none comes free in so many seconds."""
        if not self._permits.acquire(timeout=seconds):
            raise Busy()
        try:
            yield
        finally:
            self._permits.release()

    def samples(self, track: Track, blocks: list[Block]) -> list[bytes]:
        """Return the samples of each block. Raises `Busy`, and `PanzotoError` when the child failed."""
        with Confined(self._program, DEADLINE_SECONDS) as child:
            try:
                child.send(b"w" if track.is_wide else b"n")
                for preparing, block in blocks:
                    child.send(_sent(preparing, block))
                child.end_input()
                sizes = [2 * track.frame_samples * (len(block) - preparing) for preparing, block in blocks]
                return [child.read(size) for size in sizes]
            except ProgramFailed as failed:
                log.error("rendering_failed", extra={"status": failed.status})
                raise PanzotoError() from failed


@dataclass(frozen=True, slots=True)
class WavRecording:
    """A recording of AMR as WAV (see `panzoto.crypto.source.Recording`)."""

    recording: Recording
    track: Track
    renderers: Renderers

    @property
    def length(self) -> int:
        return WAV_HEAD_BYTES + self.track.frames * self._frame_bytes

    @property
    def _frame_bytes(self) -> int:
        return 2 * self.track.frame_samples

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes [start:stop) of the WAV. Raises what reading the recording raises, and `Busy`."""
        head = header(self.track)[start:stop]
        sound = self._sound(max(0, start - WAV_HEAD_BYTES), stop - WAV_HEAD_BYTES)
        # The head is there whatever has become of the recording, so it waits for something of that.
        if head:
            yield head + (next(sound, b"") if stop > WAV_HEAD_BYTES else self._nothing())
        yield from sound

    def _nothing(self) -> bytes:
        for _ in self.recording.plain(0, min(1, self.recording.length)):
            pass
        return b""

    def _sound(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield bytes [start:stop) of the samples."""
        size = BLOCK_FRAMES * self._frame_bytes
        first = start // size
        at = first * size
        for block in self._decoded(first, -(-stop // size)):
            wanted = block[max(0, start - at) : stop - at]
            at += len(block)
            if wanted:
                yield wanted

    def _decoded(self, first: int, after: int) -> Iterator[bytes]:
        """Yield the samples of the blocks from `first` to before `after`."""
        coming = self._blocks(first, after)
        count, seconds = FIRST_BLOCKS, self.renderers.first_wait
        most = MOST_BYTES // (BLOCK_FRAMES * self._frame_bytes)
        while blocks := list(itertools.islice(coming, min(count, most))):
            with self.renderers.permit(seconds):
                made = self.renderers.samples(self.track, blocks)
            yield from made
            # Somebody listens already, and waits rather than to begin anew.
            count, seconds = 2 * count, WAIT_SECONDS

    def _blocks(self, first: int, after: int) -> Iterator[Block]:
        """Yield of each block how many frames only prepare the decoder, and all its frames."""
        preparing = min(PREPARING_FRAMES, first * BLOCK_FRAMES)
        coming = frames(self.recording, self.track, first * BLOCK_FRAMES - preparing)
        before = list(itertools.islice(coming, preparing))
        for number in range(first, after):
            wanted = min(BLOCK_FRAMES, self.track.frames - number * BLOCK_FRAMES)
            block = list(itertools.islice(coming, wanted))
            yield len(before), before + block
            before = block[-PREPARING_FRAMES:]


def _sent(preparing: int, block: list[bytes]) -> bytes:
    head = len(block).to_bytes(4, "big") + preparing.to_bytes(4, "big")
    return head + b"".join(len(frame).to_bytes(2, "big") + frame for frame in block)


def header(track: Track) -> bytes:
    """Return what comes before the samples (RIFF, 16-bit PCM, one channel)."""
    rate, size = 50 * track.frame_samples, 2 * track.frames * track.frame_samples
    form = b"RIFF" + (WAV_HEAD_BYTES - 8 + size).to_bytes(4, "little") + b"WAVE"
    described = b"fmt " + b"".join(
        value.to_bytes(width, "little")
        for value, width in ((16, 4), (1, 2), (1, 2), (rate, 4), (2 * rate, 4), (2, 2), (16, 2))
    )
    return form + described + b"data" + size.to_bytes(4, "little")
