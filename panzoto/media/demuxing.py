"""Reads the frame tables of MP4 and 3GP clips with PyAV, in a process of its own.

FFmpeg is a large library that reads what somebody else wrote, so it runs in
a sandbox (`panzoto.host.sandbox`), where it reaches nothing and a crash of it
harms nobody.  `panzoto.media.remux` starts this file there as a program; nothing
imports it.  Everything that it imports is loaded before the sandbox closes.

Standard input: for each clip its length (8 bytes, big-endian) and its bytes.
Standard output: one line of JSON, which tells how much follows of each, and
then the template, the sizes of all frames and the runs of their durations,
both as `unsigned int` of this machine, and the chunks as `unsigned long
long`.  Nothing is written anywhere else.
"""

from __future__ import annotations

import io
import itertools
import json
import logging  # noqa: F401 - as below
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import av

# PyAV imports these when it first needs them, and once the sandbox is closed nothing can be read.
import av.subtitles.codeccontext
import av.subtitles.stream
import av.video.codeccontext
import av.video.stream
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition

MOST_FRAMES = 2_000_000
MOST_CHUNKS = 50_000
# Of sizes and runs together, as they are answered; a head holds as much.
MOST_TABLE_BYTES = 12 * 1024 * 1024
# What a decoder is set up by is a few bytes, or a few KiB where it holds tables of its own.
MOST_SETUP_BYTES = 64 * 1024
MOST_TEMPLATE_BYTES = 256 * 1024
# `mov` alone is asked, so that no other format is recognised: some of them open further files.
# Edit lists are for players of one clip; here every frame counts.
HOW: dict[str, Any] = {
    "format": "mov",
    "options": {"ignore_editlist": "1"},
    "metadata_errors": "ignore",
}
# The same clips give the same bytes, whenever that is.
WRITTEN = {"fflags": "+bitexact", "use_editlist": "0"}


class Refused(Exception):
    """A clip cannot be joined; the reason is a word that `panzoto.media.remux` knows."""


class Tables:
    """What is known of the clips so far."""

    def __init__(self) -> None:
        self.sizes = array("I")
        # Of each clip its timescale and runs, which are how many frames and units each, in turn.
        self._timed: list[tuple[int, array[int]]] = []
        self._runs = 0
        # Clip, where in it, bytes, frames, in turn: frames that lie together.
        self.chunks = array("Q")
        self._template = b""
        self._setup = Setup()

    def add(self, number: int, clip: bytes) -> None:
        """Add the frames of the next clip. Raises `Refused` and FFmpeg's own errors.

        A clip that is a header alone has none, and says nothing of what the others are.
        """
        # FFmpeg holds its index of a clip while that is open, so the template is made afterwards.
        if self._read(number, clip) and not self._template:
            self._template = _template(clip)

    def _read(self, number: int, clip: bytes) -> bool:
        """Add the frames of a clip; return whether there was any."""
        with av.open(io.BytesIO(clip), **HOW) as container:
            stream = _only_audio(container)
            packets = _packets(container, stream)
            first = next(packets, None)
            if first is None:
                if stream.frames or not _is_whole(clip):
                    raise Refused("unreadable")
                return False
            self._setup.join(stream)
            base = stream.time_base
            if base is None or base.numerator != 1:
                raise Refused("unreadable")
            self._timed.append((base.denominator, array("I")))
            self._add_frames(number, itertools.chain((first,), packets), stream.codec_context.name)
        return True

    def _add_frames(self, number: int, packets: Iterable[Packet[AudioStream]], codec: str) -> None:
        end = -1
        for packet in packets:
            at, size, duration = packet.pos, packet.size, packet.duration or 0
            if at is None:
                raise Refused("unreadable")
            if at != end:
                self.chunks.extend((number, at, 0, 0))
            if "amr" in codec:
                self._add_several(_frame_sizes(packet, codec), duration)
            else:
                self._add_frame(size, duration)
            end = at + size
            self._require_few()
        self._runs += len(self._timed[-1][1]) // 2

    def _add_several(self, sizes: list[int], duration: int) -> None:
        """Add the frames of one packet, which lasts so long."""
        for place, size in enumerate(sizes):
            begin, stop = duration * place, duration * (place + 1)
            self._add_frame(size, stop // len(sizes) - begin // len(sizes))

    def _add_frame(self, size: int, duration: int) -> None:
        self.sizes.append(size)
        self.chunks[-2] += size
        self.chunks[-1] += 1
        _add_run(self._timed[-1][1], duration)

    def _require_few(self) -> None:
        runs = self._runs + len(self._timed[-1][1]) // 2
        if (
            len(self.sizes) > MOST_FRAMES
            or len(self.chunks) > 4 * MOST_CHUNKS
            or 4 * len(self.sizes) + 8 * runs > MOST_TABLE_BYTES
        ):
            raise Refused("too_long")

    def answer(self) -> tuple[dict[str, int], list[bytes]]:
        """Return numbers, and what they are the numbers of. Raises `Refused` when there is no frame."""
        if not self.sizes:
            raise Refused("unreadable")
        template = self._setup.written_into(self._template)
        timescale, durations = self._in_one_scale()
        if 4 * len(self.sizes) + 4 * len(durations) > MOST_TABLE_BYTES:
            raise Refused("too_long")
        numbers = {
            "template": len(template),
            "timescale": timescale,
            "frames": len(self.sizes),
            "runs": len(durations) // 2,
            "chunks": len(self.chunks) // 4,
        }
        return numbers, [template, *(table.tobytes() for table in (self.sizes, durations, self.chunks))]

    def _in_one_scale(self) -> tuple[int, array[int]]:
        """Return a timescale and the runs of all clips in it: their own, or the sampling rate for several."""
        scales = {scale for scale, _ in self._timed}
        wanted = scales.pop() if len(scales) == 1 else self._setup.rate
        made = array("I")
        for scale, runs in self._timed:
            made.extend(runs if scale == wanted else _scaled(runs, scale, wanted))
        return wanted, made


def _add_run(runs: array[int], duration: int) -> None:
    if runs and runs[-1] == duration:
        runs[-2] += 1
    else:
        runs.extend((1, duration))


def _scaled(runs: array[int], scale: int, wanted: int) -> array[int]:
    """Return runs in another scale; it is moments that are rounded, so that no error adds up."""
    made = array("I")
    at = reached = 0
    for count, each in zip(runs[::2], runs[1::2], strict=True):
        for _ in range(count):
            at += each
            moment = (2 * at * wanted + scale) // (2 * scale)
            _add_run(made, moment - reached)
            reached = moment
    return made


class Setup:
    """What a decoder must be told before the first frame, and how far it may differ between clips."""

    def __init__(self) -> None:
        self.rate = 0
        self._kind: tuple[Any, ...] = ()
        self._extradata: list[bytes] = []

    def join(self, stream: AudioStream) -> None:
        """Take the next clip. Raises `Refused` when one decoder could not play it and those before."""
        context = stream.codec_context
        extradata = bytes(context.extradata or b"")
        of_codec = SETUPS.get(context.name, _as_it_is)(extradata)
        # Of AAC the setup has them; the container's are often wrong, or of what a decoder makes of it.
        told = () if context.name == "aac" else (context.sample_rate, context.layout.name)
        kind = (context.name, *told, of_codec)
        if self._kind and kind != self._kind:
            raise Refused("different")
        self._kind, self.rate = kind, self.rate or context.sample_rate
        if extradata not in self._extradata:
            self._extradata.append(extradata)

    def written_into(self, template: bytes) -> bytes:
        """Return `template`, which is of the first clip, with a setup in it that holds for all."""
        first = self._extradata[0]
        merge = MERGERS.get(self._kind[0])
        if merge is None or len(self._extradata) == 1:
            return template
        return template.replace(first, merge(self._extradata), 1)


def _as_it_is(extradata: bytes) -> object:
    return extradata


def _nothing(_: bytes) -> object:
    """AMR's box tells who encoded and which modes there are; each frame tells its own."""
    return None


def _aac(extradata: bytes) -> object:
    """AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1): core type, rate, channels, length of a frame, SBR.

    It is 2 bytes long, or 5 when it says at the end whether there is SBR.
    """
    bits = Bits(extradata)
    try:
        kind, rate, channels = bits.object_type(), bits.rate(), bits.take(4)
        replicated = kind in (SBR, PARAMETRIC_STEREO)
        if replicated:
            bits.rate()
            kind = bits.object_type()
        if kind not in GENERAL_AUDIO or channels == 0:
            return extradata
        short = bits.take(1)
        # A core coder, and an extension that these types do not have.
        bits.take(14 if bits.take(1) else 0)
        bits.take(1)
        if not replicated and bits.left >= 17 and bits.take(11) == SYNC_EXTENSION:
            replicated = bits.object_type() == SBR and bits.take(1) == 1
    except IndexError:
        return extradata
    return kind, rate, channels, short, replicated


SBR, PARAMETRIC_STEREO = 5, 29
SYNC_EXTENSION = 0x2B7
# Main, LC, SSR and LTP, whose setup goes on alike.
GENERAL_AUDIO = (1, 2, 3, 4)
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


class Bits:
    """Reads bits, the most significant first. Raises `IndexError` beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._value, self.left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self.left:
            raise IndexError
        self.left -= count
        return self._value >> self.left & (1 << count) - 1

    def object_type(self) -> int:
        kind = self.take(5)
        return 32 + self.take(6) if kind == 31 else kind

    def rate(self) -> int:
        index = self.take(4)
        return self.take(24) if index == 15 else AAC_RATES[index]


# Where the cookie's figures lie behind the box's length, name and version.
ALAC_COOKIE = 12


def _alac(extradata: bytes) -> object:
    """Without the largest frame and the bit rate, which are of one file and not of its frames."""
    return extradata[ALAC_COOKIE : ALAC_COOKIE + 10], extradata[ALAC_COOKIE + 20 :]


def _largest_alac(extradata: list[bytes]) -> bytes:
    largest = [int.from_bytes(one[ALAC_COOKIE + 12 : ALAC_COOKIE + 16], "big") for one in extradata]
    # Zero stands for unknown in both.
    wanted = max(largest) if all(largest) else 0
    first = extradata[0]
    return first[: ALAC_COOKIE + 12] + wanted.to_bytes(4, "big") + bytes(4) + first[ALAC_COOKIE + 20 :]


def _flac(extradata: bytes) -> object:
    """STREAMINFO (RFC 9639, 8.2) without sizes of blocks and frames, number of samples and checksum."""
    return extradata[10:13], extradata[13:14] and extradata[13] & 0xF0


def _any_flac(extradata: list[bytes]) -> bytes:
    smallest = min(one[:2] for one in extradata)
    largest = max(one[2:4] for one in extradata)
    first = extradata[0]
    return smallest + largest + bytes(6) + first[10:13] + bytes([first[13] & 0xF0]) + bytes(20)


def _opus(extradata: bytes) -> object:
    """OpusHead (RFC 7845, 5.1) without the samples to be skipped and the rate of what was encoded."""
    return extradata[:10], extradata[16:]


SETUPS: dict[str, Callable[[bytes], object]] = {
    "aac": _aac,
    "alac": _alac,
    "flac": _flac,
    "opus": _opus,
    "libopus": _opus,
    "amrnb": _nothing,
    "amrwb": _nothing,
    "libopencore_amrnb": _nothing,
    "libopencore_amrwb": _nothing,
}
MERGERS: dict[str, Callable[[list[bytes]], bytes]] = {"alac": _largest_alac, "flac": _any_flac}
# As `panzoto.media.frames` has it, which this program cannot import.
AMR_FRAMES = {
    "nb": (13, 14, 16, 18, 20, 21, 27, 32, 6, 7, 6, 6, 0, 0, 0, 1),
    "wb": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1),
}


def _frame_sizes(packet: Packet[AudioStream], codec: str) -> list[int]:
    """Return the sizes of the frames in a packet; 3GP may keep several frames of AMR in one sample."""
    table = AMR_FRAMES.get(codec[-2:]) if "amr" in codec else None
    if table is None:
        return [packet.size]
    data, at, sizes = bytes(packet), 0, []
    while at < len(data) and (size := table[data[at] >> 3 & 15]):
        sizes.append(size)
        at += size
    return sizes if at == len(data) else [packet.size]


def _packets(container: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
    """Yield whole frames; the last packet is empty and only says that nothing follows."""
    return (packet for packet in container.demux(stream) if packet.size and not packet.is_corrupt)


def _only_audio(container: InputContainer) -> AudioStream:
    """Return the one track of sound. A cover is no track, and chapters are none to be heard."""
    pictures = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    if len(container.streams.audio) != 1 or pictures:
        raise Refused("unreadable")
    stream = container.streams.audio[0]
    if stream.codec_context.extradata_size > MOST_SETUP_BYTES:
        raise Refused("unreadable")
    return stream


def _is_whole(clip: bytes) -> bool:
    """Whether the last box ends where the clip does: a header that was cut may have been of something."""
    at = 0
    while at + 8 <= len(clip):
        size = int.from_bytes(clip[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(clip[at + 8 : at + 16], "big")
        at += max(size, 8) if size else len(clip) - at
    return at == len(clip)


def _template(clip: bytes) -> bytes:
    """Return a whole file that holds the clip's first frame alone, as FFmpeg remuxes it."""
    made = io.BytesIO()
    with av.open(io.BytesIO(clip), **HOW) as container:
        stream = _only_audio(container)
        codec = stream.codec_context.name
        mobile = container.metadata.get("major_brand", "").startswith("3g") and codec == "aac"
        kind = "3gp" if mobile or "amr" in codec else "mp4"
        with av.open(made, "w", format=kind, options=WRITTEN) as out:
            copy = out.add_stream_from_template(stream)
            out.mux(_first_frame(next(_packets(container, stream)), copy, codec))
    if len(made.getbuffer()) > MOST_TEMPLATE_BYTES:
        raise Refused("unreadable")
    return made.getvalue()


def _first_frame(packet: Packet[AudioStream], stream: AudioStream, codec: str) -> Packet[Any]:
    """Return the first frame of a packet, for `stream`: FFmpeg writes no packet of several frames of AMR."""
    sizes = _frame_sizes(packet, codec)
    frame: Packet[Any] = packet if len(sizes) == 1 else Packet(bytes(packet)[: sizes[0]])
    frame.pts = frame.dts = 0
    frame.time_base = packet.time_base
    frame.stream = stream
    return frame


def _answer(values: dict[str, Any], tables: Iterable[bytes] = ()) -> None:
    sys.stdout.buffer.write(json.dumps(values).encode("ascii") + b"\n")
    for table in tables:
        sys.stdout.buffer.write(table)


def main() -> None:
    """Read clips to the end of the input and answer once."""
    tables, number, source = Tables(), 0, sys.stdin.buffer
    try:
        while length := source.read(8):
            tables.add(number, source.read(int.from_bytes(length, "big")))
            number += 1
        number = 0
        numbers, known = tables.answer()
    except Refused as refused:
        _answer({"refused": number, "why": str(refused)})
    except Exception:  # noqa: BLE001 - whatever a clip makes of the library, it cannot be joined
        _answer({"refused": number, "why": "unreadable"})
    else:
        _answer(numbers, known)
