"""Documents for tests, as somebody might have written them."""

from __future__ import annotations

import json
from typing import Any

from panzoto.transcripts.document import Document, parse
from panzoto.transcripts.search import Match, parse_query


def document(*segments: dict[str, Any]) -> Document:
    return parse(json.dumps({"version": 1, "segments": list(segments)}).encode())


def said(*texts: str) -> Document:
    """A document in which each text took a second, and nothing is known of its words."""
    return document(
        *(
            {"start_ms": number * 1000, "end_ms": (number + 1) * 1000, "text": text}
            for number, text in enumerate(texts)
        )
    )


def matches(query: str, *texts: str) -> list[Match]:
    return parse_query(query).matches(said(*texts))


def found(query: str, *texts: str) -> list[str]:
    return [match.text for match in matches(query, *texts)]
