"""From a recording to its sealed transcript: real service, queue, worker and engine, over the wire."""

from __future__ import annotations

import base64
import json
import signal
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from panzoto.crypto import header
from tests.support.aws import start_moto
from tests.support.bursts import bursts, encoded, wav
from tests.support.commands import done
from tests.support.engines import Handler, Manner, SpeechEngine, says, sends
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault, LoseReply
from tests.support.phone import Keys
from tests.support.recordings import single_shot, store, version_2
from tests.support.service import BUCKET, PASSWORD, aws_client
from tests.support.transcribing import Transcribing, job_of, transcribing, when_over
from tests.support.transcripts import Owner, path, refused
from tests.support.waiting import eventually

SAID = "We went to the garden."
WORDS = [{"word": word, "start": 0.4 * at, "end": 0.4 * at + 0.3} for at, word in enumerate(SAID.split())]
HEARD = says(
    {
        "language": "english",
        "duration": 2.0,
        "text": SAID,
        "words": WORDS,
        "segments": [{"id": 0, "start": 0.0, "end": 2.0, "text": f" {SAID}"}],
    }
)
SOUND = wav(bursts(16000, 2.0, (200, 900)))


@pytest.fixture(scope="module")
def running() -> Iterator[Transcribing]:
    with start_moto() as url, SpeechEngine(HEARD) as engine, transcribing(url, engine) as all_of_it:
        yield all_of_it


@pytest.fixture
def working(running: Transcribing) -> Iterator[Transcribing]:
    """The same with a worker that runs."""
    running.engine.manner = HEARD
    running.engine.requests.clear()
    running.start_worker()
    yield running
    running.end_workers()


@pytest.fixture
def idle(running: Transcribing) -> Transcribing:
    running.engine.manner = HEARD
    running.engine.requests.clear()
    return running


@pytest.fixture
def owner(running: Transcribing) -> Iterator[Owner]:
    """An account; what it has asked for and is not over is canceled in the end."""
    made = running.owner(f"{uuid.uuid4().hex}@example.com")
    yield made
    jobs = made.call("GET", "/api/user/transcriptions").json().get("transcriptions", [])
    for job in jobs:
        made.call("DELETE", f"/api/transcriptions/{job['transcription_id']}")


def recorded(owner: Owner, sound: bytes = SOUND, **more: Any) -> tuple[str, str]:
    """Record a sound as version 2; return its file_id and its file key."""
    s3_key = f"users/{owner.user_id}/{uuid.uuid4()}"
    data = version_2(owner.account, PASSWORD, s3_key, sound)
    keys = Keys(owner.account, PASSWORD)
    file_key = header.open_file_key(data[: header.HEADER_BYTES], keys.vault_key)
    return store(owner.service, owner.account, s3_key, data, **more), base64.b64encode(file_key).decode()


def ask(owner: Owner, **body: Any) -> requests.Response:
    return owner.call("POST", "/api/transcriptions", json=body)


def asked(owner: Owner, **body: Any) -> dict[str, Any]:
    answer = ask(owner, **body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()["transcription"]
    return job


def test_a_recording_is_transcribed_and_sealed(working: Transcribing, owner: Owner) -> None:
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
    (heard,) = working.engine.requests
    assert heard.fields["prompt"] == ["Rosalind, Panzoto"]
    assert heard.file.startswith(b"fLaC")
    changed = owner.call("GET", "/api/user/changes", params={"since": since}).json()["changes"]
    assert [change["file_id"] for change in changed] == [file_id]
    events = owner.call("GET", "/api/user/events").json()["events"]
    told = {event["type"]: event for event in events}
    assert told["transcription_started"]["detail"] == {"file_ids": [file_id], "engine": "127.0.0.1"}
    assert (told["transcript_written"]["session_id"], told["transcript_written"]["address"]) == (None, None)
    assert owner.find("garden")["hits"][0]["file_id"] == file_id


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


class TestAsking:
    @pytest.mark.usefixtures("idle")
    def test_the_same_again_is_the_same_job(self, owner: Owner) -> None:
        (one, first), (two, second) = recorded(owner), recorded(owner)
        keys = {one: first, two: second}
        job = asked(owner, file_ids=[one, two], file_keys=keys)
        again = ask(owner, file_ids=[two, one], file_keys=keys, language="de", replace=True)
        assert (again.status_code, again.json()["transcription"]) == (200, job)
        overlapping = ask(owner, file_id=one, file_key=first)
        refused(overlapping, 409, "transcription_running")
        assert (overlapping.json()["transcription_id"], overlapping.json()["file_id"]) == (
            job["transcription_id"],
            one,
        )

    @pytest.mark.usefixtures("working")
    def test_what_is_there_is_replaced_only_when_asked(self, owner: Owner) -> None:
        file_id, key = recorded(owner)
        owner.write(file_id, "by hand")
        exists = ask(owner, file_id=file_id, file_key=key)
        refused(exists, 409, "transcript_exists")
        assert exists.json()["file_id"] == file_id
        job = asked(owner, file_id=file_id, file_key=key, replace=True)
        when_over(owner, job["transcription_id"])
        assert owner.opened(file_id)["segments"][0]["text"] == SAID

    def test_what_cannot_be_asked_for(self, idle: Transcribing, owner: Owner) -> None:
        file_id, key = recorded(owner)
        wrong = base64.b64encode(bytes(32)).decode()
        refused(ask(owner, file_id=str(uuid.uuid4()), file_key=key), 404, "audio_file_not_found")
        refused(ask(owner, file_id=file_id, file_key=wrong), 422, "decryption_failed")
        refused(ask(owner, file_id=file_id, password="not the password"), 401, "invalid_password")
        text, text_key = recorded(owner, b"nothing that sounds" * 9)
        refused(ask(owner, file_id=text, file_key=text_key), 422, "not_audio")
        gone, gone_key = recorded(owner)
        shown = owner.call("GET", f"/api/audio-file/{gone}").json()["audio_file"]
        idle.service.s3().delete_object(Bucket="panzoto-audio-dev", Key=shown["s3_key"])
        refused(ask(owner, file_id=gone, file_key=gone_key), 404, "object_not_found")
        assert owner.state(file_id) is None
        assert owner.call("GET", "/api/user/transcriptions").json()["transcriptions"] == []

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"file_key": "short"},
            {"password": PASSWORD, "file_key": "x"},
            {"password": PASSWORD, "language": "klingon"},
            {"password": PASSWORD, "vocabulary": ["x" * 101]},
            {"password": PASSWORD, "vocabulary": ["x"] * 51},
            {"password": PASSWORD, "vocabulary": "x"},
            {"password": PASSWORD, "replace": "yes"},
            {"password": PASSWORD, "file_ids": ["x"]},
        ],
    )
    @pytest.mark.usefixtures("idle")
    def test_what_is_malformed(self, owner: Owner, body: dict[str, Any]) -> None:
        answer = ask(owner, **{"file_id": str(uuid.uuid4()), **body})
        refused(answer, 400, "invalid_request")
        assert answer.json()["fields"]

    def test_refusals_and_repeats_do_not_count(self) -> None:
        with (
            start_moto() as url,
            SpeechEngine(HEARD) as engine,
            transcribing(url, engine, LIMIT_TRANSCRIBE="2 per day") as limited,
        ):
            owner = limited.owner("limited@example.com")
            one, two, three = (recorded(owner) for _ in range(3))
            wrong = base64.b64encode(bytes(32)).decode()
            for _ in range(4):
                refused(ask(owner, file_id=one[0], file_key=wrong), 422, "decryption_failed")
            asked(owner, file_id=one[0], file_key=one[1])
            for _ in range(3):
                assert ask(owner, file_id=one[0], file_key=one[1]).status_code == 200
            asked(owner, file_id=two[0], file_key=two[1])
            full = ask(owner, file_id=three[0], file_key=three[1])
            refused(full, 429, "too_many_requests")
            assert int(full.headers["Retry-After"]) > 0

    def test_without_an_engine(self, service: Any, new_account: Any) -> None:
        owner = Owner(service, new_account())
        file_id, key = recorded(owner)
        answer = ask(owner, file_id=file_id, file_key=key)
        refused(answer, 503, "transcription_unavailable")
        assert answer.headers["Retry-After"] == "3600"
        told = owner.call("GET", "/api/user").json()["transcription"]
        assert told == {"available": False, "engine": None, "model": None, "local": False}

    @pytest.mark.usefixtures("idle")
    def test_clients_are_told_where_the_sound_goes(self, owner: Owner) -> None:
        told = owner.call("GET", "/api/user").json()["transcription"]
        assert told == {"available": True, "engine": "127.0.0.1", "model": "whisper-1", "local": True}


class TestOnceStored:
    def test_with_the_record(self, working: Transcribing, owner: Owner) -> None:
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
        job = when_over(owner, told["transcription"]["transcription_id"])
        assert (job["status"], job["language"]) == ("succeeded", "en")
        again = owner.call("POST", "/api/audio-file", json=body).json()
        assert again["transcription"]["transcription_id"] == job["transcription_id"]
        assert len(working.engine.requests) == 1

    @pytest.mark.usefixtures("idle")
    def test_what_is_refused_costs_nothing(self, owner: Owner) -> None:
        s3_key = f"users/{owner.user_id}/{uuid.uuid4()}"
        owner.service.put_object(s3_key, version_2(owner.account, PASSWORD, s3_key, SOUND))
        body = {"s3_key": s3_key, "transcribe": {"file_key": base64.b64encode(bytes(32)).decode()}}
        told = owner.call("POST", "/api/audio-file", json=body)
        assert told.status_code == 201
        assert told.json()["transcription"] is None
        assert told.json()["transcribe_error"]["code"] == "decryption_failed"
        malformed = owner.call("POST", "/api/audio-file", json={**body, "transcribe": {"file_key": "x"}})
        refused(malformed, 400, "invalid_request")
        plain = owner.call("POST", "/api/audio-file", json={"s3_key": s3_key}).json()
        assert set(plain) == {"audio_file"}

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


class TestCanceling:
    @pytest.mark.usefixtures("idle")
    def test_what_was_there_is_back(self, owner: Owner) -> None:
        file_id, key = recorded(owner)
        owner.write(file_id, "by hand")
        before = owner.state(file_id)
        job = asked(owner, file_id=file_id, file_key=key, replace=True)
        assert owner.state(file_id)["status"] == "queued"  # type: ignore[index]
        where = f"/api/transcriptions/{job['transcription_id']}"
        for _ in range(2):
            assert owner.call("DELETE", where).status_code == 204
        assert owner.state(file_id) == before
        assert job_of(owner, job["transcription_id"])["status"] == "canceled"
        refused(owner.call("DELETE", "/api/transcriptions/none"), 404, "transcription_not_found")
        assert ask(owner, file_id=file_id, file_key=key, replace=True).status_code == 202

    def test_a_running_one_writes_nothing(self, working: Transcribing, owner: Owner) -> None:
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

    @pytest.mark.usefixtures("working")
    def test_what_is_over_cannot_be(self, owner: Owner) -> None:
        file_id, key = recorded(owner)
        job = asked(owner, file_id=file_id, file_key=key)
        when_over(owner, job["transcription_id"])
        refused(owner.call("DELETE", f"/api/transcriptions/{job['transcription_id']}"), 409, "finished")

    def test_somebody_elses_is_not_there(self, idle: Transcribing, owner: Owner) -> None:
        file_id, key = recorded(owner)
        job = asked(owner, file_id=file_id, file_key=key)
        other = idle.owner(f"{uuid.uuid4().hex}@example.com")
        for method in ("GET", "DELETE"):
            refused(
                other.call(method, f"/api/transcriptions/{job['transcription_id']}"),
                404,
                "transcription_not_found",
            )


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

    @pytest.mark.usefixtures("idle")
    def test_a_day_later_it_is_over(self, owner: Owner) -> None:
        file_id, key = recorded(owner)
        job = asked(owner, file_id=file_id, file_key=key)
        owner.service.dynamodb().update_item(
            TableName="panzoto-transcriptions",
            Key={"user_id": {"S": owner.user_id}, "transcription_id": {"S": job["transcription_id"]}},
            UpdateExpression="SET created_at = :then",
            ExpressionAttributeValues={":then": {"N": str(time.time() - 86401)}},
        )
        over = job_of(owner, job["transcription_id"])
        assert (over["status"], over["error"]["code"]) == ("failed", "expired")
        assert owner.state(file_id)["status"] == "failed"  # type: ignore[index]


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


class TestOperators:
    def test_a_failed_job_is_tried_once_more(self, working: Transcribing, owner: Owner) -> None:
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
        assert "engine_refused" in done(
            owner.service, "support", "transcriptions", "list", "--status", "failed"
        )
        working.engine.manner = HEARD
        printed = done(owner.service, "support", "transcriptions", "retry", job["transcription_id"])
        assert "once more" in printed
        assert when_over(owner, job["transcription_id"])["status"] == "succeeded"
        assert owner.opened(file_id)["source"] == "engine"
        printed = done(owner.service, "support", "transcriptions", "retry", job["transcription_id"], status=1)
        assert "queue of failures" in printed

    @pytest.mark.usefixtures("idle")
    def test_a_job_is_canceled(self, owner: Owner) -> None:
        keys = dict(recorded(owner) for _ in range(2))
        job = asked(owner, file_ids=[*keys], file_keys=keys)
        assert "Canceled" in done(
            owner.service, "support", "transcriptions", "cancel", job["transcription_id"]
        )
        assert job_of(owner, job["transcription_id"])["status"] == "canceled"
        assert [owner.state(file_id) for file_id in keys] == [None, None]


class TestLists:
    @pytest.mark.usefixtures("idle")
    def test_pages_and_statuses(self, owner: Owner) -> None:
        ids = []
        for _ in range(3):
            file_id, key = recorded(owner)
            ids.append(asked(owner, file_id=file_id, file_key=key)["transcription_id"])
        owner.call("DELETE", f"/api/transcriptions/{ids[1]}")
        page = owner.call("GET", "/api/user/transcriptions", params={"limit": 2}).json()
        rest = owner.call(
            "GET", "/api/user/transcriptions", params={"limit": 2, "cursor": page["next_cursor"]}
        ).json()
        assert [job["transcription_id"] for job in page["transcriptions"] + rest["transcriptions"]] == ids[
            ::-1
        ]
        assert rest["next_cursor"] is None
        canceled = owner.call("GET", "/api/user/transcriptions", params={"status": "canceled"}).json()
        assert [job["transcription_id"] for job in canceled["transcriptions"]] == [ids[1]]
        refused(
            owner.call("GET", "/api/user/transcriptions", params={"status": "odd"}), 400, "invalid_request"
        )


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
