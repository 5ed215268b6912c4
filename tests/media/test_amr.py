"""Where frames of AMR lie: counted once, found again anywhere, and remembered in a few characters."""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import pytest

from panzoto.media import amr, durations
from panzoto.media.amr import Track, find, frames
from panzoto.media.frames import AMR_NARROW, MARKED_FRAMES, MOST_MARKS, Marks, NotFrames, amr_frames
from panzoto.media.frames import amr as bare_frames
from panzoto.media.glimpse import Glimpse
from panzoto.media.media_type import sniffed
from panzoto.media.mp4 import FrameTable, head
from panzoto.media.wav import header
from tests.support import clips, sounds
from tests.support.sounds import Held, box

HOUR_FRAMES = 180_000
# Base64 of an address makes four characters of three bytes, and it holds a key and a place beside.
MOST_JSON = 1600


@dataclass
class Counted:
    """A recording that counts what is read of it (see `panzoto.crypto.source.Recording`)."""

    data: bytes
    read: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.data)

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        self.read.append(stop - start)
        yield self.data[start:stop]


@dataclass(frozen=True)
class Endless:
    """A recording of so many bytes that begins with a magic number; nobody has reason to read the rest."""

    length: int
    opening: bytes

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        assert stop <= 64 * 1024
        yield self.opening.ljust(stop, b"\x3c")[start:stop]


def track_of(data: bytes) -> Track:
    found = find(Held(data), Glimpse(Held(data)))
    assert found is not None
    return found


@cache
def two_hours(wide: bool = False) -> bytes:
    return clips.amr(2, 2 * HOUR_FRAMES, wide=wide)


def in_3gp(data: bytes) -> bytes:
    """The frames of bare AMR in a file of one chunk."""
    template = clips.encoded("3gp", "libopencore_amrnb", 8000, 0.1, 400)
    bare = memoryview(data)[6:]
    samples = [
        bytes(bare[begin + number * size :][:size])
        for begin, size, count in amr_frames(data[6:], AMR_NARROW)
        for number in range(count)
    ]
    sizes = array("I", map(len, samples))
    table = FrameTable(8000, sizes, array("I", [len(sizes), 160]), [(len(sizes), sum(sizes))])
    return head(template, table) + b"".join(samples)


class TestFound:
    @pytest.mark.parametrize("wide", [False, True])
    def test_any_frame_is_found_without_those_before_it(self, wide: bool) -> None:
        data = two_hours(wide)
        track = track_of(data)
        assert (track.frames, track.is_wide) == (2 * HOUR_FRAMES, wide)
        recording = Counted(data)
        expected = list(frames(recording, track, 0))
        assert b"".join(expected) == data[9 if wide else 6 :]
        for first in random.Random(3).choices(range(track.frames), k=30):
            recording.read.clear()
            found = frames(recording, track, first)
            assert next(found) == expected[first]
            # Marks are two minutes apart, and a frame of these has some twenty bytes.
            assert sum(recording.read) <= 400_000

    def test_frames_of_one_length_need_no_walk(self) -> None:
        frame = b"\x3c" + bytes(31)
        data = clips.AMR_MAGIC + frame * HOUR_FRAMES
        track = track_of(data)
        assert (track.frames, track.size, track.marks) == (HOUR_FRAMES, 32, ())
        recording = Counted(data)
        assert next(frames(recording, track, HOUR_FRAMES - 1)) == frame
        assert recording.read == [32]

    def test_tables_are_counted_without_the_sound(self) -> None:
        data = in_3gp(clips.amr(4, HOUR_FRAMES))
        recording = Counted(data)
        track = find(recording, Glimpse(recording))
        assert track is not None
        assert (track.kind, track.frames, track.marks) == ("tables", HOUR_FRAMES, ())
        assert sum(recording.read) < recording.length / 2
        assert next(frames(recording, track, 170_000)) == clips.packets(data)[170_000][0]

    def test_tables_of_a_short_file_lie_where_was_looked_already(self) -> None:
        recording = Counted(clips.encoded("3gp", "libopencore_amrnb", 8000, 60, 400))
        glimpse = Glimpse(recording)
        sniffed(glimpse)
        durations.in_container(glimpse)
        looks = len(recording.read)
        assert find(recording, glimpse) is not None
        assert len(recording.read) == looks

    def test_it_is_read_from_its_beginning_to_its_end_once(self) -> None:
        recording = Counted(two_hours())
        glimpse = Glimpse(recording)
        find(recording, glimpse)
        assert sum(recording.read) <= recording.length + 32 * 1024 + 18

    def test_damage_in_a_sample_moves_no_other(self) -> None:
        data = in_3gp(clips.amr(4, 2000))
        sound = data.index(b"mdat") + 4
        dice = random.Random(8)
        damaged = bytearray(data)
        for at in dice.choices(range(sound, len(data)), k=500):
            damaged[at] = dice.randrange(256)
        assert track_of(bytes(damaged)) == track_of(data)


class TestRemembered:
    @pytest.mark.parametrize("name", ["bare", "3gp", "3gp, ten frames a sample", "fragments"])
    def test_a_track_fits_an_address_and_comes_back_from_it(self, name: str) -> None:
        data = {
            "bare": two_hours,
            "3gp": lambda: in_3gp(two_hours()),
            "3gp, ten frames a sample": lambda: sounds.rebuilt(sounds.shapes()["3gp, AMR"].data, 8000, 10),
            "fragments": lambda: clips.encoded(
                "3gp",
                "libopencore_amrnb",
                8000,
                300,
                400,
                options={"movflags": "frag_keyframe", "frag_duration": "200000"},
            ),
        }[name]()
        track = track_of(data)
        written = json.dumps(track.to_json(), separators=(",", ":"))
        assert len(written) < MOST_JSON
        assert Track.from_json(json.loads(written)) == track

    def test_marks_are_few_and_even(self) -> None:
        marks = Marks()
        for frame in range(0, 1_000_000, 7):
            marks.add(frame, 3 * frame)
        ways = [after[0] - before[0] for before, after in zip(marks.kept, marks.kept[1:], strict=False)]
        assert MOST_MARKS // 2 <= len(marks.kept) <= MOST_MARKS
        assert max(ways) < 2 * min(ways) + MARKED_FRAMES
        assert all(place == 3 * frame for frame, place in marks.kept)


class TestNone:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"#!AMR",
            b"#!AMR\n" + b"\x64" * 32,
            sounds.renamed(sounds.shapes()["3gp, AMR"].data, b"stsz", b"free"),
            sounds.renamed(sounds.shapes()["3gp, AMR"].data, b"stsc", b"free"),
            sounds.renamed(sounds.shapes()["3gp, AMR"].data, b"stco", b"free"),
            sounds.renamed(sounds.shapes()["3gp, AMR"].data, b"samr", b"enca"),
            sounds.renamed(sounds.shapes()["3gp, AMR"].data, b"soun", b"vide"),
            sounds.shapes()["3gp, AAC"].data,
        ],
    )
    def test_what_cannot_be_counted_is_no_track(self, data: bytes) -> None:
        assert find(Held(data), Glimpse(Held(data))) is None

    def test_a_table_that_claims_more_than_there_is_costs_nothing(self) -> None:
        data = sounds.rebuilt(sounds.shapes()["3gp, AMR"].data, 8000)
        at = data.index(b"stsz") + 8
        for size, count in ((0, 2**32 - 1), (0, 104), (1, 2**32 - 1), (13, 13_000_000)):
            claimed = sounds.patched(data, at, size.to_bytes(4, "big") + count.to_bytes(4, "big"))
            assert find(Held(claimed), Glimpse(Held(claimed))) is None

    @pytest.mark.parametrize(("magic", "longest"), [(clips.AMR_MAGIC, 32), (clips.AMR_WIDE_MAGIC, 61)])
    def test_what_is_too_long_by_its_size_is_not_read(self, magic: bytes, longest: int) -> None:
        most = amr.most_frames(longest == 61)
        recording = Endless((most + 10) * longest, magic)
        assert find(recording, Glimpse(recording)) is None

    def test_a_wav_of_four_gibibytes_is_the_longest(self) -> None:
        for is_wide, samples in ((False, 160), (True, 320)):
            most = amr.most_frames(is_wide)
            assert 44 + 2 * samples * most <= 2**32 < 44 + 2 * samples * (most + 1)
            told = header(Track("bare", is_wide, most))
            assert int.from_bytes(told[4:8], "little") == 36 + 2 * samples * most
            too_many = bare_frames(Held(clips.AMR_MAGIC))
            assert amr.bare(is_wide, too_many) is not None


class TestTails:
    def test_what_cannot_be_a_frame_counts_only_where_one_would_fit(self) -> None:
        data = clips.amr(9, 300)
        for garbage in (b"\x64", b"\x64garbage", b"\x64" + bytes(30)):
            assert bare_frames(Held(data + garbage)).runs == [(6, len(data))]
        with pytest.raises(NotFrames):
            bare_frames(Held(data + b"\x64" + bytes(31)))


def test_boxes_of_sound_are_looked_for_behind_others() -> None:
    data = box(b"free", bytes(40)) + sounds.moved(sounds.rebuilt(sounds.shapes()["3gp, AMR"].data, 8000), 48)
    assert b"".join(frames(Held(data), track_of(data), 0)) == b"".join(
        frame for frame, _ in clips.packets(sounds.shapes()["3gp, AMR"].data)
    )
