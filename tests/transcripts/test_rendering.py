"""The four formats of a transcript, character by character."""

from __future__ import annotations

import pytest

from panzoto.transcripts.document import parse
from panzoto.transcripts.rendering import FORMATS, render
from tests.transcripts.support import document, said

CONVERSATION = document(
    {
        "start_ms": 0,
        "end_ms": 1_500,
        "text": " Tom & Ann <both>\r\nsaid:\u2028a --> b ",
        "speaker": "A<1>\n&",
    },
    {"start_ms": 2_000, "end_ms": 2_500},
    {"start_ms": 3_661_001, "end_ms": 360_000_000, "text": "çok"},
)


def test_text_is_a_segment_a_line() -> None:
    assert render(CONVERSATION, "text").decode() == "A<1> &: Tom & Ann <both> said: a --> b\nçok\n"


def test_srt_numbers_its_cues() -> None:
    assert render(CONVERSATION, "srt").decode() == (
        "1\n00:00:00,000 --> 00:00:01,500\nA<1> &: Tom & Ann <both> said: a --> b\n\n"
        "2\n01:01:01,001 --> 100:00:00,000\nçok\n\n"
    )


def test_vtt_escapes_and_names_voices() -> None:
    assert render(CONVERSATION, "vtt").decode() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n"
        "<v A&lt;1&gt; &amp;>Tom &amp; Ann &lt;both&gt; said: a --&gt; b\n"
        "\n01:01:01.001 --> 100:00:00.000\nçok\n"
    )


def test_json_is_as_it_was_written() -> None:
    written = b' {"segments" : [ ], "own": 1.50, "own": 2}\n'
    assert render(parse(written), "json") == written


@pytest.mark.parametrize(
    "break_", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
@pytest.mark.parametrize("name", ["text", "srt", "vtt"])
def test_every_line_break_becomes_a_space(name: str, break_: str) -> None:
    assert render(said(f"one{break_}two"), name) == render(said("one two"), name)


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_no_text_begins_a_cue_of_its_own(name: str) -> None:
    forged = "x\n\n2\n00:00:05,000 --> 00:00:06,000\nforged"
    lines = render(said(forged, "00:00:05.000 --> 00:00:06.000 forged"), name).decode().splitlines()
    assert [line for line in lines if line.lstrip()[:1] == "0" and "-->" in line] == [
        line for line in lines if line.endswith(("01,000", "02,000", "01.000", "02.000"))
    ]
    assert len([line for line in lines if not line]) == 2


def test_a_silent_recording_has_no_cue() -> None:
    assert [render(said(), name) for name in ("text", "srt", "vtt")] == [b"", b"", b"WEBVTT\n"]


def test_each_format_has_its_type_and_ending() -> None:
    assert {name: (kind.media_type, kind.extension) for name, kind in FORMATS.items()} == {
        "json": ("application/json", "json"),
        "text": ("text/plain", "txt"),
        "srt": ("application/x-subrip", "srt"),
        "vtt": ("text/vtt", "vtt"),
    }
