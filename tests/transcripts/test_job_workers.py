"""Workers that come, stop and die while there are jobs, and jobs that are over before they come to one."""

from __future__ import annotations

import base64
import json
import signal
import uuid
from collections.abc import Iterator

import pytest

from tests.support.engines import Handler
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault, LoseReply
from tests.support.jobs import HEARD, SOUND, asked, recorded
from tests.support.recordings import version_2
from tests.support.service import BUCKET, PASSWORD
from tests.support.transcribing import Transcribing, job_of, when_over
from tests.support.transcripts import Owner, path
from tests.support.waiting import eventually


@pytest.fixture
def working(idle: Transcribing) -> Iterator[Transcribing]:
    """The service with a worker that runs for one test."""
    idle.start_worker()
    yield idle
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
        other = base64.b64encode(bytes(31) + b"\x09").decode()
        owner.service.dynamodb().update_item(
            TableName="panzoto-users",
            Key={"user_id": {"S": owner.user_id}},
            UpdateExpression="SET transcripts_public_key = :key",
            ExpressionAttributeValues={":key": {"S": other}},
        )
        idle.start_worker()
        assert when_over(owner, job["transcription_id"])["status"] == "canceled"
        idle.end_workers()
        assert owner.state(file_id) is None


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

    def test_a_lost_answer_makes_no_second_transcript(self, idle: Transcribing, owner: Owner) -> None:
        file_id, key = recorded(owner)
        with FaultProxy(idle.service.aws_url) as proxy:
            lost = proxy.add(Fault(LoseReply(), operation="TransactWriteItems", times=1))
            job = asked(owner, file_id=file_id, file_key=key)
            idle.start_worker(at=proxy.url)
            assert when_over(owner, job["transcription_id"])["status"] == "succeeded"
            idle.end_workers()
        assert lost.applied == 1
        events = owner.call("GET", "/api/user/events").json()["events"]
        assert [event["type"] for event in events].count("transcript_written") == 1

    def test_an_account_does_not_block_others(self, idle: Transcribing, owner: Owner) -> None:
        """One account has as many jobs running as it may; another's goes through."""
        hanging: list[Handler] = []

        def hangs(handler: Handler) -> None:
            hanging.append(handler)
            handler.wait_until_left()

        idle.engine.manner = hangs
        jobs = [asked(owner, file_id=one, file_key=key) for one, key in (recorded(owner) for _ in range(3))]
        for _ in range(3):
            idle.start_worker()
        # What has not come to the engine yet would be answered when it answers others.
        eventually(
            lambda: (
                sum(job_of(owner, job["transcription_id"])["status"] == "running" for job in jobs) == 2
                and len(hanging) == 2
            ),
            lambda: str([job_of(owner, job["transcription_id"]) for job in jobs]),
        )
        other = idle.owner(f"{uuid.uuid4().hex}@example.com")
        file_id, key = recorded(other)
        idle.engine.manner = HEARD
        job = asked(other, file_id=file_id, file_key=key)
        assert when_over(other, job["transcription_id"])["status"] == "succeeded"
        # Of two that took a third one's place at the same moment, each gives way and comes again.
        eventually(
            lambda: (
                sorted(job_of(owner, one["transcription_id"])["status"] for one in jobs)
                == ["queued", "running", "running"]
            ),
            lambda: str([job_of(owner, one["transcription_id"]) for one in jobs]),
        )
        for one in jobs:
            owner.call("DELETE", f"/api/transcriptions/{one['transcription_id']}")
        idle.end_workers()


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
