"""What a playback address holds, and the one place that writes and reads it.

The names in the JSON are those of every release so far: a ticket that was
given out before a release plays on after it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from panzoto.auth.caller import Identity
from panzoto.media.amr import Track
from panzoto.storage import ObjectVersion


@dataclass(frozen=True, slots=True)
class Clip:
    """What opening a recording again needs. For sealed places only, since its key is in it."""

    version: ObjectVersion
    format: str
    key: bytes = field(repr=False)
    preamble: bytes = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the clip as an object of JSON."""
        return {
            "object": self.version.s3_key,
            "etag": self.version.etag,
            "size": self.version.size,
            "format": self.format,
            "key": base64.b64encode(self.key).decode("ascii"),
            "preamble": base64.b64encode(self.preamble).decode("ascii"),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Clip:
        """Return the clip that `to_json` wrote; names that it does not know are passed over."""
        version = ObjectVersion(values["object"], values["etag"], values["size"])
        key, preamble = (base64.b64decode(values[name]) for name in ("key", "preamble"))
        return cls(version, values["format"], key, preamble)


@dataclass(frozen=True, slots=True)
class TicketContent:
    """A clip with the session that may hear it; `content_type` is empty where the clip itself tells it.

    `track` is where the frames of AMR lie in it, if it is AMR that can be had as WAV.
    """

    identity: Identity
    clip: Clip
    content_type: str = ""
    track: Track | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the content as an object of JSON, to be sealed."""
        bound = {
            "user": self.identity.user_id,
            "session": self.identity.session_id,
            "issued": self.identity.issued_at,
        }
        track = {"wav": self.track.to_json()} if self.track else {}
        return bound | self.clip.to_json() | {"type": self.content_type} | track

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TicketContent:
        """Return the content that `to_json` wrote, in this release or one before."""
        identity = Identity(values["user"], values["issued"], values["session"])
        track = Track.from_json(values["wav"]) if "wav" in values else None
        return cls(identity, Clip.from_json(values), values.get("type", ""), track)
