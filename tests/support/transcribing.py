"""A service with a speech engine and the workers that ask it: real processes on a stand-in of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.conftest import UNLIMITED
from tests.support.commands import command
from tests.support.engines import SpeechEngine
from tests.support.forked_commands import Command
from tests.support.service import Service, run_service
from tests.support.transcripts import Owner
from tests.support.waiting import eventually

SETTINGS = UNLIMITED | {"LIMIT_TRANSCRIBE": "1000000 per hour"}
# To hear a recording takes some processes.
LOOK_AGAIN_SECONDS = 0.15
OVER = ("succeeded", "failed", "canceled")


@dataclass
class Transcribing:
    """The service, its engine, and its workers while they run."""

    service: Service
    engine: SpeechEngine
    workers: list[Command] = field(default_factory=list)

    def start_worker(self, at: str | None = None) -> Command:
        """Start a worker on the stand-in at `at`, or else the service's own."""
        worker = command(self.service, "transcriptions", "transcriptions", "work", at=at)
        self.workers.append(worker)
        return worker

    def end_workers(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.communicate(timeout=60)
        self.workers.clear()

    def owner(self, email: str) -> Owner:
        return Owner(self.service, self.service.register(email))


@contextmanager
def transcribing(
    aws_url: str, engine: SpeechEngine, create_at: str | None = None, **settings: str
) -> Iterator[Transcribing]:
    """Run the service beside `engine`; a worker is started by who wants one.

    With `create_at` something unreliable stands at `aws_url`, and what tests ask of AWS goes around it.
    """
    how = SETTINGS | {"TRANSCRIPTION_URL": engine.url, **settings}
    with run_service(aws_url, create_at=create_at, **how) as service:
        running = Transcribing(replace(service, aws_url=create_at or aws_url), engine)
        try:
            yield running
        finally:
            running.end_workers()


def job_of(owner: Owner, transcription_id: str) -> dict[str, Any]:
    answer = owner.call("GET", f"/api/transcriptions/{transcription_id}")
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()["transcription"]
    return job


def when_over(owner: Owner, transcription_id: str, seconds: float = 120) -> dict[str, Any]:
    """Return a job once it is over."""
    eventually(
        lambda: job_of(owner, transcription_id)["status"] in OVER,
        lambda: f"{job_of(owner, transcription_id)}\n{owner.service.log()[-3000:]}",
        seconds,
        LOOK_AGAIN_SECONDS,
    )
    return job_of(owner, transcription_id)
