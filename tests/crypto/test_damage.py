"""One flipped bit anywhere in a recording never gives a byte of what it damaged, nor a wrong length."""

from __future__ import annotations

import random

from panzoto.crypto import header
from panzoto.crypto.segments import FIRST_PLAIN, OTHER_PLAIN, PREAMBLE, SEGMENT, SegmentedRecording
from panzoto.errors import DecryptionFailed, UnsupportedFormat
from tests.support.vectors import CASES, VAULT_KEY, Bytes, content

CASE = next(case for case in CASES if case["name"] == "v2-three-segments")
WHOLE = content(CASE)
BORDERS = (0, FIRST_PLAIN, FIRST_PLAIN + OTHER_PLAIN)


def plain_before_failure(data: bytes) -> tuple[bytes, bool]:
    """Return what a reader of the whole is given, and whether it was refused on the way."""
    given = b""
    try:
        file_key = header.open_file_key(data[: header.HEADER_BYTES], VAULT_KEY)
        recording = SegmentedRecording(file_key, data[:PREAMBLE], CASE["s3_key"], Bytes(data))
        for start, stop in zip(BORDERS, (*BORDERS[1:], recording.length), strict=True):
            given += b"".join(recording.plain(start, stop))
    except (DecryptionFailed, UnsupportedFormat):
        return given, True
    return given, False


def positions() -> list[int]:
    """Every byte of the preamble, the bytes around each border and end, and two thousand others."""
    chance = random.Random(7)
    borders = [header.HEADER_BYTES + n * SEGMENT for n in (1, 2)] + [len(WHOLE)]
    near = [border + step for border in borders for step in range(-20, 20) if border + step < len(WHOLE)]
    return [*range(PREAMBLE), *near, *(chance.randrange(len(WHOLE)) for _ in range(2000))]


def test_a_flipped_bit_gives_nothing_of_its_segment() -> None:
    plain, refused = plain_before_failure(WHOLE)
    assert not refused
    for position in positions():
        damaged = bytearray(WHOLE)
        damaged[position] ^= 1 << (position % 8)
        given, refused = plain_before_failure(bytes(damaged))
        assert refused, position
        segment = max(0, position - header.HEADER_BYTES) // SEGMENT
        # The last segment is opened first, so damage to it gives nothing at all.
        intact = 0 if position < PREAMBLE or segment == len(BORDERS) - 1 else BORDERS[segment]
        assert given == plain[:intact], position


def test_a_wrong_length_is_refused() -> None:
    for length in (*range(PREAMBLE + 32), *range(len(WHOLE) - 40, len(WHOLE)), PREAMBLE + SEGMENT):
        assert plain_before_failure(WHOLE[:length]) == (b"", True), length
    assert plain_before_failure(WHOLE + b"\0") == (b"", True)
