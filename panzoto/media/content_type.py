"""Reading a media type (RFC 9110, 8.3.1): what a client says its recording is."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Longer than any that means something; a row has to hold it beside all else.
LONGEST = 1024

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the RFC's name for it
QUOTED = r'"(?:[\t !#-\[\]-~\x80-\U0010ffff]|\\[\t -~\x80-\U0010ffff])*"'
OWS = r"[ \t]*"
PARAMETER = f"{TOKEN}=(?:{TOKEN}|{QUOTED})"
# A parameter may be missing behind its semicolon.  White space there is read in one place only: two that
# could take it would try every way to share it.
MEDIA_TYPE = re.compile(rf"({TOKEN})/({TOKEN})(?:{OWS};(?:{OWS}{PARAMETER})?)*(?:(?<=;){OWS})?")


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type as it was written, and its type and subtype in lower case."""

    written: str
    type: str
    subtype: str

    @property
    def essence(self) -> str:
        """The type without its parameters."""
        return f"{self.type}/{self.subtype}"


def read(text: object) -> ContentType | None:
    """Return the media type, or None for what is none by the grammar, or is longer than `LONGEST`."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    found = MEDIA_TYPE.fullmatch(text)
    if found is None or any("\ud800" <= character <= "\udfff" for character in text):
        return None
    return ContentType(text, found[1].lower(), found[2].lower())
