"""Transcriptions from the phone to the sealed words: times, hardship, long recordings, costs of reading.

Service, workers, queue and engine are real processes and real sockets; the engine is one that finds the tone
bursts in what it is sent. moto stands in for AWS, and a proxy between breaks it or counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.support.process import cpu_seconds, resident_mib, watched
from bench.support.report import Target, print_table, print_targets
from tests.support.aws import start_moto
from tests.support.burst_clips import (
    NEAR_MS,
    Clip,
    Person,
    asking,
    clip,
    conversation,
    furthest_off,
)
from tests.support.burst_engine import in_full, with_bad_manners, without_times
from tests.support.bursts import bursts, encoded
from tests.support.engines import SpeechEngine
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.hardship import Hardship, Trial
from tests.support.many_transcripts import SELDOM, Overheard, search_to_the_end, write_many
from tests.support.patient_service import PatientService
from tests.support.processes import children
from tests.support.service import Service, aws_client, run_service
from tests.support.transcribing import SETTINGS, Transcribing, transcribing, when_over
from tests.support.transcripts import Owner, path

MANNERS = {"in full": in_full, "with bad manners": with_bad_manners, "without times": without_times}
GAPS: tuple[float | None, ...] = (0.4, 0.0, None, 30.0, -1.0, 0.9, 3.0)
QUEUE = "panzoto-transcriptions"
MESSAGE_BOUND_BYTES = 256 * 1024
GROWTH_BOUND_MIB = 100
LONG_SECONDS = 7200
# The frames of AMR-NB by their type, the byte that tells it included (RFC 4867, 5.3).
AMR_FRAME_BYTES = (13, 14, 16, 18, 20, 21, 27, 32)


@contextmanager
def started(**settings: str) -> Iterator[Transcribing]:
    with (
        start_moto() as url,
        SpeechEngine(in_full) as engine,
        transcribing(url, engine, **settings) as running,
    ):
        running.service = PatientService.over(running.service)
        yield running


@contextmanager
def counted_service() -> Iterator[tuple[Service, FaultProxy]]:
    """Give a service that finds AWS through a proxy; what the bench itself asks goes the straight way."""
    with (
        start_moto() as url,
        FaultProxy(url) as proxy,
        run_service(proxy.url, create_at=url, MAIL="off", **SETTINGS) as behind,
    ):
        yield PatientService.over(dataclasses.replace(behind, aws_url=url)), proxy


def somebody(running: Transcribing) -> Person:
    return Person(running.owner(f"{uuid.uuid4().hex}@example.com"))


def job_over(person: Person, seconds: float = LONG_SECONDS, **body: object) -> str:
    """Ask for transcripts and return how the job ended."""
    answer = person.owner.call("POST", "/api/transcriptions", json=body)
    assert answer.status_code == 202, answer.text
    status: str = when_over(person.owner, answer.json()["transcription"]["transcription_id"], seconds)[
        "status"
    ]
    return status


def times(arguments: argparse.Namespace) -> list[Target]:
    """Conversations of all kinds in small pieces: how far words are from the bursts that they are."""
    rows, worst, lost = [], 0.0, 0
    with started(TRANSCRIPTION_MAX_BYTES="50000") as running:
        running.start_worker()
        person = somebody(running)
        for name, manner in MANNERS.items():
            running.engine.manner = manner
            for number in range(arguments.conversations):
                running.engine.requests.clear()
                chance = random.Random(f"{arguments.seed} {name} {number}")
                gaps = chance.sample(GAPS, chance.randrange(len(GAPS)))
                clips = [person.record(one) for one in conversation(chance.uniform(3, 12), gaps)]
                status = job_over(person, **asking(clips))
                documents = [person.owner.opened(one.file_id) for one in clips]
                if name == "without times":
                    said = sum(len(part["text"].split()) for one in documents for part in one["segments"])
                    lost += abs(said - sum(len(one.places) for one in clips))
                    off = 0.0
                else:
                    pairs = zip(documents, clips, strict=True)
                    off = max(furthest_off(document, one.places) for document, one in pairs)
                worst = max(worst, off)
                pieces = len(running.engine.requests)
                rows.append((f"{name}, {len(clips)} clips", status, str(pieces), f"{off:.0f}"))
    print_table("Times", ("engine", "job", "pieces", "furthest off, ms"), rows)
    return [
        Target("furthest that a word is from its burst", worst, NEAR_MS, unit=" ms"),
        Target("words lost of an engine without times", lost, 0),
        Target("conversations that did not succeed", sum(row[1] != "succeeded" for row in rows), 0),
    ]


def hardship(arguments: argparse.Namespace) -> list[Target]:
    """Faults of the engine and of AWS, workers killed, cancels and writing by hand, all at once."""
    settings = {
        "TRANSCRIPTION_TIMEOUT": "3",
        "TRANSCRIPTIONS_AT_ONCE": "3",
        "TRANSCRIPTIONS_PER_USER": "4",
    }
    how = Hardship(arguments.runs, arguments.kills, arguments.workers, seed=arguments.seed)
    with started(**settings) as running, FaultProxy(running.service.aws_url) as proxy:
        begun = time.monotonic()
        outcome = Trial(running, proxy, how).run()
        seconds = time.monotonic() - begun
    told = {
        "seconds": round(seconds),
        "workers killed": outcome.killed,
        "transcripts written by workers, by hand": f"{outcome.written}, {outcome.by_hand}",
        "how jobs ended": dict(outcome.statuses),
        "why they failed": dict(outcome.errors),
        "faults of AWS": dict(outcome.faults),
        "dead letters": outcome.dead_letters,
    }
    print_table("Hardship", ("", ""), [(name, str(value)) for name, value in told.items()])
    for what in outcome.wrong:
        print(f"WRONG: {what}")
    return [
        Target("jobs asked for", outcome.asked, arguments.runs, at_most=False),
        Target("jobs that are over", sum(outcome.statuses.values()), arguments.runs, at_most=False),
        Target("workers killed", outcome.killed, arguments.kills, at_most=False),
        Target("things that should not be", len(outcome.wrong), 0),
    ]


def search(arguments: argparse.Namespace) -> list[Target]:
    """Searching and reading with storage: time, units, and the memory of the web worker."""
    rows, growth, reading = [], 0.0, 0
    for count in arguments.transcripts:
        with counted_service() as (service, proxy):
            owner = Owner(service, service.register("many@example.com"))
            write_many(owner, count)
            reading = max(reading, _calls_to_read(owner, proxy))
            for searched in _searches(owner, proxy):
                rows.append(searched.row(count))
                growth = max(growth, searched.growth_mib)
    columns = ("transcripts, query", "hits", "calls", "ms/1000", "CPU ms/1000", "units/1000", "growth MiB")
    print_table("Search, with what moto takes for its answers", columns, rows)
    return [
        Target("calls of DynamoDB to read a transcript", reading, 2),
        Target("growth of the web worker over a search", growth, 64, unit=" MiB"),
    ]


@dataclasses.dataclass(frozen=True)
class Searched:
    """What one search to the end took."""

    query: str
    hits: int
    calls: int
    seconds: float
    cpu_seconds: float
    units: float
    growth_mib: float

    def row(self, count: int) -> tuple[str, ...]:
        costs = (1000 * self.seconds, 1000 * self.cpu_seconds, self.units)
        per_thousand = (f"{1000 * cost / count:.0f}" for cost in costs)
        name = f"{count}, {self.query}"
        return (name, str(self.hits), str(self.calls), *per_thousand, f"{self.growth_mib:.1f}")


def _searches(owner: Owner, proxy: FaultProxy) -> Iterator[Searched]:
    ticket, overheard = owner.ticket(), Overheard()
    for operation in ("GetItem", "BatchGetItem", "Query"):
        proxy.add(Fault(overheard, operation=operation))
    (pid,) = owner.service.worker_pids()
    search_to_the_end(owner, ticket, "warming")
    for query in ("zebra", SELDOM, '"meeting tomorrow"'):
        overheard.forget()
        cpu, begun = cpu_seconds(pid), time.monotonic()
        with watched(pid) as memory:
            hits, calls = search_to_the_end(owner, ticket, query)
        seconds, cpu = time.monotonic() - begun, cpu_seconds(pid) - cpu
        yield Searched(query, hits, calls, seconds, cpu, overheard.units, memory.growth_mib)


def _calls_to_read(owner: Owner, proxy: FaultProxy) -> int:
    """Return how many calls of DynamoDB reading a transcript takes, beyond who asks being known."""
    newest = owner.changes()["transcripts"][-1]["file_id"]
    proxy.forget()
    owner.call("GET", path(newest))
    return sum(record.operation is not None for record in proxy.requests)


def long(arguments: argparse.Namespace) -> list[Target]:
    """A sitting of very many clips and a recording of an hour: memory of the worker, size of the message."""
    rows, targets = [], []
    with started() as running:
        person = somebody(running)
        running.start_worker()
        warming = [person.record(clip("wav", 2, (300,)))]
        assert job_over(person, **asking(warming)) == "succeeded"
        running.end_workers()
        jobs: dict[str, Callable[[], list[Clip]]] = {
            f"a sitting of {arguments.clips}": lambda: [clip("amr", 2, (300, 900))] * arguments.clips,
            f"one of {arguments.minutes} minutes": lambda: [_minutes(arguments.minutes)],
        }
        for name, made in jobs.items():
            clips = [person.record(one) for one in made()]
            answer = person.owner.call("POST", "/api/transcriptions", json=asking(clips))
            assert answer.status_code == 202, answer.text
            message = _message_bytes(running)
            running.engine.requests.clear()
            worker = running.start_worker()
            before = _idle_mib(worker.pid)
            with watched(worker.pid) as memory:
                over = when_over(
                    person.owner, answer.json()["transcription"]["transcription_id"], LONG_SECONDS
                )
            running.end_workers()
            growth = memory.resident_peak - before
            off = max(furthest_off(person.owner.opened(one.file_id), one.places) for one in clips)
            pieces = len(running.engine.requests)
            rows.append(
                (name, over["status"], str(pieces), f"{growth:.0f}", f"{message / 1024:.1f}", f"{off:.0f}")
            )
            targets += [
                Target(f"growth of the worker, {name}", growth, GROWTH_BOUND_MIB, unit=" MiB"),
                Target(f"message, {name}", message, MESSAGE_BOUND_BYTES, unit=" bytes"),
                Target(f"furthest off, {name}", off, NEAR_MS, unit=" ms"),
            ]
    print_table("Long", ("job", "", "pieces", "growth MiB", "message KiB", "furthest off, ms"), rows)
    return targets


def _minutes(count: int) -> Clip:
    """Return a recording of AMR, whose frames of 20 ms repeat after about a minute."""
    places = (500, 20_000, 41_000)
    made = encoded(bursts(8000, 60, places), "amr", "libopencore_amrnb", 8000)
    frames = made[6:]
    length = 20 * (len(frames) // AMR_FRAME_BYTES[frames[0] >> 3 & 15])
    heard = tuple(length * minute + place for minute in range(count) for place in places)
    return Clip(made[:6] + frames * count, heard)


def _message_bytes(running: Transcribing) -> int:
    """Return how large the message is that waits in the queue, and leave it there."""
    sqs = aws_client("sqs", running.service.aws_url)
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=10)["Messages"]
    return len(message["Body"].encode())


def _idle_mib(pid: int) -> float:
    """Return what a worker holds once it has loaded its code and has not begun to decode."""
    held = 0.0
    while not children(pid):
        held = resident_mib(pid)
        time.sleep(0.02)
    return held


TRIALS: dict[str, Callable[[argparse.Namespace], list[Target]]] = {
    "times": times,
    "hardship": hardship,
    "search": search,
    "long": long,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="*", choices=[*TRIALS, []], default=list(TRIALS), metavar="trial")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--conversations", type=int, default=6, help="times: of each engine")
    parser.add_argument("--runs", type=int, default=500, help="hardship")
    parser.add_argument("--kills", type=int, default=50, help="hardship")
    parser.add_argument("--workers", type=int, default=3, help="hardship")
    parser.add_argument("--transcripts", type=int, nargs="+", default=[1000, 10_000], help="search")
    parser.add_argument("--clips", type=int, default=500, help="long: of the sitting")
    parser.add_argument("--minutes", type=int, default=60, help="long: of the one recording")
    arguments = parser.parse_args()
    targets = [target for name in arguments.trials for target in TRIALS[name](arguments)]
    sys.exit(0 if print_targets(targets) else 1)


if __name__ == "__main__":
    main()
