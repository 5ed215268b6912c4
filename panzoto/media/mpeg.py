"""Frames that tell their own length, and the tags around them: ADTS, MPEG audio, ID3, APE.

Sources: ISO/IEC 14496-3, 1.A.3 (ADTS); 11172-3, 2.4.1.3 (MPEG audio); ID3v2.4, 3.1; ID3v1; APEv2.
"""

from __future__ import annotations

import struct

ID3_1_BYTES = 128
APE_BYTES = 32
ADTS_HEADER = 7
# A frame of ADTS or MPEG audio, or a tag, cannot be told from fewer bytes than this.
TOLD_BY = 10


def id3_size(head: bytes) -> int | None:
    """Return how many bytes the ID3v2 tag takes that begins with these ten, or None when there is none."""
    if len(head) < 10 or head[:3] != b"ID3" or head[3] == 0xFF or max(head[6:10]) > 0x7F:
        return None
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    footer = 10 if head[5] & 0x10 else 0
    return 10 + size + footer


def trailing_bytes(tail: bytes) -> int:
    """Return how many bytes at the end of a file, of which `tail` are the last, are tags and no sound.

    That may be more than `tail` has: an APE tag says at its end how long it is.
    """
    size = 0
    if tail[-ID3_1_BYTES:].startswith(b"TAG") and len(tail) >= ID3_1_BYTES:
        size = ID3_1_BYTES
    footer = tail[: len(tail) - size][-APE_BYTES:]
    if footer.startswith(b"APETAGEX") and len(footer) == APE_BYTES:
        length, _, flags = struct.unpack_from("<III", footer, 12)
        # The length counts the footer; a flag says that there is a header too.
        size += length + (APE_BYTES if flags & 1 << 31 else 0)
    return size


def adts_size(data: bytes, at: int) -> int:
    """Return the length of the ADTS frame at `at`, or 0 when there is none (ISO/IEC 14496-3, 1.A.3)."""
    if len(data) - at < 7 or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return 0
    if not adts_sampling_is_assigned(data, at):
        return 0
    size = (data[at + 3] & 0x03) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    return size if size > 7 else 0


ADTS_SAMPLING = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


def adts_sampling_is_assigned(data: bytes, at: int) -> bool:
    """Whether the sampling frequency that the ADTS frame at `at` names is one; three values are none."""
    return data[at + 2] >> 2 & 15 < len(ADTS_SAMPLING)


def adts_samples(head: bytes) -> int:
    """Return how many samples the ADTS frame has that begins with `head`: up to four blocks."""
    return 1024 * ((head[6] & 3) + 1)


# In kbit/s, by the four bits of the header: of MPEG-1 by layer, and of MPEG-2 and 2.5 by layer.
MPEG_1_RATES = {
    1: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
MPEG_2_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
MPEG_2_RATES = {
    1: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: MPEG_2_LOW,
    3: MPEG_2_LOW,
}
MPEG_SAMPLING = (44100, 48000, 32000)


def mpeg_frame(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Return (bytes, samples, samples a second) of the MPEG audio frame at `at` (ISO/IEC 11172-3, 2.4.1.3).

    None when there is none, and for the free format, whose frames do not tell their length.
    """
    if len(data) - at < 4 or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3)
    rate, sampling = data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if version == 1 or layer == 4 or rate in (0, 15) or sampling == 3:
        return None
    is_1 = version == 3
    bits = (MPEG_1_RATES if is_1 else MPEG_2_RATES)[layer][rate] * 1000
    hertz = MPEG_SAMPLING[sampling] // {3: 1, 2: 2, 0: 4}[version]
    samples = {1: 384, 2: 1152, 3: 1152 if is_1 else 576}[layer]
    unit = 4 if layer == 1 else 1
    padding = data[at + 2] >> 1 & 1
    return (samples // 8 // unit * bits // hertz + padding) * unit, samples, hertz


def mpeg_size(data: bytes, at: int) -> int:
    """Return the length of the MPEG audio frame at `at`, or 0 when there is none."""
    frame = mpeg_frame(data, at)
    return frame[0] if frame else 0
