"""One long recording: decrypt-audio, full playback, ranges, several players, memory and disk.

Seconds are compared within each round with (1) a view that passes the same object through undecrypted behind
the same gunicorn configuration and (2) the stand-in's own presigned download.  S3 requests and bytes are
counted by a proxy between a second instance of the service and S3.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.support.process import Watch, files_below, watched, written_bytes
from bench.support.recordings import FORMATS, MIB, Download, Plain, download, encrypted, upload
from bench.support.report import Target, interleaved, print_table, print_targets, ratio
from bench.support.s3_file import serving, write
from bench.support.service import Service, create_resources, path_of, running
from bench.support.stand_in import BUCKET, client, default_kind, stand_in
from panzoto.config import Argon2Parameters
from tests.support.fault_proxy import FaultProxy

PASSWORD = "a long walk by the quiet river"
RANGE_BYTES = 64 * 1024
GROWTH_BOUND_MIB = 48
LEAST_OF_PASS_THROUGH = 0.8
LEAST_OF_PRESIGNED = 0.25
# A worker writes its log; a recording on disk would be a thousand times this.
WRITTEN_BOUND_KIB = 256


@dataclass(frozen=True)
class Recording:
    """The uploaded recording, as the service knows it."""

    s3_key: str
    file_id: str
    token: str
    plain_size: int
    plain_sha256: str
    object_size: int
    presigned: str


@dataclass(frozen=True)
class _Setting:
    """The recording and who serves it: the service, the pass-through, and a service behind the proxy."""

    recording: Recording
    service: Service
    through: Service
    counted: Service
    proxy: FaultProxy


def main() -> None:
    arguments = _arguments()
    with ExitStack() as stack:
        aws = stack.enter_context(stand_in(arguments.stand_in))
        create_resources(aws)
        s3, recording = stack.enter_context(_recording(aws, arguments))
        service = stack.enter_context(running(aws, AWS_ENDPOINT_URL_S3=s3))
        through = stack.enter_context(
            running(aws, "bench.support.passthrough:app", AWS_ENDPOINT_URL_S3=s3, PYTHONWARNINGS="ignore")
        )
        proxy = stack.enter_context(FaultProxy(s3))
        counted = stack.enter_context(running(aws, AWS_ENDPOINT_URL_S3=proxy.url))
        print_targets(_measure(arguments, _Setting(recording, service, through, counted, proxy)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--format", choices=FORMATS, default="single")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--players", type=int, default=8, help="how many read the recording at once")
    parser.add_argument(
        "--stand-in", default=default_kind(), help="moto, ministack or the URL of one that runs"
    )
    parser.add_argument(
        "--s3",
        choices=("stand-in", "file"),
        default="stand-in",
        help="file: S3 reads from a plain file server",
    )
    return parser.parse_args()


@contextmanager
def _recording(aws: str, arguments: argparse.Namespace) -> Iterator[tuple[str, Recording]]:
    """Make an account with one recording; gives where S3 is, and the recording."""
    with ExitStack() as stack:
        service = stack.enter_context(running(aws))
        http = service.connect()
        credentials = {"email": "player@example.com", "password": PASSWORD}
        account = http.expect(201, "POST", "/api/register", credentials)
        http.token = account["token"]
        user_id = account["user_id"]
        s3_key = f"audio_upload/{user_id}/audio_{user_id[:8]}_1760000000000_0001.3gp_encrypted"
        plain = Plain(arguments.size_mib * MIB)
        content = encrypted(arguments.format, plain, PASSWORD, account, s3_key)
        started = time.perf_counter()
        if arguments.s3 == "file":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="panzoto-bench-s3-")))
            size = write(folder / "object", content)
            s3 = stack.enter_context(serving(folder / "object"))
            presigned = f"{s3}/{BUCKET}/{s3_key}"
        else:
            s3 = aws
            size = upload(client("s3", aws), BUCKET, s3_key, content)
            presigned = client("s3", aws).generate_presigned_url(
                "get_object", Params={"Bucket": BUCKET, "Key": s3_key}, ExpiresIn=86400
            )
        print(f"{size / MIB:.0f} MiB made and uploaded in {time.perf_counter() - started:.1f} s")
        recorded = http.expect(201, "POST", "/api/audio-file", {"s3_key": s3_key, "file_size": size})
        http.close()
        file_id = recorded["audio_file"]["file_id"]
        digest = plain.digest.hexdigest()
        yield s3, Recording(s3_key, file_id, account["token"], plain.size, digest, size, presigned)


def _measure(arguments: argparse.Namespace, setting: _Setting) -> list[Target]:
    recording, service = setting.recording, setting.service
    _warm_up(service)
    files_before = files_below(service.data_dir, service.temp_dir)
    written_before = written_bytes(service.worker)
    url, targets = _decrypt_and_play_once(recording, service)
    passed = f"http://127.0.0.1:{setting.through.port}/pass/{recording.s3_key}"
    targets += _compare_full_playback(arguments.rounds, recording, url, passed)
    targets += _compare_ranges(arguments.rounds, recording, url)
    targets += _count_s3(arguments.format, setting, url)
    targets += _players(arguments.players, recording, service, url)
    targets.append(
        Target(
            "written to disk by the worker",
            (written_bytes(service.worker) - written_before) / 1024,
            WRITTEN_BOUND_KIB,
            unit=" KiB",
        )
    )
    targets.append(Target("streams that S3 broke", service.log_text().count("s3_stream_broken"), 0))
    new = files_below(service.data_dir, service.temp_dir).items() - files_before.items()
    for name, size in sorted(new):
        print(f"  new file: {name} ({size} bytes)")
    targets.append(Target("new bytes in data and temp folders", sum(size for _, size in new), 0))
    return targets


def _warm_up(service: Service) -> None:
    """Make a worker do everything once, so that what it keeps for ever is not taken for growth."""
    http = service.connect()
    http.call("POST", "/api/login", {"email": "player@example.com", "password": PASSWORD})
    http.call("GET", "/api/user/audio-files")
    http.close()


def _decrypt(recording: Recording, service: Service) -> tuple[str, float]:
    http = service.connect()
    http.token = recording.token
    started = time.perf_counter()
    wanted = {"password": PASSWORD, "file_id": recording.file_id}
    answer = http.expect(200, "POST", "/api/decrypt-audio", wanted)
    seconds = time.perf_counter() - started
    http.close()
    return f"http://127.0.0.1:{service.port}{path_of(answer['download_url'])}", seconds


def _decrypt_and_play_once(recording: Recording, service: Service) -> tuple[str, list[Target]]:
    with watched(service.worker) as opening:
        url, seconds = _decrypt(recording, service)
    with watched(service.worker) as playing:
        played = download(url, digest=True)
    if (played.size, played.sha256) != (recording.plain_size, recording.plain_sha256):
        raise RuntimeError("the recording that was played is not the one that was encrypted")
    argon2_mib = Argon2Parameters().memory_cost_kib / 1024
    print_table(
        "Open and play once, every byte checked",
        ("", "seconds", "memory before", "peak", "growth"),
        [
            ("decrypt-audio", f"{seconds:.2f}", *_memory(opening)),
            ("full download", f"{played.seconds:.2f}", *_memory(playing)),
        ],
    )
    print(f"  (decrypt-audio's peak holds one Argon2 computation of {argon2_mib:.0f} MiB)")
    return url, [
        Target(
            "growth in decrypt-audio beside Argon2",
            max(0.0, opening.growth_mib - argon2_mib),
            GROWTH_BOUND_MIB,
            unit=" MiB",
        ),
        Target("growth in a full download", playing.growth_mib, GROWTH_BOUND_MIB, unit=" MiB"),
        _files_target(service, opening, playing),
    ]


def _memory(watch: Watch) -> tuple[str, str, str]:
    return (
        f"{watch.resident_before:.0f} MiB",
        f"{watch.resident_peak:.0f} MiB",
        f"{watch.growth_mib:.1f} MiB",
    )


def _files_target(service: Service, *watches: Watch) -> Target:
    """Files without a name are found among those the worker holds open; its log is not a recording."""
    held: dict[str, int] = {}
    for watch in watches:
        held |= {name: size for name, size in watch.files.items() if name != str(service.log)}
    for name, size in sorted(held.items()):
        print(f"  file held open and growing: {name} (+{size} bytes)")
    return Target("bytes in files held open", sum(held.values()), 0)


def _compare_full_playback(rounds: int, recording: Recording, url: str, passed: str) -> list[Target]:
    samples = interleaved(
        rounds,
        {
            "playback": lambda: _whole(url, recording.plain_size).seconds,
            "pass-through": lambda: _whole(passed, recording.object_size).seconds,
            "presigned": lambda: _whole(recording.presigned, recording.object_size).seconds,
        },
    )
    rows = []
    for name, seconds in samples.items():
        median = statistics.median(seconds)
        rate = recording.object_size / MIB / median
        rows.append((name, f"{median:.2f}", f"{rate:.0f}", f"{1 / ratio(samples, name, 'presigned'):.2f}"))
    print_table(f"Full download, medians of {rounds} rounds", ("", "seconds", "MiB/s", "of presigned"), rows)
    return [
        Target(
            "playback / pass-through (speed)",
            1 / ratio(samples, "playback", "pass-through"),
            LEAST_OF_PASS_THROUGH,
            at_most=False,
        ),
        Target(
            "playback / presigned (speed)",
            1 / ratio(samples, "playback", "presigned"),
            LEAST_OF_PRESIGNED,
            at_most=False,
        ),
    ]


def _whole(url: str, size: int) -> Download:
    got = download(url)
    if got.size != size:
        raise RuntimeError(f"{got.size} bytes arrived instead of {size}")
    return got


def _start_and_end(recording: Recording) -> dict[str, str]:
    last = recording.plain_size - 1
    return {
        "start": f"bytes=0-{RANGE_BYTES - 1}",
        "middle": f"bytes={recording.plain_size // 2}-{recording.plain_size // 2 + RANGE_BYTES - 1}",
        "end": f"bytes={last - RANGE_BYTES + 1}-{last}",
    }


def _compare_ranges(rounds: int, recording: Recording, url: str) -> list[Target]:
    ranges = _start_and_end(recording)
    samples = interleaved(
        rounds * 3,
        {
            "start": lambda: download(url, ranges["start"]).seconds,
            "middle": lambda: download(url, ranges["middle"]).seconds,
            "end": lambda: download(url, ranges["end"]).seconds,
            "presigned end": lambda: download(recording.presigned, ranges["end"]).seconds,
        },
    )
    rows = [
        (name, f"{statistics.median(seconds) * 1000:.1f}", f"{ratio(samples, name, 'start'):.2f}")
        for name, seconds in samples.items()
    ]
    print_table(f"Ranges of {RANGE_BYTES // 1024} KiB", ("", "ms", "of start"), rows)
    return [Target("range at the end / at the start (time)", ratio(samples, "end", "start"), 1.1)]


def _count_s3(form: str, setting: _Setting, url: str) -> list[Target]:
    """Play ranges through the second instance: the ticket holds for it too, since they share their secret."""
    there = f"http://127.0.0.1:{setting.counted.port}{path_of(url)}"
    rows, seen = [], {}
    for name, byte_range in _start_and_end(setting.recording).items():
        setting.proxy.forget()
        download(there, byte_range)
        requests = [record for record in setting.proxy.requests if record.path.startswith(f"/{BUCKET}/")]
        seen[name] = (len(requests), sum(record.bytes_sent for record in requests) / 1024)
        rows.append((name, str(seen[name][0]), f"{seen[name][1]:.1f}"))
    print_table(f"What S3 is asked for {RANGE_BYTES // 1024} KiB", ("", "requests", "KiB read"), rows)
    targets = [
        Target("S3 requests, end against start", seen["end"][0], seen["start"][0]),
        Target("S3 KiB, end against start", seen["end"][1], seen["start"][1] + 1),
    ]
    if form == "v2":
        targets = [
            Target("S3 requests for the last 64 KiB", seen["end"][0], 3),
            Target("S3 KiB for the last 64 KiB", seen["end"][1], 300),
        ]
    return targets


def _players(players: int, recording: Recording, service: Service, url: str) -> list[Target]:
    failures: list[BaseException] = []

    def play() -> None:
        try:
            _whole(url, recording.plain_size)
        except (OSError, RuntimeError) as error:
            failures.append(error)

    threads = [threading.Thread(target=play) for _ in range(players)]
    started = time.perf_counter()
    with watched(service.worker) as watch:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seconds = time.perf_counter() - started
    if failures:
        raise RuntimeError(f"{len(failures)} of {players} players failed") from failures[0]
    rate = players * recording.plain_size / MIB / seconds
    print_table(
        f"{players} players of the whole recording at once",
        ("", "seconds", "MiB/s together", "memory before", "peak", "growth"),
        [("", f"{seconds:.1f}", f"{rate:.0f}", *_memory(watch))],
    )
    return [
        Target(f"growth with {players} players", watch.growth_mib, GROWTH_BOUND_MIB, unit=" MiB"),
        _files_target(service, watch),
    ]


if __name__ == "__main__":
    main()
