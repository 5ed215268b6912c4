"""The whole life of recordings under hardship: `flaky`, `collection`, `kills` and `large`.

flaky       uploads over proxies that drop, stall, cut, lose answers and repeat requests
collection  ten thousand recordings of one user: what pages cost, and that nothing is hidden or told twice
kills       web processes and the events worker killed while uploads are going on, and a sweep afterwards
large       one long multipart upload, resumed three times and played at its end
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.support.process import Watch, watched
from bench.support.recordings import MIB, Plain
from bench.support.report import Target, print_table, print_targets
from bench.support.service import SECRET_KEY
from bench.support.stand_in import MINISTACK, stand_in
from panzoto import create_app
from panzoto.config import Argon2Parameters, Settings
from panzoto.crypto import segments
from panzoto.models import User, connection
from panzoto.recordings import ledger, settling
from tests.support import collection, uploading
from tests.support.aws import start_moto
from tests.support.aws_calls import KEY_PREFIX
from tests.support.collection import Reader, Walk
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import CutSent, Fault
from tests.support.phone import Clip, Content, GaveUp, KeptFile, Keys, Patience, Phone, object_size
from tests.support.service import BUCKET, PASSWORD, Service, run_service

EMAIL = "phone@example.com"
FLAT = 1.1
GROWTH_BOUND_MIB = 48
RANGE_BYTES = 64 * 1024
# Refreshing a token has to survive the bad network, too.
SHORT_TOKENS = {"TOKEN_TTL": "30"}
ARGON2 = Argon2Parameters(5, 7168, 1)


def main() -> None:
    arguments = _arguments()
    if getattr(arguments, "stand_in", "") == "ministack" and not MINISTACK.exists():
        sys.exit("ministack is not there: `make run` installs it once, or MINISTACK names it.")
    started = time.monotonic()
    targets = list(arguments.trial(arguments))
    print(f"\n{time.monotonic() - started:.0f} s, seed {arguments.seed}")
    sys.exit(0 if print_targets(targets) else 1)


def flaky(arguments: argparse.Namespace) -> Iterator[Target]:
    settings = uploading.SETTINGS | SHORT_TOKENS
    with start_moto(object_age_days=2) as aws, run_service(aws, **settings) as service:
        account = service.register(EMAIL)
        delivered = uploading.deliver_in_bad_weather(
            service,
            account,
            arguments.uploads,
            seed=arguments.seed,
            share=arguments.share,
            long_ones=arguments.long_ones,
        )
        swept = uploading.sweep_in_two_nights(service)
        phone = Phone(account, PASSWORD, service.url)
        shown = uploading.listed(phone)
        usage = phone.call("GET", "/api/user")["usage"]
        wrong = uploading.played_wrong(phone, delivered.expected)
        print_table(
            f"{delivered.uploads} uploads of {delivered.object_bytes / MIB:.0f} MiB: "
            f"{delivered.multipart} in parts, {delivered.silent} whose phone never said complete",
            ("what phones met", "times"),
            [(name, str(count)) for name, count in sorted(delivered.met.items())],
        )
        _print_counts("Faults of the network", delivered.faults)
        yield Target(
            "recordings that play back", len(delivered.expected) - wrong, delivered.uploads, at_most=False
        )
        yield Target("recordings missing from the list", len(set(delivered.expected) - set(shown)), 0)
        yield Target("recordings in the list twice", len(shown) - len(set(shown)), 0)
        yield Target("others in the list", len(set(shown) - set(delivered.expected)), 0)
        yield Target("recordings counted wrong", abs(usage["recordings"] - delivered.uploads), 0)
        yield Target("bytes counted wrong", abs(usage["bytes"] - delivered.object_bytes), 0)
        yield Target("failures of the sweeps", sum(night["failed"] for night in swept), 0)
        yield from _nothing_left(service)


def kills(arguments: argparse.Namespace) -> Iterator[Target]:
    settings = uploading.SETTINGS | {"WEB_CONCURRENCY": str(arguments.workers)}
    with start_moto(object_age_days=2) as aws, run_service(aws, **settings) as service, ExitStack() as stack:
        account = service.register(EMAIL)
        running = stack.enter_context(uploading.machine(service, arguments.seed))
        lives = uploading.live_under_kills(running, account, arguments.kills, apart=arguments.apart)
        _print_counts(f"{running.killed.total()} kills", running.killed)
        _print_counts("What phones did meanwhile", lives.did)
        _print_counts("What they met", lives.met + lives.refused)
        _print_counts("Found before the sweep", uploading.discrepancies(service))
        swept = uploading.sweep_in_two_nights(service)
        for night in swept:
            print(night["printed"].partition("\n")[2])
        phone = Phone(account, PASSWORD, service.url)
        shown = uploading.listed(phone)
        wrong = uploading.played_wrong(phone, lives.kept)
        yield Target("recordings that were delivered and do not play", wrong, 0)
        yield Target("of them not in the list", len(set(lives.kept) - set(shown)), 0)
        yield Target("given up or erased and still in the list", len(lives.gone & set(shown)), 0)
        yield Target("recordings in the list twice", len(shown) - len(set(shown)), 0)
        yield Target("answers 500", sum(count for name, count in lives.refused.items() if ": 500" in name), 0)
        yield Target("failures of the sweeps", sum(night["failed"] for night in swept), 0)
        again = uploading.sweep(service)
        yield Target("found by a second sweep", again["found"] - again["first_seen"] - again["waiting"], 0)
        yield from _nothing_left(service)


def many(arguments: argparse.Namespace) -> Iterator[Target]:
    # A token of one service has to be good for the other.
    settings = uploading.SETTINGS | {"SECRET_KEY": SECRET_KEY}
    with ExitStack() as stack:
        aws = stack.enter_context(stand_in(arguments.stand_in))
        proxy = stack.enter_context(FaultProxy(aws))
        service = stack.enter_context(run_service(proxy.url, create_at=aws, **settings))
        direct = stack.enter_context(run_service(aws, **settings))
        started = time.monotonic()
        user_id = collection.write_recordings(direct, arguments.recordings)
        _settle(direct, user_id)
        token = direct.call("POST", "/api/login", json=_credentials(collection.EMAIL)).json()["token"]
        everything = list(collection.all_listed(direct, token))
        binned = random.Random(arguments.seed).sample(everything, arguments.trashed)
        collection.bin_some(direct, token, binned)
        seconds = time.monotonic() - started
        print(f"{arguments.recordings} recordings written, settled and some binned in {seconds:.0f} s")
        reader = Reader(service, token, proxy)
        yield from _pages(direct, reader)
        yield from _changes(direct, reader, arguments)
        usage = direct.call("GET", "/api/user", token).json()["usage"]
        there = len(collection.all_listed(direct, token))
        yield Target("recordings counted wrong", abs(usage["recordings"] - there), 0)
        recounted = [ledger.recount(user) for user in User.all_counted()]
        yield Target("accounts that had drifted", sum(told != real for told, real in recounted), 0)


def _pages(direct: Service, reader: Reader) -> Iterator[Target]:
    made: list[str] = []

    def create() -> None:
        made.append(collection.record(direct, reader.token))

    def was_there() -> set[str]:
        return set(collection.all_listed(direct, reader.token))

    rows = []
    for name, path, shown, is_list in (
        ("list", "/api/user/audio-files", collection.files, True),
        ("list by recorded_at", "/api/user/audio-files?order=recorded_at", collection.files, True),
        ("timeline", "/api/user/timeline", collection.clips, True),
        ("trash", "/api/user/trash", collection.files, False),
    ):
        before = was_there() if is_list else set()
        walk = reader.walk(path, shown, create if is_list else None)
        rows.append(_row(name, walk))
        yield Target(f"{name}: last full page by the first", walk.ratio(), FLAT)
        yield Target(f"{name}: told twice", len(walk.told) - len(set(walk.told)), 0)
        yield Target(f"{name}: hidden", len(before - set(walk.told)), 0)
    _print_costs(rows)
    print(f"  {len(made)} were recorded while somebody paged")


def _changes(direct: Service, reader: Reader, arguments: argparse.Namespace) -> Iterator[Target]:
    costs = [cost for _, _, cost in reader.changes(None, collection.PAGE)]
    walk = Walk("changes", costs[:-1] or costs)
    _print_costs([_row("changes", walk)])
    yield Target("changes: last full page by the first", walk.ratio(), FLAT)
    reader.measures = False
    chance = random.Random(arguments.seed)
    there = collection.points(reader, arguments.points, 100, chance)
    collection.meddle(direct, reader.token, list(collection.all_listed(direct, reader.token)), chance, 200)
    expected = collection.all_listed(direct, reader.token)
    differing = 0
    for since, known in there:
        for changes, _, _ in reader.changes(since, 1000):
            collection.apply(known, changes)
        differing += known != expected
    print(f"  changes replayed from {len(there)} points, after 200 edits, deletions and creates")
    yield Target("points from which changes rebuild something else", differing, 0)


def large(arguments: argparse.Namespace) -> Iterator[Target]:
    with ExitStack() as stack:
        aws = stack.enter_context(stand_in(arguments.stand_in, KEY_PREFIX + "web"))
        service = stack.enter_context(run_service(aws, **uploading.SETTINGS, TICKET_TTL="86400"))
        to_s3 = stack.enter_context(FaultProxy(aws))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="panzoto-bench-upload-")))
        account = service.register(EMAIL)
        token = account["token"]
        (worker,) = service.worker_pids()
        service.call("GET", "/api/user/audio-files", token)
        service.call("POST", "/api/login", json=_credentials(EMAIL))
        last = _LastBytes(arguments.size_mib * MIB)
        clip = Clip(object_size(last.plain.size), _Sealing(Keys(account, PASSWORD), last, folder))
        with watched(worker) as uploading_watch:
            file_id, resumed, sent = _resumed(clip, account, service, to_s3, arguments)
        with watched(worker) as opening:
            body = {"password": PASSWORD, "file_id": file_id}
            opened = service.call("POST", "/api/decrypt-audio", token, json=body)
            opened.raise_for_status()
        with watched(worker) as playing:
            end = {"Range": f"bytes=-{RANGE_BYTES}"}
            heard = service.call("GET", opened.json()["download_url"], headers=end)
        size = service.s3().head_object(Bucket=BUCKET, Key=opened.json()["file_info"]["s3_key"])[
            "ContentLength"
        ]
        growth = {
            "uploading": uploading_watch,
            "decrypt-audio": opening,
            "playing the end": playing,
        }
        print_table(
            f"{size / MIB:.0f} MiB in parts, {sent / MIB:.0f} MiB sent",
            ("the web worker while", "before", "peak", "growth"),
            [(name, *_memory(watch)) for name, watch in growth.items()],
        )
        argon2_mib = ARGON2.memory_cost_kib / 1024
        print(f"  (decrypt-audio's peak holds one Argon2 computation of {argon2_mib:.0f} MiB)")
        yield Target("times resumed", resumed, 3, at_most=False)
        yield Target("object's bytes that are wrong in number", abs(size - clip.size), 0)
        yield Target("sent by sent once", sent / clip.size, 1.05)
        yield Target("last 64 KiB that differ", int(heard.content != bytes(last.tail)), 0)
        yield Target("growth while uploading", uploading_watch.growth_mib, GROWTH_BOUND_MIB, unit=" MiB")
        opened_mib = max(0.0, opening.growth_mib - argon2_mib)
        yield Target("growth in decrypt-audio beside Argon2", opened_mib, GROWTH_BOUND_MIB, unit=" MiB")
        yield Target("growth while playing", playing.growth_mib, GROWTH_BOUND_MIB, unit=" MiB")


class _LastBytes:
    """A long plain recording in pieces, of which the last 64 KiB are remembered."""

    def __init__(self, size: int) -> None:
        self.plain = Plain(size)
        self.tail = bytearray()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.plain:
            self.tail = (self.tail + piece)[-RANGE_BYTES:]
            yield piece


class _Sealing:
    """Encrypts a long recording into a file, segment by segment, as a phone with little memory does."""

    def __init__(self, keys: Keys, plain: Iterable[bytes], folder: Path) -> None:
        self._keys, self._plain, self._folder = keys, plain, folder

    def __call__(self, s3_key: str) -> Content:
        path = self._folder / "object"
        with path.open("wb") as file:
            for piece in segments.encrypt(self._keys.vault_key, s3_key, self._plain):
                file.write(piece)
        return KeptFile(path)


def _resumed(
    clip: Clip, account: dict[str, Any], service: Service, to_s3: FaultProxy, arguments: argparse.Namespace
) -> tuple[str, int, int]:
    """Upload with three interruptions; returns file_id, how often it was resumed, and bytes sent to S3.

    Each time the network goes away in the middle of a part, and another phone process goes on with what
    the service says is missing.
    """
    chance = random.Random(arguments.seed)
    hurried = Patience(connect_seconds=10, read_seconds=300, pace=0.01)
    phone = Phone(account, PASSWORD, service.url, to_s3.url, hurried)
    announced = phone.call("POST", "/api/uploads", clip.announcement())
    file_id: str = announced["file_id"]
    resumed = 0
    for _ in range(3):
        parts = len(announced["upload"]["parts"])
        some = chance.randint(1, max(1, parts // 2))
        phone.send(clip, announced, most_parts=some)
        # From here on nothing gets through, in the middle of the next part.
        fault = to_s3.add(Fault(CutSent(MIB // 4), method="PUT"))
        announced = phone.call("GET", f"/api/uploads/{file_id}")
        try:
            phone.send(clip, announced, most_parts=1)
        except GaveUp:
            resumed += 1
        to_s3.clear()
        if not fault.applied:
            raise RuntimeError("the upload was not interrupted")
        phone = Phone(account, PASSWORD, service.url, to_s3.url, Patience(10, 300))
        announced = phone.call("GET", f"/api/uploads/{file_id}")
        stored = len(announced["stored_parts"])
        print(f"  interrupted: {stored} parts are stored, {len(announced['upload']['parts'])} are missing")
        phone = Phone(account, PASSWORD, service.url, to_s3.url, hurried)
    phone = Phone(account, PASSWORD, service.url, to_s3.url, Patience(10, 300))
    # The stand-in copies the parts together for longer than the service waits, and then again.
    uploading.persist(phone, clip)
    sent = sum(record.bytes_received for record in to_s3.requests if record.method == "PUT")
    return file_id, resumed, sent


def _nothing_left(service: Service) -> Iterator[Target]:
    for name, count in uploading.wrong(service).items():
        yield Target(name, count, 0)


def _settle(service: Service, user_id: str) -> None:
    """Claim, number and count what was written, in this process."""
    # For each query the stand-in sorts all there is, which takes longer than the service would wait.
    connection.READ_TIMEOUT_SECONDS = connection.BaseMeta.read_timeout_seconds = 60
    os.environ.update(service.environment)
    create_app(Settings.from_environment())
    user = User.find(user_id)
    if user is None:
        raise RuntimeError("the account was not written")
    settling.settle(user)


def _credentials(email: str) -> dict[str, str]:
    return {"email": email, "password": PASSWORD}


def _memory(watch: Watch) -> tuple[str, str, str]:
    return (
        f"{watch.resident_before:.0f} MiB",
        f"{watch.resident_peak:.0f} MiB",
        f"{watch.growth_mib:.1f} MiB",
    )


def _row(name: str, walk: Walk) -> tuple[str, ...]:
    first, last = walk.costs[0], walk.costs[-1]
    costs = (str(first.requests), str(last.requests), f"{first.answer_bytes / 1024:.1f}")
    return (name, str(len(walk.costs)), *costs, f"{last.answer_bytes / 1024:.1f}")


def _print_costs(rows: Iterable[tuple[str, ...]]) -> None:
    columns = ("", "full pages", "requests, first", "last", "KiB read, first", "last")
    print_table("What DynamoDB is asked for a page of fifty", columns, rows)


def _print_counts(title: str, counts: Counter[str]) -> None:
    print_table(title, ("", "times"), [(name, str(count)) for name, count in sorted(counts.items())])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=11)
    trials = parser.add_subparsers(required=True, metavar="TRIAL")
    one = trials.add_parser("flaky")
    one.set_defaults(trial=flaky)
    one.add_argument("--uploads", type=int, default=200)
    one.add_argument("--share", type=float, default=0.06, help="of requests, hit by each kind of fault")
    one.add_argument("--long-ones", type=int, default=4, help="how many go up in two parts of 16 MiB")
    one = trials.add_parser("collection")
    one.set_defaults(trial=many)
    one.add_argument("--recordings", type=int, default=10_000)
    one.add_argument("--trashed", type=int, default=500)
    one.add_argument("--points", type=int, default=50, help="from how many cursors changes are replayed")
    _add_stand_in(one)
    one = trials.add_parser("kills")
    one.set_defaults(trial=kills)
    one.add_argument("--kills", type=int, default=200)
    one.add_argument("--apart", type=float, default=3.0, help="most seconds between two kills")
    one.add_argument("--workers", type=int, default=3)
    one = trials.add_parser("large")
    one.set_defaults(trial=large)
    one.add_argument("--size-mib", type=int, default=2048)
    _add_stand_in(one)
    return parser.parse_args()


def _add_stand_in(parser: argparse.ArgumentParser) -> None:
    # moto copies its tables whole for every transaction, and keeps objects in memory.
    parser.add_argument("--stand-in", default="ministack", help="ministack or a URL")


if __name__ == "__main__":
    main()
