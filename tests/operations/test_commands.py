"""The commands that a deployment runs beside the service, each with the rights of its own role.

What they ask of AWS here is what `test_policy` compares with their policies,
so each story visits every corner that asks for something else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from panzoto import object_keys
from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.accounts import fill
from tests.support.aws import start_moto
from tests.support.commands import command, done
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Fault, LoseReply
from tests.support.recordings import store
from tests.support.service import BUCKET, Service, aws_client, run_service
from tests.support.waiting import eventually

QUEUE = "panzoto-bucket-events"
LONG_AGO = "1700000000"
# One is uploaded in a piece, the other in parts.
SHORT = b"a word"
LONG = b"sound" * 100


@pytest.fixture(scope="module")
def way() -> Iterator[FaultProxy]:
    """The way to a stand-in in whose bucket everything is two days old, as the sweep wants it."""
    with start_moto(object_age_days=2) as url, FaultProxy(url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def old(way: FaultProxy) -> Iterator[Service]:
    """A service on that stand-in."""
    with run_service(way.url, **UNLIMITED, SINGLE_UPLOAD_MAX=str(len(SHORT))) as running:
        yield running


def lose_one_answer(way: FaultProxy) -> Fault:
    """Let the next transaction happen without anybody being told, so that one has to look."""
    way.clear()
    return way.add(Fault(LoseReply(), operation="TransactWriteItems", times=1))


def announce(service: Service, token: str, body: bytes, **more: Any) -> dict[str, Any]:
    answer = service.call("POST", "/api/uploads", token, json={"file_size": len(body), **more})
    assert answer.status_code == 201, answer.text
    announced: dict[str, Any] = answer.json()
    return announced


def send(announced: dict[str, Any]) -> None:
    """Put the bytes where the announcement says, as a phone does that then says no more."""
    upload = announced["upload"]
    if upload["type"] == "single":
        answer = requests.put(upload["url"], SHORT, headers=upload["headers"], timeout=60)
    else:
        (part,) = upload["parts"]
        answer = requests.put(part["url"], LONG, timeout=60)
    assert answer.status_code == 200, answer.text


def set_attribute(service: Service, file_id: str, name: str, value: dict[str, str]) -> None:
    service.dynamodb().update_item(
        TableName=rows.FILES_TABLE,
        Key={"file_id": {"S": file_id}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


def hide(service: Service, file_id: str) -> None:
    """Take a recording out of all lists, as the first step of an erasure does."""
    service.dynamodb().update_item(
        TableName=rows.FILES_TABLE,
        Key={"file_id": {"S": file_id}},
        UpdateExpression="REMOVE uploaded_at, listed_at",
    )


def row(service: Service, file_id: str) -> dict[str, Any] | None:
    found = service.dynamodb().get_item(TableName=rows.FILES_TABLE, Key={"file_id": {"S": file_id}})
    item: dict[str, Any] | None = found.get("Item")
    return item


def status(service: Service, file_id: str) -> str | None:
    return (row(service, file_id) or {}).get("status", {}).get("S")


def test_the_events_worker(old: Service, way: FaultProxy) -> None:
    """Uploads of one piece and of several, one that does not match, and one whose object is gone again."""
    token = old.register("events@example.com")["token"]
    digest = base64.b64encode(hashlib.sha256(SHORT).digest()).decode()
    whole = announce(old, token, SHORT, sha256=digest)
    parts = announce(old, token, LONG)
    wrong = announce(old, token, SHORT)
    gone = announce(old, token, SHORT)
    send(whole)
    send(parts)
    old.put_object(wrong["s3_key"], b"other words")

    sqs = aws_client("sqs", old.aws_url)
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    for upload in (wrong, gone, whole, parts):
        event = {"eventName": "ObjectCreated:Put", "s3": {"object": {"key": upload["s3_key"]}}}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"Records": [event]}))

    lost = lose_one_answer(way)
    worker = command(old, "events", "events")
    try:
        eventually(
            lambda: all(status(old, upload["file_id"]) == "stored" for upload in (whole, parts)),
            "the uploads were not committed",
        )
        eventually(lambda: waiting(sqs, url) == 0, "messages were left")
        worker.send_signal(signal.SIGTERM)
        # It waits up to 20 s for the next message; one that it does not understand ends that.
        sqs.send_message(QueueUrl=url, MessageBody="not of the bucket")
        printed, _ = worker.communicate(timeout=60)
    finally:
        worker.kill()
    assert lost.applied == 1
    assert worker.returncode == 0, printed
    assert status(old, wrong["file_id"]) == status(old, gone["file_id"]) == "pending"
    # What did not match was removed, so that the phone can send it again.
    with pytest.raises(old.s3().exceptions.ClientError, match="404"):
        old.s3().head_object(Bucket=BUCKET, Key=wrong["s3_key"])


def waiting(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(counted[name]) for name in names)


def test_the_recordings_sweep(old: Service, way: FaultProxy) -> None:
    """All that it finds, each once; it tells first, acts when told to, and then finds nothing."""
    account = old.register("sweep@example.com")
    token = account["token"]
    arrived = announce(old, token, SHORT, client_id="arrived")
    joined = announce(old, token, LONG)
    never = announce(old, token, LONG, client_id="never")
    nothing = announce(old, token, SHORT)
    send(arrived)
    send(joined)
    for upload in (arrived, joined, never, nothing):
        set_attribute(old, upload["file_id"], "announced_at", {"N": LONG_AGO})
    trashed = store(old, account, f"users/{account['user_id']}/audio-1.3gp", SHORT)
    assert old.call("DELETE", f"/api/audio-file/{trashed}", token).status_code == 200
    set_attribute(old, trashed, "deleted_at", {"N": LONG_AGO})
    erasing = store(old, account, f"users/{account['user_id']}/audio-2.3gp", SHORT)
    set_attribute(old, erasing, "status", {"S": "erasing"})
    set_attribute(old, erasing, "erasure_id", {"S": "0001"})
    hide(old, erasing)
    lost = store(old, account, f"users/{account['user_id']}/audio-3.3gp", SHORT)
    old.s3().delete_object(Bucket=BUCKET, Key=f"users/{account['user_id']}/audio-3.3gp")
    old.put_object("users/of-nobody/stray", SHORT)
    old.s3().create_multipart_upload(Bucket=BUCKET, Key="users/of-nobody/unfinished")

    told = finished(done(old, "sweep", "recordings", "sweep"))
    assert told["applied"] is False
    assert (told["without_object"], told["failed"]) == (1, 0)
    assert status(old, arrived["file_id"]) == "pending"
    lost_answer = lose_one_answer(way)
    printed = done(old, "sweep", "recordings", "sweep", "--apply")
    assert lost_answer.applied == 1
    acted = finished(printed)
    assert acted["applied"] is True
    assert acted["found"] == told["found"] >= 8
    assert f"record without object: {lost}" in printed
    assert status(old, arrived["file_id"]) == status(old, joined["file_id"]) == "stored"
    assert [row(old, file_id) for file_id in (never["file_id"], trashed, erasing)] == [None] * 3
    # The address of a single PUT may still be good, so its row stays until it is not.
    assert status(old, nothing["file_id"]) == "erasing"
    set_attribute(old, nothing["file_id"], "erase_after", {"N": LONG_AGO})
    done(old, "sweep", "recordings", "sweep", "--apply")
    assert row(old, nothing["file_id"]) is None
    again = finished(done(old, "sweep", "recordings", "sweep"))
    assert (again["found"], again["without_object"], again["waiting"]) == (3, 1, 2)
    # What no table knows of is not erased because it is old.
    assert old.s3().get_object(Bucket=BUCKET, Key="users/of-nobody/stray")["Body"].read() == SHORT


def finished(printed: str) -> dict[str, Any]:
    """Return the log line that the alarms read."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line["event"] == "sweep_finished"]
    found: dict[str, Any] = line
    return found


def test_what_lies_aside_is_listed_by_the_very_names_that_somebody_chose(old: Service) -> None:
    plain = [
        "users/x/[/red]",
        "users/x/[bold]a[/bold]",
        "users/x/[link=http://evil.example]b",
        "users/x/:bomb:",
    ]
    steering = ["users/x/\u202egp3.a", "users/x/\u2028b"]
    assert done(old, "sweep", "recordings", "aside", "list") == "Nothing lies aside.\n"
    for s3_key in (*plain, *steering):
        aside = object_keys.aside_key(s3_key, int(LONG_AGO), is_latest=True, mark="0" * 32)
        assert aside is not None
        old.put_object(aside, SHORT)
    printed = done(old, "sweep", "recordings", "aside", "list")
    assert [s3_key for s3_key in (*plain, *map(json.dumps, steering)) if s3_key not in printed] == []
    assert not any(s3_key in printed for s3_key in steering)


def test_the_accounts_sweep(old: Service) -> None:
    """An account with all that can belong to one, and one of an OpenID provider, marked for deletion."""
    account = old.register("leaving@example.com")
    token = account["token"]
    fill(old, account, 3)
    erased = store(old, account, f"users/{account['user_id']}/audio-9.3gp", b"x")
    assert old.call("DELETE", f"/api/audio-file/{erased}?permanent=true", token).status_code == 204
    for table, key in (("panzoto-transcripts", "file_id"), ("panzoto-transcriptions", "transcription_id")):
        item = {"user_id": {"S": account["user_id"]}, key: {"S": "one"}}
        old.dynamodb().put_item(TableName=table, Item=item)
    mark(old, account["user_id"])
    federated = rows.put_user(
        old, "unused@example.com", "unused", b"s" * 32, openid_claim={"S": "openid#issuer#leaving"}
    )
    mark(old, federated)
    assert "2 deletions finished" in done(old, "sweep", "accounts", "sweep")
    users = old.dynamodb().scan(TableName=rows.USERS_TABLE)["Items"]
    assert {account["user_id"], federated} & {user["user_id"]["S"] for user in users} == set()
    for table in ("panzoto-transcripts", "panzoto-transcriptions"):
        assert old.dynamodb().scan(TableName=table)["Items"] == []


def test_an_account_that_cannot_be_deleted_does_not_stop_the_others(way: FaultProxy, old: Service) -> None:
    stuck, *_ = marked = [
        rows.put_user(old, f"leaving-{number}@example.com", "unused", b"s" * 32) for number in range(4)
    ]
    for user_id in marked:
        mark(old, user_id)
    fault = way.add(Fault(Answer(503), where=lambda request: stuck in request.query))
    printed = done(old, "sweep", "accounts", "sweep", status=1)
    assert fault.applied
    assert "3 deletions finished" in printed
    assert "Error: 1 could not be finished" in printed
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    told = [line["user_id"] for line in lines if line["event"] == "deletion_interrupted"]
    assert told == [stuck]
    way.clear()
    assert "1 deletions finished" in done(old, "sweep", "accounts", "sweep")


def test_an_address_that_is_another_accounts_stays_with_it(old: Service) -> None:
    """Two rows of the earlier service could have one address; one of them has the claim."""
    holder = old.register("shared@example.com")
    other = rows.put_user(old, "shared@example.com", "unused", b"s" * 32)
    mark(old, other)
    assert "1 deletions finished" in done(old, "sweep", "accounts", "sweep")
    row = {"TableName": rows.USERS_TABLE, "Key": {"user_id": {"S": other}}}
    assert "Item" not in old.dynamodb().get_item(**row)
    claim = old.dynamodb().get_item(
        TableName="panzoto-claims", Key={"claim": {"S": "email#shared@example.com"}}
    )
    assert claim["Item"]["user_id"]["S"] == holder["user_id"]


def test_a_damaged_account_is_named(old: Service) -> None:
    user_id = rows.put_user(old, "damaged@example.com", "unused", b"s" * 32, vault={"N": "1"})
    mark(old, user_id)
    printed = done(old, "sweep", "accounts", "sweep", status=1)
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert [line["row"] for line in lines if line["event"] == "deletion_interrupted"] == [user_id]
    old.dynamodb().delete_item(TableName=rows.USERS_TABLE, Key={"user_id": {"S": user_id}})


def test_a_damaged_account_does_not_stop_the_others(old: Service) -> None:
    """Whatever order the table is read in, somebody is behind one of two."""
    damaged = {
        rows.put_user(old, f"damaged-{one}@example.com", "unused", b"s" * 32, vault={"N": "1"})
        for one in range(2)
    }
    whole = {rows.put_user(old, f"whole-{one}@example.com", "unused", b"s" * 32) for one in range(3)}
    for user_id in damaged | whole:
        mark(old, user_id)
    printed = done(old, "sweep", "accounts", "sweep", status=1)
    assert "3 deletions finished" in printed
    assert "Error: 2 could not be finished" in printed
    there = {user["user_id"]["S"] for user in old.dynamodb().scan(TableName=rows.USERS_TABLE)["Items"]}
    assert there & (damaged | whole) == damaged
    for user_id in damaged:
        old.dynamodb().delete_item(TableName=rows.USERS_TABLE, Key={"user_id": {"S": user_id}})


def mark(service: Service, user_id: str) -> None:
    service.dynamodb().update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": user_id}},
        UpdateExpression="SET deletion_started_at = :now",
        ExpressionAttributeValues={":now": {"N": LONG_AGO}},
    )


def test_an_account_that_is_deleted_while_the_service_runs(old: Service, way: FaultProxy) -> None:
    """The web tier does by itself what the sweep would finish."""
    account = old.register("at-once@example.com")
    erased = store(old, account, f"users/{account['user_id']}/audio-1.3gp", b"x")
    lost = lose_one_answer(way)
    note = {"note": base64.b64encode(b"sealed").decode()}
    assert old.call("PATCH", f"/api/audio-file/{erased}", account["token"], json=note).status_code == 200
    assert lost.applied == 1
    assert old.call("DELETE", f"/api/audio-file/{erased}?permanent=true", account["token"]).status_code == 204
    gone = old.call("DELETE", "/api/user", account["token"], json={"password": "a quiet Tuesday walk"})
    assert gone.status_code == 202
    key = {"user_id": {"S": account["user_id"]}}
    eventually(
        lambda: "Item" not in old.dynamodb().get_item(TableName=rows.USERS_TABLE, Key=key),
        "the account was not deleted",
    )


def test_the_resources_commands() -> None:
    """Tables as bare as they can be are brought up to date, listed, and deleted again."""
    with start_moto() as url, run_service(url) as service:
        dynamodb, s3 = service.dynamodb(), service.s3()
        described = {
            name: dynamodb.describe_table(TableName=name)["Table"]
            for name in dynamodb.list_tables()["TableNames"]
        }
        for name, table in described.items():
            dynamodb.delete_table(TableName=name)
            kept = {key["AttributeName"] for key in table["KeySchema"]}
            dynamodb.create_table(
                TableName=name,
                KeySchema=table["KeySchema"],
                AttributeDefinitions=[
                    one for one in table["AttributeDefinitions"] if one["AttributeName"] in kept
                ],
                BillingMode="PAY_PER_REQUEST",
            )
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
        owner = rows.put_user(service, "earlier@example.com", "unused", b"s" * 32)
        rows.put_file(service, owner, "users/earlier/audio-1.3gp")
        queues = queue_names(url)
        for name in ("panzoto-chores", f"{service.environment['MAIL_QUEUE']}-dead"):
            sqs = aws_client("sqs", url)
            sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
        assert done(service, "deploy", "resources", "list").count("missing") >= 2

        done(service, "deploy", "resources", "optimize")
        assert queue_names(url) == queues
        listed = done(service, "deploy", "resources", "list")
        states = [line.split() for line in listed.splitlines()]
        assert {state[0] for state in states if state[1:2] == ["queue"]} == queues
        again = done(service, "deploy", "resources", "create").splitlines()
        assert {f"queue {name}: is there" for name in queues} <= set(again)
        told = [line for line in again if line.startswith("queue ")]
        assert [line for line in told if not line.endswith(": is there")] == []
        assert "missing" not in listed
        assert "off" not in listed.split()
        for name, table in described.items():
            now = dynamodb.describe_table(TableName=name)["Table"]
            assert indexes(now) == indexes(table), name
        refused = done(service, "deploy", "resources", "delete", status=1)
        assert "There is no terminal" in refused
        done(service, "deploy", "resources", "delete", "--confirm", "DELETE ALL TABLES")
        assert dynamodb.list_tables()["TableNames"] == []
        assert queue_names(url) == set()
        assert requests.get(url, timeout=10).ok


def queue_names(url: str) -> set[str]:
    found = aws_client("sqs", url).list_queues().get("QueueUrls", [])
    return {address.rpartition("/")[2] for address in found}


def test_an_account_whose_counters_a_move_took_away_is_counted_by_optimize(old: Service) -> None:
    account = old.register("counters@example.com")
    for number in range(3):
        store(old, account, f"users/{account['user_id']}/audio-{number}.3gp", b"sound" * 10)
    counters = ("claims_complete", "used_recordings", "used_bytes")
    old.dynamodb().update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": account["user_id"]}},
        UpdateExpression=f"REMOVE {', '.join(counters)}",
    )
    done(old, "deploy", "resources", "optimize")
    user = rows.user_row(old, account["user_id"])
    assert [user[name] for name in counters] == [{"BOOL": True}, {"N": "3"}, {"N": "150"}]


def test_an_account_that_a_move_has_just_written_to_is_left_to_another_run_of_optimize(old: Service) -> None:
    account, now = old.register("moved@example.com"), int(time.time())
    for moment, status, complete in ((now, 1, None), (now - 61, 0, {"BOOL": True})):
        old.dynamodb().update_item(
            TableName=rows.USERS_TABLE,
            Key={"user_id": {"S": account["user_id"]}},
            UpdateExpression="SET unnumbered_at = :moment REMOVE claims_complete",
            ExpressionAttributeValues={":moment": {"N": str(moment)}},
        )
        printed = done(old, "deploy", "resources", "optimize", status=status)
        assert (account["user_id"] in printed) == bool(status)
        assert rows.user_row(old, account["user_id"]).get("claims_complete") == complete


def indexes(table: dict[str, Any]) -> set[str]:
    return {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", [])}


def test_an_upgrade_looks_with_little_rights_whether_all_is_there(old: Service) -> None:
    printed = done(old, "upgrade", "resources", "prepare")
    assert "No table and no queue had to be made." in printed


def test_what_is_missing_and_may_not_be_made_is_named(old: Service) -> None:
    with FaultProxy(old.aws_url) as proxy:
        missing = Answer.dynamodb("ResourceNotFoundException")
        of_events = lambda request: request.json()["TableName"] == "panzoto-events"  # noqa: E731
        proxy.add(Fault(missing, operation="DescribeTable", where=of_events))
        proxy.add(Fault(Answer.dynamodb("AccessDeniedException"), operation="CreateTable"))
        printed = done(old, "deploy", "resources", "prepare", at=proxy.url, status=1)
    assert "table panzoto-events: CreateTable" in printed
    assert "add the right to this role" in printed


def test_what_nobody_may_look_at_is_told_and_stops_nothing(old: Service) -> None:
    with FaultProxy(old.aws_url) as proxy:
        proxy.add(Fault(Answer.dynamodb("AccessDeniedException"), operation="DescribeTable", times=1))
        printed = done(old, "deploy", "resources", "prepare", at=proxy.url)
    assert "table panzoto-users: DescribeTable is not allowed here" in printed


def test_a_transcript_that_lies_aside_stays_there_as_long_as_nothing_names_it(old: Service) -> None:
    s3_key = object_keys.transcript_key(str(uuid.uuid4()), str(uuid.uuid4()), "A" * 16)
    aside = object_keys.aside_key(s3_key, int(LONG_AGO), is_latest=True, mark="0" * 32)
    assert aside is not None
    old.put_object(aside, SHORT)
    assert finished(done(old, "sweep", "recordings", "sweep", "--apply"))["failed"] == 0
    assert old.s3().get_object(Bucket=BUCKET, Key=aside)["Body"].read() == SHORT
