"""Uploads under hardship: over a bad network, and while the processes of the service are being killed.

The tests run these stories in small and `bench/uploads.py` in full.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.support.aws import acting_as
from tests.support.commands import done
from tests.support.fault_proxy import FaultProxy
from tests.support.forked_commands import Command, forked
from tests.support.phone import Clip, GaveUp, Keys, Patience, Phone, Refused, bad_weather, sound
from tests.support.rows import FILES_TABLE, USERS_TABLE
from tests.support.service import BUCKET, PASSWORD, Service, aws_client, start_forked
from tests.support.waiting import eventually

CLAIMS_TABLE = "panzoto-claims"
DAY = 86400
# Recordings longer than this go up in parts. The smallest part has 16 MiB, so most of them have one.
SINGLE_UPLOAD_MAX = 32 * 1024
SETTINGS = {
    "SINGLE_UPLOAD_MAX": str(SINGLE_UPLOAD_MAX),
    "LIMIT_REGISTER": "100000 per minute",
    "LIMIT_LOGIN": "100000 per minute",
    "LIMIT_DECRYPT": "100000 per minute",
}
# A bad network is one whose phones do not wait a minute for what never comes.
IMPATIENT = Patience(connect_seconds=2, read_seconds=3, pace=0.1)


@dataclass
class Delivered:
    """What came of uploads over a bad network: what each should play, as its digest, and what was met."""

    expected: dict[str, str] = field(default_factory=dict)
    met: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    uploads: int = 0
    object_bytes: int = 0
    multipart: int = 0
    silent: int = 0


def deliver_in_bad_weather(
    service: Service,
    account: dict[str, Any],
    count: int,
    *,
    seed: int = 1,
    share: float = 0.06,
    threads: int = 6,
    long_ones: int = 0,
) -> Delivered:
    """Upload `count` recordings over proxies that break things, each until it has arrived.

    Every fourth goes up in parts, `long_ones` of those in two; two of three of
    the others fall silent after their PUT, so that the bucket's events commit them.
    """
    chance = random.Random(seed)
    keys = Keys(account, PASSWORD)
    result = Delivered(uploads=count)
    with ExitStack() as stack:
        to_service = stack.enter_context(FaultProxy(service.url))
        to_s3 = stack.enter_context(FaultProxy(service.aws_url))
        weather = bad_weather(to_service, seed, share) + bad_weather(to_s3, seed + 1, share)
        phone = Phone(account, PASSWORD, to_service.url, to_s3.url, IMPATIENT)
        stack.enter_context(events_worker(service))
        with ThreadPoolExecutor(threads) as pool:
            jobs = []
            for number in range(count):
                clip, silent = _clip(keys, chance, number, long_ones)
                result.object_bytes += clip.size
                result.multipart += clip.size > SINGLE_UPLOAD_MAX
                result.silent += silent
                jobs.append((clip, pool.submit(persist, phone, clip, not silent)))
            for clip, job in jobs:
                result.expected[job.result()] = clip.plain_sha256
        for fault in weather:
            result.faults[type(fault.action).__name__] += fault.applied
        _wait_until_stored(service, account, set(result.expected))
    result.met = phone.counts
    return result


def _clip(keys: Keys, chance: random.Random, number: int, long_ones: int) -> tuple[Clip, bool]:
    """Return the recording with this number, and whether its phone falls silent after the PUT."""
    if number % 4 == 0:
        least = 17 * 1024 * 1024 if number // 4 < long_ones else SINGLE_UPLOAD_MAX
        return keys.version_2(sound(chance, least, least + 20_000)), False
    make = keys.single_shot if number % 2 else keys.version_2
    return make(sound(chance, 0, SINGLE_UPLOAD_MAX - 5000)), number % 4 < 3


def persist(phone: Phone, clip: Clip, says_complete: bool = True) -> str:
    """Come back as often as it takes."""
    while True:
        with suppress(GaveUp):
            return phone.deliver(clip, says_complete)


def _wait_until_stored(service: Service, account: dict[str, Any], file_ids: set[str]) -> None:
    """Give the bucket's events the time to commit what phones did not."""

    def waiting() -> list[str]:
        pending = (one for one in _scan(service, FILES_TABLE) if one.get("status", {}).get("S") == "pending")
        return [one["file_id"]["S"] for one in pending if one["file_id"]["S"] in file_ids]

    eventually(lambda: not waiting(), waiting)


def played_wrong(phone: Phone, expected: dict[str, str]) -> int:
    """Play each recording and return how many are not, by their digest, what was recorded."""
    wrong = 0
    for file_id, plain in expected.items():
        opened = phone.call("POST", "/api/decrypt-audio", {"password": PASSWORD, "file_id": file_id})
        heard = requests.get(opened["download_url"], timeout=60).content
        wrong += hashlib.sha256(heard).hexdigest() != plain
    return wrong


def listed(phone: Phone) -> list[str]:
    """Return the file_ids of all pages of the list."""
    found: list[str] = []
    query: dict[str, Any] = {"limit": 500}
    while query.get("cursor", "") is not None:
        page = phone.call("GET", "/api/user/audio-files", **query)
        found += [audio_file["file_id"] for audio_file in page["audio_files"]]
        query["cursor"] = page["next_cursor"]
    return found


@dataclass
class Machine:
    """The web processes and the events worker of one service, which can be killed and come up again."""

    service: Service
    chance: random.Random
    events: Command | None = None
    killed: Counter[str] = field(default_factory=Counter)

    def kill_something(self) -> None:
        """Kill a web worker, all of the web tier or the events worker, with no time for anything."""
        what = self.chance.choices(("web worker", "whole web tier", "events worker"), (5, 2, 3))[0]
        self.killed[what] += 1
        if what == "web worker":
            with suppress(ProcessLookupError, IndexError):
                os.kill(self.chance.choice(self.service.worker_pids()), signal.SIGKILL)
        elif what == "whole web tier":
            self.stop()
            self.start()
        else:
            self.stop_events()
            self.start_events()

    def start(self) -> None:
        environment = acting_as("web", self.service.environment)
        self.service.process = start_forked(environment, self.service.log_path)

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.service.process.pid, signal.SIGKILL)
        self.service.process.wait()

    def start_events(self) -> None:
        self.events = _start_events(self.service)

    def stop_events(self) -> None:
        if self.events is not None:
            self.events.kill()
            self.events.wait()

    def wait_until_healthy(self) -> None:
        def healthy() -> bool:
            with suppress(requests.RequestException):
                return requests.get(self.service.url + "/api/health", timeout=5).ok
            return False

        eventually(healthy, lambda: "the service did not come up again:\n" + self.service.log()[-4000:])


@contextmanager
def machine(service: Service, seed: int) -> Iterator[Machine]:
    """A machine whose web tier runs before and after; its events worker runs while the block does."""
    running = Machine(service, random.Random(seed))
    running.start_events()
    try:
        yield running
    finally:
        running.stop_events()


@contextmanager
def events_worker(service: Service) -> Iterator[None]:
    """Run `flask panzoto events` while the block runs."""
    worker = _start_events(service)
    try:
        yield
    finally:
        worker.kill()
        worker.wait()


def _start_events(service: Service) -> Command:
    return forked().start(acting_as("events", service.environment), "events", output=service.log_path)


@dataclass
class Lives:
    """What phones did while processes were killed: `kept` must play in the end, `gone` must not be there."""

    kept: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    did: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)


def live_under_kills(
    running: Machine, account: dict[str, Any], kills: int, *, threads: int = 4, apart: float = 1.5
) -> Lives:
    """Let phones upload, give up, bin and erase while so many kills happen, `apart` seconds apart at most."""
    lives, keys, stop = Lives(), Keys(account, PASSWORD), threading.Event()
    guard = threading.Lock()
    phone = Phone(account, PASSWORD, running.service.url, patience=IMPATIENT)

    def live(number: int) -> None:
        chance = random.Random(number)
        while not stop.is_set():
            _one_life(phone, keys, chance, lives, guard)

    with ThreadPoolExecutor(threads) as pool:
        lived = [pool.submit(live, number) for number in range(threads)]
        try:
            for _ in range(kills):
                time.sleep(running.chance.uniform(0, apart))
                running.kill_something()
                if running.killed.total() % 10 == 0:
                    # Kills faster than starts would leave nothing to be killed.
                    running.wait_until_healthy()
            running.wait_until_healthy()
        finally:
            stop.set()
        for one in lived:
            one.result()
    lives.met = phone.counts
    return lives


def _one_life(phone: Phone, keys: Keys, chance: random.Random, lives: Lives, guard: threading.Lock) -> None:
    what = chance.choices(
        ("complete", "say nothing", "give up", "erase", "bin", "restore", "abandon"),
        (40, 15, 10, 20, 5, 5, 5),
    )[0]
    longest = SINGLE_UPLOAD_MAX * 2 if chance.random() < 0.3 else SINGLE_UPLOAD_MAX // 4
    clip = keys.version_2(sound(chance, longest // 2, longest))
    file_id = ""
    try:
        if what in ("give up", "abandon"):
            file_id = _patiently(lambda: _half(phone, clip, chance))
            if what == "give up":
                _patiently(lambda: phone.call("DELETE", f"/api/uploads/{file_id}"))
        else:
            file_id = _patiently(lambda: phone.deliver(clip, what != "say nothing"))
            path = f"/api/audio-file/{file_id}"
            if what == "erase":
                _patiently(lambda: phone.call("DELETE", path, permanent="true"))
            elif what in ("bin", "restore"):
                _patiently(lambda: phone.call("DELETE", path))
            if what == "restore":
                _patiently(lambda: phone.call("POST", path + "/restore"))
    except Refused as refused:
        # After a lost answer 404 means that it was done, and 409 that the events worker was faster.
        with guard:
            lives.refused[f"{what}: {refused.status} {refused.code}"] += 1
        if refused.status != 404:
            return
    with guard:
        lives.did[what] += 1
        if what in ("complete", "say nothing", "restore"):
            lives.kept[file_id] = clip.plain_sha256
        elif what in ("give up", "erase"):
            lives.gone.add(file_id)


def _half(phone: Phone, clip: Clip, chance: random.Random) -> str:
    """Announce, and perhaps put the bytes there."""
    announced = phone.call("POST", "/api/uploads", clip.announcement())
    if announced["upload"] is not None and chance.random() < 0.5:
        phone.send(clip, announced)
    file_id: str = announced["file_id"]
    return file_id


def _patiently(act: Callable[[], Any]) -> Any:
    while True:
        with suppress(GaveUp):
            return act()


def sweep_in_two_nights(service: Service) -> list[dict[str, Any]]:
    """Sweep with `--apply` twice, each time two days after all that has happened; return what each told.

    What the first gives up the second removes: no address that was given out is
    good any more. The stand-in's objects must look as old already: the sweep's own
    rule, a day, is what decides.
    """
    told = []
    for _ in range(2):
        let_time_pass(service, 2 * DAY)
        told.append(sweep(service, "--apply"))
    return told


def let_time_pass(service: Service, seconds: float) -> None:
    """Make every announcement so much older, and let what an address holds back end so much earlier."""
    dynamodb = aws_client("dynamodb", service.aws_url)
    for item in _scan(service, FILES_TABLE):
        for name in {"announced_at", "erase_after"} & item.keys():
            dynamodb.update_item(
                TableName=FILES_TABLE,
                Key={"file_id": item["file_id"]},
                UpdateExpression=f"SET {name} = :earlier",
                ConditionExpression="attribute_exists(file_id)",
                ExpressionAttributeValues={":earlier": {"N": str(float(item[name]["N"]) - seconds)}},
            )
    for item in _scan(service, USERS_TABLE):
        if "reservations" in item:
            held = json.loads(item["reservations"]["S"])
            earlier = [(ends - seconds, recordings, size) for ends, recordings, size in held]
            dynamodb.update_item(
                TableName=USERS_TABLE,
                Key={"user_id": item["user_id"]},
                UpdateExpression="SET reservations = :earlier",
                ConditionExpression="reservations = :before",
                ExpressionAttributeValues={
                    ":earlier": {"S": json.dumps(earlier)},
                    ":before": item["reservations"],
                },
            )


def sweep(service: Service, *words: str) -> dict[str, Any]:
    """Run `recordings sweep` and return its log line with the printed table as `printed`."""
    printed = done(service, "sweep", "recordings", "sweep", *words)
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    told: dict[str, Any] = next(line for line in lines if line["event"] == "sweep_finished")
    return told | {"printed": printed}


# What an interruption may leave for longer than a sweep: what no table knows of is not erased because it is
# old. In the folder of an account it stays as long as the account; an unfinished upload waits.
MAY_BE_LEFT = ("objects without record", "unfinished multipart uploads")


def wrong(service: Service) -> Counter[str]:
    """Return what a sweep has to have put right: all discrepancies but what may be left."""
    return Counter({name: count for name, count in discrepancies(service).items() if name not in MAY_BE_LEFT})


def discrepancies(service: Service) -> Counter[str]:
    """Compare tables and bucket, whole, by means of the SDK alone; nothing should be counted."""
    found: Counter[str] = Counter()
    rows = {item["file_id"]["S"]: item for item in _scan(service, FILES_TABLE)}
    objects, uploads = _in_bucket(service)
    keys = {item["s3_key"]["S"] for item in rows.values()}
    found["objects without record"] = len(objects - keys)
    found["recordings without object"] = len(keys - objects)
    found["not stored"] = sum(item.get("status", {}).get("S") != "stored" for item in rows.values())
    found["unfinished multipart uploads"] = uploads
    claims = {item["claim"]["S"]: item for item in _scan(service, CLAIMS_TABLE)}
    claimed = {claim.removeprefix("s3key#") for claim in claims if claim.startswith("s3key#")}
    found["recordings without claim"] = len(keys - claimed)
    found["claims without recording"] = len(claimed - keys)
    named = [
        item.get("file_id", {}).get("S") for claim, item in claims.items() if claim.startswith("client#")
    ]
    found["client ids without recording"] = sum(file_id not in rows for file_id in named)
    for user in _scan(service, USERS_TABLE):
        own = [item for item in rows.values() if item["user_id"] == user["user_id"]]
        counted = [int(item["file_size"]["N"]) for item in own if _counts(item)]
        there = tuple(int(user.get(name, {}).get("N", 0)) for name in ("used_recordings", "used_bytes"))
        found["accounts counted wrong"] += there != (len(counted), sum(counted))
    return found


def _counts(item: dict[str, Any]) -> bool:
    return "deleted_at" not in item and item.get("status", {}).get("S") != "erasing"


def _in_bucket(service: Service) -> tuple[set[str], int]:
    s3 = service.s3()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="users/")
    objects = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    uploads = s3.get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET)
    return objects, sum(len(page.get("Uploads", [])) for page in uploads)


def _scan(service: Service, table: str) -> Iterator[dict[str, Any]]:
    for page in service.dynamodb().get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]
