"""How long the body of a request may be: little, but for calls with the keys of many, or a transcript.

The worker that gathers bodies and the application that reads them both ask here.
"""

from __future__ import annotations

import re

KIB = 1024
MIB = 1024 * KIB
MAX_BODY_BYTES = 64 * KIB
# A file key for each of 500 recordings is some 50 KiB, with JSON that is written wide.
WITH_KEYS_BYTES = 256 * KIB
# A sealed transcript of 8 MiB in base64.
TRANSCRIPT_BYTES = 12 * MIB

_LONGER = (
    ("POST", re.compile(r"/api/(?:decrypt-audio|transcriptions)/?"), WITH_KEYS_BYTES),
    ("PUT", re.compile(r"/api/audio-file/[^/]+/transcript/?"), TRANSCRIPT_BYTES),
)


def longest_body(method: str, path: str) -> int:
    """Return how many bytes the body of a request may have; `path` is decoded."""
    for asked, paths, most in _LONGER:
        if method == asked and paths.fullmatch(path):
            return most
    return MAX_BODY_BYTES
