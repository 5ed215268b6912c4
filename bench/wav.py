"""Two hours of AMR as WAV: ranges against the whole, memory, what a range costs, processor time for a minute.

The whole is compared with what one decoder makes of the same frames by the rule of blocks, in this process.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import av
import requests

from bench.support.process import cpu_seconds, files_below, watched
from bench.support.report import Target, print_table, print_targets
from bench.support.service import Service, create_resources, running
from bench.support.stand_in import BUCKET, client, default_kind, stand_in
from panzoto.media.frames import AMR_NARROW, AMR_WIDE, amr_frames
from tests.support import clips
from tests.support.fault_proxy import FaultProxy
from tests.support.recordings import version_2

PASSWORD = "a long walk by the quiet river"
GROWTH_BOUND_MIB = 48
BLOCK, PREPARING = 500, 25
SHORT_BYTES = 4096
LENGTHS = (1, 1000, 64 * 1024, 400_000)
# Each range takes a child of its own, and as many as there are cores compute at once.
ASKING_AT_ONCE = 4


@dataclass(frozen=True)
class Opened:
    """A recording of AMR, how long it lasts, how long opening it took, and where it plays as WAV."""

    name: str
    plain: bytes
    seconds: float
    url: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--ranges", type=int, default=10_000, help="of all recordings together")
    parser.add_argument("--stand-in", default=default_kind(), help="moto, ministack or its URL")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        aws = stack.enter_context(stand_in(arguments.stand_in))
        create_resources(aws)
        proxy = stack.enter_context(FaultProxy(aws))
        service = stack.enter_context(running(aws, AWS_ENDPOINT_URL_S3=proxy.url))
        recordings = sounds(arguments.hours)
        opened = [_open(service, aws, name, plain) for name, plain in recordings.items()]
        print_table("Opening", ("", "MiB", "s"), [_opening(one) for one in opened])
        ranges = -(-arguments.ranges // len(opened))
        targets = [target for one in opened for target in _measured(service, one, ranges)]
    print_targets(targets)


def sounds(hours: float) -> dict[str, bytes]:
    """AMR of so many hours: frames of one length, of all kinds, and wide."""
    minute = clips.encoded("amr", "libopencore_amrnb", 8000, 60, 400)[6 : 6 + 3000 * 13]
    count = int(hours * 180_000)
    return {
        "speech": clips.AMR_MAGIC + minute * int(60 * hours),
        "all kinds": clips.amr(1, count),
        "wide": clips.amr(2, count, wide=True),
    }


def _open(service: Service, aws: str, name: str, plain: bytes) -> Opened:
    http = service.connect()
    account = http.expect(
        201, "POST", "/api/register", {"email": f"{name[:3]}@example.com", "password": PASSWORD}
    )
    http.token = account["token"]
    s3_key = f"users/{account['user_id']}/audio-1.amr"
    data = version_2(account, PASSWORD, s3_key, plain)
    client("s3", aws).put_object(Bucket=BUCKET, Key=s3_key, Body=data)
    noted = http.expect(201, "POST", "/api/audio-file", {"s3_key": s3_key, "file_size": len(data)})
    body = {"password": PASSWORD, "file_id": noted["audio_file"]["file_id"]}
    http.expect(200, "POST", "/api/decrypt-audio", body)
    started = time.perf_counter()
    answer = http.expect(200, "POST", "/api/decrypt-audio", body)
    return Opened(name, plain, time.perf_counter() - started, answer["wav_url"])


def _opening(one: Opened) -> tuple[str, str, str]:
    return one.name, f"{len(one.plain) / 2**20:.1f}", f"{one.seconds:.2f}"


def _measured(service: Service, one: Opened, ranges: int) -> list[Target]:
    before = files_below(service.data_dir, service.temp_dir)
    with watched(service.worker) as watch:
        used = _cpu(service.worker)
        started = time.perf_counter()
        whole = requests.get(one.url, timeout=3600).content
        seconds, used = time.perf_counter() - started, _cpu(service.worker) - used
    expected = _expected(one.plain)
    minutes = len(expected) / (2 * 60 * (16000 if "wide" in one.name else 8000))
    last = statistics.median(
        _timed(lambda: _range(one.url, len(whole) - SHORT_BYTES, len(whole))) for _ in range(5)
    )
    dice = random.Random(1)
    starts = [dice.randrange(len(whole)) for _ in range(ranges)]
    parts = [(start, min(len(whole), start + dice.choice(LENGTHS))) for start in starts]
    with ThreadPoolExecutor(ASKING_AT_ONCE) as pool:
        wrong = sum(pool.map(lambda part: _range(one.url, *part) != whole[slice(*part)], parts))
    grown = sum(
        size for name, size in files_below(service.data_dir, service.temp_dir).items() if name not in before
    )
    figures = (f"{seconds:.1f}", f"{used / minutes:.3f}", f"{last:.2f}", f"{watch.growth_mib:.1f}")
    print_table(
        f"{one.name}, {minutes:.0f} minutes",
        ("", "s for the whole", "CPU s a minute of sound", "s for the last 4 KiB", "MiB more in the worker"),
        [("WAV", *figures)],
    )
    return [
        Target(
            f"{one.name}: the whole is what a decoder makes", float(whole[44:] == expected), 1, at_most=False
        ),
        Target(f"{one.name}: of {ranges} ranges other than the whole", wrong, 0),
        Target(f"{one.name}: growth of the worker", watch.growth_mib, GROWTH_BOUND_MIB, unit=" MiB"),
        Target(f"{one.name}: last 4 KiB by the whole", last / seconds, 0.1),
        Target(f"{one.name}: bytes in new files", grown, 0),
    ]


def _cpu(worker: int) -> float:
    """Processor seconds of the worker and of the children that it has waited for."""
    with open(f"/proc/{worker}/stat") as file:  # noqa: PTH123 - a file of the kernel's
        fields = file.read().rpartition(")")[2].split()
    return cpu_seconds(worker) + (int(fields[13]) + int(fields[14])) / 100


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _range(url: str, first: int, stop: int) -> bytes:
    return requests.get(url, headers={"Range": f"bytes={first}-{stop - 1}"}, timeout=600).content


def _expected(plain: bytes) -> bytes:
    is_wide = plain.startswith(clips.AMR_WIDE_MAGIC)
    data = plain[9 if is_wide else 6 :]
    frames = [
        data[begin + number * size : begin + (number + 1) * size]
        for begin, size, count in amr_frames(data, AMR_WIDE if is_wide else AMR_NARROW)
        for number in range(count)
    ]
    made = bytearray()
    for begin in range(0, len(frames), BLOCK):
        prepared = min(PREPARING, begin)
        decoder: Any = av.CodecContext.create("libopencore_amrwb" if is_wide else "libopencore_amrnb", "r")
        for number, frame in enumerate(frames[begin - prepared : begin + BLOCK]):
            heard = b"".join(
                bytes(one.planes[0])[: 2 * one.samples] for one in decoder.decode(av.Packet(frame))
            )
            made += heard if number >= prepared else b""
    return bytes(made)


if __name__ == "__main__":
    main()
