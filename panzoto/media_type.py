"""What kind of audio a recording is, told by its first bytes (WHATWG MIME Sniffing, RFC 4867, RFC 3839)."""

from __future__ import annotations

SNIFFED_BYTES = 12
UNKNOWN = "application/octet-stream"
BY_OPENING = (
    (b"#!AMR-WB", "audio/amr-wb"),
    (b"#!AMR", "audio/amr"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\x1a\x45\xdf\xa3", "audio/webm"),
)
BY_BRAND = ((b"3g", "audio/3gpp"), (b"M4A", "audio/mp4"), (b"mp4", "audio/mp4"), (b"iso", "audio/mp4"))
BY_EXTENSION = {"3gp": "audio/3gpp", "amr": "audio/amr", "aac": "audio/aac", "m4a": "audio/mp4"}


def media_type(opening: bytes, s3_key: str) -> str:
    """Return the media type of what begins with `opening`; where that is silent, of the name."""
    for magic, name in BY_OPENING:
        if opening.startswith(magic):
            return name
    if opening[4:8] == b"ftyp":
        return next((name for brand, name in BY_BRAND if opening[8:12].startswith(brand)), "audio/mp4")
    if opening[:4] == b"RIFF" and opening[8:12] == b"WAVE":
        return "audio/wav"
    # ADTS frames begin with twelve set bits and a layer of zero.
    if len(opening) > 1 and opening[0] == 0xFF and opening[1] & 0xF6 == 0xF0:
        return "audio/aac"
    extension = s3_key.rpartition(".")[2].lower().removesuffix("_encrypted")
    return BY_EXTENSION.get(extension, UNKNOWN)
