"""Recording and listing over the wire: limits, texts, keys, repeats, races, and old rows."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
import requests

from tests.support import rows
from tests.support.service import PASSWORD, Service

KEY_SALT = bytes(range(32))
TIB = 1024**4
FIELDS = {"file_id", "user_id", "s3_key", "file_size", "uploaded_at"}
NewAccount = Callable[..., dict[str, Any]]


def fresh_key(ending: str = "") -> str:
    return f"users/{uuid.uuid4().hex}/audio-1{ending}.3gp"


def note(service: Service, token: str, **body: Any) -> requests.Response:
    return service.call("POST", "/api/audio-file", token, json=body)


def noted(service: Service, token: str, **body: Any) -> dict[str, Any]:
    answer = note(service, token, **body)
    assert answer.status_code == 201, answer.text
    audio_file: dict[str, Any] = answer.json()["audio_file"]
    return audio_file


def listing(service: Service, token: str, query: str = "") -> list[dict[str, Any]]:
    answer = service.call("GET", "/api/user/audio-files" + query, token)
    assert answer.status_code == 200, answer.text
    audio_files: list[dict[str, Any]] = answer.json()["audio_files"]
    return audio_files


def claim_of(service: Service, s3_key: str) -> dict[str, Any] | None:
    found = service.dynamodb().get_item(
        TableName="panzoto-claims", Key={"claim": {"S": f"s3key#{s3_key}"}}, ConsistentRead=True
    )
    item: dict[str, Any] | None = found.get("Item")
    return item


def stored_rows(service: Service, user_id: str) -> list[dict[str, Any]]:
    pages = (
        service.dynamodb()
        .get_paginator("query")
        .paginate(
            TableName=rows.FILES_TABLE,
            IndexName="user-files-index",
            KeyConditionExpression="user_id = :user_id",
            ExpressionAttributeValues={":user_id": {"S": user_id}},
        )
    )
    return [item for page in pages for item in page["Items"]]


@pytest.fixture(scope="module")
def member(service: Service) -> dict[str, Any]:
    """One account for all requests that are refused."""
    return service.register(f"{uuid.uuid4().hex}@example.com")


class TestRecording:
    def test_what_comes_back(self, service: Service, account: dict[str, Any]) -> None:
        s3_key = fresh_key()
        recorded = noted(service, account["token"], s3_key=s3_key, file_size=1024)
        assert set(recorded) >= FIELDS
        assert str(uuid.UUID(recorded["file_id"])) == recorded["file_id"]
        assert recorded["user_id"] == account["user_id"]
        assert (recorded["s3_key"], recorded["file_size"]) == (s3_key, 1024)
        assert recorded["uploaded_at"].endswith("Z")
        assert listing(service, account["token"]) == [recorded]

    def test_the_row_is_one_the_earlier_service_can_read(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        recorded = noted(service, account["token"], s3_key=fresh_key(), file_size=7)
        (row,) = stored_rows(service, account["user_id"])
        assert row["file_id"] == {"S": recorded["file_id"]}
        assert row["s3_key"] == {"S": recorded["s3_key"]}
        assert row["file_size"] == {"N": "7"}
        assert abs(float(row["uploaded_at"]["N"]) - time.time()) < 600
        assert row["uploaded_at_iso"]["S"].startswith(recorded["uploaded_at"][:19])

    def test_all_that_a_recording_may_be_told_of_is_taken(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        told = {
            "recorded_at": "2026-05-01T10:00:00Z",
            "duration_ms": 61_000,
            "content_type": "audio/3gpp",
            "title": base64.b64encode(b"sealed by a client").decode(),
            "note": base64.b64encode(bytes(4096)).decode(),
        }
        made = noted(service, account["token"], s3_key=f"told-{uuid.uuid4()}", **told)
        assert {name: made[name] for name in told} == told
        for name in ("title", "note"):
            too_long = {name: base64.b64encode(bytes(4097)).decode()}
            answer = note(service, account["token"], s3_key=f"told-{uuid.uuid4()}", **too_long)
            assert (answer.status_code, list(answer.json()["fields"])) == (400, [name])

    def test_unknown_fields_are_ignored(self, service: Service, account: dict[str, Any]) -> None:
        other = str(uuid.uuid4())
        recorded = noted(
            service, account["token"], s3_key=fresh_key(), user_id=other, file_id=other, newer=[{"a": None}]
        )
        assert recorded["user_id"] == account["user_id"]
        assert recorded["file_id"] != other

    def test_the_token_is_looked_at_before_the_body(self, service: Service) -> None:
        for body in (b"{", b"", b'{"s3_key": 5}'):
            answer = service.call(
                "POST", "/api/audio-file", data=body, headers={"Content-Type": "application/json"}
            )
            assert (answer.status_code, answer.json()["error"]) == (401, "Token is missing")


class TestKeys:
    @pytest.mark.parametrize("body", [{}, {"s3_key": None}, {"s3_key": ""}, {"file_size": 5}], ids=json.dumps)
    def test_a_key_is_required(self, service: Service, member: dict[str, Any], body: dict[str, Any]) -> None:
        answer = note(service, member["token"], **body)
        assert (answer.status_code, answer.json()["error"]) == (400, "s3_key is required")
        assert answer.json()["fields"] == {"s3_key": "s3_key is required"}

    @pytest.mark.parametrize("value", [5, 1.5, True, False, [], ["users/a/b"], {}], ids=json.dumps)
    def test_a_key_is_a_text(self, service: Service, member: dict[str, Any], value: Any) -> None:
        answer = note(service, member["token"], s3_key=value)
        assert answer.status_code == 400
        assert list(answer.json()["fields"]) == ["s3_key"]

    @pytest.mark.parametrize("filler", ["k", "é", "語", "🎤"])
    def test_1024_bytes_are_the_limit_and_not_1024_characters(
        self, service: Service, member: dict[str, Any], filler: str
    ) -> None:
        opening = f"users/{uuid.uuid4().hex}/"
        room = 1024 - len(opening)
        longest = opening + filler * (room // len(filler.encode())) + "x" * (room % len(filler.encode()))
        assert len(longest.encode()) == 1024
        assert noted(service, member["token"], s3_key=longest)["s3_key"] == longest
        for too_long in (longest + "x", longest[:-1] + "éé", longest + filler * 2000):
            answer = note(service, member["token"], s3_key=too_long)
            assert answer.status_code == 400
            assert list(answer.json()["fields"]) == ["s3_key"]

    @pytest.mark.parametrize(
        "character",
        [
            "\x00",
            "\x01",
            "\t",
            "\n",
            "\r",
            "\x1b",
            "\x1f",
            "\x7f",
            "\x80",
            "\x85",
            "\x9f",
            chr(0xD800),
            chr(0xDFFF),
        ],
        ids=ascii,
    )
    def test_control_characters_and_half_characters_are_refused(
        self, service: Service, member: dict[str, Any], character: str
    ) -> None:
        for s3_key in (f"users/a/b{character}c", f"{character}users/a/b", f"users/a/b{character}"):
            answer = note(service, member["token"], s3_key=s3_key)
            assert answer.status_code == 400, s3_key
            assert list(answer.json()["fields"]) == ["s3_key"]

    @pytest.mark.parametrize(
        "ending",
        [
            "/ /",
            "/é",
            "/e\u0301",
            "/\u2029",
            "/\u2028",
            "/\u200b",
            "/🎤",
            "/%00",
            "/../x",
            "//",
            "/a'b\"c",
            "/\\",
        ],
        ids=ascii,
    )
    def test_every_other_character_is_kept_as_it_is(
        self, service: Service, member: dict[str, Any], ending: str
    ) -> None:
        s3_key = f"users/{uuid.uuid4().hex}{ending}"
        assert noted(service, member["token"], s3_key=s3_key)["s3_key"] == s3_key
        assert listing(service, member["token"])[0]["s3_key"] == s3_key

    def test_spaces_are_not_stripped(self, service: Service, account: dict[str, Any]) -> None:
        s3_key = fresh_key()
        plain, padded = (noted(service, account["token"], s3_key=key) for key in (s3_key, f" {s3_key} "))
        assert plain["file_id"] != padded["file_id"]
        assert padded["s3_key"] == f" {s3_key} "

    def test_one_character_is_a_key(self, service: Service, member: dict[str, Any]) -> None:
        # Anybody may have taken a key so short, in a run of the tests as in life.
        assert note(service, member["token"], s3_key="k").status_code in (201, 409)

    @pytest.mark.parametrize(
        "form",
        [
            "users/{}/audio-1.3gp",
            "audio_upload/{}/audio_12345678_1700000000000_1234.3gp_encrypted",
            "anything/{}",
            "/{}/audio",
        ],
    )
    def test_a_folder_with_a_users_id_is_that_users(
        self, service: Service, new_account: NewAccount, form: str
    ) -> None:
        owner, stranger = new_account(), new_account()
        for spelling in (owner["user_id"], owner["user_id"].upper()):
            refused = note(service, stranger["token"], s3_key=form.format(spelling))
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden_key")
            assert set(refused.json()) == {"error", "code", "request_id"}
            s3_key = form.format(spelling)
            assert noted(service, owner["token"], s3_key=s3_key)["s3_key"] == s3_key
        assert note(service, stranger["token"], s3_key=form.format(uuid.uuid4())).status_code == 403

    @pytest.mark.parametrize(
        "form",
        [
            "users/test-user-{}/audio-123.3gp",
            "users/{}-not/audio-123.3gp",
            "users/x{}/audio-123.3gp",
            "users/folder/{}",
            "{}/audio-123.3gp",
            "{}",
        ],
    )
    def test_any_other_folder_is_anybodys(self, service: Service, member: dict[str, Any], form: str) -> None:
        assert note(service, member["token"], s3_key=form.format(uuid.uuid4())).status_code == 201


class TestFileSize:
    @pytest.mark.parametrize("size", [0, 1, 1024, 2**31, 2**42 + 1, 5 * TIB - 1, 5 * TIB])
    def test_a_whole_number_up_to_5_tib(self, service: Service, member: dict[str, Any], size: int) -> None:
        recorded = noted(service, member["token"], s3_key=fresh_key(), file_size=size)
        assert recorded["file_size"] == size
        assert listing(service, member["token"])[0]["file_size"] == size

    @pytest.mark.parametrize("body", [{}, {"file_size": None}], ids=json.dumps)
    def test_it_may_be_left_out(self, service: Service, member: dict[str, Any], body: dict[str, Any]) -> None:
        assert noted(service, member["token"], s3_key=fresh_key(), **body)["file_size"] is None
        assert listing(service, member["token"])[0]["file_size"] is None

    @pytest.mark.parametrize("literal", ["1024.0", "1.024e3", "-0", "0e5"])
    def test_a_whole_number_in_another_spelling(
        self, service: Service, member: dict[str, Any], literal: str
    ) -> None:
        answer = self._send(service, member, literal)
        assert answer.status_code == 201
        assert answer.json()["audio_file"]["file_size"] == int(float(literal))
        assert "." not in answer.text.split('"file_size":')[1].split(",")[0]

    @pytest.mark.parametrize(
        "literal",
        [
            "-1",
            "-1e30",
            str(5 * TIB + 1),
            "5.5e12",
            "1.5",
            "1e-5",
            "true",
            "false",
            '""',
            '"5"',
            '"1024"',
            "[]",
            "[5]",
            "{}",
            "1e400",
            "-1e400",
            "1" + "0" * 4000,
            "1" + "0" * 5000,
            "-1" + "0" * 5000,
            "0." + "1" * 5000,
            "NaN",
            "Infinity",
            "-Infinity",
            "0x10",
            "1_0",
            "+5",
            "05",
            "٥",
        ],
        ids=lambda literal: literal[:20],
    )
    def test_anything_else_is_400(self, service: Service, member: dict[str, Any], literal: str) -> None:
        answer = self._send(service, member, literal)
        assert answer.status_code == 400, answer.text
        assert answer.json()["code"] in ("invalid_request", "invalid_json")

    @staticmethod
    def _send(service: Service, account: dict[str, Any], literal: str) -> requests.Response:
        body = f'{{"s3_key": "{fresh_key()}", "file_size": {literal}}}'
        return service.call(
            "POST",
            "/api/audio-file",
            account["token"],
            data=body.encode(),
            headers={"Content-Type": "application/json"},
        )


class TestRepeats:
    def test_a_repeat_answers_201_with_the_record_that_exists(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        s3_key = fresh_key()
        first = noted(service, account["token"], s3_key=s3_key, file_size=10)
        for body in ({"file_size": 10}, {"file_size": 99}, {}):
            assert noted(service, account["token"], s3_key=s3_key, **body) == first
        assert listing(service, account["token"]) == [first]
        assert len(stored_rows(service, account["user_id"])) == 1

    def test_another_users_key_is_409(self, service: Service, new_account: NewAccount) -> None:
        owner, stranger = new_account(), new_account()
        s3_key = fresh_key()
        first = noted(service, owner["token"], s3_key=s3_key)
        for _ in range(2):
            refused = note(service, stranger["token"], s3_key=s3_key)
            assert (refused.status_code, refused.json()["code"]) == (409, "key_taken")
        assert listing(service, stranger["token"]) == []
        assert listing(service, owner["token"]) == [first]

    def test_keys_are_compared_byte_by_byte(self, service: Service, account: dict[str, Any]) -> None:
        base = fresh_key()
        spellings = [base, base.upper(), base + "\u00e9", base + "e\u0301", base + " "]
        recorded = [noted(service, account["token"], s3_key=s3_key) for s3_key in spellings]
        assert len({one["file_id"] for one in recorded}) == len(spellings)

    @pytest.mark.parametrize("earlier_files", [0, 1])
    def test_racing_repeats_make_one_record(
        self, service: Service, account: dict[str, Any], earlier_files: int
    ) -> None:
        for _ in range(earlier_files):
            noted(service, account["token"], s3_key=fresh_key())
        s3_key = fresh_key()
        with ThreadPoolExecutor(12) as pool:
            tries = [pool.submit(note, service, account["token"], s3_key=s3_key) for _ in range(12)]
            answers = [one.result() for one in tries]
        assert [answer.status_code for answer in answers] == [201] * 12
        assert len({json.dumps(answer.json()["audio_file"]) for answer in answers}) == 1
        stored = stored_rows(service, account["user_id"])
        assert [row["s3_key"]["S"] for row in stored].count(s3_key) == 1

    def test_two_users_racing_for_one_key_have_one_winner(
        self, service: Service, new_account: NewAccount
    ) -> None:
        rivals = [new_account(), new_account()]
        s3_key = fresh_key()
        with ThreadPoolExecutor(12) as pool:
            tries = [pool.submit(note, service, rivals[i % 2]["token"], s3_key=s3_key) for i in range(12)]
            answers = [one.result() for one in tries]
        statuses = [{answer.status_code for answer in answers[i::2]} for i in range(2)]
        assert sorted(map(sorted, statuses)) == [[201], [409]]
        assert sum(len(stored_rows(service, rival["user_id"])) for rival in rivals) == 1


class TestListing:
    def test_newest_first_within_one_second(self, service: Service, account: dict[str, Any]) -> None:
        recorded = [noted(service, account["token"], s3_key=fresh_key()) for _ in range(12)]
        assert listing(service, account["token"]) == recorded[::-1]
        times = [one["uploaded_at"] for one in recorded]
        assert len(set(times)) == len(times)

    def test_limit_cuts_the_oldest_off(self, service: Service, account: dict[str, Any]) -> None:
        recorded = [noted(service, account["token"], s3_key=fresh_key()) for _ in range(5)]
        for limit in (1, 4, 5, 6, 1000):
            assert listing(service, account["token"], f"?limit={limit}") == recorded[::-1][:limit]

    def test_50_is_the_default(self, service: Service) -> None:
        user_id, token = legacy_user(service)
        put_files(service, user_id, 53)
        newest = [f"legacy/{user_id}/{i}" for i in range(52, 2, -1)]
        assert [one["s3_key"] for one in listing(service, token)] == newest

    @pytest.mark.parametrize("limit", ["1", "50", "1000", "0001", "010"])
    def test_a_limit_that_is_good(self, service: Service, member: dict[str, Any], limit: str) -> None:
        assert len(listing(service, member["token"], f"?limit={limit}")) <= int(limit)

    @pytest.mark.parametrize(
        "limit",
        [
            "0",
            "-1",
            "1001",
            "",
            " 5",
            "5 ",
            "%205",
            "+5",
            "%2B5",
            "5.0",
            "5e1",
            "1_0",
            "0x10",
            "five",
            "%D9%A5",
            "%C2%B2",
            "%F0%9D%9F%93",
            "%EF%BC%95",
            "5%00",
            "5%0A",
            "%FF",
            "%ED%A0%80",
            "5%",
            "5,6",
            "null",
            "NaN",
            "1" * 16,
            "9" * 5000,
            "[5]",
            "true",
        ],
        ids=lambda limit: limit[:20] or "empty",
    )
    def test_a_limit_that_is_not_a_whole_number_from_1_to_1000_is_400(
        self, service: Service, member: dict[str, Any], limit: str
    ) -> None:
        answer = service.call("GET", f"/api/user/audio-files?limit={limit}", member["token"])
        assert answer.status_code == 400, answer.text
        assert answer.json()["code"] == "invalid_request"
        assert list(answer.json()["fields"]) == ["limit"]
        assert "limit" in answer.json()["error"]

    @pytest.mark.parametrize("query", ["?limit=0&limit=5", "?limit=5&limit=0", "?limit=x&limit=y"])
    def test_a_limit_given_twice_is_no_error_of_ours(
        self, service: Service, member: dict[str, Any], query: str
    ) -> None:
        assert service.call("GET", f"/api/user/audio-files{query}", member["token"]).status_code in (200, 400)

    @pytest.mark.parametrize("query", ["?", "?newer=1", "?LIMIT=x", "?&&=&", "?%00=1&\u00e9=%FF"])
    def test_other_queries_are_ignored(self, service: Service, member: dict[str, Any], query: str) -> None:
        assert listing(service, member["token"], query) == listing(service, member["token"])

    def test_nobody_elses_recordings_are_listed(self, service: Service, new_account: NewAccount) -> None:
        first, second = new_account(), new_account()
        mine = noted(service, first["token"], s3_key=fresh_key())
        theirs = noted(service, second["token"], s3_key=fresh_key())
        assert listing(service, first["token"]) == [mine]
        assert listing(service, second["token"]) == [theirs]

    def test_more_than_a_page_of_dynamodb(self, service: Service) -> None:
        """A query ends at a megabyte, and the list must go on behind it."""
        user_id, token = legacy_user(service)
        put_files(service, user_id, 1010, tail="x" * 960)
        listed = listing(service, token, "?limit=1000")
        assert len(listed) == 1000
        times = [one["uploaded_at"] for one in listed]
        assert times == sorted(times, reverse=True)
        # The newest lies on the last page of the search for a key without a claim.
        newest = listed[0]
        assert noted(service, token, s3_key=newest["s3_key"]) == newest
        assert claim_of(service, newest["s3_key"]) is not None


def legacy_user(service: Service) -> tuple[str, str]:
    """A user of the earlier service and its token."""
    email = f"{uuid.uuid4().hex}@example.com"
    user_id = rows.put_user(service, email, PASSWORD, KEY_SALT)
    answer = service.call("POST", "/api/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["token"]
    return user_id, token


def put_files(service: Service, user_id: str, count: int, tail: str = "") -> None:
    """Write so many recordings of the earlier service, a second apart."""
    items = [
        {
            "file_id": {"S": str(uuid.uuid4())},
            "user_id": {"S": user_id},
            "s3_key": {"S": f"legacy/{user_id}/{i}{tail}"},
            "file_size": {"N": "4096"},
            "uploaded_at": {"N": str(1_700_000_000 + i)},
            "uploaded_at_iso": {"S": "2023-11-14T22:13:20"},
        }
        for i in range(count)
    ]
    dynamodb = service.dynamodb()
    for at in range(0, count, 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[at : at + 25]]
        dynamodb.batch_write_item(RequestItems={rows.FILES_TABLE: puts})


class TestRowsOfTheEarlierService:
    def test_they_are_listed_as_they_stand(self, service: Service) -> None:
        user_id, token = legacy_user(service)
        s3_key = fresh_key()
        file_id = rows.put_file(service, user_id, s3_key, 1_700_000_100)
        (listed,) = listing(service, token)
        assert {name: listed[name] for name in FIELDS} == {
            "file_id": file_id,
            "user_id": user_id,
            "s3_key": s3_key,
            "file_size": 4096,
            "uploaded_at": "2023-11-14T22:15:00Z",
        }

    def test_listing_changes_nothing_of_them(self, service: Service) -> None:
        user_id, token = legacy_user(service)
        rows.put_file(service, user_id, fresh_key())
        before = stored_rows(service, user_id)
        listing(service, token)
        assert stored_rows(service, user_id) == before

    def test_one_without_a_file_size(self, service: Service) -> None:
        user_id, token = legacy_user(service)
        s3_key = fresh_key()
        rows.put_file(service, user_id, s3_key, file_size={"NULL": True})
        file_id = rows.put_file(service, user_id, s3_key + "2", 1_700_000_200)
        service.dynamodb().update_item(
            TableName=rows.FILES_TABLE, Key={"file_id": {"S": file_id}}, UpdateExpression="REMOVE file_size"
        )
        assert [one["file_size"] for one in listing(service, token)] == [None, None]
        assert noted(service, token, s3_key=s3_key)["file_size"] is None

    def test_old_and_new_are_ordered_together(self, service: Service) -> None:
        user_id, token = legacy_user(service)
        older = rows.put_file(service, user_id, fresh_key(), 1_700_000_100)
        middle = rows.put_file(service, user_id, fresh_key(), 1_700_000_101)
        new = noted(service, token, s3_key=fresh_key())["file_id"]
        future = rows.put_file(service, user_id, fresh_key(), 4_000_000_000)
        assert [one["file_id"] for one in listing(service, token)] == [future, new, middle, older]

    def test_a_post_of_their_key_answers_with_them_and_writes_the_claim(self, service: Service) -> None:
        user_id, token = legacy_user(service)
        s3_key = fresh_key()
        file_id = rows.put_file(service, user_id, s3_key)
        assert claim_of(service, s3_key) is None
        first = noted(service, token, s3_key=s3_key, file_size=1)
        assert (first["file_id"], first["file_size"]) == (file_id, 4096)
        assert first["uploaded_at"] == "2023-11-14T22:15:00Z"
        claim = claim_of(service, s3_key)
        assert claim is not None
        assert (claim["user_id"], claim["file_id"]) == ({"S": user_id}, {"S": file_id})
        assert noted(service, token, s3_key=s3_key) == first
        assert len(stored_rows(service, user_id)) == 1

    def test_racing_posts_of_their_key_find_them(self, service: Service) -> None:
        user_id, token = legacy_user(service)
        s3_key = fresh_key()
        file_id = rows.put_file(service, user_id, s3_key)
        with ThreadPoolExecutor(8) as pool:
            tries = [pool.submit(note, service, token, s3_key=s3_key) for _ in range(8)]
            answers = [one.result() for one in tries]
        assert [answer.status_code for answer in answers] == [201] * 8
        assert {answer.json()["audio_file"]["file_id"] for answer in answers} == {file_id}
        assert len(stored_rows(service, user_id)) == 1

    def test_a_new_key_beside_them_is_a_new_record(self, service: Service) -> None:
        user_id, token = legacy_user(service)
        old_key, new_key = fresh_key(), fresh_key()
        old = rows.put_file(service, user_id, old_key)
        first = noted(service, token, s3_key=new_key)
        assert first["file_id"] != old
        assert noted(service, token, s3_key=new_key) == first
        # Having written a new record must not make the old ones invisible to a repeat.
        assert noted(service, token, s3_key=old_key)["file_id"] == old
        assert len(stored_rows(service, user_id)) == 2

    def test_two_rows_under_one_key_answer_with_the_same_one_each_time(self, service: Service) -> None:
        user_id, token = legacy_user(service)
        s3_key = fresh_key()
        both = {rows.put_file(service, user_id, s3_key, 1_700_000_100 + i) for i in range(2)}
        answers = {noted(service, token, s3_key=s3_key)["file_id"] for _ in range(3)}
        assert len(answers) == 1
        assert answers < both
        assert {one["file_id"] for one in listing(service, token)} == both

    def test_decrypt_finds_one_by_its_key_and_writes_the_claim(self, service: Service) -> None:
        user_id, token = legacy_user(service)
        s3_key = fresh_key()
        rows.put_file(service, user_id, s3_key)
        answer = decrypt(service, token, password=PASSWORD, s3_key=s3_key)
        assert (answer.status_code, answer.json()["code"]) == (404, "object_not_found")
        assert claim_of(service, s3_key) is not None


def decrypt(service: Service, token: str, **body: Any) -> requests.Response:
    return service.call("POST", "/api/decrypt-audio", token, json=body)


class TestDecryptRefusals:
    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"file_id": "x"},
            {"password": ""},
            {"password": None, "s3_key": "x"},
            {"password": "", "file_id": "x", "s3_key": "y"},
        ],
        ids=json.dumps,
    )
    def test_a_password_is_required(
        self, service: Service, member: dict[str, Any], body: dict[str, Any]
    ) -> None:
        answer = decrypt(service, member["token"], **body)
        assert (answer.status_code, answer.json()["error"]) == (400, "Password required for decryption")

    @pytest.mark.parametrize(
        "more", [{}, {"file_id": None}, {"file_id": "", "s3_key": ""}, {"s3_key": None}], ids=json.dumps
    )
    def test_something_to_decrypt_is_required(
        self, service: Service, member: dict[str, Any], more: dict[str, Any]
    ) -> None:
        answer = decrypt(service, member["token"], password=PASSWORD, **more)
        assert (answer.status_code, answer.json()["error"]) == (400, "file_id or s3_key required")

    @pytest.mark.parametrize("name", ["password", "file_id", "s3_key"])
    @pytest.mark.parametrize("value", [5, True, [], ["x"], {"a": 1}, "\ud800"], ids=json.dumps)
    def test_a_value_that_is_no_text_is_400(
        self, service: Service, member: dict[str, Any], name: str, value: Any
    ) -> None:
        body = {"password": PASSWORD, "file_id": "x"} | {name: value}
        answer = decrypt(service, member["token"], **body)
        assert answer.status_code == 400
        assert answer.json()["code"] == "invalid_request"

    def test_a_wrong_password_is_401_whether_or_not_there_is_such_a_file(
        self, service: Service, member: dict[str, Any]
    ) -> None:
        recorded = noted(service, member["token"], s3_key=fresh_key())
        for file_id in (recorded["file_id"], str(uuid.uuid4())):
            answer = decrypt(service, member["token"], password="not the password", file_id=file_id)
            assert (answer.status_code, answer.json()["error"]) == (401, "Invalid password")
        # No rule about new passwords stands between a user and what was encrypted with an old one.
        short = decrypt(service, member["token"], password="x", file_id=recorded["file_id"])
        assert (short.status_code, short.json()["error"]) == (401, "Invalid password")

    def test_somebody_elses_file_is_not_found(self, service: Service, new_account: NewAccount) -> None:
        owner, stranger = new_account(), new_account()
        recorded = noted(service, owner["token"], s3_key=fresh_key())
        nowhere = [
            {"file_id": str(uuid.uuid4())},
            {"s3_key": fresh_key()},
            {"file_id": "\0"},
            {"s3_key": "\n"},
        ]
        for named in ({"file_id": recorded["file_id"]}, {"s3_key": recorded["s3_key"]}, *nowhere):
            answer = decrypt(service, stranger["token"], password=PASSWORD, **named)
            assert (answer.status_code, answer.json()["error"]) == (404, "Audio file not found"), named
            assert answer.json()["code"] == "audio_file_not_found"

    @pytest.mark.parametrize("length", [1025, 2048, 3000, 60_000])
    def test_a_name_longer_than_any_is_a_4xx(
        self, service: Service, member: dict[str, Any], length: int
    ) -> None:
        """DynamoDB refuses keys above 2048 bytes, which must not look like an outage."""
        for name in ("file_id", "s3_key"):
            answer = decrypt(service, member["token"], password=PASSWORD, **{name: "k" * length})
            assert answer.status_code in (400, 404), (name, answer.text)

    @pytest.mark.parametrize("length", [2042, 2043, 60_000])
    def test_nor_does_it_look_like_one_at_the_stand_in_of_make_run(
        self, service_on_stand_in: Service, length: int
    ) -> None:
        token = service_on_stand_in.register(f"{uuid.uuid4().hex}@example.com")["token"]
        answer = decrypt(service_on_stand_in, token, password=PASSWORD, s3_key="k" * length)
        assert (answer.status_code, answer.json()["code"]) == (404, "audio_file_not_found")

    def test_an_account_that_is_gone_is_404(self, service: Service) -> None:
        secret = service.secret_key()
        now = int(time.time())
        claims = {"user_id": str(uuid.uuid4()), "iat": now, "exp": now + 60}
        token = jwt.encode(claims, secret, "HS256")
        answer = decrypt(service, token, password=PASSWORD, file_id="x")
        assert (answer.status_code, answer.json()["error"]) == (404, "User not found")
