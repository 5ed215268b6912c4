"""Many devices at one account, over several processes: nobody is refused, and the changes have no gap."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import UNLIMITED
from tests.support.service import Service, run_service

DEVICES = 24
EACH = 3


@pytest.fixture(scope="module")
def service(moto: str) -> Iterator[Service]:
    with run_service(moto, WEB_CONCURRENCY="3", **UNLIMITED) as running:
        yield running


@pytest.fixture
def account(service: Service) -> dict[str, Any]:
    return service.register(f"{uuid.uuid4()}@example.com")


def record(service: Service, account: dict[str, Any], key: str) -> tuple[int, Any]:
    sent = {"s3_key": key, "file_size": 10}
    answer = service.call("POST", "/api/audio-file", account["token"], json=sent)
    return answer.status_code, answer.json()


def changes(service: Service, account: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query = "?limit=100"
    while True:
        page = service.call("GET", "/api/user/changes" + query, account["token"]).json()
        found += page["changes"]
        if not page["more"]:
            return found
        query = f"?limit=100&since={page['next']}"


def test_all_of_them_record_and_each_change_is_told_once(service: Service, account: dict[str, Any]) -> None:
    keys = [f"users/{account['user_id']}/{number}" for number in range(DEVICES * EACH)]
    with ThreadPoolExecutor(DEVICES) as pool:
        answers = list(pool.map(lambda key: record(service, account, key), keys))
    assert {status for status, _ in answers} == {201}
    recorded = {body["audio_file"]["file_id"] for _, body in answers}
    told = [change["file_id"] for change in changes(service, account)]
    assert (len(told), set(told)) == (len(keys), recorded)
    usage = service.call("GET", "/api/user", account["token"]).json()["usage"]
    assert (usage["recordings"], usage["bytes"]) == (len(keys), 10 * len(keys))


def test_adding_changing_and_erasing_at_once(service: Service, account: dict[str, Any]) -> None:
    folder = f"users/{account['user_id']}"
    there = [
        record(service, account, f"{folder}/there-{number}")[1]["audio_file"]["file_id"]
        for number in range(9)
    ]
    described, binned, erased = there[:3], there[3:6], there[6:]
    token = account["token"]

    def describe(file_id: str, number: int) -> int:
        sent = {"duration_ms": number}
        return service.call("PATCH", f"/api/audio-file/{file_id}", token, json=sent).status_code

    def remove(file_id: str, query: str) -> int:
        return service.call("DELETE", f"/api/audio-file/{file_id}{query}", token).status_code

    with ThreadPoolExecutor(DEVICES) as pool:
        # Several change the same row, which one transaction could not.
        tries = [pool.submit(describe, file_id, number) for file_id in described for number in range(1, 5)]
        tries += [pool.submit(remove, file_id, "") for file_id in binned]
        tries += [pool.submit(remove, file_id, "?permanent=true") for file_id in erased]
        added = [pool.submit(record, service, account, f"{folder}/added-{number}") for number in range(9)]
        assert {one.result() for one in tries} <= {200, 204}
        assert {one.result()[0] for one in added} == {201}
    listed = service.call("GET", "/api/user/audio-files?limit=100", token).json()["audio_files"]
    new = {one.result()[1]["audio_file"]["file_id"] for one in added}
    assert {one["file_id"] for one in listed} == new | set(described)
    told = [change["file_id"] for change in changes(service, account)]
    assert sorted(told) == sorted({*new, *there})
    usage = service.call("GET", "/api/user", token).json()["usage"]
    assert usage["recordings"] == len(new) + len(described)


def test_one_that_is_refused_does_not_take_the_others_along(
    service: Service, account: dict[str, Any]
) -> None:
    other = service.register(f"{uuid.uuid4()}@example.com")
    foreign = f"anybody-{uuid.uuid4()}"
    assert record(service, other, foreign)[0] == 201
    keys = [foreign if number % 4 == 0 else f"anybody-{uuid.uuid4()}" for number in range(DEVICES)]
    with ThreadPoolExecutor(DEVICES) as pool:
        answers = list(pool.map(lambda key: (key, record(service, account, key)), keys))
    for key, (status, body) in answers:
        if key == foreign:
            assert (status, body["code"]) == (409, "key_taken")
        else:
            assert status == 201
