"""Transcripts over the wire: written by clients, read sealed and opened, followed, found and removed."""

from __future__ import annotations

import base64
import io
import json
import os
import uuid
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support import rows
from tests.support.fault_proxy import Fault, FaultProxy, LoseReply
from tests.support.service import BUCKET, PASSWORD, Service
from tests.support.transcripts import Owner, path, refused
from tests.support.waiting import eventually


@pytest.fixture
def owner(service: Service, account: dict[str, Any]) -> Owner:
    return Owner(service, account)


@pytest.fixture
def others(service: Service, new_account: Callable[..., dict[str, Any]]) -> Owner:
    return Owner(service, new_account())


def test_written_read_and_removed(owner: Owner) -> None:
    file_id = owner.record()
    assert owner.state(file_id) is None
    refused(owner.call("GET", path(file_id)), 404, "transcript_not_found")
    sealed = owner.seal(file_id, "Hello from the phone.")
    written = owner.put(file_id, sealed, language="en").json()
    assert set(written) == {"file_id", "revision", "language", "created_at", "source"}
    assert (written["language"], written["source"]) == ("en", "client")
    assert owner.call("GET", path(file_id)).json() == {**written, "sealed": sealed}
    assert owner.state(file_id) == {
        "status": "succeeded",
        "transcription_id": None,
        **{name: written[name] for name in ("revision", "language", "created_at", "source")},
    }
    assert owner.call("DELETE", path(file_id)).status_code == 204
    assert owner.state(file_id) is None
    refused(owner.call("GET", path(file_id)), 404, "transcript_not_found")
    refused(owner.call("DELETE", path(file_id)), 404, "transcript_not_found")


def test_somebody_elses_is_not_there(owner: Owner, others: Owner) -> None:
    file_id = owner.record()
    owner.write(file_id, "mine")
    refused(others.call("GET", path(file_id)), 404, "audio_file_not_found")
    refused(others.put(file_id, others.seal(file_id, "x")), 404, "audio_file_not_found")
    refused(others.call("DELETE", path(file_id)), 404, "audio_file_not_found")
    refused(others.call("POST", path(file_id), json={"password": PASSWORD}), 404, "audio_file_not_found")


def test_a_revision_is_written_over_only_as_it_was_seen(owner: Owner) -> None:
    file_id = owner.record()
    refused(owner.put(file_id, owner.seal(file_id, "a"), revision="none yet"), 409, "conflict")
    first = owner.write(file_id, "a")
    second = owner.write(file_id, "b", revision=first["revision"])
    assert second["revision"] != first["revision"]
    refused(owner.put(file_id, owner.seal(file_id, "c"), revision=first["revision"]), 409, "conflict")
    assert owner.write(file_id, "d", revision=None)["revision"] not in (first["revision"], second["revision"])


@pytest.mark.parametrize("size", [100, 350_000], ids=["in the row", "in the bucket"])
def test_many_at_once_are_written_one_over_the_other(owner: Owner, size: int) -> None:
    file_id = owner.record()
    sealed = [owner.seal_bytes(file_id, b"\x00" + os.urandom(size // 2).hex().encode()) for _ in range(5)]
    with ThreadPoolExecutor(len(sealed)) as pool:
        answers = list(pool.map(lambda one: owner.put(file_id, one), sealed))
    assert [answer.status_code for answer in answers] == [200] * len(sealed)
    read = owner.call("GET", path(file_id)).json()
    last = [answer.json()["revision"] for answer in answers].index(read["revision"])
    assert read["sealed"] == sealed[last]
    assert len(owner.objects()) == (size > 300_000)


@pytest.mark.parametrize(
    ("sealed", "status", "code"),
    [
        ("no base64!", 400, "invalid_request"),
        (None, 400, "invalid_request"),
        (7, 400, "invalid_request"),
        ("", 422, "decryption_failed"),
        (base64.b64encode(bytes(48)).decode(), 422, "decryption_failed"),
    ],
)
def test_what_is_no_sealed_transcript(owner: Owner, sealed: Any, status: int, code: str) -> None:
    refused(owner.call("PUT", path(owner.record()), json={"sealed": sealed}), status, code)


@pytest.mark.parametrize("body", [{}, {"sealed": None}])
def test_without_a_sealed_one_it_is_said_what_is_missing(owner: Owner, body: dict[str, None]) -> None:
    answer = owner.call("PUT", path(owner.record()), json=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == "sealed must be base64"
    assert answer.json()["fields"] == {"sealed": "sealed must be base64"}


def test_a_recording_that_is_not_there_comes_before_what_is_wrong_with_the_seal(owner: Owner) -> None:
    short = base64.b64encode(bytes(48)).decode()
    refused(owner.put(str(uuid.uuid4()), short), 404, "audio_file_not_found")


def test_large_ones_lie_in_the_bucket_and_go_when_they_are_replaced(owner: Owner) -> None:
    file_id = owner.record()
    for size in (299_000, 400_000, 8 * 1024 * 1024 - 200):
        plain = b"\x00" + json.dumps({"segments": [], "x": os.urandom(size // 2).hex()[: size - 30]}).encode()
        sealed = owner.seal_bytes(file_id, plain)
        assert owner.put(file_id, sealed).status_code == 200
        assert owner.call("GET", path(file_id)).json()["sealed"] == sealed
        assert len(owner.objects()) == (size > 300_000)
    opened = owner.call("POST", path(file_id), json={"ticket": owner.ticket()})
    assert opened.content == plain[1:]
    owner.write(file_id, "short again")
    assert owner.objects() == []


def test_too_large_is_told(owner: Owner) -> None:
    file_id = owner.record()
    too_large = base64.b64encode(bytes(8 * 1024 * 1024 + 1)).decode()
    refused(owner.put(file_id, too_large), 413, "payload_too_large")
    refused(owner.put(file_id, "A" * 12 * 1024 * 1024), 413, "payload_too_large")
    # Other calls go on taking little.
    refused(
        owner.call("POST", "/api/search", json={"query": "x" * 70_000, "password": "p"}),
        413,
        "payload_too_large",
    )


def test_formats(owner: Owner) -> None:
    file_id = owner.record()
    sealed = owner.seal(file_id, "Hello & <goodbye>.", "Second.")
    owner.put(file_id, sealed)
    ticket = owner.ticket()
    for name, kind, ending in (
        ("json", "application/json", "json"),
        ("text", "text/plain", "txt"),
        ("srt", "application/x-subrip", "srt"),
        ("vtt", "text/vtt", "vtt"),
    ):
        answer = owner.call("POST", path(file_id), json={"ticket": ticket, "format": name})
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].split(";")[0] == kind
        assert f'filename="transcript-{file_id}.{ending}"' in answer.headers["Content-Disposition"]
    assert answer.text.startswith("WEBVTT")
    assert "&amp; &lt;goodbye&gt;" in answer.text
    default = owner.call("POST", path(file_id), json={"password": PASSWORD})
    assert json.loads(default.content)["file_id"] == file_id
    refused(
        owner.call("POST", path(file_id), json={"ticket": ticket, "format": "doc"}), 400, "invalid_request"
    )


class TestTickets:
    def test_they_open_transcripts_and_no_sound(self, owner: Owner) -> None:
        ticket = owner.ticket()
        refused(owner.call("GET", f"/api/playback/{ticket}"), 404, "playback_not_found")
        assert owner.find("x", ticket=ticket)["hits"] == []

    def test_of_another_session_or_broken(self, owner: Owner, others: Owner) -> None:
        ticket = owner.ticket()
        body = {"email": owner.account["user"]["email"], "password": PASSWORD}
        again = owner.service.call("POST", "/api/login", json=body).json()
        for token, value in (
            (again["token"], ticket),
            (others.token, ticket),
            (owner.token, ticket[:-4]),
            (owner.token, "x"),
        ):
            answer = owner.service.call("POST", "/api/search", token, json={"ticket": value, "query": "x"})
            refused(answer, 401, "invalid_ticket")

    def test_the_private_key_unlocks_too(self, owner: Owner) -> None:
        key = base64.b64encode(owner.private_key).decode()
        answer = owner.call("POST", "/api/transcripts/unlock", json={"transcripts_key": key})
        assert owner.find("x", ticket=answer.json()["ticket"])["total"] == 0
        wrong = base64.b64encode(bytes(31) + b"\x01").decode()
        refused(
            owner.call("POST", "/api/transcripts/unlock", json={"transcripts_key": wrong}),
            422,
            "decryption_failed",
        )

    @pytest.mark.parametrize(
        "body",
        [{}, {"password": PASSWORD, "transcripts_key": "x"}, {"transcripts_key": "short"}, {"password": ""}],
    )
    def test_what_cannot_unlock(self, owner: Owner, body: dict[str, str]) -> None:
        refused(owner.call("POST", "/api/transcripts/unlock", json=body), 400, "invalid_request")

    def test_a_wrong_password(self, owner: Owner) -> None:
        answer = owner.call("POST", "/api/transcripts/unlock", json={"password": "not the password"})
        refused(answer, 401, "invalid_password")

    def test_without_a_key_the_password_is_needed(self, owner: Owner) -> None:
        owner.service.dynamodb().update_item(
            TableName=rows.USERS_TABLE,
            Key={"user_id": {"S": owner.user_id}},
            UpdateExpression="REMOVE transcripts_public_key",
        )
        key = base64.b64encode(owner.private_key).decode()
        refused(
            owner.call("POST", "/api/transcripts/unlock", json={"transcripts_key": key}), 409, "vault_needed"
        )
        assert owner.ticket()
        assert owner.call("POST", "/api/transcripts/unlock", json={"transcripts_key": key}).status_code == 200

    @pytest.mark.parametrize("body", [{}, {"password": PASSWORD, "ticket": "x"}])
    def test_one_of_both_is_needed(self, owner: Owner, body: dict[str, str]) -> None:
        for where in (path(str(uuid.uuid4())), "/api/search"):
            refused(owner.call("POST", where, json={"query": "x", **body}), 400, "invalid_request")


class TestChanges:
    def test_each_recording_once_at_its_latest(self, owner: Owner) -> None:
        one, two, three = (owner.record() for _ in range(3))
        for file_id in (one, two, three, one):
            owner.write(file_id, "said")
        told = owner.changes()
        assert [entry["file_id"] for entry in told["transcripts"]] == [two, three, one]
        assert all(
            set(entry) == {"file_id", "sealed", "revision", "language", "created_at", "source"}
            for entry in told["transcripts"]
        )
        assert told["more"] is False
        owner.call("PATCH", f"/api/audio-file/{two}", json={"duration_ms": 5})
        assert owner.changes(told["next"])["transcripts"] == []
        owner.call("DELETE", path(two))
        owner.call("DELETE", f"/api/audio-file/{three}?permanent=true")
        since = owner.changes(told["next"])
        assert since["transcripts"] == [
            {"file_id": two, "deleted": True},
            {"file_id": three, "deleted": True},
        ]
        owner.write(two, "again")
        assert [entry["file_id"] for entry in owner.changes()["transcripts"]] == [one, three, two]
        assert owner.changes(owner.changes()["next"])["transcripts"] == []

    def test_pages(self, owner: Owner) -> None:
        file_ids = [owner.record() for _ in range(5)]
        for file_id in file_ids:
            owner.write(file_id, "said")
        told, since = [], None
        while True:
            page = owner.changes(since, limit=2)
            told += [entry["file_id"] for entry in page["transcripts"]]
            since = page["next"]
            if not page["more"]:
                break
        assert told == file_ids
        refused(
            owner.call("GET", "/api/user/transcripts", params={"since": "nonsense"}), 400, "invalid_cursor"
        )

    def test_a_page_ends_at_its_measure_with_one_at_least(self, owner: Owner) -> None:
        for _ in range(3):
            file_id = owner.record()
            owner.put(file_id, owner.seal_bytes(file_id, b"\x00" + os.urandom(5 * 1024 * 1024)))
        told, since = [], None
        for _ in range(3):
            page = owner.changes(since)
            told.append(len(page["transcripts"]))
            since = page["next"]
        assert (told, page["more"]) == ([1, 1, 1], False)

    def test_changes_of_recordings_tell_of_them(self, owner: Owner) -> None:
        file_id = owner.record()
        since = owner.call("GET", "/api/user/changes").json()["next"]
        written = owner.write(file_id, "said")
        (change,) = owner.call("GET", "/api/user/changes", params={"since": since}).json()["changes"]
        assert change["audio_file"]["transcript"]["revision"] == written["revision"]


class TestSearch:
    def test_hits_with_what_stands_around(self, owner: Owner) -> None:
        file_id = owner.record(recorded_at="2026-01-02T03:04:05Z")
        owner.write(file_id, "We went to the garden.", "Mum was in the garden too.")
        found = owner.find('garden "was in"')
        (hit,) = found["hits"]
        assert (hit["file_id"], hit["recorded_at"]) == (file_id, "2026-01-02T03:04:05Z")
        assert [match["text"] for match in hit["matches"]] == ["garden", "was in", "garden"]
        assert hit["matches"][0]["before"].endswith("We went to the ")
        assert (hit["matches"][0]["start_ms"], hit["matches"][0]["end_ms"]) == (0, 900)
        assert (found["searched"], found["total"], found["next_cursor"]) == (1, 1, None)
        assert owner.find("garden -mum")["hits"] == []

    def test_newest_first_and_page_by_page(self, owner: Owner) -> None:
        file_ids = []
        for day in (1, 3, 2, 4, 3):
            file_ids.append(owner.record(recorded_at=f"2026-02-0{day}T00:00:00Z"))
            owner.write(file_ids[-1], "alike")
        silent = owner.record()
        first, second, third, fourth, fifth = file_ids
        expected = [fourth, *sorted((second, fifth)), third, first]
        told, cursor, searched = [], None, 0
        while True:
            page = owner.find("alike", limit=2, **({"cursor": cursor} if cursor else {}))
            told += [hit["file_id"] for hit in page["hits"]]
            assert page["total"] == 5
            searched += page["searched"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert (told, searched) == (expected, 5)
        assert silent not in told
        between = owner.find("alike", **{"from": "2026-02-02T00:00:00Z", "to": "2026-02-03T00:00:00Z"})
        assert [hit["file_id"] for hit in between["hits"]] == [*sorted((second, fifth)), third]
        assert between["total"] == 3

    def test_a_cursor_is_of_this_account_and_query_and_outlives_a_ticket(
        self, owner: Owner, others: Owner
    ) -> None:
        for _ in range(2):
            owner.write(owner.record(), "alike")
        cursor = owner.find("alike", limit=1, ticket=owner.ticket())["next_cursor"]
        assert len(owner.find("alike", limit=1, cursor=cursor, ticket=owner.ticket())["hits"]) == 1
        for who, query in ((owner, "other"), (others, "alike")):
            body = {"password": PASSWORD, "query": query, "cursor": cursor}
            refused(who.call("POST", "/api/search", json=body), 400, "invalid_cursor")

    def test_trash_and_damage(self, owner: Owner) -> None:
        binned, damaged, good = (owner.record() for _ in range(3))
        for file_id in (binned, good):
            owner.write(file_id, "alike")
        owner.put(damaged, base64.b64encode(os.urandom(100)).decode())
        owner.call("DELETE", f"/api/audio-file/{binned}")
        found = owner.find("alike")
        assert [hit["file_id"] for hit in found["hits"]] == [good]
        assert (found["searched"], found["total"]) == (2, 2)
        assert owner.call("POST", path(binned), json={"password": PASSWORD}).status_code == 200
        refused(owner.call("POST", path(damaged), json={"password": PASSWORD}), 422, "decryption_failed")
        owner.call("POST", f"/api/audio-file/{binned}/restore")
        assert owner.find("alike")["total"] == 3

    @pytest.mark.parametrize("query", ["", "   ", "-not", '-"not this"', "…", "x" * 1001, None, 7])
    def test_what_is_no_query(self, owner: Owner, query: Any) -> None:
        refused(
            owner.call("POST", "/api/search", json={"password": PASSWORD, "query": query}),
            400,
            "invalid_request",
        )


class TestLost:
    """A transcript's object is gone, as when tables were restored and the bucket was not."""

    @pytest.fixture
    def lost(self, owner: Owner) -> str:
        file_id = owner.record()
        owner.put(file_id, owner.seal_bytes(file_id, b"\x00" + os.urandom(400_000)))
        (s3_key,) = owner.objects()
        owner.service.s3().delete_object(Bucket=BUCKET, Key=s3_key)
        return file_id

    def test_the_list_goes_on_behind_it(self, owner: Owner, lost: str) -> None:
        other = owner.record()
        owner.write(other, "alike")
        refused(owner.call("GET", path(lost)), 404, "object_not_found")
        first = owner.changes(limit=1)
        told = owner.changes(first["next"])
        (entry,) = first["transcripts"]
        state = owner.state(lost) or {}
        assert entry == {
            "file_id": lost,
            "sealed": "",
            **{name: state[name] for name in ("revision", "language", "created_at", "source")},
        }
        assert [one["file_id"] for one in told["transcripts"]] == [other]

    @pytest.mark.usefixtures("lost")
    def test_it_is_passed_over_and_counts_as_searched(self, owner: Owner) -> None:
        other = owner.record()
        owner.write(other, "alike")
        found = owner.find("alike")
        assert [hit["file_id"] for hit in found["hits"]] == [other]
        assert (found["searched"], found["total"], found["next_cursor"]) == (2, 2, None)

    def test_an_export_is_whole_and_names_it(self, owner: Owner, lost: str) -> None:
        other = owner.record()
        owner.write(other, "alike")
        archive = zipfile.ZipFile(io.BytesIO(owner.call("GET", "/api/user/export").content))
        assert json.loads(archive.read("missing.json"))["transcripts"] == [lost]
        held = [name for name in archive.namelist() if name.startswith("transcripts/")]
        assert held == [f"transcripts/{other}.hpke"]

    def test_it_is_written_anew(self, owner: Owner, lost: str) -> None:
        owner.write(lost, "alike")
        assert [entry["file_id"] for entry in owner.changes()["transcripts"]] == [lost]
        assert owner.find("alike")["hits"][0]["file_id"] == lost


class TestLife:
    def test_what_becomes_of_the_recording(self, owner: Owner) -> None:
        file_id = owner.record()
        written = owner.write(file_id, "said")
        owner.call("DELETE", f"/api/audio-file/{file_id}")
        assert owner.call("GET", path(file_id)).json()["revision"] == written["revision"]
        owner.call("POST", f"/api/audio-file/{file_id}/restore")
        assert owner.state(file_id)["revision"] == written["revision"]  # type: ignore[index]
        assert owner.call("DELETE", f"/api/audio-file/{file_id}?permanent=true").status_code == 204
        refused(owner.call("GET", path(file_id)), 404, "audio_file_not_found")
        key = {"user_id": {"S": owner.user_id}, "file_id": {"S": file_id}}
        assert "Item" not in owner.service.dynamodb().get_item(TableName="panzoto-transcripts", Key=key)

    def test_an_erasure_and_a_deletion_leave_no_object(self, owner: Owner) -> None:
        large = os.urandom(400_000)
        erased, kept = owner.record(), owner.record()
        for file_id in (erased, kept):
            owner.put(file_id, owner.seal_bytes(file_id, b"\x00" + large))
        assert len(owner.objects()) == 2
        owner.call("DELETE", f"/api/audio-file/{erased}?permanent=true")
        assert [key.split("/")[2] for key in owner.objects()] == [kept]
        assert owner.call("DELETE", "/api/user", json={"password": PASSWORD}).status_code == 202
        key = {"user_id": {"S": owner.user_id}}
        users = owner.service.dynamodb()
        eventually(
            lambda: "Item" not in users.get_item(TableName=rows.USERS_TABLE, Key=key),
            "the account was not deleted",
        )
        assert owner.objects() == []
        found = owner.service.dynamodb().scan(TableName="panzoto-transcripts")["Items"]
        assert [item for item in found if item["user_id"]["S"] == owner.user_id] == []
        changes = owner.service.dynamodb().scan(TableName="panzoto-changes")["Items"]
        assert [item for item in changes if item["user_id"]["S"].startswith(owner.user_id)] == []

    def test_an_export_holds_the_sealed_bytes(self, owner: Owner) -> None:
        small, large = owner.record(), owner.record()
        sealed = {
            small: owner.seal(small, "said"),
            large: owner.seal_bytes(large, b"\x00" + os.urandom(400_000)),
        }
        for file_id, value in sealed.items():
            owner.put(file_id, value)
        archive = zipfile.ZipFile(io.BytesIO(owner.call("GET", "/api/user/export").content))
        for file_id, value in sealed.items():
            assert archive.read(f"transcripts/{file_id}.hpke") == base64.b64decode(value)
        assert b"HPKE (RFC 9180)" in archive.read("README.txt")

    def test_what_was_written_is_told_whether_or_not_its_answer_came(
        self, proxy: FaultProxy, second: Service, new_account: Callable[..., dict[str, Any]]
    ) -> None:
        owner = Owner(second, new_account())
        file_id = owner.record()
        lost = proxy.add(Fault(LoseReply(), operation="TransactWriteItems", times=2))
        assert owner.put(file_id, owner.seal(file_id, "said")).status_code == 503
        assert lost.applied == 2
        assert owner.opened(file_id)["segments"][0]["text"] == "said"
        events = owner.call("GET", "/api/user/events").json()["events"]
        assert [event["type"] for event in events].count("transcript_written") == 1

    def test_events_tell_who_wrote(self, owner: Owner) -> None:
        file_id = owner.record()
        owner.write(file_id, "said")
        owner.ticket()
        events = owner.call("GET", "/api/user/events").json()["events"]
        told = {event["type"]: event for event in events}
        assert told["transcript_written"]["detail"] == {"file_id": file_id}
        assert told["transcript_written"]["session_id"] == owner.account["session_id"]
        assert "transcripts_unlocked" in told
