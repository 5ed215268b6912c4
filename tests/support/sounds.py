"""Files of sound in the shapes in which they are met: what FFmpeg writes, and what it does not, by hand."""

from __future__ import annotations

import itertools
import random
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from panzoto.media.mp4 import FrameTable, head
from tests.support import clips

SECONDS = 2.0
LINEAR = "audio/L16;rate=16000;channels=1"


@dataclass(frozen=True)
class Held:
    """A recording in memory (see `panzoto.crypto.source.Recording`), which comes in small pieces."""

    data: bytes

    @property
    def length(self) -> int:
        return len(self.data)

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        for at in range(start, stop, 5000):
            yield self.data[at : min(at + 5000, stop)]


@dataclass(frozen=True)
class Shape:
    """A file, the media type that it is to be served with, and how long it says that it lasts, if it does."""

    data: bytes
    media_type: str
    seconds: float | None = SECONDS
    # What its client calls it, where its bytes say nothing.
    declared: str | None = None


def made(container: str, codec: str, rate: int, layout: str = "mono", **options: str) -> bytes:
    return clips.encoded(container, codec, rate, SECONDS, 400, layout, options)


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def id3(payload: bytes, footer: bool = False) -> bytes:
    """An ID3v2.4 tag around frames."""
    size = bytes(len(payload) >> shift & 0x7F for shift in (21, 14, 7, 0))
    rest = b"\x04\x00" + (b"\x10" if footer else b"\x00") + size
    return b"ID3" + rest + payload + (b"3DI" + rest if footer else b"")


def picture(size: int = 300_000) -> bytes:
    """A tag with a cover; in the picture there is what could be taken for frames."""
    content = b"\x00image/jpeg\x00\x03\x00" + random.Random(5).randbytes(size) + b"\xff\xf1\x50\x80" * 10
    return id3(b"APIC" + bytes(len(content) >> shift & 0x7F for shift in (21, 14, 7, 0)) + b"\0\0" + content)


def ape(items: int = 200) -> bytes:
    """An APEv2 tag with header and footer."""
    header, footer = (struct.pack("<4I8x", 2000, items + 32, 1, flags) for flags in (5 << 29, 1 << 31))
    return b"APETAGEX" + header + b"\x01" * items + b"APETAGEX" + footer


TAG = b"TAG" + b"A song".ljust(125, b"\0")


def with_cover(m4a: bytes) -> bytes:
    """The file with a cover in `moov`, which comes last, so that no offset moves."""
    at = m4a.index(b"moov") - 4
    size = int.from_bytes(m4a[at : at + 4], "big")
    assert at + size == len(m4a)
    png = (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
        b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
    )
    cover = box(b"covr", box(b"data", struct.pack(">II", 14, 0) + png))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    extra = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", cover)))
    return m4a[:at] + struct.pack(">I", size + len(extra)) + m4a[at + 4 :] + extra


def renamed(data: bytes, kind: bytes, other: bytes) -> bytes:
    return data.replace(kind, other, 1)


def rebuilt(data: bytes, timescale: int, together: int = 1) -> bytes:
    """The same frames in a file of another timescale, `moov` first, so many of them in each sample."""
    frames = clips.packets(data)
    samples = [b"".join(frame for frame, _ in group) for group in _groups(frames, together)]
    moments = [round(at * timescale / _scale(data)) for at in _ends(frames, together)]
    durations = array(
        "I", (n for start, stop in itertools.pairwise([0, *moments]) for n in (1, stop - start))
    )
    sizes = array("I", map(len, samples))
    table = FrameTable(timescale, sizes, durations, [(len(samples), sum(sizes))])
    return head(data, table) + b"".join(samples)


def moved(data: bytes, by: int) -> bytes:
    """A rebuilt file whose frames will lie so many bytes further on."""
    at = data.index(b"stco") + 12
    return patched(data, at, struct.pack(">I", int.from_bytes(data[at : at + 4], "big") + by))


def without_ftyp(data: bytes) -> bytes:
    """A rebuilt file that begins with `moov`."""
    size = int.from_bytes(data[:4], "big")
    return moved(data, -size)[size:]


def _groups(frames: list[tuple[bytes, int]], together: int) -> list[list[tuple[bytes, int]]]:
    return [frames[start : start + together] for start in range(0, len(frames), together)]


def _ends(frames: list[tuple[bytes, int]], together: int) -> list[int]:
    ends = list(itertools.accumulate(duration for _, duration in frames))
    return [ends[min(start + together, len(ends)) - 1] for start in range(0, len(ends), together)]


def _scale(data: bytes) -> int:
    at = data.index(b"mdhd") + 4
    return int.from_bytes(data[at + 12 : at + 16], "big")


LC_IN_FIVE = b"\x05\x80\x80\x80\x05"


def two_byte_setup(data: bytes) -> bytes:
    """The file with FFmpeg's setup of AAC cut before what it says of SBR."""
    assert LC_IN_FIVE in data
    return data.replace(LC_IN_FIVE, b"\x05\x80\x80\x80\x02", 1)


def with_sbr(data: bytes) -> bytes:
    """The file whose setup says that there is SBR."""
    at = data.index(LC_IN_FIVE) + 7
    assert data[at : at + 3] == b"\x56\xe5\x00"
    return data[: at + 2] + b"\x80" + data[at + 3 :]


def packets_of_192(stream: bytes) -> bytes:
    """A transport stream as Blu-ray players and cameras keep it: each packet behind a time stamp."""
    return b"".join(bytes(4) + stream[at : at + 188] for at in range(0, len(stream), 188))


def midi() -> bytes:
    notes = b"\x00\x90\x3c\x40\x60\x80\x3c\x40\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(notes)) + notes


def unfinished_wav() -> bytes:
    wav = made("wav", "pcm_s16le", 8000)
    at = wav.index(b"data") + 4
    return wav[:4] + b"\xff" * 4 + wav[8:at] + b"\xff" * 4 + wav[at + 4 :]


def header_alone() -> bytes:
    """What a recorder writes before the first sound: `ftyp` and `moov`."""
    fragments = made("mp4", "aac", 44100, movflags="frag_keyframe+empty_moov")
    return fragments[: fragments.index(b"moof") - 4]


@cache
def shapes() -> dict[str, Shape]:
    """Every shape by its name."""
    m4a = made("ipod", "aac", 44100)
    adts = made("adts", "aac", 16000)
    mp3 = made("mp3", "mp3", 44100)
    bare_mp3 = made("mp3", "mp3", 44100, id3v2_version="0", write_xing="0")
    stream = made("mpegts", "aac", 44100)
    amr_3gp = made("3gp", "libopencore_amrnb", 8000)
    au = made("au", "pcm_s16be", 8000)
    return {
        "m4a": Shape(m4a, "audio/mp4"),
        "m4a, stereo": Shape(made("ipod", "aac", 48000, "stereo"), "audio/mp4"),
        "m4a with a cover": Shape(with_cover(m4a), "audio/mp4"),
        "m4a, setup of 2 bytes": Shape(two_byte_setup(m4a), "audio/mp4"),
        "m4a, timescale 1000": Shape(rebuilt(m4a, 1000), "audio/mp4"),
        "mp4": Shape(made("mp4", "aac", 16000), "audio/mp4"),
        "mp4, moov before mdat": Shape(rebuilt(m4a, 44100), "audio/mp4"),
        "mp4 in fragments": Shape(
            made("mp4", "aac", 16000, movflags="frag_keyframe+empty_moov"), "audio/mp4", None
        ),
        "mp4 without ftyp": Shape(renamed(m4a, b"ftyp", b"free"), "audio/mp4"),
        "mp4, ftyp behind free": Shape(box(b"free", bytes(40)) + moved(rebuilt(m4a, 44100), 48), "audio/mp4"),
        "mp4, nothing but moov and mdat": Shape(without_ftyp(rebuilt(m4a, 44100)), "audio/mp4"),
        "mp4, ALAC": Shape(made("ipod", "alac", 44100), "audio/mp4"),
        "mp4, Opus": Shape(made("mp4", "libopus", 48000), "audio/mp4"),
        "mp4, FLAC": Shape(made("mp4", "flac", 44100), "audio/mp4"),
        "mp4, MP3": Shape(made("mp4", "mp3", 44100), "audio/mp4"),
        "mov": Shape(made("mov", "aac", 44100), "audio/mp4"),
        "3gp, AAC": Shape(made("3gp", "aac", 44100), "audio/3gpp"),
        "3gp, AMR": Shape(amr_3gp, "audio/3gpp"),
        "3gp, AMR, ten frames a sample": Shape(rebuilt(amr_3gp, 8000, 10), "audio/3gpp"),
        "3g2": Shape(made("3g2", "aac", 16000), "audio/3gpp2"),
        "adts": Shape(adts, "audio/aac"),
        "adts, stereo": Shape(made("adts", "aac", 44100, "stereo"), "audio/aac"),
        "adts behind ID3": Shape(id3(b"TIT2\0\0\0\x05\0\0\x03Walk") + adts, "audio/aac"),
        "adts behind ID3 with a footer": Shape(id3(b"TIT2\0\0\0\x05\0\0\x03Walk", True) + adts, "audio/aac"),
        "adts behind a cover": Shape(picture() + adts, "audio/aac"),
        "adts behind two tags and zeros": Shape(id3(b"") + picture(2000) + bytes(900) + adts, "audio/aac"),
        "adts before zeros": Shape(adts + bytes(5000), "audio/aac"),
        "adts before TAG": Shape(adts + TAG, "audio/aac"),
        "adts before APE": Shape(adts + ape(), "audio/aac"),
        "adts before APE and TAG": Shape(adts + ape() + TAG, "audio/aac"),
        "adts, one frame": Shape(adts[: _adts_size(adts)], "audio/aac", 1024 / 16000),
        "mp3": Shape(mp3, "audio/mpeg"),
        "mp3, MPEG-2": Shape(made("mp3", "mp3", 22050), "audio/mpeg"),
        "mp3, MPEG-2.5": Shape(made("mp3", "mp3", 8000), "audio/mpeg"),
        "mp3 without ID3": Shape(bare_mp3, "audio/mpeg"),
        "mp3 behind a cover": Shape(picture() + bare_mp3, "audio/mpeg"),
        "mp3 before TAG": Shape(bare_mp3 + TAG, "audio/mpeg"),
        "mp2": Shape(made("mp2", "mp2", 44100), "audio/mpeg"),
        "ogg, Opus": Shape(made("ogg", "libopus", 48000), "audio/ogg"),
        "ogg, Vorbis": Shape(made("ogg", "vorbis", 44100, "stereo"), "audio/ogg"),
        "ogg, FLAC": Shape(made("ogg", "flac", 44100), "audio/ogg"),
        "Matroska, WavPack": Shape(made("matroska", "wavpack", 44100), "audio/x-matroska"),
        "mp4, E-AC-3": Shape(made("mp4", "eac3", 48000), "audio/mp4"),
        "webm, Opus": Shape(made("webm", "libopus", 48000), "audio/webm"),
        "webm, Vorbis": Shape(made("webm", "vorbis", 44100, "stereo"), "audio/webm"),
        "webm as a browser records": Shape(made("webm", "libopus", 48000, live="1"), "audio/webm", None),
        "Matroska, AAC": Shape(made("matroska", "aac", 44100), "audio/x-matroska"),
        "wav": Shape(made("wav", "pcm_s16le", 8000), "audio/wav"),
        "wav, stereo": Shape(made("wav", "pcm_s16le", 48000, "stereo"), "audio/wav"),
        "wav, 8 bits": Shape(made("wav", "pcm_u8", 8000), "audio/wav"),
        "wav, 24 bits": Shape(made("wav", "pcm_s24le", 44100), "audio/wav"),
        "wav, floats": Shape(made("wav", "pcm_f32le", 44100), "audio/wav"),
        "wav, A-law": Shape(made("wav", "pcm_alaw", 8000), "audio/wav"),
        "wav of unknown length": Shape(unfinished_wav(), "audio/wav"),
        "RF64": Shape(made("wav", "pcm_s16le", 8000, rf64="always"), "audio/wav"),
        "flac": Shape(made("flac", "flac", 44100), "audio/flac"),
        "flac behind ID3": Shape(picture() + made("flac", "flac", 44100), "audio/flac"),
        "caf": Shape(made("caf", "pcm_s16le", 44100), "audio/x-caf"),
        "caf, ALAC": Shape(made("caf", "alac", 44100), "audio/x-caf"),
        "aiff": Shape(made("aiff", "pcm_s16be", 44100), "audio/aiff"),
        "aifc": Shape(made("aiff", "pcm_s16le", 44100), "audio/aiff"),
        "au": Shape(au, "audio/basic"),
        "au of unknown length": Shape(au[:8] + b"\xff" * 4 + au[12:], "audio/basic"),
        "au, mu-law": Shape(made("au", "pcm_mulaw", 8000), "audio/basic"),
        "amr": Shape(made("amr", "libopencore_amrnb", 8000), "audio/amr"),
        "amr, wide": Shape(clips.amr(3, 100, wide=True), "audio/amr-wb"),
        "transport stream": Shape(stream, "video/mp2t", None),
        "transport stream, 192": Shape(packets_of_192(stream), "video/mp2t", None),
        "midi": Shape(midi(), "audio/midi", None),
        "L16": Shape(made("s16be", "pcm_s16be", 16000), LINEAR, None, LINEAR),
        "something of a phone": Shape(b"#!SILK_V3" + bytes(range(200)), "audio/silk", None, "audio/silk"),
    }


def _adts_size(data: bytes) -> int:
    return (data[3] & 0x03) << 11 | data[4] << 3 | data[5] >> 5


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def other_alac_cookie(m4a: bytes) -> bytes:
    """The file whose cookie tells of a larger frame and another bit rate."""
    return patched(m4a, alac_cookie(m4a) + 12, b"\0\0\x7f\0\0\1\0\0")


def alac_cookie(m4a: bytes) -> int:
    """Where the cookie lies: in a box that is called as the one around it is."""
    entry = m4a.index(b"alac", m4a.index(b"stsd"))
    return m4a.index(b"alac", entry + 4) + 8


# To name them makes none of them.
FAMILIES = (
    "a cover",
    "setups of 2 and 5 bytes",
    "timescales",
    "brands",
    "no ftyp",
    "ftyp behind free",
    "a header alone",
    "fragments",
    "frames of AMR in a sample",
    "cookies of ALAC",
    "heads of Opus",
    "streaminfo of FLAC",
    "around ADTS",
    "MPEG-2 and MPEG-4 ADTS",
    "AMR",
)


@cache
def families() -> dict[str, list[bytes]]:
    """Clips of one codec, rate and channels each, which differ in what is around the sound."""
    shape = shapes()
    m4a, adts = shape["m4a"].data, shape["adts"].data
    amr, alac = shape["3gp, AMR"].data, shape["mp4, ALAC"].data
    opus, flac = shape["mp4, Opus"].data, shape["mp4, FLAC"].data
    return {
        "a cover": [m4a, with_cover(m4a), m4a],
        "setups of 2 and 5 bytes": [m4a, two_byte_setup(m4a)],
        "timescales": [m4a, rebuilt(m4a, 1000), rebuilt(m4a, 90000), shape["mov"].data],
        "brands": [m4a, shape["3gp, AAC"].data, shape["mov"].data],
        "no ftyp": [shape["mp4 without ftyp"].data, m4a, shape["mp4, nothing but moov and mdat"].data],
        "ftyp behind free": [shape["mp4, ftyp behind free"].data, m4a],
        "a header alone": [header_alone(), m4a, header_alone(), m4a],
        "fragments": [shape["mp4"].data, shape["mp4 in fragments"].data],
        "frames of AMR in a sample": [amr, rebuilt(amr, 8000, 10), rebuilt(amr, 1000, 3)],
        "cookies of ALAC": [alac, other_alac_cookie(alac)],
        "heads of Opus": [opus, patched(opus, opus.index(b"dOps") + 6, b"\x01\x00\0\0\x3e\x80")],
        "streaminfo of FLAC": [flac, patched(flac, flac.index(b"dfLa") + 12 + 13 + 1, bytes(20))],
        "around ADTS": [
            one.data for name, one in shape.items() if name.startswith("adts") and "stereo" not in name
        ],
        "MPEG-2 and MPEG-4 ADTS": [adts, b"".join(_as_mpeg_2(adts))],
        "AMR": [shape["amr"].data, b"#!AMR\n", shape["amr"].data + b"\x3c\0"],
    }


def _as_mpeg_2(adts: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(adts):
        size = _adts_size(adts[at : at + 7])
        yield patched(adts[at : at + size], 1, bytes([adts[at + 1] | 8]))
        at += size


@cache
def strangers() -> dict[str, tuple[bytes, bytes]]:
    """Pairs that no decoder could play as one."""
    shape = shapes()
    m4a = shape["m4a"].data
    return {
        "rates": (m4a, made("ipod", "aac", 48000)),
        "channels": (m4a, made("ipod", "aac", 44100, "stereo")),
        "codecs": (m4a, shape["mp4, ALAC"].data),
        "SBR": (m4a, with_sbr(m4a)),
        "AMR and AAC": (shape["3gp, AMR"].data, shape["3gp, AAC"].data),
        "widths of ALAC": (shape["mp4, ALAC"].data, made("ipod", "alac", 48000)),
        "rates of FLAC": (shape["mp4, FLAC"].data, made("mp4", "flac", 48000)),
        "rates of ADTS": (shape["adts"].data, made("adts", "aac", 44100)),
        "channels of ADTS": (made("adts", "aac", 44100), shape["adts, stereo"].data),
        "ADTS and MP3": (shape["adts"].data, shape["mp3 without ID3"].data),
        "bands of AMR": (shape["amr"].data, shape["amr, wide"].data),
        "bare and in a container": (shape["amr"].data, shape["3gp, AMR"].data),
        "a cut MP4": (m4a, m4a[:-900]),
        "a header whose sound is gone": (m4a, rebuilt(m4a, 44100)[:700]),
        "noise behind ADTS": (shape["adts"].data, shape["adts"].data + b"noise" * 300),
    }
