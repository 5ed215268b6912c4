"""MP4 files that cost whoever reads them more than they are worth: giant boxes, tables, tracks, setups."""

from __future__ import annotations

import random
import struct
from array import array
from collections.abc import Callable

MIB = 1024 * 1024
AAC_SETUP = bytes.fromhex("1208")
FRAME = bytes.fromhex("01402280a37f")


def box(kind: bytes, *payload: bytes) -> bytes:
    return b"".join((struct.pack(">I4s", 8 + sum(map(len, payload)), kind), *payload))


def full(kind: bytes, *payload: bytes) -> bytes:
    return box(kind, bytes(4), *payload)


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def table(values: list[int] | array[int]) -> bytes:
    made = array("I", values)
    made.byteswap()
    return made.tobytes()


def counting(start: int, stop: int) -> bytes:
    """Return the table of the whole numbers from `start` to before `stop`."""
    # Of 65536 in a row the lower halves are always the same.
    row = bytearray(table(array("I", range(65536))))
    made = bytearray()
    for upper in range(-(-stop // 65536)):
        row[0::4], row[1::4] = bytes([upper >> 8]) * 65536, bytes([upper & 255]) * 65536
        made += row
    return bytes(made[4 * start : 4 * stop])


def descriptor(tag: int, payload: bytes) -> bytes:
    """A descriptor of ISO/IEC 14496-1 with a length of four bytes."""
    size = bytes(len(payload) >> shift & 0x7F | (0x80 if shift else 0) for shift in (21, 14, 7, 0))
    return bytes([tag]) + size + payload


def esds(setup: bytes) -> bytes:
    decoder = bytes([0x40, 0x15]) + bytes(11) + descriptor(5, setup)
    return full(b"esds", descriptor(3, b"".join((bytes(3), descriptor(4, decoder), descriptor(6, b"\2")))))


def entry(kind: bytes, *inside: bytes) -> bytes:
    """A sample entry of one channel at 44.1 kHz."""
    return box(kind, bytes(6), struct.pack(">H8xHH4xI", 1, 1, 16, 44100 << 16), *inside)


def track(sample_entries: list[bytes], tables: bytes, handler: bytes = b"soun", name: bytes = b"\0") -> bytes:
    described = full(b"stsd", numbers(len(sample_entries)), *sample_entries)
    media = box(
        b"minf",
        full(b"smhd", bytes(4)),
        box(b"dinf", full(b"dref", numbers(1), struct.pack(">I4sI", 12, b"url ", 1))),
        box(b"stbl", described, tables),
    )
    head = full(b"mdhd", numbers(0, 0, 44100, 1024), bytes.fromhex("55c40000"))
    return box(
        b"trak",
        full(b"tkhd", numbers(0, 0, 1, 0, 1), bytes(60)),
        box(b"mdia", head, full(b"hdlr", bytes(4), handler, bytes(12), name), media),
    )


def tables(sizes: bytes, durations: bytes, counts: bytes, offsets: bytes) -> bytes:
    return b"".join(
        (
            full(b"stts", numbers(len(durations) // 8), durations),
            full(b"stsc", numbers(len(counts) // 12), counts),
            sizes,
            full(b"stco", numbers(len(offsets) // 4), offsets),
        )
    )


def one_frame(offset: int = 44) -> bytes:
    sizes = full(b"stsz", numbers(len(FRAME), 1))
    return tables(sizes, numbers(1, 1024), numbers(1, 1, 1), numbers(offset))


def file(*in_moov: bytes, sound: bytes = FRAME) -> bytes:
    """A file whose sound begins at byte 44, before its `moov`."""
    start = box(b"ftyp", b"M4A \0\0\2\0M4A mp42isom") + box(b"free")
    assert len(start) == 36
    movie = full(b"mvhd", numbers(0, 0, 1000, 1000, 0x10000), bytes(76))
    return b"".join((start, box(b"mdat", sound), box(b"moov", movie, *in_moov)))


def plain() -> bytes:
    return file(track([entry(b"mp4a", esds(AAC_SETUP))], one_frame()))


def many_frames(count: int, durations: bytes, apart: int = 0) -> bytes:
    """So many frames of 6 and of 7 bytes, in turn; with `apart`, in so many chunks that do not touch."""
    sizes = full(b"stsz", numbers(0, count), table(array("I", [6, 7]) * (count // 2)))
    if not apart:
        counts, offsets, room = numbers(1, count, 1), numbers(44), 0
    else:
        each = count // apart
        counts = numbers(1, each, 1)
        step = 13 * each // 2 + 1
        offsets, room = table(array("I", (44 + step * place for place in range(apart)))), apart
    sound = random.Random(1).randbytes(1000) * (13 * count // 2000 + 1) + bytes(room)
    made = track([entry(b"mp4a", esds(AAC_SETUP))], tables(sizes, durations, counts, offsets))
    return file(made, sound=sound)


def jittering(count: int) -> bytes:
    return table(array("I", [1, 1023, 1, 1025]) * (count // 2))


def lying_table(kind: bytes, width: int, claimed: int) -> bytes:
    """One frame, and one more table that claims far more than it has."""
    extra = full(kind, numbers(claimed), bytes(width))
    return file(track([entry(b"mp4a", esds(AAC_SETUP))], one_frame() + extra))


def tagged(payload: bytes, name: bytes = b"\xa9nam", kind: int = 1) -> bytes:
    tag = box(name, box(b"data", numbers(kind, 0), payload))
    handler = full(b"hdlr", bytes(4), b"mdirappl", bytes(9))
    extra = box(b"udta", full(b"meta", handler, box(b"ilst", tag)))
    return file(track([entry(b"mp4a", esds(AAC_SETUP))], one_frame()), extra)


def setup_of(size: int, *kinds: bytes) -> bytes:
    """One frame, and a setup of so many bytes for its decoder."""
    filler = bytes(size)
    inside = esds(AAC_SETUP + filler) if kinds == (b"mp4a",) else full(kinds[1], filler)
    return file(track([entry(kinds[0], inside)], one_frame()))


def nested(depth: int) -> bytes:
    return file(b"".join(struct.pack(">I4s", 8 * inside, b"trak") for inside in range(depth, 0, -1)))


CONTAINERS: dict[str, Callable[[], bytes]] = {
    "a setup of 60 MB for AAC": lambda: setup_of(60_000_000, b"mp4a"),
    "a cookie of 60 MB for ALAC": lambda: setup_of(60_000_000, b"alac", b"alac"),
    "a STREAMINFO of 60 MB": lambda: setup_of(60_000_000, b"fLaC", b"dfLa"),
    "an Opus head of 60 MB": lambda: setup_of(60_000_000, b"Opus", b"dOps"),
    "a global header of 60 MB": lambda: setup_of(60_000_000, b"mp4a", b"glbl"),
    "a setup just above what is read": lambda: setup_of(64 * 1024, b"mp4a"),
    "a sample entry of 60 MB": lambda: file(
        track([entry(b"mp4a", esds(AAC_SETUP), box(b"free", bytes(60_000_000)))], one_frame())
    ),
    "a thousand thousand sample entries": lambda: file(track([entry(b"mp4a")] * 1_000_000, one_frame())),
    "a title of 60 MB": lambda: tagged(b"a" * 60_000_000),
    "a cover of 60 MB": lambda: tagged(b"\x89PNG\r\n\x1a\n" + bytes(60_000_000), b"covr", 14),
    "a handler's name of 60 MB": lambda: file(
        track([entry(b"mp4a", esds(AAC_SETUP))], one_frame(), name=b"a" * 60_000_000 + b"\0")
    ),
    "a million tags": lambda: file(
        track([entry(b"mp4a", esds(AAC_SETUP))], one_frame()),
        box(
            b"udta",
            full(
                b"meta",
                full(b"hdlr", bytes(4), b"mdirappl", bytes(9)),
                box(
                    b"ilst",
                    *[box(b"\xa9" + b"%03d" % n, box(b"data", numbers(1, 0), b"x")) for n in range(1000)]
                    * 1000,
                ),
            ),
        ),
    ),
    "fifty thousand tracks": lambda: file(*[track([entry(b"mp4a", esds(AAC_SETUP))], one_frame())] * 50_000),
    "fifty thousand tracks of text": lambda: file(
        track([entry(b"mp4a", esds(AAC_SETUP))], one_frame()),
        *[track([entry(b"text")], one_frame(), b"text")] * 50_000,
    ),
    "boxes in boxes": lambda: nested(100_000),
    "a table of sizes that lies": lambda: file(
        track(
            [entry(b"mp4a", esds(AAC_SETUP))],
            tables(full(b"stsz", numbers(6, 2**31)), numbers(2**31, 1024), numbers(1, 2**31, 1), numbers(44)),
        )
    ),
    "a table of sync samples that lies": lambda: lying_table(b"stss", 4, 2**28),
    "a table of offsets of time that lies": lambda: lying_table(b"ctts", 8, 2**28),
    "15 million durations": lambda: file(
        track(
            [entry(b"mp4a", esds(AAC_SETUP))],
            tables(full(b"stsz", numbers(6, 1)), jittering(7_500_000), numbers(1, 1, 1), numbers(44)),
        )
    ),
    "15 million sizes": lambda: file(
        track(
            [entry(b"mp4a", esds(AAC_SETUP))],
            tables(
                full(b"stsz", numbers(0, 15_000_000), bytes(60_000_000)),
                numbers(15_000_000, 1),
                numbers(1, 15_000_000, 1),
                numbers(44),
            ),
        )
    ),
    "15 million chunks": lambda: file(
        track(
            [entry(b"mp4a", esds(AAC_SETUP))],
            tables(
                full(b"stsz", numbers(1, 15_000_000)),
                numbers(15_000_000, 1),
                numbers(1, 1, 1),
                counting(44, 15_000_044),
            ),
        )
    ),
    "two million frames that jitter": lambda: many_frames(2_000_000, jittering(2_000_000)),
    "two million frames and half a million durations": lambda: many_frames(
        2_000_000, jittering(500_000) + numbers(1_500_000, 1024)
    ),
    "fifty thousand chunks that jitter": lambda: many_frames(1_000_000, jittering(1_000_000), 50_000),
}
