"""What kind of audio a recording is: by its first bytes, else as it was announced, else by its name.

Sources: WHATWG MIME Sniffing; RFC 4867 (AMR), RFC 3839 and 4393 (3GP), RFC
9639 (FLAC), RFC 9559 (Matroska), ISO/IEC 11172-3 (MPEG audio), 13818-1
(transport streams), 14496-3 (ADTS) and 14496-12 (MP4), EBU Tech 3306 (RF64),
ID3v2.4, and Apple's and Sun's descriptions of AIFF, CAF and AU.
"""

from __future__ import annotations

from collections.abc import Callable

from panzoto.media import content_type
from panzoto.media.glimpse import Glimpse
from panzoto.media.mpeg import adts_size, id3_size, mpeg_size

UNKNOWN = "application/octet-stream"
ADTS_TYPE = "audio/aac"
MPEG_TYPE = "audio/mpeg"
# Enough for two MPEG frames of the largest kind, and for three packets of a transport stream.
OPENING_BYTES = 4096
BY_OPENING = (
    (b"#!AMR-WB", "audio/amr-wb"),
    (b"#!AMR", "audio/amr"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"caff", "audio/x-caf"),
    (b".snd", "audio/basic"),
    (b"MThd", "audio/midi"),
    (b"ADIF", ADTS_TYPE),
    (b"\x1a\x45\xdf\xa3", "audio/webm"),
)
# The four bytes at the beginning, and those behind the length.
BY_FORM = {
    (b"RIFF", b"WAVE"): "audio/wav",
    (b"RIFX", b"WAVE"): "audio/wav",
    (b"RF64", b"WAVE"): "audio/wav",
    (b"BW64", b"WAVE"): "audio/wav",
    (b"FORM", b"AIFF"): "audio/aiff",
    (b"FORM", b"AIFC"): "audio/aiff",
}
BY_BRAND = ((b"3g2", "audio/3gpp2"), (b"3g", "audio/3gpp"))
MP4_TYPE = "audio/mp4"
MP4_TYPES = frozenset((MP4_TYPE, *(name for _, name in BY_BRAND)))
# What an MP4 file may begin with; what comes before `ftyp` is passed over, so many boxes at most.
MP4_PASSED_OVER = frozenset((b"free", b"skip", b"wide", b"pnot", b"uuid", b"pdin"))
MP4_BOXES = MP4_PASSED_OVER | {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx"}
MOST_BOXES = 8
# Tags of sound from a store, its cover among them, may follow one another.
MOST_TAGS = 8
BY_ENDING = {
    "3gp": "audio/3gpp",
    "3gpp": "audio/3gpp",
    "3g2": "audio/3gpp2",
    "amr": "audio/amr",
    "awb": "audio/amr-wb",
    "aac": ADTS_TYPE,
    "m4a": MP4_TYPE,
    "mp4": MP4_TYPE,
    "mp3": MPEG_TYPE,
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "webm": "audio/webm",
    "mka": "audio/x-matroska",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
    "caf": "audio/x-caf",
    "au": "audio/basic",
    "mid": "audio/midi",
    "ts": "video/mp2t",
}
# What a client may call its recording beside `audio/…`: containers that hold sound alone as well.
DECLARED_VIDEO = frozenset(
    f"video/{name}" for name in ("mp2t", "mp4", "webm", "ogg", "3gpp", "3gpp2", "quicktime", "x-matroska")
)
# A browser would render these as a document, whatever stands before the slash.
DOCUMENT_SUFFIXES = ("+xml", "+json", "+html")
LONGEST_SERVED = 200


def media_type(clip: Glimpse, declared: str | None, s3_key: str) -> str:
    """Return the media type to serve `clip` with; `declared` is what its client called it."""
    return sniffed(clip) or _declared(declared) or _by_name(s3_key) or UNKNOWN


def sniffed(clip: Glimpse) -> str | None:
    """Return what the bytes of `clip` say that it is, or None."""
    start = after_tags(clip)
    opening = clip.read(start, OPENING_BYTES)
    found = _by_magic(opening) or _by_frames(opening) or _mp4(clip, start)
    # ID3 is the tag of MP3 files, and stands before whatever else only when that says what it is.
    return found or (MPEG_TYPE if start else None)


def after_tags(clip: Glimpse, start: int = 0) -> int:
    """Return where the sound begins behind ID3v2 tags and the zeros that fill them up (ID3v2.4, 3.1)."""
    at = start
    for _ in range(MOST_TAGS):
        size = id3_size(clip.read(at, 10))
        if size is None:
            break
        at += size
    if at > start:
        filled = clip.read(at, OPENING_BYTES)
        at += len(filled) - len(filled.lstrip(b"\0"))
    return min(at, clip.length)


def _by_magic(opening: bytes) -> str | None:
    for magic, name in BY_OPENING:
        if opening.startswith(magic):
            # The document type stands in the first few elements.
            return "audio/x-matroska" if b"matroska" in opening[:64] and name == "audio/webm" else name
    return BY_FORM.get((opening[:4], opening[8:12]))


def _by_frames(opening: bytes) -> str | None:
    """Tell formats that are nothing but frames, and have no magic number, by two frames in a row."""
    for size, at in ((188, 0), (192, 4), (204, 0)):
        if len(opening) > at + size and set(opening[at : at + 3 * size : size]) == {0x47}:
            return "video/mp2t"
    for measure, name in ((adts_size, ADTS_TYPE), (mpeg_size, MPEG_TYPE)):
        size = measure(opening, 0)
        if size and _goes_on(opening, size, measure):
            return name
    return None


def _goes_on(opening: bytes, at: int, measure: Callable[[bytes, int], int]) -> bool:
    """Whether a frame that ends at `at` is followed by another, by tags or padding, or by nothing."""
    rest = opening[at:]
    return len(rest) < 7 or rest.startswith((b"\0\0\0", b"TAG", b"APE", b"ID3")) or bool(measure(opening, at))


def _mp4(clip: Glimpse, at: int) -> str | None:
    """Tell MP4 and 3GP by the brand, which old files do not begin with (ISO/IEC 14496-12, 4.3)."""
    for number in range(MOST_BOXES):
        head = clip.read(at, 16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if kind not in MP4_BOXES or not (size in (0, 1) or size >= 8):
            return MP4_TYPE if number else None
        if kind in (b"ftyp", b"styp"):
            return by_brand(head[8:12])
        if kind not in MP4_PASSED_OVER or size == 0:
            return MP4_TYPE
        at += int.from_bytes(head[8:16], "big") if size == 1 else size
    return MP4_TYPE


def by_brand(brand: bytes) -> str:
    """Return the media type of an MP4 file by the four bytes of its major brand."""
    return next((name for begins, name in BY_BRAND if brand.startswith(begins)), MP4_TYPE)


def _declared(declared: str | None) -> str | None:
    found = content_type.read(declared)
    if found is None or found.subtype.endswith(DOCUMENT_SUFFIXES):
        return None
    if found.type != "audio" and found.essence not in DECLARED_VIDEO:
        return None
    fits = len(found.written) <= LONGEST_SERVED and found.written.isascii() and found.written.isprintable()
    return found.written if fits else found.essence[:LONGEST_SERVED]


def _by_name(s3_key: str) -> str | None:
    return BY_ENDING.get(s3_key.rpartition(".")[2].lower().removesuffix("_encrypted"))


# What a file of each type is called at its end; what its client called it makes no other ending.
ENDINGS = {
    "audio/3gpp": "3gp",
    "video/3gpp": "3gp",
    "audio/3gpp2": "3g2",
    "video/3gpp2": "3g2",
    "audio/amr": "amr",
    "audio/amr-wb": "awb",
    "audio/aac": "aac",
    "audio/mp4": "m4a",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "audio/x-m4a": "m4a",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "video/ogg": "ogv",
    "audio/webm": "webm",
    "video/webm": "webm",
    "audio/x-matroska": "mka",
    "video/x-matroska": "mkv",
    "audio/flac": "flac",
    "audio/wav": "wav",
    "audio/aiff": "aiff",
    "audio/x-caf": "caf",
    "audio/basic": "au",
    "audio/midi": "mid",
    "audio/l16": "pcm",
    "video/mp2t": "ts",
}
OTHER_ENDING = "bin"
LONGEST_NAME = 80


def file_name(name: str, media_type: str) -> str:
    """Return what a browser shall call a file: `LONGEST_NAME` plain characters, and a fitting ending."""
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "-_.") else "_" for one in name)
    found = content_type.read(media_type)
    ending = ENDINGS.get(found.essence if found else "", OTHER_ENDING)
    return f"{plain[:LONGEST_NAME].strip('._') or 'recording'}.{ending}"
