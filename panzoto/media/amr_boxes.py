"""Where the samples of AMR lie in a 3GP or MP4 file, by its tables alone (ISO/IEC 14496-12, 3GPP TS 26.244).

Both kinds are known: a file with one `moov`, and one in fragments (`moof`). Edit lists are passed over.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from panzoto.crypto.source import Recording
from panzoto.media.boxes import Box, Reader, boxes
from panzoto.media.forward import Forward
from panzoto.media.glimpse import Glimpse

CODECS = {b"samr": False, b"sawb": True}
# Boxes in one box; a fragment of two hours may be a frame.
MOST_INNER, MOST_OUTER = 256, 1_000_000
MOST_MOOF_BYTES = 1024 * 1024
# Entries of `stsc`, which are read as a whole, and samples that are told at a time.
MOST_ENTRIES = 100_000
AT_ONCE = 512
# What a table has at most that is read in the blocks of a glimpse.
SMALL_BYTES = 8 * 1024
# Where the box of a sample entry that describes AMR begins, and where in it the number of frames stands.
DESCRIBED_AT, FRAMES_AT = 36, 16

# Where a walk may begin again, where these samples lie, one behind the other, and how long each is.
Run = tuple[int, int, Sequence[int]]


class NotTables(Exception):
    """The file is none whose samples of AMR its tables tell."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of numbers in the file: where it begins, how many there are, and the bytes of each."""

    begin: int = 0
    count: int = 0
    width: int = 4

    def reader(self, recording: Recording, glimpse: Glimpse) -> Reader:
        """Return what reads it best: a small one lies where `glimpse` has looked already."""
        return glimpse if self.count * self.width <= SMALL_BYTES else Forward(recording)

    def read(self, reader: Reader, first: int, count: int) -> array[int]:
        """Return so many numbers. Raises `NotTables` when the file has fewer."""
        data = reader.read(self.begin + first * self.width, count * self.width)
        if len(data) < count * self.width:
            raise NotTables
        made = array({1: "B", 2: "H", 4: "I", 8: "Q"}[self.width])
        made.frombytes(data)
        _from_big_endian(made)
        return made


@dataclass(frozen=True, slots=True)
class Sound:
    """The one track of sound of a file, as its `moov` describes it.

    `size` is the length of every sample, 0 where `sizes` tells them; `default_size` is what fragments have
    where they say nothing.
    """

    is_wide: bool
    # Whether the file itself says that a sample holds several frames.
    is_split: bool
    size: int
    samples: int
    sizes: Table
    chunks: Table
    offsets: Table
    is_fragmented: bool
    number: int
    default_size: int

    def runs(self, recording: Recording, glimpse: Glimpse, first: int) -> Iterator[Run]:
        """Yield the samples from number `first` on that `moov` tells of; a walk begins again at a number."""
        offsets, sizes = (table.reader(recording, glimpse) for table in (self.offsets, self.sizes))
        told = self.chunks.read(self.chunks.reader(recording, glimpse), 0, 3 * self.chunks.count)
        begins, counts = told[::3], told[1::3]
        sample = 0
        for place, (chunk, each) in enumerate(zip(begins, counts, strict=True)):
            after = begins[place + 1] if place + 1 < len(begins) else self.offsets.count + 1
            if chunk < 1 or after < chunk or after > self.offsets.count + 1 or not each:
                raise NotTables
            passed = min(max(0, first - sample) // each, after - chunk)
            sample += passed * each
            for number in range(chunk + passed, after):
                if sample >= self.samples:
                    return
                (offset,) = self.offsets.read(offsets, number - 1, 1)
                stop = min(sample + each, self.samples)
                yield from self._in_chunk(sizes, sample, stop, first, offset)
                sample = stop
        if sample < self.samples:
            raise NotTables

    def _in_chunk(self, reader: Reader, sample: int, stop: int, first: int, at: int) -> Iterator[Run]:
        """Yield the samples from `sample`, which lies at `at`, to `stop`, without those before `first`."""
        if self.size and sample < first:
            at, sample = at + (first - sample) * self.size, first
        while sample < stop:
            count = min(AT_ONCE, stop - sample)
            sizes = [self.size] * count if self.size else self.sizes.read(reader, sample, count)
            skipped = min(max(0, first - sample), count)
            at += sum(sizes[:skipped])
            if skipped < count:
                yield sample + skipped, at, sizes[skipped:]
                at += sum(sizes[skipped:])
            sample += count


def sound_of(glimpse: Glimpse, start: int) -> Sound:
    """Return the AMR of the file that begins at `start`. Raises `NotTables` when that is not its sound.

    Whoever meets a broken file raises `LookupError` and the like, too.
    """
    for kind, at, stop in boxes(glimpse, start, glimpse.length, MOST_INNER):
        if kind == b"moov":
            return _sound_in(glimpse, list(boxes(glimpse, at, stop, MOST_INNER)))
    raise NotTables


def _sound_in(glimpse: Glimpse, movie: list[Box]) -> Sound:
    found: Sound | None = None
    for kind, at, stop in movie:
        if kind == b"trak" and (track := dict_of(glimpse, at, stop)) and _is_sound(glimpse, track):
            if found is not None:
                raise NotTables
            found = _track(glimpse, track, movie)
    if found is None:
        raise NotTables
    return found


def dict_of(reader: Reader, at: int, stop: int) -> dict[bytes, tuple[int, int]]:
    """Return the boxes in a box by their kinds; of several of a kind the last."""
    return {kind: (begin, end) for kind, begin, end in boxes(reader, at, stop, MOST_INNER)}


def _is_sound(glimpse: Glimpse, track: dict[bytes, tuple[int, int]]) -> bool:
    handler = dict_of(glimpse, *track[b"mdia"]).get(b"hdlr", (0, 0))[0]
    return glimpse.read(handler + 8, 4) == b"soun"


def _track(glimpse: Glimpse, track: dict[bytes, tuple[int, int]], movie: list[Box]) -> Sound:
    media = dict_of(glimpse, *track[b"mdia"])
    minf = dict_of(glimpse, *media[b"minf"])
    at, stop = minf[b"stbl"]
    is_wide, told = _described(glimpse, at, stop)
    table = dict_of(glimpse, at, stop)
    size, sizes = _sizes(glimpse, table)
    offsets = _table(glimpse, table[b"stco"], 4) if b"stco" in table else _table(glimpse, table[b"co64"], 8)
    chunks = _table(glimpse, table[b"stsc"], 4, 3)
    if chunks.count > MOST_ENTRIES:
        raise NotTables
    number = _word(glimpse, track[b"tkhd"][0] + (20 if glimpse.read(track[b"tkhd"][0], 1) == b"\x01" else 12))
    extends = [dict_of(glimpse, at, stop) for kind, at, stop in movie if kind == b"mvex"]
    return Sound(
        is_wide=is_wide,
        is_split=told > 1 or _lasts_long(glimpse, media[b"mdhd"][0], table[b"stts"][0]),
        size=size,
        samples=sizes.count,
        sizes=sizes,
        chunks=chunks,
        offsets=offsets,
        is_fragmented=bool(extends),
        number=number,
        default_size=_default_size(glimpse, movie, number),
    )


def _described(glimpse: Glimpse, at: int, stop: int) -> tuple[bool, int]:
    """Return whether it is AMR-WB, and how many frames a sample is said to have. Raises when it is no AMR."""
    for kind, inside, _ in boxes(glimpse, at, stop, MOST_INNER):
        if kind == b"stsd":
            head = glimpse.read(inside, 8 + DESCRIBED_AT + 8 + 9)
            entry = head[8:]
            if head[4:8] != b"\0\0\0\1" or entry[4:8] not in CODECS:
                raise NotTables
            described = entry[DESCRIBED_AT:]
            told = described[FRAMES_AT] if described[4:8] == b"damr" else 1
            return CODECS[entry[4:8]], told
    raise NotTables


def _lasts_long(glimpse: Glimpse, mdhd: int, stts: int) -> bool:
    """Whether the first sample lasts about 40 ms or longer."""
    scale = _word(glimpse, mdhd + (20 if glimpse.read(mdhd, 1) == b"\x01" else 12))
    head = glimpse.read(stts + 4, 12)
    return len(head) == 12 and head[:4] != bytes(4) and int.from_bytes(head[8:], "big") * 27 >= scale


def _sizes(glimpse: Glimpse, table: dict[bytes, tuple[int, int]]) -> tuple[int, Table]:
    """Return the one length of all samples, or 0, and the table of lengths, which counts them, too."""
    at, stop = table[b"stsz"] if b"stsz" in table else table[b"stz2"]
    count, size, width = _word(glimpse, at + 8), 0, 4
    if b"stsz" in table:
        size = _word(glimpse, at + 4)
    else:
        width = {b"\x08": 1, b"\x10": 2}[glimpse.read(at + 7, 1)]
    if not size and at + 12 + count * width > stop:
        raise NotTables
    return size, Table(at + 12, count, width)


def _table(glimpse: Glimpse, box: tuple[int, int], width: int, together: int = 1) -> Table:
    """Return a table whose entries are so many numbers each."""
    count = _word(glimpse, box[0] + 4)
    if box[0] + 8 + count * width * together > box[1]:
        raise NotTables
    return Table(box[0] + 8, count, width)


def _default_size(glimpse: Glimpse, movie: list[Box], number: int) -> int:
    for kind, at, stop in movie:
        if kind == b"mvex":
            for inner, inside, _ in boxes(glimpse, at, stop, MOST_INNER):
                if inner == b"trex" and _word(glimpse, inside + 4) == number:
                    return _word(glimpse, inside + 16)
    return 0


def _from_big_endian(table: array[int]) -> None:
    if sys.byteorder == "little":
        table.byteswap()


def _word(reader: Reader, at: int) -> int:
    data = reader.read(at, 4)
    if len(data) < 4:
        raise NotTables
    return int.from_bytes(data, "big")


def fragments(sound: Sound, recording: Recording, begin: int) -> Iterator[Run]:
    """Yield the samples of the fragments from the box at `begin` on; a walk begins again at a `moof`."""
    reader = Forward(recording)
    for kind, at, stop in boxes(reader, begin, recording.length, MOST_OUTER):
        # A last fragment that was never finished has no sound.
        if kind == b"moof" and stop <= recording.length:
            if stop - at > MOST_MOOF_BYTES:
                raise NotTables
            data = reader.read(at, stop - at)
            for position, sizes in _in_fragment(sound, Inside(data), at - 8):
                yield at - 8, position, sizes


@dataclass(frozen=True, slots=True)
class Inside:
    """A box in memory, to be read like a file."""

    data: bytes

    def read(self, start: int, size: int) -> bytes:
        """Return up to `size` bytes from `start` on."""
        return self.data[start : start + size]


def _in_fragment(sound: Sound, moof: Inside, at: int) -> Iterator[tuple[int, Sequence[int]]]:
    for kind, begin, stop in boxes(moof, 0, len(moof.data), MOST_INNER):
        if kind != b"traf":
            continue
        inner = list(boxes(moof, begin, stop, MOST_ENTRIES))
        head = next((inside for name, inside, _ in inner if name == b"tfhd"), None)
        if head is None or _word(moof, head + 4) != sound.number:
            continue
        base, size = _fragment_head(moof, head, at, sound.default_size)
        position = base
        for name, inside, _ in inner:
            if name == b"trun":
                offset, sizes = _run(moof, inside, size)
                position = position if offset is None else base + offset
                for first in range(0, len(sizes), AT_ONCE):
                    part = sizes[first : first + AT_ONCE]
                    yield position, part
                    position += sum(part)


def _fragment_head(moof: Inside, at: int, begin: int, default: int) -> tuple[int, int]:
    """Return where places are counted from, and how long a sample is that does not say."""
    flags = _word(moof, at) & 0xFFFFFF
    base, place = begin, at + 8
    if flags & 1:
        base, place = int.from_bytes(moof.read(place, 8), "big"), place + 8
    place += 4 * bool(flags & 2) + 4 * bool(flags & 8)
    return base, _word(moof, place) if flags & 16 else default


def _run(moof: Inside, at: int, default: int) -> tuple[int | None, Sequence[int]]:
    """Return where the samples of a `trun` begin, if it tells, and how long each is."""
    flags, count = _word(moof, at) & 0xFFFFFF, _word(moof, at + 4)
    place, offset = at + 8, None
    if flags & 1:
        (offset,) = struct.unpack(">i", moof.read(place, 4))
        place += 4
    place += 4 * bool(flags & 4)
    fields = [bit for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit]
    if 0x200 not in fields:
        # A count without a table may be anything.
        if count > MOST_ENTRIES:
            raise NotTables
        return offset, [default] * count
    table = array("I")
    table.frombytes(moof.read(place, 4 * len(fields) * count))
    if len(table) != len(fields) * count:
        raise NotTables
    _from_big_endian(table)
    return offset, table[fields.index(0x200) :: len(fields)]
