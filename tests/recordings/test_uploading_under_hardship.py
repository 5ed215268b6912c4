"""Recordings from phone to bucket under hardship: a bad network, killed processes, many rows, odd events.

`bench/uploads.py` tells the same stories in full.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support import collection, rows, uploading
from tests.support.aws import start_moto
from tests.support.collection import Reader
from tests.support.commands import command, done
from tests.support.fault_proxy import Fault, FaultProxy, Meanwhile, Request
from tests.support.phone import Clip, Kept, Phone
from tests.support.recordings import store
from tests.support.service import BUCKET, PASSWORD, Service, aws_client, run_service
from tests.support.waiting import eventually

QUEUE = "panzoto-bucket-events"
TWO_DAYS_AGO = str(time.time() - 2 * 86400)
LONG = b"x" * (uploading.SINGLE_UPLOAD_MAX + 1)


@dataclass
class Watched:
    """A service whose calls to AWS go through a proxy; recordings that are not short go up in parts."""

    service: Service
    proxy: FaultProxy

    def phone(self, account: dict[str, Any]) -> Phone:
        return Phone(account, PASSWORD, self.service.url)


@pytest.fixture(scope="module")
def watched(moto: str) -> Iterator[Watched]:
    with FaultProxy(moto) as proxy, run_service(proxy.url, create_at=moto, **uploading.SETTINGS) as service:
        yield Watched(service, proxy)


_serial = itertools.count()
# Some go up in parts, and some of their phones fall silent.
RECORDINGS = 8


@pytest.fixture
def phone(watched: Watched) -> Phone:
    return watched.phone(watched.service.register(f"phone-{next(_serial)}@example.com"))


def problems(service: Service) -> dict[str, int]:
    return {name: count for name, count in uploading.wrong(service).items() if count}


def clip_of(data: bytes, **more: Any) -> Clip:
    return Clip(len(data), lambda _: Kept(data), more=more)


def attribute(service: Service, file_id: str, name: str) -> str | None:
    found = service.dynamodb().get_item(TableName=rows.FILES_TABLE, Key={"file_id": {"S": file_id}})
    value = found.get("Item", {}).get(name)
    return None if value is None else next(iter(value.values()))


def make_old(service: Service, file_id: str) -> None:
    service.dynamodb().update_item(
        TableName=rows.FILES_TABLE,
        Key={"file_id": {"S": file_id}},
        UpdateExpression="SET announced_at = :long_ago",
        ExpressionAttributeValues={":long_ago": {"N": TWO_DAYS_AGO}},
    )


def usage(phone: Phone) -> tuple[int, int]:
    told = phone.call("GET", "/api/user")["usage"]
    return told["recordings"], told["bytes"]


@pytest.fixture(scope="module")
def old() -> Iterator[Service]:
    """A service whose objects are all two days old, as the sweep wants them, and whose tokens end soon."""
    settings = uploading.SETTINGS | {"TOKEN_TTL": "5", "WEB_CONCURRENCY": "2"}
    with start_moto(object_age_days=2) as aws, run_service(aws, **settings) as service:
        yield service


def test_over_a_bad_network_everything_arrives_once(old: Service) -> None:
    account = old.register("train@example.com")
    delivered = uploading.deliver_in_bad_weather(old, account, RECORDINGS)
    assert delivered.faults.total() > 0
    phone = Phone(account, PASSWORD, old.url)
    assert sorted(uploading.listed(phone)) == sorted(delivered.expected)
    assert len(delivered.expected) == RECORDINGS
    assert usage(phone) == (RECORDINGS, delivered.object_bytes)
    assert [swept["failed"] for swept in uploading.sweep_in_two_nights(old)] == [0, 0]
    assert problems(old) == {}
    assert uploading.played_wrong(phone, delivered.expected) == 0


def test_kills_leave_nothing_that_a_sweep_does_not_put_right(old: Service) -> None:
    account = old.register("kills@example.com")
    # With this seed each kind of process is killed among the first three.
    with uploading.machine(old, seed=34) as running:
        lives = uploading.live_under_kills(running, account, 6)
    assert not [name for name in lives.refused if ": 500" in name]
    assert [swept["failed"] for swept in uploading.sweep_in_two_nights(old)] == [0, 0]
    assert problems(old) == {}
    phone = Phone(account, PASSWORD, old.url)
    shown = uploading.listed(phone)
    assert len(shown) == len(set(shown))
    assert set(lives.kept) <= set(shown)
    assert not lives.gone & set(shown)
    assert uploading.played_wrong(phone, lives.kept) == 0
    again = uploading.sweep(old)
    assert again["found"] == again["first_seen"] + again["waiting"]


def test_a_large_collection_is_told_whole_and_at_the_same_price(watched: Watched, phone: Phone) -> None:
    service, token = watched.service, phone.account["token"]
    collection.record_sittings(service, token, 50)
    reader = Reader(service, token, watched.proxy)

    def create() -> None:
        collection.record(service, token)

    for path, shown, limit in (
        ("/api/user/audio-files", collection.files, 10),
        ("/api/user/audio-files?order=recorded_at", collection.files, 10),
        ("/api/user/timeline", collection.clips, 3),
    ):
        reader.limit = limit
        before = set(collection.all_listed(service, token))
        walk = reader.walk(path, shown, create)
        assert len(walk.costs) > 1
        assert walk.ratio() <= 1.1, path
        assert len(walk.told) == len(set(walk.told))
        assert before <= set(walk.told)
    costs = [cost for _, _, cost in reader.changes(None, 20)][:-1]
    assert costs[-1].answer_bytes <= 1.1 * costs[0].answer_bytes

    reader.measures = False
    chance = random.Random(3)
    points = collection.points(reader, 5, 15, chance)
    collection.meddle(service, token, list(collection.all_listed(service, token)), chance, 20)
    expected = collection.all_listed(service, token)
    assert expected
    for since, known in points:
        for changes, _, _ in reader.changes(since, 100):
            collection.apply(known, changes)
        assert known == expected


def test_parts_that_were_joined_and_not_committed_are_not_asked_for_again(
    watched: Watched, phone: Phone
) -> None:
    """As when the process dies between the two, and the phone begins with announcing again."""
    clip = clip_of(LONG)
    announced = phone.call("POST", "/api/uploads", clip.announcement())
    phone.send(clip, announced)
    file_id, s3_key = announced["file_id"], announced["s3_key"]
    which = {"Bucket": BUCKET, "Key": s3_key, "UploadId": attribute(watched.service, file_id, "upload_id")}
    s3 = watched.service.s3()
    (part,) = s3.list_parts(**which)["Parts"]
    parts = {"Parts": [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**which, MultipartUpload=parts)
    again = phone.call("POST", "/api/uploads", clip.announcement())
    assert (again["file_id"], again["upload"]["parts"]) == (file_id, [])
    assert phone.deliver(clip) == file_id
    assert attribute(watched.service, file_id, "status") == "stored"
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=s3_key)["Versions"]
    assert len(versions) == 1


def test_giving_up_at_the_moment_of_the_commit_loses_nothing(watched: Watched, phone: Phone) -> None:
    """The commit comes between what DELETE reads and what it writes: the recording stays, with its object."""
    clip = clip_of(b"short")
    announced = phone.call("POST", "/api/uploads", clip.announcement())
    phone.send(clip, announced)
    path = f"/api/uploads/{announced['file_id']}"
    own = watched.phone(phone.account)

    def commit(_: Request) -> None:
        watched.proxy.clear()
        own.call("POST", path + "/complete", {})

    watched.proxy.add(Fault(Meanwhile(commit), operation="GetItem", where=_reads_a_recording, times=1))
    refused = watched.service.call("DELETE", path, phone.account["token"])
    assert (refused.status_code, refused.json()["code"]) == (409, "upload_complete")
    link = phone.call("GET", f"/api/audio-file/{announced['file_id']}/download")
    assert link["size"] == 5


def _reads_a_recording(request: Request) -> bool:
    return bool(request.json()["TableName"] == rows.FILES_TABLE)


def test_events_that_come_twice_late_or_are_none(watched: Watched, phone: Phone) -> None:
    service = watched.service
    sqs = aws_client("sqs", service.aws_url)
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    told = [clip_of(b"one"), clip_of(b"two"), clip_of(b"three"), clip_of(b"of nobody any more")]
    announced = [phone.call("POST", "/api/uploads", clip.announcement()) for clip in told]
    for clip, upload in zip(told, announced, strict=True):
        phone.send(clip, upload)
    twice, done_already, given_up, orphaned = announced
    phone.call("POST", f"/api/uploads/{done_already['file_id']}/complete", {})
    phone.call("DELETE", f"/api/uploads/{given_up['file_id']}")
    leaving = service.register("leaving-soon@example.com")
    other = watched.phone(leaving)
    gone = other.call("POST", "/api/uploads", told[3].announcement())
    other.send(told[3], gone)
    service.dynamodb().update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": leaving["user_id"]}},
        UpdateExpression="SET deletion_started_at = :now",
        ExpressionAttributeValues={":now": {"N": "1700000000"}},
    )
    # What the bucket itself has told so far is told again below, in an order of our own.
    sqs.purge_queue(QueueUrl=url)
    keys = [gone["s3_key"], given_up["s3_key"], done_already["s3_key"], "users/unknown/thing", "", "k" * 1025]
    bodies = [
        "",
        "{",
        "[]",
        "7",
        '{"Records": null}',
        '{"Records": [{"eventName": 1}]}',
        '{"Event": "s3:TestEvent"}',
    ]
    bodies += [event(key) for key in (*keys, "\ud800", *[twice["s3_key"]] * 2)]
    bodies.append(json.dumps({"Records": [record(orphaned["s3_key"], "ObjectRemoved:Delete")]}))
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body or " ")
    worker = command(service, "events", "events", at=watched.proxy.url)
    try:
        eventually(lambda: attribute(service, twice["file_id"], "status") == "stored", "not committed")
        eventually(lambda: waiting(sqs, url) == 0, "messages were left")
        worker.send_signal(signal.SIGTERM)
        # The last message ends the long poll, so that nobody has to wait for it.
        sqs.send_message(QueueUrl=url, MessageBody=event(twice["s3_key"]))
        printed, _ = worker.communicate(timeout=60)
    finally:
        worker.kill()
    assert worker.returncode == 0, printed
    assert "Traceback" not in printed
    assert attribute(service, orphaned["file_id"], "status") == "pending"
    changes = phone.call("GET", "/api/user/changes")["changes"]
    upserted = [change["file_id"] for change in changes if change["type"] == "upsert"]
    assert sorted(upserted) == sorted([twice["file_id"], done_already["file_id"]])
    assert usage(phone) == (3, told[0].size + told[1].size + told[3].size)


def record(s3_key: str, name: str) -> dict[str, Any]:
    return {"eventName": name, "s3": {"object": {"key": s3_key}}}


def event(s3_key: str) -> str:
    return json.dumps({"Records": [record(s3_key, "ObjectCreated:Put")]})


def waiting(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(counted[name]) for name in names)


class TestSweep:
    def test_what_is_young_is_left_alone(self, watched: Watched, phone: Phone) -> None:
        service, s3 = watched.service, watched.service.s3()
        announced = phone.call("POST", "/api/uploads", clip_of(LONG).announcement())
        empty = phone.call("POST", "/api/uploads", clip_of(b"never sent").announcement())
        service.put_object("users/of-nobody/just-now", b"x")
        binned = store(service, phone.account, f"users/{phone.account['user_id']}/binned", b"x")
        phone.call("DELETE", f"/api/audio-file/{binned}")
        uploading.sweep(service, "--apply")
        for upload in (announced, empty):
            assert attribute(service, upload["file_id"], "status") == "pending"
        assert attribute(service, binned, "deleted_at") is not None
        assert s3.head_object(Bucket=BUCKET, Key="users/of-nobody/just-now")["ContentLength"] == 1
        there = {one["UploadId"] for one in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]}
        assert attribute(service, announced["file_id"], "upload_id") in there

    def test_what_arrived_wrong_is_given_up(self, watched: Watched, phone: Phone) -> None:
        """It would fail in every sweep to come, and count toward the quota for ever."""
        service = watched.service
        checksum = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
        clips = (clip_of(b"some words"), clip_of(b"some words", sha256=checksum))
        short, other = (phone.call("POST", "/api/uploads", clip.announcement()) for clip in clips)
        service.put_object(short["s3_key"], b"some")
        service.put_object(other["s3_key"], b"same words")
        for upload in (short, other):
            make_old(service, upload["file_id"])
        assert uploading.sweep(service, "--apply")["failed"] == 0
        # Their addresses may still be good, so nobody sees the rows and yet they stay.
        left = [attribute(service, upload["file_id"], "status") for upload in (short, other)]
        assert left == ["erasing", "erasing"]
        assert usage(phone) == (0, 0)
        prefix = f"users/{phone.account['user_id']}/"
        assert "Versions" not in service.s3().list_object_versions(Bucket=BUCKET, Prefix=prefix)

    def test_what_is_erased_meanwhile_is_no_recording_without_object(
        self, watched: Watched, phone: Phone
    ) -> None:
        file_id = phone.deliver(clip_of(b"soon gone"))

        def erase(_: Request) -> None:
            phone.call("DELETE", f"/api/audio-file/{file_id}", permanent="true")

        with FaultProxy(watched.service.aws_url) as proxy:
            proxy.add(Fault(Meanwhile(erase), operation="Scan", where=_reads_a_recording, times=1))
            printed = done(watched.service, "sweep", "recordings", "sweep", at=proxy.url)
        assert "Nothing was changed" in printed
        # Its address may still be good, so nobody sees the row and yet it stays.
        assert attribute(watched.service, file_id, "status") == "erasing"
        assert file_id not in printed


def test_recount_repairs_what_has_drifted_and_says_so(watched: Watched, phone: Phone) -> None:
    service, user_id = watched.service, phone.account["user_id"]
    phone.deliver(clip_of(b"four"))
    phone.call("DELETE", f"/api/audio-file/{phone.deliver(clip_of(b'in the trash'))}")
    service.dynamodb().update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": user_id}},
        UpdateExpression="ADD used_recordings :three, used_bytes :thousand",
        ExpressionAttributeValues={":three": {"N": "3"}, ":thousand": {"N": "1000"}},
    )
    assert usage(phone) == (4, 1004)
    told = done(service, "sweep", "recordings", "recount")
    assert f"{user_id}: counted (4, 1004), are (1, 4)" in told
    assert usage(phone) == (1, 4)
