"""How long a recording takes to be heard, as far as its container says so without being decoded.

Sources: ISO/IEC 14496-12 (MP4, 3GP), RFC 4867 (AMR), 14496-3 (ADTS), 11172-3
and the Xing and VBRI headers (MP3), RFC 3533 and 7845 (Ogg), RFC 9559
(Matroska), RFC 9639 (FLAC), EBU Tech 3306 (WAV), and Apple's and Sun's
descriptions of AIFF, CAF and AU.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from panzoto.media.boxes import boxes
from panzoto.media.frames import AMR_MAGIC, AMR_SECONDS
from panzoto.media.glimpse import Glimpse
from panzoto.media.media_type import MP4_BOXES, after_tags
from panzoto.media.mpeg import ADTS_SAMPLING, adts_samples, adts_size, mpeg_frame

# What phones write at their slowest, where nothing else is known.
BYTES_PER_SECOND = 1500
LONGEST_SECONDS = 12 * 3600
# Of what is nothing but frames so much is looked at, and the rest is taken to be like it.
SAMPLED_BYTES = 64 * 1024
MOST_CHUNKS = 64


def seconds(clip: Glimpse, duration_ms: float | None) -> float:
    """Return how long `clip` plays, at most `LONGEST_SECONDS`.

    By its container, else by what its client said, else by its size. Raises
    what reading it raises.
    """
    told = in_container(clip)
    if told is None:
        told = clip.length / BYTES_PER_SECOND if duration_ms is None else duration_ms / 1000
    return min(told, LONGEST_SECONDS)


def in_container(clip: Glimpse) -> float | None:
    """Return the duration in seconds that the container tells, or None when it tells none."""
    start = after_tags(clip)
    opening = clip.read(start, 64)
    for begins, measure in BY_OPENING:
        if opening.startswith(begins):
            return _sane(measure, clip, start)
    if opening[4:8] in MP4_BOXES:
        return _sane(_mp4, clip, start)
    return _sane(_adts, clip, start) or _sane(_mpeg, clip, start)


def _sane(measure: Callable[[Glimpse, int], float | None], clip: Glimpse, start: int) -> float | None:
    """Return what `measure` finds, if it is a duration; a broken header is as good as none."""
    try:
        found = measure(clip, start)
    except (struct.error, IndexError, ValueError, ArithmeticError):
        return None
    return found if found is not None and 0 < found < float("inf") else None


def _mp4(clip: Glimpse, start: int) -> float | None:
    """`mvhd` tells it; of a file in fragments `mehd` does, if anything."""
    for kind, at, stop in boxes(clip, start, clip.length, MOST_CHUNKS):
        if kind != b"moov":
            continue
        scale, units = 0, 0
        for inner, inside, _ in boxes(clip, at, stop, MOST_CHUNKS):
            if inner == b"mvhd":
                scale, units = _movie_header(clip.read(inside, 32))
            if inner == b"mvex" and not units:
                units = _fragments(clip, inside, stop)
        return units / scale
    return None


def _movie_header(data: bytes) -> tuple[int, int]:
    version_1 = data[0] == 1
    scale, units = struct.unpack_from(">IQ" if version_1 else ">II", data, 20 if version_1 else 12)
    unknown = 2**64 - 1 if version_1 else 2**32 - 1
    return scale, 0 if units == unknown else units


def _fragments(clip: Glimpse, start: int, stop: int) -> int:
    for kind, at, _ in boxes(clip, start, stop, MOST_CHUNKS):
        if kind == b"mehd":
            data = clip.read(at, 12)
            return int.from_bytes(data[4:12] if data[0] == 1 else data[4:8], "big")
    return 0


def _riff(clip: Glimpse, start: int) -> float | None:
    """Bytes of sound over bytes a second; RF64 keeps the former in `ds64`."""
    order = ">" if clip.read(start, 4) == b"RIFX" else "<"
    rate, long_size = 0, 0
    for kind, at, size in _chunks(clip, start + 12, order + "I", 2):
        if kind == b"ds64":
            long_size = struct.unpack("<Q", clip.read(at + 8, 8))[0]
        elif kind == b"fmt ":
            rate = struct.unpack(order + "I", clip.read(at + 8, 4))[0]
        elif kind == b"data":
            there = clip.length - at
            unknown = size in (0, 2**32 - 1)
            return min(there, long_size or there if unknown else size) / rate
    return None


def _aiff(clip: Glimpse, start: int) -> float | None:
    for kind, at, _ in _chunks(clip, start + 12, ">I", 2):
        if kind == b"COMM":
            data = clip.read(at, 18)
            # The rate is an 80-bit float: sign and exponent, and 64 bits with their leading one.
            exponent, mantissa = struct.unpack(">HQ", data[8:18])
            rate = mantissa * 2.0 ** ((exponent & 0x7FFF) - 16446)
            return float(struct.unpack(">I", data[2:6])[0] / rate)
    return None


def _caf(clip: Glimpse, start: int) -> float | None:
    """The packet table counts frames; where the packets are all alike their size does."""
    rate = packet_bytes = packet_frames = 0.0
    told: float | None = None
    for kind, at, size in _chunks(clip, start + 8, ">q", 1):
        if kind == b"desc":
            rate, _, _, packet_bytes, packet_frames = struct.unpack(">d4sIII", clip.read(at, 24))
        elif kind == b"pakt":
            return float(struct.unpack(">q", clip.read(at + 8, 8))[0] / rate)
        elif kind == b"data":
            content = clip.length - at - 4 if size < 0 else size - 4
            told = content / packet_bytes * packet_frames / rate if packet_bytes else None
            if size < 0:
                break
    return told


def _chunks(clip: Glimpse, at: int, length: str, align: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, where the content begins, its size) of so many chunks at most."""
    width = struct.calcsize(length)
    for _ in range(MOST_CHUNKS):
        head = clip.read(at, 4 + width)
        if len(head) < 4 + width:
            return
        size: int = struct.unpack(length, head[4:])[0]
        at += 4 + width
        yield head[:4], at, size
        at += max(0, size) + max(0, size) % align


def _au(clip: Glimpse, start: int) -> float | None:
    _, offset, size, encoding, rate, channels = struct.unpack(">4sIIIII", clip.read(start, 24))
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(encoding)
    there = clip.length - start - offset
    return None if width is None else min(there, size) / (width * channels * rate)


def _flac(clip: Glimpse, start: int) -> float | None:
    """STREAMINFO comes first: 20 bits of rate, 3 of channels, 5 of width, 36 of samples."""
    packed = int.from_bytes(clip.read(start + 18, 8), "big")
    return (packed & (1 << 36) - 1) / (packed >> 44)


def _ogg(clip: Glimpse, start: int) -> float | None:
    """The last page tells how many samples came until its end."""
    tail = clip.read(max(start, clip.length - SAMPLED_BYTES), SAMPLED_BYTES)
    rate, before = _ogg_rate(clip.read(start, 128))
    position = struct.unpack_from("<q", tail, tail.rindex(b"OggS") + 6)[0]
    return float((position - before) / rate)


def _ogg_rate(page: bytes) -> tuple[int, int]:
    """Return (samples a second, samples before the first that is heard)."""
    packet = page[27 + page[26] :]
    if packet.startswith(b"OpusHead"):
        return 48000, struct.unpack_from("<H", packet, 10)[0]
    if packet.startswith(b"\x01vorbis"):
        return struct.unpack_from("<I", packet, 12)[0], 0
    if packet.startswith(b"Speex   "):
        return struct.unpack_from("<I", packet, 36)[0], 0
    if packet.startswith(b"\x7fFLAC"):
        return int.from_bytes(packet[27:30], "big") >> 4, 0
    return 0, 0


def _matroska(clip: Glimpse, start: int) -> float | None:
    """`Duration` of `Info`, in ticks of `TimestampScale` ns; a stream that was never finished has none."""
    for element, at, stop in _elements(clip, start, clip.length):
        if element == 0x18538067:
            for inner, inside, end in _elements(clip, at, stop):
                if inner == 0x1549A966:
                    return _information(clip, inside, end)
    return None


def _information(clip: Glimpse, start: int, stop: int) -> float | None:
    scale, ticks = 1_000_000, None
    for element, at, end in _elements(clip, start, stop):
        data = clip.read(at, min(8, end - at))
        if element == 0x2AD7B1:
            scale = int.from_bytes(data, "big")
        elif element == 0x4489:
            ticks = struct.unpack(">d" if len(data) == 8 else ">f", data)[0]
    return None if ticks is None else float(ticks * scale / 1e9)


def _elements(clip: Glimpse, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield (id, where the content begins, where it ends) of so many elements at most (RFC 8794)."""
    for _ in range(MOST_CHUNKS):
        head = clip.read(at, 12)
        if at >= stop or len(head) < 2:
            return
        wide = 9 - head[0].bit_length()
        size_at = head[wide]
        size_wide = 9 - size_at.bit_length()
        size = int.from_bytes(head[wide : wide + size_wide], "big") & (1 << 7 * size_wide) - 1
        begin = at + wide + size_wide
        unknown = size == (1 << 7 * size_wide) - 1
        at = stop if unknown else min(begin + size, stop)
        yield int.from_bytes(head[:wide], "big"), begin, at


def _amr(clip: Glimpse, start: int) -> float | None:
    """Twenty milliseconds a frame."""
    data = clip.read(start, SAMPLED_BYTES)
    magic = next(magic for magic in AMR_MAGIC if data.startswith(magic))
    sizes = AMR_MAGIC[magic]

    def frame(sampled: bytes, at: int) -> tuple[int, float]:
        return sizes[sampled[at] >> 3 & 15], AMR_SECONDS

    return _sampled(data[len(magic) :], clip.length - start - len(magic), frame)


def _adts(clip: Glimpse, start: int) -> float | None:
    def frame(sampled: bytes, at: int) -> tuple[int, float]:
        size = adts_size(sampled, at)
        return size, adts_samples(sampled[at : at + 7]) / ADTS_SAMPLING[
            sampled[at + 2] >> 2 & 15
        ] if size else 0

    return _sampled(clip.read(start, SAMPLED_BYTES), clip.length - start, frame)


def _mpeg(clip: Glimpse, start: int) -> float | None:
    """A first frame of silence may tell how many follow (`Xing`, `Info`, `VBRI`)."""
    data = clip.read(start, SAMPLED_BYTES)
    first = mpeg_frame(data, 0)
    if first is None:
        return None
    size, samples, hertz = first
    for name, offset in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        at = data.find(name, 0, size)
        if at > 0 and (name == b"VBRI" or data[at + 7] & 1):
            return float(struct.unpack_from(">I", data, at + offset)[0] * samples / hertz)

    def frame(sampled: bytes, at: int) -> tuple[int, float]:
        found = mpeg_frame(sampled, at)
        return (found[0], found[1] / found[2]) if found else (0, 0)

    return _sampled(data, clip.length - start, frame)


def _sampled(data: bytes, whole: int, frame: Callable[[bytes, int], tuple[int, float]]) -> float | None:
    """Return how long `whole` bytes of frames last that begin with `data`, going by the frames in that."""
    at, lasting = 0, 0.0
    while at < len(data) - 6:
        size, each = frame(data, at)
        if not size:
            break
        at, lasting = at + size, lasting + each
    if not at:
        return None
    # What is there is exact; only of what lies beyond it the measure is taken.
    return lasting * whole / at if whole > len(data) else lasting


BY_OPENING: tuple[tuple[bytes, Callable[[Glimpse, int], float | None]], ...] = (
    (b"#!AMR-WB\n", _amr),
    (b"#!AMR\n", _amr),
    (b"RIFF", _riff),
    (b"RIFX", _riff),
    (b"RF64", _riff),
    (b"BW64", _riff),
    (b"FORM", _aiff),
    (b"caff", _caf),
    (b".snd", _au),
    (b"fLaC", _flac),
    (b"OggS", _ogg),
    (b"\x1a\x45\xdf\xa3", _matroska),
)
