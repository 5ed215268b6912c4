"""Engines that really listen: they find the tone bursts in the FLAC that they are sent, each in its way."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.support.bursts import BURST_MS, decoded, heard_at
from tests.support.engines import Handler, Manner, says, sends

TONE = "tone"
# What Whisper says in silence, and marks as no speech.
NOTHING_SAID = "Thanks for watching!"


def _heard(handler: Handler) -> list[tuple[float, float]]:
    """Return where each burst begins and ends in the piece, in seconds."""
    starts = heard_at(decoded(handler.heard.file))
    return [(start / 1000, (start + BURST_MS) / 1000) for start in starts]


def in_full(handler: Handler) -> None:
    """Answer the whole of `verbose_json`: one segment and one word a burst."""
    spans = _heard(handler)
    said: dict[str, Any] = {
        "task": "transcribe",
        "language": "english",
        "text": " ".join(TONE for _ in spans),
        "segments": [
            {"id": at, "start": start, "end": end, "text": f" {TONE}"}
            for at, (start, end) in enumerate(spans)
        ],
        "words": [{"word": TONE, "start": start, "end": end} for start, end in spans],
    }
    says(said)(handler)


def without_times(handler: Handler) -> None:
    """Answer nothing but the text: one word a burst."""
    says({"text": " ".join(TONE for _ in _heard(handler))})(handler)


def with_bad_manners(handler: Handler) -> None:
    """Answer times in strings and out of order, ends that are none, and what nobody said."""
    spans = _heard(handler)
    segments: list[dict[str, Any]] = [
        {
            "start": str(start),
            "end": [None, -3, "never", 10**9][at % 4],
            "text": f"\u0000 {TONE} \ud800",
            "speaker": 7,
            "words": [{"word": f" {TONE}", "start": str(start), "end": str(end), "probability": "high"}],
        }
        for at, (start, end) in enumerate(spans)
    ]
    silence = {"start": 0, "end": 2, "text": NOTHING_SAID, "no_speech_prob": 0.97, "avg_logprob": -1.7}
    said = {"language": "Klingon", "text": None, "segments": [silence, *reversed(segments)], "words": "none"}
    says(said, X_Engine="odd")(handler)


def hangs(handler: Handler) -> None:
    """Never answer."""
    handler.wait_until_left()


def drops(handler: Handler) -> None:
    """Close the connection in the middle of an answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"text": "to')
    with suppress(OSError):
        handler.connection.shutdown(socket.SHUT_RDWR)


# What may go wrong with an engine and be better the next time.
FAULTS: dict[str, Manner] = {
    "500": sends(b"oh dear", 500),
    "429": sends(b"{}", 429, Retry_After="1"),
    "hang": hangs,
    "drop": drops,
    "wrong JSON": sends(b'{"text": "to'),
    "no transcription": says([1, 2]),
}


def sometimes(faults: dict[str, Manner], share: float, refused: float, chance: random.Random) -> Manner:
    """Hear in full, but for a share of all requests that fail, and some that are refused for good."""
    names = sorted(faults)

    def manner(handler: Handler) -> None:
        which = chance.random()
        chosen: Callable[[Handler], None] = in_full
        if which < refused:
            chosen = says({"error": "no"}, 400)
        elif which < refused + share:
            chosen = faults[names[chance.randrange(len(names))]]
        chosen(handler)

    return manner
