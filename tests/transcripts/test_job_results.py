"""What a worker makes of jobs: real service, queue, worker and engine, over the wire."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
import requests

from panzoto.crypto import header
from tests.support.bursts import bursts, encoded, wav
from tests.support.commands import done
from tests.support.engines import Manner, says, sends
from tests.support.jobs import HEARD, SAID, SOUND, ask, asked, recorded
from tests.support.phone import Keys
from tests.support.recordings import single_shot, store, version_2
from tests.support.service import PASSWORD, aws_client
from tests.support.transcribing import Transcribing, job_of, when_over
from tests.support.transcripts import Owner, refused
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def with_worker(running: Transcribing) -> Iterator[Transcribing]:
    """The service with a worker that runs."""
    running.start_worker()
    yield running
    running.end_workers()


@pytest.fixture
def working(with_worker: Transcribing) -> Transcribing:
    """The same, and an engine that hears what was said."""
    with_worker.engine.manner = HEARD
    with_worker.engine.requests.clear()
    return with_worker


def test_a_conversation_of_several_kinds_is_heard_as_one(working: Transcribing, owner: Owner) -> None:
    new, _ = recorded(owner, recorded_at="2026-03-01T10:00:00Z")
    amr = encoded(bursts(8000, 2.0, (300,)), "amr", "libopencore_amrnb", 8000)
    data = single_shot(PASSWORD, owner.account["key_salt"], amr)
    old = store(
        owner.service,
        owner.account,
        f"users/{owner.user_id}/old.amr",
        data,
        recorded_at="2026-03-01T10:00:02.500Z",
    )
    working.engine.manner = says(
        {
            "segments": [
                {"start": 0.1, "end": 1.9, "text": "first"},
                {"start": 2.6, "end": 4.0, "text": "second"},
            ]
        }
    )
    job = asked(owner, file_ids=[new, old], password=PASSWORD)
    assert when_over(owner, job["transcription_id"])["status"] == "succeeded"
    assert len(working.engine.requests) == 1
    first, second = owner.opened(new), owner.opened(old)
    assert [(one["start_ms"], one["text"]) for one in first["segments"]] == [(100, "first")]
    assert [(one["start_ms"], one["text"]) for one in second["segments"]] == [(100, "second")]


def test_silence_is_not_sent(working: Transcribing, owner: Owner) -> None:
    file_id, key = recorded(owner, wav(bursts(16000, 1.0, ())))
    job = asked(owner, file_id=file_id, file_key=key)
    assert when_over(owner, job["transcription_id"])["status"] == "succeeded"
    assert working.engine.requests == []
    assert owner.opened(file_id)["segments"] == []


class TestOnceStored:
    @pytest.mark.usefixtures("working")
    def test_with_the_completion(self, owner: Owner) -> None:
        data_size = len(version_2(owner.account, PASSWORD, "x", SOUND))
        announced = owner.call("POST", "/api/uploads", json={"file_size": data_size}).json()
        data = version_2(owner.account, PASSWORD, announced["s3_key"], SOUND)
        keys = Keys(owner.account, PASSWORD)
        key = base64.b64encode(header.open_file_key(data[: header.HEADER_BYTES], keys.vault_key)).decode()
        upload = announced["upload"]
        assert requests.put(upload["url"], data, headers=upload["headers"], timeout=30).ok
        complete = f"/api/uploads/{announced['file_id']}/complete"
        told = owner.call("POST", complete, json={"transcribe": {"file_key": key}}).json()
        assert when_over(owner, told["transcription"]["transcription_id"])["status"] == "succeeded"


@pytest.mark.usefixtures("working")
def test_what_is_there_is_replaced_only_when_asked(owner: Owner) -> None:
    file_id, key = recorded(owner)
    owner.write(file_id, "by hand")
    exists = ask(owner, file_id=file_id, file_key=key)
    refused(exists, 409, "transcript_exists")
    assert exists.json()["file_id"] == file_id
    job = asked(owner, file_id=file_id, file_key=key, replace=True)
    when_over(owner, job["transcription_id"])
    assert owner.opened(file_id)["segments"][0]["text"] == SAID


@pytest.mark.usefixtures("working")
def test_what_is_over_cannot_be_canceled(owner: Owner) -> None:
    file_id, key = recorded(owner)
    job = asked(owner, file_id=file_id, file_key=key)
    when_over(owner, job["transcription_id"])
    refused(owner.call("DELETE", f"/api/transcriptions/{job['transcription_id']}"), 409, "finished")


class TestEnding:
    @pytest.mark.parametrize(
        ("manner", "code", "asked_times"),
        [
            (says({"error": "no"}, 400), "engine_refused", 1),
            (sends(b"", 302, Location="http://127.0.0.1:1/"), "engine_refused", 1),
            (sends(b"<html>busy</html>", 503, Retry_After="0"), "engine_unavailable", 3),
            (sends(b"<html>welcome</html>"), "engine_unavailable", 3),
        ],
        ids=["400", "302", "503", "html"],
    )
    def test_an_engine_that_fails(
        self, working: Transcribing, owner: Owner, manner: Manner, code: str, asked_times: int
    ) -> None:
        working.engine.manner = manner
        file_id, key = recorded(owner)
        job = asked(owner, file_id=file_id, file_key=key)
        over = when_over(owner, job["transcription_id"])
        assert (over["status"], over["error"]["code"], over["attempts"]) == ("failed", code, asked_times)
        assert len(working.engine.requests) == asked_times
        state = owner.state(file_id)
        assert state is not None
        assert (state["status"], state["revision"]) == ("failed", None)
        working.engine.manner = HEARD
        again = asked(owner, file_id=file_id, file_key=key)
        assert when_over(owner, again["transcription_id"])["status"] == "succeeded"

    def test_a_replacing_one_that_fails_leaves_the_old_one(self, working: Transcribing, owner: Owner) -> None:
        file_id, key = recorded(owner)
        written = owner.write(file_id, "by hand")
        working.engine.manner = says({}, 400)
        job = asked(owner, file_id=file_id, file_key=key, replace=True)
        assert when_over(owner, job["transcription_id"])["status"] == "failed"
        state = owner.state(file_id)
        assert state is not None
        assert (state["status"], state["revision"]) == ("failed", written["revision"])
        assert owner.opened(file_id)["segments"][0]["text"] == "by hand"

    @pytest.mark.usefixtures("working")
    def test_what_only_decoding_tells(self, owner: Owner) -> None:
        file_id, key = recorded(owner, b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(40))
        job = asked(owner, file_id=file_id, file_key=key)
        assert when_over(owner, job["transcription_id"])["error"]["code"] == "not_audio"


def is_put_aside(owner: Owner, transcription_id: str) -> bool:
    """Whether a job's message is in the queue of failures, where it stays to be found."""
    dead = aws_client("sqs", owner.service.aws_url)
    url = dead.get_queue_url(QueueName="panzoto-transcriptions-dead")["QueueUrl"]
    answer = dead.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return any(transcription_id in message["Body"] for message in answer.get("Messages", []))


def test_a_failed_job_is_not_tried_again_beside_another(working: Transcribing, owner: Owner) -> None:
    """A recording is in one job at a time, and the engine hears it once."""
    working.engine.manner = says({}, 400)
    file_id, key = recorded(owner)
    failed = asked(owner, file_id=file_id, file_key=key)["transcription_id"]
    when_over(owner, failed)
    eventually(lambda: is_put_aside(owner, failed), "its message never came to the queue of failures")
    working.engine.manner = lambda handler: handler.wait_until_left()
    other = asked(owner, file_id=file_id, file_key=key)["transcription_id"]
    printed = done(owner.service, "support", "transcriptions", "retry", failed, status=1)
    assert f"under way: {other}" in printed
    assert job_of(owner, failed)["status"] == "failed"
    assert owner.state(file_id)["transcription_id"] == other  # type: ignore[index]
    assert owner.call("DELETE", f"/api/transcriptions/{other}").status_code == 204
    working.engine.manner = HEARD
    assert "once more" in done(owner.service, "support", "transcriptions", "retry", failed)
    assert when_over(owner, failed)["status"] == "succeeded"


def test_a_failed_job_is_tried_once_more(working: Transcribing, owner: Owner) -> None:
    working.engine.manner = says({}, 400)
    file_id, key = recorded(owner)
    job = asked(owner, file_id=file_id, file_key=key)
    when_over(owner, job["transcription_id"])
    dead = aws_client("sqs", owner.service.aws_url)
    url = dead.get_queue_url(QueueName="panzoto-transcriptions-dead")["QueueUrl"]
    eventually(
        lambda: (
            dead.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])[
                "Attributes"
            ]["ApproximateNumberOfMessages"]
            != "0"
        ),
        "the message never came to the queue of failures",
    )
    assert "engine_refused" in done(owner.service, "support", "transcriptions", "list", "--status", "failed")
    working.engine.manner = HEARD
    printed = done(owner.service, "support", "transcriptions", "retry", job["transcription_id"])
    assert "once more" in printed
    assert when_over(owner, job["transcription_id"])["status"] == "succeeded"
    assert owner.opened(file_id)["source"] == "engine"
    printed = done(owner.service, "support", "transcriptions", "retry", job["transcription_id"], status=1)
    assert "queue of failures" in printed
