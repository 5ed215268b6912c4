"""Jobs of transcription as those see them who ask for them: real service, queue and engine, over the wire."""

from __future__ import annotations

import base64
import time
import uuid
from typing import Any

import pytest

from tests.support.aws import start_moto
from tests.support.commands import done
from tests.support.engines import SpeechEngine
from tests.support.jobs import HEARD, SOUND, ask, asked, made_a_day_older, recorded, stored_to_transcribe
from tests.support.recordings import version_2
from tests.support.service import PASSWORD
from tests.support.transcribing import Transcribing, job_of, transcribing
from tests.support.transcripts import Owner, exchange_public_key, refused


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
    @pytest.mark.usefixtures("idle")
    def test_what_is_refused_costs_nothing(self, owner: Owner) -> None:
        s3_key = f"users/{owner.user_id}/{uuid.uuid4()}"
        owner.service.put_object(s3_key, version_2(owner.account, PASSWORD, s3_key, SOUND))
        body = {"s3_key": s3_key, "transcribe": {"file_key": base64.b64encode(bytes(32)).decode()}}
        told = owner.call("POST", "/api/audio-file", json=body)
        assert told.status_code == 201
        assert told.json()["transcription"] is None
        assert told.json()["transcribe_error"]["code"] == "decryption_failed"
        for wish in ({"file_key": "x"}, {}, {"file_key": None}):
            malformed = owner.call("POST", "/api/audio-file", json={**body, "transcribe": wish})
            refused(malformed, 400, "invalid_request")
            assert malformed.json()["error"] == "file_key must be base64 of 32 bytes"
        plain = owner.call("POST", "/api/audio-file", json={"s3_key": s3_key}).json()
        assert set(plain) == {"audio_file"}


class TestKeyOfSomebodyElse:
    """A public key that was put into the account's row has no mark of the service's."""

    @pytest.fixture
    def exchanged(self, owner: Owner) -> Owner:
        exchange_public_key(owner.service, "panzoto-users", "transcripts_public_key", user_id=owner.user_id)
        return owner

    @pytest.mark.usefixtures("idle")
    def test_nothing_is_sealed_to_it(self, exchanged: Owner) -> None:
        file_id, key = recorded(exchanged)
        refused(ask(exchanged, file_id=file_id, file_key=key), 409, "vault_needed")
        told = exchanged.call("POST", "/api/audio-file", json=stored_to_transcribe(exchanged)).json()
        assert (told["transcription"], told["transcribe_error"]["code"]) == (None, "vault_needed")
        assert exchanged.call("GET", "/api/user/transcriptions").json()["transcriptions"] == []

    @pytest.mark.usefixtures("idle")
    def test_nobody_proves_theirs_against_it(self, exchanged: Owner) -> None:
        body = {"transcripts_key": base64.b64encode(exchanged.private_key).decode()}
        refused(exchanged.call("POST", "/api/transcripts/unlock", json=body), 409, "vault_needed")

    @pytest.mark.usefixtures("idle")
    def test_a_password_puts_it_right(self, exchanged: Owner) -> None:
        file_id, key = recorded(exchanged)
        asked(exchanged, file_id=file_id, password=PASSWORD)
        own = exchanged.call("GET", "/api/user").json()["vault"]["transcripts_public_key"]
        assert base64.b64decode(own) == exchanged.public_key
        other, key = recorded(exchanged)
        asked(exchanged, file_id=other, file_key=key)


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

    @pytest.mark.usefixtures("idle")
    def test_behind_one_of_the_day_before_nothing_waits(self, owner: Owner) -> None:
        file_id, key = recorded(owner)
        older = made_a_day_older(owner, asked(owner, file_id=file_id, file_key=key))
        job = asked(owner, file_id=file_id, file_key=key)
        assert job_of(owner, older)["status"] == "failed"
        assert owner.call("DELETE", f"/api/transcriptions/{job['transcription_id']}").status_code == 204
        assert owner.state(file_id) is None

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


class TestOperators:
    @pytest.mark.usefixtures("idle")
    def test_a_job_is_canceled(self, owner: Owner) -> None:
        keys = dict(recorded(owner) for _ in range(2))
        job = asked(owner, file_ids=[*keys], file_keys=keys)
        assert "Canceled" in done(
            owner.service, "support", "transcriptions", "cancel", job["transcription_id"]
        )
        assert job_of(owner, job["transcription_id"])["status"] == "canceled"
        assert [owner.state(file_id) for file_id in keys] == [None, None]

    @pytest.mark.parametrize("verb", ["cancel", "retry"])
    def test_a_job_that_never_was_is_told_to_be_none(self, owner: Owner, verb: str) -> None:
        printed = done(owner.service, "support", "transcriptions", verb, "abc", status=1)
        assert "There is no such transcription" in printed


class TestLists:
    @pytest.mark.usefixtures("idle")
    def test_what_should_be_over_is_listed_as_what_it_becomes(self, owner: Owner) -> None:
        (one, first), (two, second) = recorded(owner), recorded(owner)
        older = made_a_day_older(owner, asked(owner, file_id=one, file_key=first))
        waiting = asked(owner, file_id=two, file_key=second)["transcription_id"]

        def listed(status: str) -> list[tuple[str, str]]:
            shown = owner.call("GET", "/api/user/transcriptions", params={"status": status, "limit": 1})
            return [(job["transcription_id"], job["status"]) for job in shown.json()["transcriptions"]]

        assert listed("failed") == [(older, "failed")]
        older = made_a_day_older(owner, asked(owner, file_id=one, file_key=first))
        assert (listed("queued"), listed("running")) == ([(waiting, "queued")], [])
        assert listed("failed") == [(older, "failed")]

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
