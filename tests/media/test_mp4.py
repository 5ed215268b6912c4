"""The head of a joined file, where real sound would be too long for a test: wide offsets and limits."""

from __future__ import annotations

import struct
from array import array

import pytest

from panzoto.errors import SittingTooLong
from panzoto.media.mp4 import FrameTable, head


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


TEMPLATE = box(b"ftyp", b"isom") + box(
    b"moov",
    box(b"mvhd", bytes(12) + struct.pack(">II", 1000, 0) + bytes(80))
    + box(
        b"trak",
        box(b"tkhd", bytes(84))
        + box(b"edts", b"gone")
        + box(
            b"mdia",
            box(b"mdhd", bytes(24))
            + box(b"minf", box(b"stbl", box(b"stsd", b"kept") + box(b"stsz", b"old"))),
        ),
    ),
)


def fields(data: bytes, kind: bytes) -> bytes:
    """The payload of the first box of that kind; its name occurs nowhere else in these files."""
    at = data.index(kind)
    return data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]


def test_offsets_are_short_as_long_as_they_fit() -> None:
    frames = FrameTable(8000, array("I", [13, 14, 6]), array("I", [2, 160, 1, 80]), [(2, 27), (1, 6)])
    made = head(TEMPLATE, frames)
    assert fields(made, b"stco") == struct.pack(">IIII", 0, 2, len(made), len(made) + 27)
    assert fields(made, b"stsz") == struct.pack(">IIIIII", 0, 0, 3, 13, 14, 6)
    assert fields(made, b"stts") == struct.pack(">IIIIII", 0, 2, 2, 160, 1, 80)
    assert fields(made, b"stsc") == struct.pack(">IIIIIIII", 0, 2, 1, 2, 1, 2, 1, 1)
    assert fields(made, b"mdhd")[12:20] == struct.pack(">II", 8000, 400)
    assert fields(made, b"mvhd")[16:20] == fields(made, b"tkhd")[20:24] == struct.pack(">I", 50)
    assert fields(made, b"stsd") == b"kept"
    assert b"edts" not in made
    assert made[-8:] == struct.pack(">I4s", 8 + 33, b"mdat")


def test_frames_of_one_size_are_told_once() -> None:
    made = head(TEMPLATE, FrameTable(8000, array("I", [13] * 1000), array("I", [1000, 160]), [(1000, 13000)]))
    assert fields(made, b"stsz") == struct.pack(">III", 0, 13, 1000)


def test_beyond_four_gibibytes_offsets_and_length_are_wide() -> None:
    chunk = 3 * 2**30
    frames = FrameTable(8000, array("I", [7, 8]), array("I", [2, 160]), [(1, chunk), (1, chunk)])
    made = head(TEMPLATE, frames)
    assert fields(made, b"co64") == struct.pack(">IIQQ", 0, 2, len(made), len(made) + chunk)
    assert made[-16:] == struct.pack(">I4sQ", 1, b"mdat", 16 + 2 * chunk)


def test_what_a_file_cannot_count_is_too_long() -> None:
    with pytest.raises(SittingTooLong):
        head(TEMPLATE, FrameTable(8000, array("I", [7]), array("I", [2, 2**31]), [(1, 7)]))
