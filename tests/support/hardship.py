"""Transcriptions under hardship: engines and AWS that fail, workers that are killed, owners who think again.

A trial asks for many transcripts of many accounts while all that happens, waits until it is quiet, and then
compares the jobs with the recordings, the events, the transcripts themselves and both queues.
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.aws import acting_as
from tests.support.burst_clips import NEAR_MS, Person, Recorded, asking, clip, furthest_off, listened
from tests.support.burst_engine import FAULTS, sometimes
from tests.support.fault_proxy import Action, Answer, Cut, Fault, FaultProxy, LoseReply, Refuse, Request
from tests.support.forked_commands import forked
from tests.support.patient_service import PatientService
from tests.support.service import aws_client
from tests.support.transcribing import OVER, Transcribing
from tests.support.transcripts import Owner
from tests.support.waiting import eventually

QUEUE = "panzoto-transcriptions"
TABLE = "panzoto-transcriptions"
SECONDS = 1.5
# Where the bursts of the recordings are.
PLACES = ((200,), (150, 700), (400, 900, 1250))
BY_HAND = "written by hand"
# How long everything may take to come to rest: a killed worker's jobs wait half a minute, failures some more.
QUIET_SECONDS = 900


@dataclass(frozen=True)
class Hardship:
    """What a trial does: shares are of all requests of a kind, from 0 to 1."""

    runs: int
    kills: int
    workers: int = 2
    accounts: int = 6
    seed: int = 7
    engine_share: float = 0.2
    engine_refuses: float = 0.02
    aws_share: float = 0.06
    # Now and then nothing of a service works for a moment, longer than its clients try again.
    storms: bool = True


@dataclass
class Outcome:
    """What was seen; `wrong` says in words whatever should not have been."""

    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    killed: int = 0
    by_hand: int = 0
    written: int = 0
    dead_letters: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass
class _Recording:
    """A recording, the jobs over it in order, and what its owner has written since the last was asked for."""

    stored: Recorded
    jobs: list[str] = field(default_factory=list)
    is_by_hand: bool = False
    puts: int = 0

    @property
    def owner(self) -> Owner:
        return self.stored.owner

    @property
    def file_id(self) -> str:
        return self.stored.file_id


class Trial:
    """One trial against a service whose workers reach AWS through `proxy`."""

    def __init__(self, running: Transcribing, proxy: FaultProxy, how: Hardship) -> None:
        self._running = running
        self._service = PatientService.over(running.service)
        self._proxy = proxy
        self._how = how
        self._chance = random.Random(how.seed)
        self._sounds = [clip("wav", SECONDS, places) for places in PLACES]
        self._recordings: list[_Recording] = []
        self._jobs: dict[str, Owner] = {}
        self._users: set[str] = set()
        self._canceled: set[str] = set()
        self._first_ends: dict[str, tuple[str, Any]] = {}
        self._revisions: dict[str, set[str]] = defaultdict(set)
        self._progress: dict[str, float] = {}
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Do it all, and look at what came of it."""
        emails = (f"{uuid.uuid4().hex}@example.com" for _ in range(self._how.accounts))
        people = [Person(Owner(self._service, self._service.register(email))) for email in emails]
        self._users = {person.owner.user_id for person in people}
        chance = random.Random(self._how.seed + 1)
        self._running.engine.manner = sometimes(
            FAULTS, self._how.engine_share, self._how.engine_refuses, chance
        )
        for _ in range(self._how.workers):
            self._start_worker()
        with self._watched(), faults_of_aws(self._proxy, self._how) as faults:
            kills = threading.Thread(target=self._kill_now_and_then)
            kills.start()
            while self.outcome.asked < self._how.runs:
                self._one_run(self._chance.choice(people))
            kills.join()
            self._wait_until_quiet()
        for fault in faults:
            self.outcome.faults[type(fault.action).__name__] += fault.applied
        self._running.end_workers()
        self._judge()
        return self.outcome

    def _start_worker(self) -> None:
        """Start one that reaches AWS through the proxy and has a file for what it says, which is much."""
        service = self._running.service
        environment = acting_as("transcriptions", service.environment | {"AWS_ENDPOINT_URL": self._proxy.url})
        log = service.data_dir.parent / "workers.log"
        self._running.workers.append(forked().start(environment, "transcriptions", "work", output=log))

    def _one_run(self, person: Person) -> None:
        chance = self._chance
        count = chance.choice((1, 1, 1, 3))
        clips = [_Recording(person.record(chance.choice(self._sounds))) for _ in range(count)]
        self._recordings += clips
        which = chance.random()
        if which < 0.15:
            self._write_by_hand(clips[0])
            self._ask(clips, replace=True)
        else:
            self._ask(clips)
        if 0.15 <= which < 0.3:
            self._cancel_soon(clips)
        elif 0.3 <= which < 0.4:
            self._pause(1.0)
            self._write_by_hand(clips[0])

    def _pause(self, most: float) -> None:
        threading.Event().wait(self._chance.uniform(0, most))

    def _ask(self, clips: list[_Recording], **more: Any) -> None:
        body = asking((clip.stored for clip in clips), **more)
        answer = clips[0].owner.call("POST", "/api/transcriptions", json=body)
        # What was asked once more may have been accepted the first time.
        assert answer.status_code in (200, 202), answer.text
        job: str = answer.json()["transcription"]["transcription_id"]
        self._jobs[job] = clips[0].owner
        self.outcome.asked += 1
        for one in clips:
            one.jobs.append(job)
            one.is_by_hand = False

    def _write_by_hand(self, clip: _Recording) -> None:
        repeats = self._service.repeats
        written = clip.owner.write(clip.file_id, BY_HAND)
        self._revisions[clip.file_id].add(written["revision"])
        clip.is_by_hand = True
        clip.puts += 1 + self._service.repeats - repeats
        self.outcome.by_hand += 1

    def _cancel_soon(self, clips: list[_Recording]) -> None:
        self._pause(4.0)
        job = clips[0].jobs[-1]
        answer = clips[0].owner.call("DELETE", f"/api/transcriptions/{job}")
        if answer.status_code == 204:
            self._canceled.add(job)
        elif answer.json().get("code") != "finished":
            self.outcome.wrong.append(f"a cancel was answered {answer.text}")

    def _kill_now_and_then(self) -> None:
        """Kill workers at random moments, spread over the runs and what follows them."""
        chance = random.Random(self._how.seed + 2)
        for number in range(self._how.kills):
            share = self._how.runs * number // max(1, self._how.kills)
            eventually(lambda share=share: self.outcome.asked >= share, "the runs stand still", 3600)  # type: ignore[misc]
            threading.Event().wait(chance.uniform(1, 8))
            victim = self._running.workers.pop(chance.randrange(len(self._running.workers)))
            victim.kill()
            victim.wait(60)
            self.outcome.killed += 1
            self._start_worker()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Look at all jobs and transcripts again and again while the block runs."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.5):
                self._look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        self._look()

    def _rows(self, table: str) -> list[dict[str, Any]]:
        """Return what a table has of the accounts of this trial."""
        pages = self._running.service.dynamodb().get_paginator("scan").paginate(TableName=table)
        return [row for page in pages for row in page["Items"] if row["user_id"]["S"] in self._users]

    def _look(self) -> None:
        for row in self._rows(TABLE):
            job, status = row["transcription_id"]["S"], row["status"]["S"]
            end = (status, row.get("finished_at"))
            progress = float(row["progress"]["N"])
            if progress < self._progress.get(job, 0):
                self.outcome.wrong.append(f"the progress of {job} went back to {progress}")
            self._progress[job] = progress
            if status in OVER and self._first_ends.setdefault(job, end) != end:
                self.outcome.wrong.append(f"{job} ended as {self._first_ends[job]} and as {end}")
            elif status not in OVER and job in self._first_ends:
                self.outcome.wrong.append(f"{job} was over and is {status}")
        for row in self._rows("panzoto-transcripts"):
            self._revisions[row["file_id"]["S"]].add(row["revision"]["S"])

    def _messages(self, queue: str) -> int:
        sqs = aws_client("sqs", self._running.service.aws_url)
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)

    def _wait_until_quiet(self) -> None:
        def active() -> list[str]:
            rows = self._rows(TABLE)
            return [row["transcription_id"]["S"] for row in rows if row["status"]["S"] not in OVER]

        eventually(
            # To look into the table costs the stand-in more than to count what is in the queue.
            lambda: self._messages(QUEUE) == 0 and active() == [] and self._messages(QUEUE) == 0,
            lambda: f"still active: {active()}, in the queue: {self._messages(QUEUE)}",
            QUIET_SECONDS,
        )

    def _judge(self) -> None:
        rows = {row["transcription_id"]["S"]: row for row in self._rows(TABLE)}
        statuses = {job: row["status"]["S"] for job, row in rows.items()}
        wrong, outcome = self.outcome.wrong, self.outcome
        wrong += [f"{job} is lost" for job in self._jobs if job not in rows]
        # One of which the queue could not be told is canceled, and asked for again.
        unknown = {job: status for job, status in statuses.items() if job not in self._jobs}
        wrong += [f"{job} was never asked for" for job in unknown if unknown[job] != "canceled"]
        wrong += [
            f"{job} was canceled and is {statuses[job]}"
            for job in self._canceled
            if statuses[job] != "canceled"
        ]
        outcome.statuses.update(statuses[job] for job in self._jobs if job in statuses)
        outcome.errors.update(
            json.loads(row["error"]["S"])["code"] for row in rows.values() if "error" in row
        )
        written = self._events_of_workers()
        for recording in self._recordings:
            wrong += [
                f"{recording.file_id}: {what}" for what in self._wrong_with(recording, statuses, written)
            ]
        letters = dead_letters(self._running)
        dead = {job for job, user_id in letters.items() if user_id in self._users}
        outcome.dead_letters = len(dead)
        failed = {job for job, status in statuses.items() if status == "failed"}
        wrong += [f"{job} failed and is no dead letter" for job in failed - dead]
        wrong += [f"{job} is a dead letter and {statuses.get(job)}" for job in dead - failed]

    def _events_of_workers(self) -> Counter[str]:
        """Return how often workers say that they have written each recording's transcript."""
        written: Counter[str] = Counter()
        for row in self._rows("panzoto-events"):
            if row["type"]["S"] == "transcript_written" and "session_id" not in row:
                written[json.loads(row["detail"]["S"])["file_id"]] += 1
        self.outcome.written = sum(written.values())
        return written

    def _wrong_with(
        self, recording: _Recording, statuses: dict[str, str], written: Counter[str]
    ) -> Iterator[str]:
        state = recording.owner.state(recording.file_id) or {}
        job = recording.jobs[-1]
        status = statuses.get(job)
        succeeded = sum(statuses.get(one) == "succeeded" for one in recording.jobs)
        if written[recording.file_id] > succeeded:
            yield f"written {written[recording.file_id]} times by {succeeded} jobs that succeeded"
        if len(self._revisions[recording.file_id]) > succeeded + recording.puts:
            yield f"{self._revisions[recording.file_id]} of {succeeded} jobs and {recording.puts} by hand"
        expected: tuple[str | None, str | None, str | None]
        if recording.is_by_hand:
            expected = ("succeeded", None, "client")
        elif status == "canceled":
            expected = ("succeeded", None, "client") if recording.puts else (None, None, None)
        elif status == "failed":
            expected = ("failed", job, "client" if recording.puts else None)
        else:
            expected = ("succeeded", job, "engine")
        seen = tuple(state.get(name) for name in ("status", "transcription_id", "source"))
        if seen != expected:
            yield f"the row says {seen}, the job {job} is {status}, and so expected was {expected}"
        elif state.get("revision"):
            yield from self._wrong_in_words(recording, expected[2])

    @staticmethod
    def _wrong_in_words(recording: _Recording, source: str | None) -> Iterator[str]:
        document = recording.owner.opened(recording.file_id)
        if source == "client":
            if [segment["text"] for segment in document["segments"]] != [BY_HAND]:
                yield "what was written by hand is not there"
            return
        if furthest_off(document, recording.stored.places) > NEAR_MS:
            yield f"heard at {listened(document)} instead of {recording.stored.places}"


def dead_letters(running: Transcribing) -> dict[str, str]:
    """Return whose job each message in the queue of failures is about; they are hidden from then on."""
    sqs = aws_client("sqs", running.service.aws_url)
    url = sqs.get_queue_url(QueueName=f"{QUEUE}-dead")["QueueUrl"]
    jobs: dict[str, str] = {}
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600).get(
        "Messages", []
    ):
        told = [json.loads(message["Body"]) for message in messages]
        jobs |= {one["transcription_id"]: one["user_id"] for one in told}
    return jobs


def _service_of(request: Request) -> str:
    target = request.headers.get("x-amz-target", "")
    return target.partition("_")[0] if target.startswith("DynamoDB") else ("SQS" if target else "S3")


@contextmanager
def faults_of_aws(proxy: FaultProxy, how: Hardship) -> Iterator[list[Fault]]:
    """Let a share of all that passes `proxy` fail, each service in its own ways, while the block runs."""
    chance = random.Random(how.seed + 3)
    stormy: set[str] = set()
    ways: dict[str, list[Action]] = {
        "DynamoDB": [
            Answer.dynamodb("ProvisionedThroughputExceededException"),
            Answer.dynamodb("InternalServerError"),
            LoseReply(),
            Refuse(),
        ],
        "SQS": [
            Answer(500, b'{"__type": "com.amazonaws.sqs#InternalError"}', "application/x-amz-json-1.0"),
            LoseReply(),
            Refuse(),
        ],
        "S3": [Answer.s3(503, "SlowDown"), Answer.s3(500, "InternalError"), Cut(100), Refuse()],
    }

    def hits(service: str, share: float) -> Callable[[Request], bool]:
        def hit(request: Request) -> bool:
            if _service_of(request) != service:
                return False
            return chance.random() < (0.4 if service in stormy else share)

        return hit

    faults = [
        proxy.add(Fault(action, where=hits(service, how.aws_share / len(actions))))
        for service, actions in ways.items()
        for action in actions
    ]
    stop = threading.Event()

    def blow() -> None:
        while how.storms and not stop.wait(chance.uniform(3, 8)):
            stormy.add(chance.choice(sorted(ways)))
            stop.wait(chance.uniform(2, 5))
            stormy.clear()

    weather = threading.Thread(target=blow)
    weather.start()
    try:
        yield faults
    finally:
        stop.set()
        weather.join()
        proxy.clear()
