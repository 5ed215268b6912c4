"""Recordings on their way to a speech engine: what is heard, where, in which pieces; what no file can do."""

from __future__ import annotations

import io
import itertools
import math
import os
import random
import select
import signal
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import av
import pytest

from panzoto.errors import Busy, DecryptionFailed, NotAudio
from panzoto.media import cutting, sound
from panzoto.media.sound import Clip, Piece, SoundOfClips
from tests.support import bursts, clips, crafted
from tests.support.bursts import RATE, Repeated, decoded, encoded, heard_at, wav
from tests.support.sounds import Held, header_alone, id3, rebuilt, shapes

MANY = 25_000_000


@dataclass
class Told:
    """What came of some clips."""

    pieces: list[Piece]
    borders: list[tuple[int, int]]
    samples: array[int] = field(init=False)

    def __post_init__(self) -> None:
        """Put the pieces together, a silent one as silence."""
        self.samples = array("h")
        for piece in self.pieces:
            assert abs(len(self.samples) / 16 - piece.start_ms) <= 0.5
            silence = array("h", bytes(32 * piece.duration_ms))
            self.samples += silence if piece.is_silent else decoded(piece.flac)
            assert abs(len(self.samples) / 16 - piece.start_ms - piece.duration_ms) <= 0.5


def told(*given: bytes | Clip, max_bytes: int = MANY, max_seconds: int = sound.MAX_SECONDS) -> Told:
    with SoundOfClips() as made:
        taken = (one if isinstance(one, Clip) else Clip(Held(one), 0) for one in given)
        pieces = list(made.pieces(taken, max_bytes, max_seconds))
        for piece in pieces:
            assert len(piece.flac) <= max_bytes
            assert 0 < piece.duration_ms <= 1000 * max_seconds
            assert (piece.flac == b"") == piece.is_silent
        return Told(pieces, made.borders)


def noise(seconds: float, seed: int = 3, loud: int = 8000) -> array[int]:
    """Return samples of one's own: what is kept of them is left as it is."""
    return noise_kept(seconds, seed, loud)[:]


@cache
def noise_kept(seconds: float, seed: int, loud: int) -> array[int]:
    made = array("h", random.Random(seed).randbytes(2 * round(RATE * seconds)))
    return array("h", [sample * loud >> 15 for sample in made])


PLACES = [500, 1730, 2900]
# Container, codec, rate, channels, and how far off a burst may be: what an encoder delays and no container
# tells is heard late by whoever plays it.
KINDS = {
    "wav, 8 kHz": ("wav", "pcm_s16le", 8000, "mono", 1.0),
    "wav, 16 kHz": ("wav", "pcm_s16le", 16000, "mono", 0.1),
    "wav, 44.1 kHz, stereo": ("wav", "pcm_s16le", 44100, "stereo", 1.0),
    "wav, 96 kHz, 5.1": ("wav", "pcm_s24le", 96000, "5.1", 1.0),
    "wav, 11.025 kHz": ("wav", "pcm_s16le", 11025, "mono", 1.0),
    "flac": ("flac", "flac", 48000, "stereo", 1.0),
    "m4a": ("ipod", "aac", 44100, "mono", 10.0),
    "m4a, 16 kHz": ("ipod", "aac", 16000, "mono", 10.0),
    "mp4, Opus": ("mp4", "libopus", 48000, "mono", 10.0),
    "mp4, ALAC": ("ipod", "alac", 44100, "mono", 1.0),
    "mov": ("mov", "aac", 48000, "stereo", 10.0),
    "3gp, AMR": ("3gp", "libopencore_amrnb", 8000, "mono", 25.0),
    "amr": ("amr", "libopencore_amrnb", 8000, "mono", 25.0),
    "adts": ("adts", "aac", 44100, "mono", 30.0),
    "mp3": ("mp3", "mp3", 44100, "stereo", 10.0),
    "ogg, Opus": ("ogg", "libopus", 48000, "mono", 10.0),
    "ogg, Vorbis": ("ogg", "vorbis", 44100, "stereo", 10.0),
    "webm, Opus": ("webm", "libopus", 48000, "stereo", 10.0),
    "webm, Vorbis": ("webm", "vorbis", 44100, "stereo", 10.0),
    "Matroska, AAC": ("matroska", "aac", 44100, "mono", 30.0),
}


@cache
def recording(name: str) -> bytes:
    container, codec, rate, layout, _ = KINDS[name]
    return encoded(bursts.bursts(rate, 4, PLACES), container, codec, rate, layout)


class TestKinds:
    @pytest.mark.parametrize("name", KINDS)
    def test_a_burst_is_heard_where_it_is(self, name: str) -> None:
        off = KINDS[name][-1]
        made = told(recording(name))
        heard = heard_at(made.samples)
        assert heard == pytest.approx(PLACES, abs=off)
        # All are late by much the same.
        apart = [b - a for a, b in itertools.pairwise(heard)]
        assert apart == pytest.approx([b - a for a, b in itertools.pairwise(PLACES)], abs=off / 2)
        ((start, duration),) = made.borders
        assert start == 0
        assert duration == pytest.approx(4000, abs=off + 65)

    def test_every_shape_that_holds_sound_is_heard_as_long_as_it_lasts(self) -> None:
        mute = {"midi", "L16", "something of a phone"}
        for name in mute:
            with pytest.raises(NotAudio):
                told(shapes()[name].data)
        heard = {name: one.data for name, one in shapes().items() if name not in mute}
        made = told(*heard.values())
        for name, (_, duration) in zip(heard, made.borders, strict=True):
            # Some of these containers tell nothing; all but one hold two seconds.
            expected = 64 if name == "adts, one frame" else 2000
            assert duration == pytest.approx(expected, abs=115), name

    def test_the_sound_beside_a_picture_is_heard(self) -> None:
        assert heard_at(told(with_video(recording("m4a"))).samples) == pytest.approx(PLACES, abs=45)

    def test_frames_of_amr_that_stand_for_silence_take_their_time(self) -> None:
        speech = recording("amr")
        nothing = bytes([15 << 3 | 4]) * 500
        made = told(speech + nothing + speech[6:])
        assert made.borders[0][1] == pytest.approx(2 * told(speech).borders[0][1] + 10_000)
        assert heard_at(made.samples)[len(PLACES)] == pytest.approx(10_000 + 4000 + PLACES[0], abs=80)

    def test_a_rate_that_changes_on_the_way_changes_nothing(self) -> None:
        made = told(recording("adts") + encoded(bursts.bursts(16000, 4, PLACES), "adts", "aac", 16000))
        first = told(recording("adts")).borders[0][1]
        assert heard_at(made.samples)[len(PLACES)] == pytest.approx(first + PLACES[0], abs=70)


def with_video(m4a: bytes | None) -> bytes:
    """The sound, if any, with moving pictures beside it, whose decoder is not asked."""
    made = io.BytesIO()
    with av.open(made, "w", format="mp4") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        if m4a is not None:
            with av.open(io.BytesIO(m4a)) as source:
                copied = out.add_stream_from_template(source.streams.audio[0])
                for packet in source.demux(audio=0):
                    if packet.size:
                        packet.stream = copied
                        out.mux(packet)
        for at in range(40):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = at
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return made.getvalue()


class TestPieces:
    @pytest.mark.parametrize("max_bytes", [sound.LEAST_BYTES, 20_000, 100_001, MANY])
    def test_no_sample_is_lost_or_doubled_at_a_cut(self, max_bytes: int) -> None:
        plain = noise(12.3456)
        made = told(wav(plain), max_bytes=max_bytes)
        assert made.samples == plain
        assert (len(made.pieces) > 1) == (max_bytes < MANY)

    def test_a_piece_is_as_long_as_its_bytes_allow(self) -> None:
        made = told(wav(noise(40)), max_bytes=200_000)
        # Noise like this takes the same in every frame, and a cut lies in the last third.
        assert len(made.pieces) > 4
        assert all(len(piece.flac) > 130_000 for piece in made.pieces[:-1])

    def test_a_burst_across_many_cuts_is_where_it_is(self) -> None:
        places = list(range(300, 60_000, 700))
        made = told(wav(bursts.bursts(RATE, 61, places)), max_seconds=3)
        assert len(made.pieces) > 20
        assert heard_at(made.samples) == pytest.approx(places, abs=0.2)

    def test_sound_is_cut_at_the_quietest_half_second_of_the_last_third(self) -> None:
        plain = noise(50)
        # Too early, second best, and best, which is quiet and not silent.
        for start, seconds, loud in ((15.0, 2.0, 1), (25.0, 1.5, 400), (22.1, 0.5, 100)):
            quiet = noise(seconds, loud=loud)
            plain[round(start * RATE) : round(start * RATE) + len(quiet)] = quiet
        made = told(wav(plain), max_seconds=30)
        assert made.samples == plain
        assert [22_150 <= made.pieces[0].duration_ms <= 22_550, len(made.pieces)] == [True, 2]

    def test_sound_is_cut_in_the_last_minute_of_a_long_piece(self) -> None:
        # Of more than three minutes the last third is longer than a minute, and the second place lies in it.
        plain = noise(1, loud=3000) * 220
        for start, loud in ((110.0, 1), (139.0, 50), (150.0, 90)):
            quiet = noise(0.5, loud=loud)
            plain[round(start * RATE) : round(start * RATE) + len(quiet)] = quiet
        made = told(wav(plain), max_seconds=200)
        assert made.samples == plain
        assert 150_050 <= made.pieces[0].duration_ms <= 150_450

    def test_what_is_exactly_as_long_as_a_piece_is_one(self) -> None:
        assert [piece.duration_ms for piece in told(wav(noise(5)), max_seconds=5).pieces] == [5000]
        assert len(told(wav(noise(5) + noise(0.001)), max_seconds=5).pieces) == 2

    def test_the_frames_are_numbered_anew_in_every_piece(self) -> None:
        for piece in told(wav(noise(10)), max_bytes=50_000).pieces:
            assert piece.flac[:4] == b"fLaC"
            samples = int.from_bytes(piece.flac[18:26], "big") & (1 << 36) - 1
            assert samples == len(decoded(piece.flac))
            # Behind the sync code, size and kind of a frame stands its number (RFC 9639, 9.1.5).
            assert piece.flac[42:44] == b"\xff\xf8"
            assert piece.flac[46] == 0

    @pytest.mark.parametrize(("max_bytes", "max_seconds"), [(4095, 5), (10**6, 0), (10**6, 1201)])
    def test_a_bound_that_cannot_be_kept_is_refused(self, max_bytes: int, max_seconds: int) -> None:
        with SoundOfClips() as made, pytest.raises(ValueError, match=str(max_seconds)):
            next(made.pieces([Clip(Held(wav(noise(1))))], max_bytes, max_seconds))


class TestSilence:
    def test_a_silent_piece_has_no_flac(self) -> None:
        made = told(wav(array("h", bytes(2 * RATE * 3))))
        assert made.pieces == [Piece(b"", 0, 3000, True)]
        assert made.borders == [(0, 3000)]

    @pytest.mark.parametrize(("decibels", "is_silent"), [(-54.5, False), (-55.5, True)])
    def test_silent_is_what_is_below_55_decibels(self, decibels: float, is_silent: bool) -> None:
        level = round(32768 * 10 ** (decibels / 20))
        plain = array("h", (level if at % 2 else -level for at in range(RATE)))
        assert [piece.is_silent for piece in told(wav(plain)).pieces] == [is_silent]

    def test_a_word_in_a_silent_piece_is_kept(self) -> None:
        made = told(wav(bursts.bursts(RATE, 30, [20_000])), max_seconds=10)
        assert [piece.is_silent for piece in made.pieces].count(False) == 1
        assert heard_at(made.samples) == pytest.approx([20_000], abs=0.2)


class TestConversations:
    def test_clips_of_all_kinds_are_one_sound(self) -> None:
        gaps = [0, 1, 250, 999, 1000, *[137] * (len(KINDS) - 5)]
        conversation = [Clip(Held(recording(name)), gap) for name, gap in zip(KINDS, gaps, strict=True)]
        whole = told(*conversation)
        cut = told(*conversation, max_bytes=30_000, max_seconds=7)
        assert len(cut.pieces) > 12
        assert cut.borders == whole.borders
        assert abs(len(cut.samples) - len(whole.samples)) <= 16
        end = 0
        for (start, duration), gap in zip(whole.borders, gaps, strict=True):
            assert abs(start - end - gap) <= 1
            end = start + duration
        offs = [kind[-1] for kind in KINDS.values()]
        expected = [start + place for start, _ in whole.borders for place in PLACES]
        for made in (whole, cut):
            heard = heard_at(made.samples)
            assert len(heard) == len(expected)
            for number, (place, at) in enumerate(zip(expected, heard, strict=True)):
                assert at == pytest.approx(place, abs=offs[number // len(PLACES)] + 1), number

    @pytest.mark.parametrize(
        ("gap", "taken"), [(-5, 0), (0, 0), (400, 400), (1000, 1000), (86_400_000, 1000)]
    )
    def test_a_gap_is_silence_of_a_second_at_most(self, gap: int, taken: int) -> None:
        made = told(Clip(Held(wav(noise(1))), 0), Clip(Held(wav(noise(1))), gap))
        assert made.borders == [(0, 1000), (1000 + taken, 1000)]
        assert set(made.samples[RATE : RATE + 16 * taken]) <= {0}
        assert len(made.samples) == 2 * RATE + 16 * taken

    def test_clips_without_any_sound_in_them_have_no_length(self) -> None:
        speech = wav(noise(1))
        empty = [b"", b"#!AMR\n", b"#!AMR-WB\n", header_alone(), wav(array("h"))]
        made = told(*empty, speech, *empty)
        assert made.borders == [(0, 0)] * 5 + [(0, 1000)] + [(1000, 0)] * 5
        assert made.samples == noise(1)
        assert told(b"").borders == [(0, 0)]
        assert told().borders == []

    def test_a_clip_is_opened_when_its_turn_comes(self) -> None:
        opened: list[int] = []

        def opening() -> Iterator[Clip]:
            for number in range(3):
                opened.append(number)
                yield Clip(Held(wav(noise(10))), 0)

        with SoundOfClips() as made:
            pieces = made.pieces(opening(), MANY, 4)
            next(pieces)
            assert opened == [0]
            assert sum(piece.duration_ms for piece in pieces) > 25_000
        assert opened == [0, 1, 2]


NOT_SOUND = {
    "a text": b"Notes of the day, and of the day before. " * 100,
    "zeros": bytes(50_000),
    "a page": b"<html><body>Hello</body></html>",
    "a playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1/a.ts\n#EXT-X-ENDLIST\n",
    "a list of files": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 50,
    "a tag alone": id3(bytes(200)),
    "a magic number and noise": b"OggS" + random.Random(1).randbytes(5000),
}


class TestNotSound:
    @pytest.mark.parametrize("name", NOT_SOUND)
    def test_what_is_no_sound_is_refused(self, name: str) -> None:
        with pytest.raises(NotAudio) as refused:
            told(NOT_SOUND[name])
        assert (refused.value.status, refused.value.code, refused.value.clip) == (422, "not_audio", 0)

    def test_pictures_without_sound_are_refused(self) -> None:
        with pytest.raises(NotAudio):
            told(with_video(None))

    def test_a_header_whose_sound_is_gone_is_refused(self) -> None:
        with pytest.raises(NotAudio):
            told(rebuilt(shapes()["m4a"].data, 44100)[:700])

    def test_it_says_which_clip_is_none(self) -> None:
        with pytest.raises(NotAudio) as refused:
            told(wav(noise(1)), b"", b"no sound at all", wav(noise(1)))
        assert refused.value.clip == 2

    @pytest.mark.parametrize(
        "name", ["m4a", "amr", "adts", "mp3", "ogg, Opus", "webm, Opus", "flac", "wav, 16 kHz"]
    )
    def test_of_what_is_damaged_in_the_middle_the_rest_is_heard(self, name: str) -> None:
        whole = recording(name)
        middle = len(whole) * 2 // 5
        broken = (
            whole[:middle] + random.Random(2).randbytes(len(whole) // 20) + whole[middle + len(whole) // 20 :]
        )
        made = told(wav(noise(1)), broken, wav(noise(1)))
        assert made.borders[1][1] > 1500
        heard = [at - 1000 for at in heard_at(made.samples)]
        assert any(at == pytest.approx(PLACES[0], abs=60) for at in heard)

    @pytest.mark.parametrize("name", ["amr", "adts", "mp3", "ogg, Opus", "webm, Opus", "flac", "wav, 16 kHz"])
    def test_of_what_is_cut_the_beginning_is_heard(self, name: str) -> None:
        whole = recording(name)
        made = told(whole[: len(whole) * 9 // 10])
        assert heard_at(made.samples)[0] == pytest.approx(PLACES[0], abs=KINDS[name][-1])


class Watched(Held):
    """A recording that counts how it is read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.starts: list[int]
        self.read: list[int]
        object.__setattr__(self, "starts", [])
        object.__setattr__(self, "read", [])

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        self.starts.append(start)
        for piece in super().plain(start, stop):
            self.read.append(len(piece))
            yield piece


class TestReading:
    @pytest.mark.parametrize(
        "name", ["m4a", "amr", "adts", "mp3", "ogg, Opus", "webm, Opus", "flac", "wav, 16 kHz"]
    )
    def test_a_recording_is_read_about_once_from_few_places(self, name: str) -> None:
        container, codec, rate, layout, _ = KINDS[name]
        samples = array("h", noise(1)) * 60
        clip = Watched(encoded(samples, container, codec, rate, layout))
        told(Clip(clip, 0))
        assert len(clip.starts) <= 4
        assert sum(clip.read) <= 1.2 * clip.length + 300_000

    def test_what_reading_raises_is_raised(self) -> None:
        class Damaged(Held):
            def plain(self, start: int, stop: int) -> Iterator[bytes]:
                yield from super().plain(start, min(stop, 100_000))
                raise DecryptionFailed

        with SoundOfClips() as made, pytest.raises(DecryptionFailed):
            list(made.pieces([Clip(Damaged(wav(noise(20))), 0)], MANY))


def ended(child: int) -> bool:
    """Whether the process behind the descriptor has ended."""
    return select.select([child], [], [], 60)[0] == [child]


class TestChild:
    def test_leaving_ends_it_at_once(self) -> None:
        with SoundOfClips() as made:
            child = os.pidfd_open(made.pid)
            pieces = made.pieces([Clip(Repeated(b"#!AMR\n", bytes([0x3C]) + bytes(31), 10**8), 0)], MANY, 120)
            assert next(pieces).duration_ms > 110_000
        assert ended(child)
        os.close(child)

    def test_the_kernel_holds_it_while_it_decodes(self) -> None:
        with SoundOfClips() as made:
            pieces = made.pieces([Clip(Held(wav(noise(30))), 0)], MANY, 10)
            next(pieces)
            status = dict(
                line.split(":\t", 1) for line in Path(f"/proc/{made.pid}/status").read_text().splitlines()
            )
            assert (status["Seccomp"], status["NoNewPrivs"], status["Threads"]) == ("2", "1", "1")
            assert len(list(Path(f"/proc/{made.pid}/fd").iterdir())) == 3
            list(pieces)

    def test_it_may_compute_the_longer_the_more_sound_has_come(self) -> None:
        def allowed(pid: int) -> int:
            (line,) = (
                one
                for one in Path(f"/proc/{pid}/limits").read_text().splitlines()
                if one.startswith("Max cpu time")
            )
            return int(line.split()[3])

        with SoundOfClips() as made:
            pieces = made.pieces([Clip(Repeated(b"#!AMR\n", bytes([0x3C]) + bytes(31), 10**6), 0)], MANY, 60)
            next(pieces)
            first = allowed(made.pid)
            next(pieces)
            second = allowed(made.pid)
        assert first >= 60
        # A tenth of the sixty seconds that a piece lasts, give or take a third.
        assert 4 <= second - first <= 8

    def test_memory_does_not_grow_with_the_sound(self) -> None:
        speech = encoded(noise(1), "amr", "libopencore_amrnb", 8000)
        # As samples this is more, beside what is needed anyway, than memory may grow by.
        clip = Repeated(speech[:6], speech[6:], 400)
        resident = []
        with SoundOfClips() as made:
            for _ in made.pieces([Clip(clip, 0)], 150_000):
                line = Path(f"/proc/{made.pid}/status").read_text().partition("VmHWM:")[2]
                if line:
                    resident.append(int(line.split()[0]))
        assert len(resident) > 15
        # In KiB: what the allocator takes and gives back at a time.
        assert max(resident) - resident[3] < 16 * 1024

    def test_a_program_that_does_not_start_may_come_again(self, tmp_path: Path) -> None:
        broken = tmp_path / "broken.py"
        broken.write_text("import something_that_is_not_there\ndef main(): pass\n")
        with SoundOfClips(broken) as made, pytest.raises(Busy):
            list(made.pieces([Clip(Held(wav(noise(1))), 0)], MANY))

    def test_what_memory_was_short_for_may_come_again(self) -> None:
        with SoundOfClips() as made:
            pieces = made.pieces([Clip(Held(wav(noise(30))), 0)], MANY, 5)
            next(pieces)
            os.kill(made.pid, signal.SIGKILL)
            with pytest.raises(Busy):
                list(pieces)


def number(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "big") for value in values)


SPOKEN = {
    "nothing": b"",
    "a letter that is none": b"x",
    "an end before the beginning": b"E",
    "an end before the end": b"CE",
    "half a number": b"C" + b"R" + b"\0\0",
    "a place behind the clip": b"C" + b"R" + number(10**12),
    "a piece of no samples": b"C" + b"P" + number(0, 0, 42) + b"fLaC" + bytes(38),
    "a piece that is too long": b"C" + b"P" + number(10**9, 0, 42) + b"fLaC" + bytes(38),
    "a piece that is too large": b"C" + b"P" + number(16000, 0, 2**40),
    "a piece that is no FLAC": b"C" + b"P" + number(16000, 0, 42) + bytes(42),
    "a silent piece with FLAC": b"C" + b"P" + number(16000, 1, 42) + b"fLaC" + bytes(38),
    "half a piece": b"C" + b"P" + number(16000, 0, 42) + b"fLaC",
    "pieces without a clip": b"C" + b"P" + number(16000, 1, 0) + b"B" + number(0) + b"CE",
    "a clip without pieces": b"C" + b"B" + number(16000) + b"CE",
    "two ends of a clip": b"C" + b"B" + number(0) + b"B" + number(0) + b"CE",
    "no end of a clip": b"CCE",
    "no sound": b"CN",
}


class TestTakenOver:
    """Somebody else answers in the place of the program."""

    @pytest.mark.parametrize("name", SPOKEN)
    def test_it_is_not_believed(self, tmp_path: Path, name: str) -> None:
        impostor = tmp_path / "impostor.py"
        impostor.write_text(
            f"import os\ndef main():\n    os.read(0, 16)\n    os.write(1, {SPOKEN[name]!r})\n"
        )
        with SoundOfClips(impostor) as made, pytest.raises((NotAudio, Busy)):
            list(made.pieces([Clip(Held(bytes(1000)), 0)], MANY))

    def test_it_cannot_read_without_an_end(self, tmp_path: Path) -> None:
        impostor = tmp_path / "impostor.py"
        impostor.write_text(
            "import os\ndef main():\n    os.read(0, 16), os.write(1, b'C'), os.read(0, 16)\n"
            "    while True: os.write(1, b'R' + bytes(8)), os.read(0, 10**6)\n"
        )
        clip = Watched(bytes(1000))
        with SoundOfClips(impostor) as made, pytest.raises(NotAudio):
            list(made.pieces([Clip(clip, 0)], MANY))
        assert 100 < len(clip.starts) < 2000


HOSTILE = [
    "a setup of 60 MB for AAC",
    "a cookie of 60 MB for ALAC",
    "a thousand thousand sample entries",
    "a cover of 60 MB",
    "fifty thousand tracks",
    "boxes in boxes",
    "a table of sizes that lies",
    "a table of offsets of time that lies",
    "15 million chunks",
]


class TestHostile:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_no_container_costs_the_worker_anything(self, name: str) -> None:
        clip = Held(crafted.CONTAINERS[name]())
        with SoundOfClips() as made:
            try:
                pieces = [piece.is_silent for piece in made.pieces([Clip(clip, 0)], MANY, 600)]
            except NotAudio:
                pieces = []
        assert len(pieces) < 200

    def test_a_rate_of_a_few_hertz_makes_no_years(self) -> None:
        slow = bytearray(wav(noise(1)))
        at = slow.index(b"fmt ") + 12
        slow[at : at + 8] = (1).to_bytes(4, "little") + (2).to_bytes(4, "little")
        with pytest.raises(NotAudio):
            told(bytes(slow))

    def test_noise_behind_the_opening_of_every_kind_does_no_harm(self) -> None:
        for name, one in {one.media_type: one for one in shapes().values()}.items():
            wild = one.data[:60] + random.Random(name).randbytes(20_000)
            try:
                made = told(wild)
            except NotAudio:
                continue
            assert math.isfinite(made.borders[0][1])


def test_both_sides_mean_the_same() -> None:
    assert (cutting.RATE, cutting.BLOCK, cutting.NONE) == (sound.RATE, sound.BLOCK_BYTES, sound.NONE)
    assert (
        cutting.HEADER_BYTES + 2 * cutting.FRAME_BYTES
        > sound.LEAST_BYTES
        > cutting.HEADER_BYTES + 16 + cutting.FRAME_BYTES
    )


def test_decoders_are_known_to_ffmpeg() -> None:
    assert {name for name in cutting.DECODERS if name not in av.codecs_available} == set()
    assert clips.samples(wav(noise(1))) == RATE
