"""What a reader of a version 2 recording is given stays as it is, and is never anything else."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from panzoto.crypto import header
from panzoto.crypto.segments import PREAMBLE, SEGMENT, SEGMENTS_AT_ONCE, Layout, SegmentedRecording, encrypt
from panzoto.errors import DecryptionFailed
from tests.support.vectors import VAULT_KEY, Bytes

S3_KEY = "users/4711/audio.3gp"
# Some five times what is opened at once.
PLAIN = os.urandom(5 * SEGMENTS_AT_ONCE * SEGMENT + 4711)
WHOLE = b"".join(encrypt(VAULT_KEY, S3_KEY, [PLAIN]))


class EndsEarly(Bytes):
    """A source that breaks its promise: without a word it gives two segments less."""

    def pieces(self, start: int, stop: int, piece: int) -> Iterator[bytes]:
        return super().pieces(start, stop - 2 * SEGMENT, piece)


class Trickles(Bytes):
    """A source whose pieces are of all sizes."""

    def pieces(self, start: int, stop: int, piece: int) -> Iterator[bytes]:
        size = 1
        while start < stop:
            end = min(start + min(size, piece), stop)
            yield from super().pieces(start, end, piece)
            start, size = end, size * 3 % 200_003


def opened(source: Bytes) -> SegmentedRecording:
    file_key = header.open_file_key(WHOLE[: header.HEADER_BYTES], VAULT_KEY)
    return SegmentedRecording(file_key, WHOLE[:PREAMBLE], S3_KEY, source)


def damaged(segment: int) -> bytes:
    """The object with one bit of a segment flipped."""
    changed = bytearray(WHOLE)
    changed[Layout.block(segment) + 4711] ^= 1
    return bytes(changed)


def test_what_was_given_does_not_change_while_more_is_read() -> None:
    pieces = list(opened(Bytes(WHOLE)).plain(0, len(PLAIN)))
    assert len(pieces) > 4
    assert b"".join(pieces) == PLAIN


def test_two_readers_of_one_recording_do_not_disturb_each_other() -> None:
    recording = opened(Bytes(WHOLE))
    readers = recording.plain(0, len(PLAIN)), recording.plain(SEGMENT, len(PLAIN))
    first, second = zip(*itertools.zip_longest(*readers, fillvalue=b""), strict=True)
    assert (b"".join(first), b"".join(second)) == (PLAIN, PLAIN[SEGMENT:])


def test_a_source_may_give_pieces_of_any_size() -> None:
    assert b"".join(opened(Trickles(WHOLE)).plain(0, len(PLAIN))) == PLAIN
    assert b"".join(opened(Trickles(WHOLE)).plain(70_000, 3_000_000)) == PLAIN[70_000:3_000_000]


def test_up_to_the_damage_everything_is_given() -> None:
    for segment in (0, 1, SEGMENTS_AT_ONCE - 2, SEGMENTS_AT_ONCE, 3 * SEGMENTS_AT_ONCE + 3):
        recording = opened(Bytes(damaged(segment)))
        intact = Layout.of(len(WHOLE)).plain_start(segment)
        given: list[bytes] = []
        with pytest.raises(DecryptionFailed):
            given.extend(recording.plain(0, len(PLAIN)))
        assert b"".join(given) == PLAIN[:intact]
        assert all(given)


def test_of_the_last_segments_nothing_is_given_unless_all_are_authentic() -> None:
    last = Layout.of(len(WHOLE)).count - 1
    for segment in (last, last - 1):
        recording = opened(Bytes(damaged(segment)))
        with pytest.raises(DecryptionFailed):
            next(recording.plain(len(PLAIN) - 5 * SEGMENT, len(PLAIN)))


def test_what_a_source_leaves_out_is_refused_and_not_filled_up() -> None:
    given: list[bytes] = []
    with pytest.raises(DecryptionFailed):
        given.extend(opened(EndsEarly(WHOLE)).plain(0, len(PLAIN)))
    assert given
    assert PLAIN.startswith(b"".join(given))
