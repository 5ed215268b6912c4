"""Decodes recordings with PyAV and cuts their sound into pieces of FLAC, in a process of its own.

FFmpeg reads what somebody else wrote, so it runs in a sandbox (`panzoto.host.sandbox`) as it does for
`panzoto.media.demuxing`.  `panzoto.media.sound` starts this file there as a program; nothing imports it.
Everything that it imports is loaded before the sandbox closes.

A recording may be larger than memory and keep at its end what must be known first, so this program asks for
stretches of it.  Whatever it says on standard output is a letter and numbers of 8 bytes, big-endian:

    C                       the next clip is wanted: what comes is its gap in samples and its length in bytes,
                            and the greatest number there is twice when there is none
    R offset                bytes of the clip are wanted: `BLOCK` of them come, or all there are to its end
    B samples               the clip is over, and was so long
    P samples silent size   a piece, and after it so many bytes of FLAC
    N                       the clip holds no sound that could be heard
    E                       everything has been said

Standard input begins with the most bytes and the most samples of a piece.  Samples are of 16 kHz, mono.
Sources: RFC 9639 (FLAC).
"""

from __future__ import annotations

import gc
import logging  # noqa: F401 - as below
import sys
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import accumulate
from operator import mul
from typing import Any, cast

import av

# PyAV imports these when it first needs them, and once the sandbox is closed nothing can be read.
import av.audio.codeccontext
import av.audio.resampler
import av.subtitles.codeccontext
import av.subtitles.stream
import av.video.codeccontext
import av.video.stream
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.filter import Graph
from av.packet import Packet
from av.stream import Discard

RATE = 16000
SAMPLE_BYTES = 2
BLOCK = 64 * 1024
NONE = 2**64 - 1
# What is asked: formats that hold one recording and lead to no other file, and decoders of sound alone.
DEMUXERS = (
    "aac", "aiff", "amr", "au", "caf", "flac", "matroska", "mov", "mp3", "mpegts", "ogg", "w64", "wav",
)  # fmt: skip
DECODERS = (
    "aac", "aac_latm", "ac3", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "alac", "amrnb", "amrwb",
    "eac3", "flac", "libopencore_amrnb", "libopencore_amrwb", "libopus", "mp1", "mp1float", "mp2",
    "mp2float", "mp3", "mp3float", "opus", "pcm_alaw", "pcm_f32be", "pcm_f32le", "pcm_f64be",
    "pcm_f64le", "pcm_mulaw", "pcm_s16be", "pcm_s16le", "pcm_s24be", "pcm_s24le", "pcm_s32be",
    "pcm_s32le", "pcm_s8", "pcm_u8", "speex", "vorbis", "wavpack",
)  # fmt: skip
# FFmpeg's own decoders of AMR refuse the frames that stand for silence.
BETTER = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}
# Edit lists, and what encoders put before the sound, are obeyed, as in Chromium, which reads with the same
# library. So a time here is a time there.
HOW: dict[str, Any] = {
    "options": {"format_whitelist": ",".join(DEMUXERS), "codec_whitelist": ",".join(DECODERS)},
    "metadata_errors": "ignore",
}
# What browsers play; a rate of a few hertz would make years of a few bytes.
RATES = range(3000, 768_001)
MOST_CHANNELS = 32
# A demuxer that fails is asked to go on behind the damage, so many times in a row.
MOST_FAILURES = 16
# Instead of a packet that cannot be decoded there is silence, as long as it says that it lasts.
LONGEST_SILENCE_SECONDS = 1

# FFmpeg's own choice at this rate. The frames of FLAC stand for themselves, so a piece can end behind each of
# them, and its size is known before it is over.
FRAME_SAMPLES = 1152
FRAME_BYTES = FRAME_SAMPLES * SAMPLE_BYTES
HEADER_BYTES = 42
# Where a piece is cut: within so much before the limit, or within so large a share of a short piece.
SEARCHED_SAMPLES = 60 * RATE
SEARCHED_SHARE = 3
QUIET_SAMPLES = RATE // 2
# The grid on which the quietest half second is searched, 4 ms.
STEP_SAMPLES = 64
# The mean of the squares at -55 dB below the largest sample there is.
SILENT_POWER = 32768**2 / 10**5.5


class NoSound(Exception):
    """The clip is none, has no track of sound, or nothing of it can be decoded."""


class ParentGone(Exception):
    """Nobody answers any more."""


class Parent:
    """The two pipes."""

    def __init__(self) -> None:
        self._input, self._output = sys.stdin.buffer, sys.stdout.buffer

    def tell(self, letter: bytes, *numbers: int) -> None:
        self._output.write(letter + b"".join(number.to_bytes(8, "big") for number in numbers))

    def write(self, data: bytes) -> None:
        self._output.write(data)

    def read(self, count: int) -> bytes:
        """Return what was asked for. Raises `ParentGone`."""
        self._output.flush()
        data = self._input.read(count)
        if len(data) != count:
            raise ParentGone
        return data

    def numbers(self) -> tuple[int, int]:
        """Return the next two numbers."""
        data = self.read(16)
        return int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big")


class ClipBytes:
    """A clip as a file, of which one block is held at a time."""

    def __init__(self, parent: Parent, length: int) -> None:
        self.length = length
        self._parent = parent
        self._at = 0
        self._begin, self._block = 0, b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, and none at the end only."""
        if not self._begin <= self._at < self._begin + len(self._block):
            if self._at >= self.length:
                return b""
            self._begin = self._at // BLOCK * BLOCK
            self._parent.tell(b"R", self._begin)
            self._block = self._parent.read(min(BLOCK, self.length - self._begin))
        start = self._at - self._begin
        data = self._block[start : start + size]
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        place = (0, self._at, self.length)[whence] + offset
        if place < 0:
            raise ValueError(place)
        self._at = place
        return place

    def tell(self) -> int:
        return self._at


def sound_of(clip: ClipBytes) -> Iterator[bytes]:
    """Yield all sound of a clip, 16 bits a sample; none of a clip that is empty, or a header alone.

    Raises `NoSound`.
    """
    if not clip.length:
        return
    decoding = Decoding()
    try:
        with _opened(clip) as container:
            yield from decoding.of(container)
    except ParentGone:
        raise
    except Exception as error:
        # Whatever a clip makes of the library: what was heard before counts.
        if not decoding.has_heard:
            raise NoSound from error


def _opened(clip: ClipBytes) -> InputContainer:
    """Raises FFmpeg's own errors."""
    container: InputContainer
    try:
        container = av.open(clip, **HOW)
    except av.InvalidDataError:
        # A frame or two of what has no magic number tell FFmpeg too little.
        clip.seek(0)
        bare = _bare(clip.read(2))
        clip.seek(0)
        if bare is None:
            raise
        container = av.open(clip, format=bare, **HOW)
    return container


def _bare(opening: bytes) -> str | None:
    """Return the format of bare frames that begin so (ISO/IEC 14496-3, 1.A.3; 11172-3, 2.4.1.3), or None."""
    if len(opening) < 2 or opening[0] != 0xFF or opening[1] & 0xE0 != 0xE0:
        return None
    return "aac" if opening[1] & 0xF6 == 0xF0 else "mp3"


class Decoding:
    """What becomes of one clip."""

    def __init__(self) -> None:
        self.has_heard = False
        self._has_met = False
        self._resampler: Resampler | None = None

    def of(self, container: InputContainer) -> Iterator[bytes]:
        stream = _track(container)
        decoder = _decoder(stream)
        for packet in _packets(container, stream):
            self._has_met = self._has_met or packet.size > 0
            try:
                frames = decoder.decode(packet)
            except av.FFmpegError:
                yield _silence(packet)
                continue
            for frame in frames:
                yield from self._heard(frame)
        if self._resampler:
            yield from self._resampler.rest()
        if not self.has_heard and (self._has_met or stream.frames):
            raise NoSound

    def _heard(self, frame: AudioFrame) -> Iterator[bytes]:
        if frame.sample_rate not in RATES or frame.layout.nb_channels > MOST_CHANNELS:
            return
        if self._resampler is None or not self._resampler.takes(frame):
            if self._resampler:
                yield from self._resampler.rest()
            self._resampler = Resampler(frame)
        self.has_heard = True
        yield from self._resampler.resampled(frame)


def _track(container: InputContainer) -> AudioStream:
    """Return the first track of sound, and let the demuxer pass over all others."""
    tracks = (one for one in container.streams.audio if one.codec_context.name in DECODERS)
    stream = next(tracks, None)
    if stream is None:
        raise NoSound
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    return stream


def _decoder(stream: AudioStream) -> AudioCodecContext:
    decoder = stream.codec_context
    better = BETTER.get(decoder.name)
    if better:
        rate = decoder.sample_rate
        decoder = cast("AudioCodecContext", av.CodecContext.create(better, "r"))
        decoder.sample_rate, decoder.layout = rate, "mono"
    # No thread can be made here.
    decoder.thread_type = "NONE"
    decoder.thread_count = 1
    return decoder


def _packets(container: InputContainer, stream: AudioStream) -> Iterator[Packet[Any]]:
    """Yield what can be read, and in the end an empty packet, which makes the decoder give what it holds."""
    failures = 0
    while failures < MOST_FAILURES:
        try:
            for packet in container.demux(stream):
                failures = 0
                yield packet
        except av.FFmpegError:
            failures += 1
        else:
            return
    yield Packet()


def _silence(packet: Packet[Any]) -> bytes:
    seconds = (packet.duration or 0) * (packet.time_base or 0)
    return bytes(SAMPLE_BYTES * int(RATE * max(0, min(seconds, LONGEST_SILENCE_SECONDS))))


class Resampler:
    """Makes 16 kHz, mono, 16 bits of whatever a decoder gives."""

    def __init__(self, frame: AudioFrame) -> None:
        """Set it up for frames like `frame`."""
        self._kind = _kind(frame)
        rate, sample_format, layout = self._kind
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add(
            "abuffer",
            sample_rate=str(rate),
            sample_fmt=sample_format,
            channel_layout=layout,
            time_base=f"1/{rate}",
        )
        wanted = self._graph.add("aformat", sample_rates=str(RATE), sample_fmts="s16", channel_layouts="mono")
        self._graph.link_nodes(source, wanted, self._graph.add("abuffersink"))
        self._graph.configure()

    def takes(self, frame: AudioFrame) -> bool:
        return _kind(frame) == self._kind

    def resampled(self, frame: AudioFrame) -> Iterator[bytes]:
        # It is samples that count, whatever times a container gives them.
        frame.pts = None
        self._graph.push(frame)
        yield from self._pulled()

    def rest(self) -> Iterator[bytes]:
        """Yield what is left, once there is nothing more to come."""
        self._graph.push(None)
        yield from self._pulled()

    def _pulled(self) -> Iterator[bytes]:
        while True:
            try:
                made: Any = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield bytes(made.planes[0])[: made.samples * SAMPLE_BYTES]


def _kind(frame: AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.format.name, frame.layout.name


class Encoder:
    """Makes the frames of one piece, the first of which has the number 0."""

    def __init__(self) -> None:
        self._context: Any = av.CodecContext.create("flac", "w")
        self._context.sample_rate, self._context.time_base = RATE, Fraction(1, RATE)
        self._context.layout, self._context.format = "mono", "s16"
        self._context.thread_count = 1
        self._at = 0

    def frame(self, pcm: bytes) -> bytes:
        """Return the frame of so many samples; one that has fewer than others is the last."""
        samples = len(pcm) // SAMPLE_BYTES
        frame = AudioFrame(format="s16", layout="mono", samples=samples)
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._at, Fraction(1, RATE)
        frame.planes[0].update(pcm)
        self._at += samples
        packets = self._context.encode(frame)
        if samples < FRAME_SAMPLES:
            packets += self._context.encode(None)
        return b"".join(bytes(packet) for packet in packets)


def header(samples: int) -> bytes:
    """Return what stands before the frames: the magic number and STREAMINFO (RFC 9639, 8.2).

    Sizes of frames and the checksum are not told.
    """
    sizes = FRAME_SAMPLES.to_bytes(2, "big") * 2 + bytes(6)
    kind = RATE << 44 | (8 * SAMPLE_BYTES - 1) << 36 | samples
    return b"fLaC\x80\x00\x00\x22" + sizes + kind.to_bytes(8, "big") + bytes(16)


class Cutter:
    """Encodes sound as it comes, and hands out a piece whenever no more goes into it."""

    def __init__(
        self, most_bytes: int, most_samples: int, give: Callable[[int, bool, list[bytes]], None]
    ) -> None:
        """Pieces go to `give`: their samples, whether they are silent, and their frames."""
        self._most_bytes, self._most_samples = most_bytes, most_samples
        self._give = give
        self._waiting = bytearray()
        # Of a piece the end alone may come to lie in the next one.
        self._recent: deque[bytes] = deque(maxlen=SEARCHED_SAMPLES // FRAME_SAMPLES + 1)
        self._begin()

    def _begin(self) -> None:
        self._encoder = Encoder()
        # What FFmpeg holds of the one before hangs in a circle.
        gc.collect()
        self._frames: list[bytes] = []
        self._powers: list[int] = []
        self._samples, self._size = 0, HEADER_BYTES
        self._recent.clear()

    def add(self, pcm: bytes) -> None:
        self._waiting += pcm
        whole = len(self._waiting) // FRAME_BYTES * FRAME_BYTES
        for at in range(0, whole, FRAME_BYTES):
            self._take(bytes(self._waiting[at : at + FRAME_BYTES]))
        del self._waiting[:whole]

    def finish(self) -> None:
        if self._waiting:
            self._take(bytes(self._waiting))
            self._waiting.clear()
        if self._frames:
            self._hand_out(len(self._frames))

    def _take(self, pcm: bytes) -> None:
        coming = deque((pcm,))
        while coming:
            frame, samples = self._encoder.frame(coming[0]), len(coming[0]) // SAMPLE_BYTES
            if self._size + len(frame) <= self._most_bytes and self._samples + samples <= self._most_samples:
                self._keep(coming.popleft(), frame)
            else:
                coming.extendleft(reversed(self._cut()))

    def _keep(self, pcm: bytes, frame: bytes) -> None:
        self._frames.append(frame)
        self._powers.append(power(array("h", pcm)))
        self._recent.append(pcm)
        self._samples += len(pcm) // SAMPLE_BYTES
        self._size += len(frame)

    def _cut(self) -> list[bytes]:
        """Hand out a piece that ends at a quiet place, and return what stood behind that place."""
        searched = min(SEARCHED_SAMPLES, self._samples // SEARCHED_SHARE)
        end = array("h", b"".join(self._recent))[-searched:]
        place = self._samples - searched + quietest(end)
        frames = max(1, round(place / FRAME_SAMPLES))
        left = len(self._frames) - frames
        behind = list(self._recent)[-left:] if left > 0 else []
        self._hand_out(frames)
        self._begin()
        return behind

    def _hand_out(self, count: int) -> None:
        frames = self._frames[:count]
        samples = min(self._samples, count * FRAME_SAMPLES)
        is_silent = sum(self._powers[:count]) < SILENT_POWER * samples
        self._give(samples, is_silent, [] if is_silent else [header(samples), *frames])


def power(samples: array[int]) -> int:
    """Return the sum of the squares."""
    return sum(map(mul, samples, samples))


def quietest(samples: array[int]) -> int:
    """Return the middle of the quietest half second, of several the last, or of less where there is less."""
    powers = [power(samples[at : at + STEP_SAMPLES]) for at in range(0, len(samples), STEP_SAMPLES)]
    sums = [0, *accumulate(powers)]
    wide = min(QUIET_SAMPLES // STEP_SAMPLES, len(powers))
    first = min(range(len(powers) - wide, -1, -1), key=lambda at: sums[at + wide] - sums[at])
    return first * STEP_SAMPLES + wide * STEP_SAMPLES // 2


def main() -> None:
    """Hear all clips, one after the other, as one sound."""
    parent = Parent()

    def give(samples: int, is_silent: bool, parts: list[bytes]) -> None:
        parent.tell(b"P", samples, is_silent, sum(map(len, parts)))
        for part in parts:
            parent.write(part)

    cutter = Cutter(*parent.numbers(), give)
    try:
        while (clip := _next_clip(parent)) is not None:
            gap, length = clip
            cutter.add(bytes(gap * SAMPLE_BYTES))
            samples = 0
            for pcm in sound_of(ClipBytes(parent, length)):
                cutter.add(pcm)
                samples += len(pcm) // SAMPLE_BYTES
            parent.tell(b"B", samples)
    except NoSound:
        parent.tell(b"N")
    else:
        cutter.finish()
        parent.tell(b"E")


def _next_clip(parent: Parent) -> tuple[int, int] | None:
    parent.tell(b"C")
    gap, length = parent.numbers()
    return None if length == NONE else (gap, length)
