"""Files as they are met: what they are served as, how long they last, and which of them play as one.

`bench/browser.py` asks Chromium and ffprobe about the same files.
"""

from __future__ import annotations

import math

import pytest

from panzoto.errors import ClipsNotJoinable
from panzoto.media import demuxing, durations, frames
from panzoto.media.glimpse import BLOCK_BYTES, MOST_BLOCKS, Glimpse
from panzoto.media.media_type import file_name, media_type, sniffed
from panzoto.media.parts import Parts
from panzoto.playback.sittings import joiner_for
from tests.support import clips
from tests.support.sounds import FAMILIES, Held, alac_cookie, families, id3, shapes, strangers

# What encoders put before and behind the sound.
MARGIN_SECONDS = 0.25


def looked_at(data: bytes) -> Glimpse:
    return Glimpse(Held(data))


def test_every_shape_is_served_as_what_it_is() -> None:
    assert len(shapes()) > 65
    served = {
        name: media_type(looked_at(one.data), one.declared, "users/a/b") for name, one in shapes().items()
    }
    assert served == {name: one.media_type for name, one in shapes().items()}


def test_every_shape_tells_how_long_it_lasts() -> None:
    for name, one in shapes().items():
        told = durations.in_container(looked_at(one.data))
        if one.seconds is None:
            assert told is None, name
        else:
            assert told == pytest.approx(one.seconds, abs=MARGIN_SECONDS), name


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("audio/L16;rate=16000;channels=1", "audio/L16;rate=16000;channels=1"),
        ("AUDIO/Something", "AUDIO/Something"),
        ("video/mp2t", "video/mp2t"),
        ("video/webm;codecs=opus", "video/webm;codecs=opus"),
        ("audio/x; title=" + "y" * 300, "audio/x"),
        ('audio/x; title="Grüße"', "audio/x"),
        ('audio/x; title="a\tb"', "audio/x"),
        ("text/html", "audio/3gpp"),
        ("application/javascript", "audio/3gpp"),
        ("image/svg+xml", "audio/3gpp"),
        # A browser would show these as a document.
        ("audio/svg+xml", "audio/3gpp"),
        ("audio/anything+xml; charset=utf-8", "audio/3gpp"),
        ("video/x-matroska-3d", "audio/3gpp"),
        ("nonsense", "audio/3gpp"),
        (None, "audio/3gpp"),
    ],
)
def test_what_bytes_do_not_tell_its_client_or_its_name_may(declared: str | None, expected: str) -> None:
    notes = looked_at(b"Notes of the day, and of the day before")
    assert media_type(notes, declared, "users/a/audio-1.3gp_encrypted") == expected


NO_SOUND = [b"", b"x", b"\xff\xfeN\0o\0t\0e\0s\0", b"<html></html>", bytes(5000), b"\xff" * 5000]


@pytest.mark.parametrize("data", NO_SOUND, ids=lambda data: repr(data)[:20])
def test_what_is_no_sound_is_not_taken_for_it(data: bytes) -> None:
    assert sniffed(looked_at(data)) is None
    assert durations.in_container(looked_at(data)) is None
    assert media_type(looked_at(data), None, "users/a/b") == "application/octet-stream"


def test_what_a_client_told_counts_where_the_container_is_silent_and_else_the_size() -> None:
    stream = looked_at(shapes()["transport stream"].data)
    assert durations.seconds(stream, 61_000) == 61
    assert durations.seconds(stream, None) == stream.length / 1500
    assert durations.seconds(looked_at(shapes()["m4a"].data), 61_000) < 3
    assert durations.seconds(stream, 366 * 86400 * 1000) == 12 * 3600


def test_a_file_of_lies_is_read_in_few_places() -> None:
    read: list[int] = []

    class Counted(Held):
        def plain(self, start: int, stop: int):  # type: ignore[no-untyped-def]
            read.append(start)
            yield bytes(stop - start) if start else self.data[start:stop]

        @property
        def length(self) -> int:
            return 10**9

    far = (50_000).to_bytes(4, "big") + b"free"
    chunks = b"RIFF\xff\xff\xff\xffWAVEjunk\x10\0\0\0" * 3
    lies = [(far + bytes(49_992)) * 2, id3(bytes(200))[:6] + b"\x7f" * 4, chunks]
    for data in lies:
        read.clear()
        clip = Glimpse(Counted(data))
        media_type(clip, None, "")
        assert durations.seconds(clip, None) == 12 * 3600
        assert len(read) <= MOST_BLOCKS
        assert BLOCK_BYTES * MOST_BLOCKS <= 2**20


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("audio-9", "audio/3gpp", "audio-9.3gp"),
        ("a" * 850, "audio/amr", "a" * 80 + ".amr"),
        ('a"b\\c\r\nd/e;f', "audio/mpeg", "a_b_c__d_e_f.mp3"),
        ("Grüße", "audio/ogg; codecs=opus", "Gr__e.ogg"),
        ("..", "audio/wav", "recording.wav"),
        ("", "audio/L16;rate=8000", "recording.pcm"),
        ("setup.exe", "audio/exe", "setup.exe.bin"),
        ("x", "application/octet-stream", "x.bin"),
    ],
)
def test_what_a_file_is_called(name: str, kind: str, expected: str) -> None:
    assert file_name(name, kind) == expected


def joined(plain: list[bytes]) -> tuple[Parts, bytes]:
    with joiner_for(Held(plain[0])) as joiner:
        for clip in plain:
            joiner.add(Held(clip))
        parts = joiner.finish()
    return parts, parts.head + b"".join(plain[clip][start:stop] for clip, start, stop in parts.stretches)


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_what_differs_around_the_sound_is_joined(backwards: bool) -> None:
    assert tuple(families()) == FAMILIES
    for name, family in families().items():
        plain = family[::-1] if backwards else family
        try:
            parts, whole = joined(plain)
        except ClipsNotJoinable:
            pytest.fail(f"{name}: not joined, {parts_of(plain)}")
        expected = b"".join(frame for clip in plain for frame in everything(clip))
        assert b"".join(everything(whole)) == expected, name
        lasting = sum(durations.in_container(looked_at(clip)) or 0 for clip in plain)
        if all(durations.in_container(looked_at(clip)) for clip in plain):
            assert math.isclose(parts.seconds, lasting, abs_tol=0.1 * len(plain)), name
        if parts.head and not whole.startswith(b"#!AMR"):
            assert clips.samples(whole) > 0, name


def everything(data: bytes) -> list[bytes]:
    """All bytes of sound in a clip, in order."""
    if data.startswith(b"#!AMR"):
        return [data[start:stop] for start, stop in frames.amr(Held(data)).runs]
    if sniffed(looked_at(data)) == "audio/aac":
        return [data[start:stop] for start, stop in frames.adts(Held(data)).runs]
    return [packet for packet, _ in clips.packets(data, format="mov")]


def parts_of(plain: list[bytes]) -> list[str | None]:
    return [sniffed(looked_at(clip)) for clip in plain]


def test_frames_of_amr_lie_one_in_a_sample_afterwards() -> None:
    _, whole = joined(families()["frames of AMR in a sample"])
    told = clips.packets(whole)
    assert {len(packet) for packet, _ in told} == {len(clips.packets(shapes()["3gp, AMR"].data)[0][0])}
    assert sum(duration for _, duration in told) == pytest.approx(160 * len(told), abs=200)


def test_timescales_add_up_without_drifting() -> None:
    plain = families()["timescales"]
    parts, whole = joined(plain)
    frame = 1024 / 44100
    assert len(clips.packets(whole)) == sum(len(clips.packets(clip)) for clip in plain)
    assert parts.seconds == pytest.approx(len(clips.packets(whole)) * frame, abs=0.1)


def test_the_setup_of_what_is_joined_holds_for_all() -> None:
    cookies = families()["cookies of ALAC"]
    _, whole = joined(cookies)
    at = alac_cookie(whole)
    assert whole[at + 12 : at + 20] == b"\0\0\x7f\0" + bytes(4)


def test_what_no_decoder_could_play_as_one_is_refused() -> None:
    for name, (first, second) in strangers().items():
        try:
            joined([first, second])
        except ClipsNotJoinable:
            continue
        pytest.fail(f"{name}: joined")


def test_headers_without_any_sound_are_no_sitting() -> None:
    header = families()["a header alone"][0]
    with pytest.raises(ClipsNotJoinable):
        joined([header, header])


def test_the_child_knows_the_same_frames_of_amr() -> None:
    assert demuxing.AMR_FRAMES == {"nb": frames.AMR_NARROW, "wb": frames.AMR_WIDE}
