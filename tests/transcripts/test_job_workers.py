"""From a recording to its sealed transcript, by workers that come, stop and die while there are jobs."""

from __future__ import annotations

import base64
import json
import signal
import uuid
from collections.abc import Iterator
from threading import Semaphore
from typing import Any

import pytest

from panzoto.crypto import header
from tests.support import rows
from tests.support.commands import done
from tests.support.engines import Handler
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault, LoseReply, Meanwhile, Request
from tests.support.jobs import HEARD, JOBS, SAID, SOUND, asked, recorded
from tests.support.phone import Keys
from tests.support.recordings import version_2
from tests.support.service import BUCKET, PASSWORD
from tests.support.transcribing import Transcribing, job_of, when_over
from tests.support.transcripts import Owner, exchange_public_key, path
from tests.support.waiting import eventually


@pytest.fixture
def working(idle: Transcribing) -> Iterator[Transcribing]:
    """The service with a worker that runs for one test."""
    idle.start_worker()
    yield idle
    idle.end_workers()


def test_a_recording_is_transcribed_and_sealed(idle: Transcribing, owner: Owner) -> None:
    file_id, key = recorded(owner)
    since = owner.call("GET", "/api/user/changes").json()["next"]
    job = asked(owner, file_id=file_id, file_key=key, vocabulary=["Rosalind", "Panzoto"])
    assert (job["status"], job["file_ids"], job["progress"], job["attempts"]) == ("queued", [file_id], 0, 0)
    assert owner.state(file_id) | {} == {  # type: ignore[operator]
        "status": "queued",
        "transcription_id": job["transcription_id"],
        "revision": None,
        "language": None,
        "created_at": None,
        "source": None,
    }
    idle.start_worker()
    over = when_over(owner, job["transcription_id"])
    assert (over["status"], over["progress"], over["attempts"], over["error"]) == ("succeeded", 1, 1, None)
    assert (over["language"], over["engine"], over["model"]) == ("en", "127.0.0.1", "whisper-1")
    document = owner.opened(file_id)
    assert (document["version"], document["file_id"], document["source"]) == (1, file_id, "engine")
    assert [segment["text"] for segment in document["segments"]] == [SAID]
    assert document["segments"][0]["words"][1] == {"start_ms": 400, "end_ms": 700, "text": "went"}
    state = owner.state(file_id)
    assert state is not None
    assert (state["status"], state["source"], state["language"]) == ("succeeded", "engine", "en")
    assert state["transcription_id"] == job["transcription_id"]
    (heard,) = idle.engine.requests
    assert heard.fields["prompt"] == ["Rosalind, Panzoto"]
    assert heard.file.startswith(b"fLaC")
    changed = owner.call("GET", "/api/user/changes", params={"since": since}).json()["changes"]
    assert [change["file_id"] for change in changed] == [file_id]
    events = owner.call("GET", "/api/user/events").json()["events"]
    told = {event["type"]: event for event in events}
    assert told["transcription_started"]["detail"] == {"file_ids": [file_id], "engine": "127.0.0.1"}
    assert (told["transcript_written"]["session_id"], told["transcript_written"]["address"]) == (None, None)
    assert owner.find("garden")["hits"][0]["file_id"] == file_id
    idle.end_workers()


def test_an_account_whose_recording_is_transcribed_is_due_for_its_chores(
    idle: Transcribing, owner: Owner
) -> None:
    file_id, key = recorded(owner)
    job = asked(owner, file_id=file_id, file_key=key)
    done(idle.service, "chores", "chores", "run")
    due = ("due_at", "due_shard")
    assert not [name for name in due if name in rows.user_row(idle.service, owner.user_id)]
    idle.start_worker()
    assert when_over(owner, job["transcription_id"])["status"] == "succeeded"
    assert [name for name in due if name in rows.user_row(idle.service, owner.user_id)] == [*due]
    idle.end_workers()


def test_one_that_came_with_its_record(idle: Transcribing, owner: Owner) -> None:
    s3_key = f"users/{owner.user_id}/{uuid.uuid4()}"
    data = version_2(owner.account, PASSWORD, s3_key, SOUND)
    keys = Keys(owner.account, PASSWORD)
    key = base64.b64encode(header.open_file_key(data[: header.HEADER_BYTES], keys.vault_key)).decode()
    owner.service.put_object(s3_key, data)
    body = {"s3_key": s3_key, "file_size": len(data), "transcribe": {"file_key": key, "language": "EN"}}
    stored = owner.call("POST", "/api/audio-file", json=body)
    assert stored.status_code == 201, stored.text
    told = stored.json()
    assert told["transcription"]["status"] == "queued"
    assert told["audio_file"]["transcript"]["status"] == "queued"
    assert "transcribe_error" not in told
    idle.start_worker()
    job = when_over(owner, told["transcription"]["transcription_id"])
    assert (job["status"], job["language"]) == ("succeeded", "en")
    again = owner.call("POST", "/api/audio-file", json=body).json()
    assert again["transcription"]["transcription_id"] == job["transcription_id"]
    assert len(idle.engine.requests) == 1
    idle.end_workers()


class TestEnding:
    def test_a_recording_that_changed(self, idle: Transcribing, owner: Owner) -> None:
        erased, changed, gone = recorded(owner), recorded(owner), recorded(owner)
        jobs = [asked(owner, file_id=one, file_key=key) for one, key in (erased, changed, gone)]
        lost = owner.call("GET", f"/api/audio-file/{gone[0]}").json()["audio_file"]["s3_key"]
        owner.service.s3().delete_object(Bucket=BUCKET, Key=lost)
        owner.call("DELETE", f"/api/audio-file/{erased[0]}?permanent=true")
        s3_key = owner.call("GET", f"/api/audio-file/{changed[0]}").json()["audio_file"]["s3_key"]
        owner.service.put_object(s3_key, version_2(owner.account, PASSWORD, s3_key, SOUND))
        idle.start_worker()
        for job in jobs:
            assert when_over(owner, job["transcription_id"])["error"]["code"] == "object_changed"
        idle.end_workers()

    def test_what_was_written_since_is_kept(self, idle: Transcribing, owner: Owner) -> None:
        (kept, first), (other, second) = recorded(owner), recorded(owner)
        job = asked(owner, file_ids=[kept, other], file_keys={kept: first, other: second})
        owner.write(kept, "by hand meanwhile")
        idle.start_worker()
        assert when_over(owner, job["transcription_id"])["status"] == "succeeded"
        idle.end_workers()
        assert owner.opened(kept)["segments"][0]["text"] == "by hand meanwhile"
        assert owner.opened(other)["source"] == "engine"

    def test_another_vault_cancels(self, idle: Transcribing, owner: Owner) -> None:
        file_id, key = recorded(owner)
        job = asked(owner, file_id=file_id, file_key=key)
        exchange_public_key(owner.service, "panzoto-users", "transcripts_public_key", user_id=owner.user_id)
        idle.start_worker()
        assert when_over(owner, job["transcription_id"])["status"] == "canceled"
        idle.end_workers()
        assert owner.state(file_id) is None

    def test_a_key_that_was_exchanged_in_every_row_cancels(self, idle: Transcribing, owner: Owner) -> None:
        """What to seal to is in the message, where nobody who writes to tables reaches it."""
        file_id, key = recorded(owner)
        job = asked(owner, file_id=file_id, file_key=key)["transcription_id"]
        whose = {"user_id": owner.user_id}
        exchange_public_key(owner.service, "panzoto-users", "transcripts_public_key", **whose)
        exchange_public_key(owner.service, JOBS, "public_key", **whose, transcription_id=job)
        idle.start_worker()
        assert when_over(owner, job)["status"] == "canceled"
        idle.end_workers()
        assert owner.call("GET", path(file_id)).status_code == 404

    def test_a_key_that_was_exchanged_in_the_jobs_row_changes_nothing(
        self, idle: Transcribing, owner: Owner
    ) -> None:
        file_id, key = recorded(owner)
        job = asked(owner, file_id=file_id, file_key=key)["transcription_id"]
        where = {"user_id": owner.user_id, "transcription_id": job}
        exchange_public_key(owner.service, JOBS, "public_key", **where)
        idle.start_worker()
        assert when_over(owner, job)["status"] == "succeeded"
        idle.end_workers()
        assert owner.opened(file_id)["segments"][0]["text"] == SAID


class TestWorkers:
    def test_a_worker_that_is_told_to_stop_gives_its_job_back(self, idle: Transcribing, owner: Owner) -> None:
        idle.engine.manner = lambda handler: handler.wait_until_left()
        file_id, key = recorded(owner)
        job = asked(owner, file_id=file_id, file_key=key)
        worker = idle.start_worker()
        eventually(lambda: idle.engine.requests != [], "the engine was never asked")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        assert job_of(owner, job["transcription_id"])["status"] == "queued"
        idle.engine.manner = HEARD
        idle.start_worker()
        over = when_over(owner, job["transcription_id"])
        assert (over["status"], over["attempts"]) == ("succeeded", 2)
        idle.end_workers()

    def test_the_job_of_a_worker_that_died_goes_on(self, idle: Transcribing, owner: Owner) -> None:
        idle.engine.manner = lambda handler: handler.wait_until_left()
        file_id, key = recorded(owner)
        job = asked(owner, file_id=file_id, file_key=key)
        worker = idle.start_worker()
        eventually(lambda: idle.engine.requests != [], "the engine was never asked")
        worker.kill()
        idle.engine.manner = HEARD
        idle.start_worker()
        assert when_over(owner, job["transcription_id"])["status"] == "succeeded"
        idle.end_workers()

    def test_one_that_died_between_the_last_transcript_and_the_end_is_told_as_any_other(
        self, idle: Transcribing, owner: Owner
    ) -> None:
        file_id, key = recorded(owner)
        job = asked(owner, file_id=file_id, file_key=key)
        with FaultProxy(idle.service.aws_url) as proxy:
            killing = proxy.add(Fault(Meanwhile(lambda _: worker.kill()), where=writes_a_transcript, times=1))
            worker = idle.start_worker(at=proxy.url)
            assert worker.wait(60) != 0
        assert killing.applied == 1
        assert owner.opened(file_id)["language"] == "en"
        idle.start_worker()
        over = when_over(owner, job["transcription_id"])
        idle.end_workers()
        assert (over["status"], over["language"]) == ("succeeded", "en")
        assert len(idle.engine.requests) == 1
        assert times_written(owner) == 1

    def test_what_an_attempt_wrote_whose_answers_were_lost_is_told(
        self, idle: Transcribing, owner: Owner
    ) -> None:
        """A second lost answer ends an attempt, and the next one finds the transcript there."""
        file_id, key = recorded(owner)
        job = asked(owner, file_id=file_id, file_key=key)
        with FaultProxy(idle.service.aws_url) as proxy:
            lost = proxy.add(Fault(LoseReply(), where=writes_a_transcript, times=2))
            idle.start_worker(at=proxy.url)
            assert when_over(owner, job["transcription_id"])["status"] == "succeeded"
            idle.end_workers()
        assert lost.applied == 2
        assert times_written(owner) == 1

    def test_a_lost_answer_makes_no_second_transcript(self, idle: Transcribing, owner: Owner) -> None:
        file_id, key = recorded(owner)
        with FaultProxy(idle.service.aws_url) as proxy:
            lost = proxy.add(Fault(LoseReply(), operation="TransactWriteItems", times=1))
            job = asked(owner, file_id=file_id, file_key=key)
            idle.start_worker(at=proxy.url)
            assert when_over(owner, job["transcription_id"])["status"] == "succeeded"
            idle.end_workers()
        assert lost.applied == 1
        assert times_written(owner) == 1

    def test_an_account_does_not_block_others(self, idle: Transcribing, owner: Owner) -> None:
        """One account has as many jobs running as it may; another's goes through."""
        places = Semaphore(2)

        def hang_twice(handler: Handler) -> None:
            """Leave the first two without an answer, and give one to whoever comes after them."""
            if places.acquire(blocking=False):
                handler.wait_until_left()
            else:
                HEARD(handler)

        idle.engine.manner = hang_twice
        jobs = [asked(owner, file_id=one, file_key=key) for one, key in (recorded(owner) for _ in range(3))]
        for _ in range(3):
            idle.start_worker()
        eventually(lambda: len(idle.engine.requests) == 2, lambda: str(statuses(owner, jobs)))
        other = idle.owner(f"{uuid.uuid4().hex}@example.com")
        file_id, key = recorded(other)
        job = asked(other, file_id=file_id, file_key=key)
        assert when_over(other, job["transcription_id"])["status"] == "succeeded"
        # Of two that took a third one's place at the same moment, each gives way and comes again.
        eventually(
            lambda: statuses(owner, jobs) == ["queued", "running", "running"],
            lambda: str(statuses(owner, jobs)),
        )
        for one in jobs:
            owner.call("DELETE", f"/api/transcriptions/{one['transcription_id']}")
        idle.end_workers()


def writes_a_transcript(request: Request) -> bool:
    return request.operation == "TransactWriteItems" and b"panzoto-transcripts" in request.body


def times_written(owner: Owner) -> int:
    """Return how often the account is told that a transcript was written."""
    events = owner.call("GET", "/api/user/events").json()["events"]
    return [event["type"] for event in events].count("transcript_written")


def statuses(owner: Owner, jobs: list[dict[str, Any]]) -> list[str]:
    """Return the statuses of the jobs as they are now, sorted."""
    return sorted(job_of(owner, job["transcription_id"])["status"] for job in jobs)


def test_a_running_one_that_is_canceled_writes_nothing(working: Transcribing, owner: Owner) -> None:
    working.engine.manner = lambda handler: handler.wait_until_left()
    file_id, key = recorded(owner)
    job = asked(owner, file_id=file_id, file_key=key)
    eventually(lambda: working.engine.requests != [], "the engine was never asked")
    assert owner.call("DELETE", f"/api/transcriptions/{job['transcription_id']}").status_code == 204
    assert working.engine.finished.wait(60)
    assert owner.state(file_id) is None
    working.engine.manner = HEARD
    after = asked(owner, file_id=file_id, file_key=key)
    assert when_over(owner, after["transcription_id"])["status"] == "succeeded"


def test_a_deleted_account_leaves_nothing(working: Transcribing, owner: Owner) -> None:
    file_id, key = recorded(owner)
    when_over(owner, asked(owner, file_id=file_id, file_key=key)["transcription_id"])
    working.engine.manner = lambda handler: handler.wait_until_left()
    second, second_key = recorded(owner)
    asked(owner, file_id=second, file_key=second_key)
    assert owner.call("DELETE", "/api/user", json={"password": PASSWORD}).status_code == 202
    dynamodb = owner.service.dynamodb()

    def left() -> list[str]:
        return [
            name
            for name in dynamodb.list_tables()["TableNames"]
            if owner.user_id in json.dumps(dynamodb.scan(TableName=name)["Items"], default=repr)
            if name != "panzoto-throttle"
        ]

    eventually(lambda: left() == [], lambda: str(left()))
    assert path(file_id)
