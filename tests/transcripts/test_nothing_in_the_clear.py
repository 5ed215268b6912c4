"""What was said stands nowhere in the clear: in no table, object, message, log or file, whoever dies."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.aws import start_moto
from tests.support.contents import contents
from tests.support.engines import SpeechEngine, says
from tests.support.jobs import SOUND, asked, recorded
from tests.support.service import BUCKET, PASSWORD, aws_client
from tests.support.transcribing import Transcribing, transcribing, when_over
from tests.support.transcripts import Owner, path
from tests.support.waiting import eventually

QUEUE = "panzoto-transcriptions"
# Said in the recording, named in the vocabulary, searched for.
SAID, NAMED, SOUGHT = "xylographer", "Quillfeather", "zugzwang"
CANARIES = (SAID, NAMED, SOUGHT)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transcribing]:
    heard = says({"text": f"The {SAID} and the {SOUGHT}.", "language": "en"})
    folder = tmp_path_factory.mktemp("temporary")
    how = {"TMPDIR": str(folder), "LOG_LEVEL": "DEBUG"}
    with start_moto() as url, SpeechEngine(heard) as engine, transcribing(url, engine, **how) as all_of_it:
        all_of_it.service.environment["TMPDIR"] = str(folder)
        yield all_of_it


def places(running: Transcribing) -> dict[str, str]:
    """Return everything that is kept anywhere, as text by where it is."""
    service = running.service
    found = {"log": service.log()}
    dynamodb, s3, sqs = service.dynamodb(), service.s3(), aws_client("sqs", service.aws_url)
    for table in dynamodb.list_tables()["TableNames"]:
        pages = dynamodb.get_paginator("scan").paginate(TableName=table)
        found[table] = json.dumps([item for page in pages for item in page["Items"]], default=_as_text)
    for one in s3.list_object_versions(Bucket=BUCKET).get("Versions", []):
        body = s3.get_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
        found[f"object {one['Key']}"] = one["Key"] + body.decode(errors="replace")
    for name in (QUEUE, f"{QUEUE}-dead"):
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        found[name] = json.dumps(messages.get("Messages", []), default=repr)
    for folder in (service.data_dir, Path(service.environment["TMPDIR"])):
        found |= {str(file): held.decode(errors="replace") for file, held in contents(folder).items()}
    return found


def _as_text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else repr(value)


def found_in(running: Transcribing) -> list[str]:
    return [
        f"{word} in {place}"
        for place, text in places(running).items()
        for word in CANARIES
        if word.lower() in text.lower()
    ]


def test_the_search_finds_what_is_planted(running: Transcribing) -> None:
    """In each of the places, so that what it does not find there is not there."""
    service = running.service
    service.dynamodb().put_item(
        TableName="panzoto-transcripts",
        Item={"user_id": {"S": "planted"}, "file_id": {"S": "planted"}, "sealed": {"B": SAID.encode()}},
    )
    service.put_object("transcripts/planted", SAID.encode())
    sqs = aws_client("sqs", service.aws_url)
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=SAID)
    with service.log_path.open("a") as log:
        log.write(f"{SAID}\n")
    files = [
        Path(tempfile.mkdtemp(dir=place)) / "planted"
        for place in (service.data_dir, service.environment["TMPDIR"])
    ]
    for file in files:
        file.write_text(SAID)
    where = " ".join(found_in(running))
    for place in ("panzoto-transcripts", "object transcripts/planted", QUEUE, "log", *map(str, files)):
        assert f"{SAID} in {place}" in where
    service.dynamodb().delete_item(
        TableName="panzoto-transcripts", Key={"user_id": {"S": "planted"}, "file_id": {"S": "planted"}}
    )
    for one in service.s3().list_object_versions(Bucket=BUCKET, Prefix="transcripts/planted")["Versions"]:
        service.s3().delete_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])
    sqs.purge_queue(QueueUrl=url)
    service.log_path.write_text(service.log().replace(f"{SAID}\n", ""))
    for file in files:
        file.unlink()
    assert found_in(running) == []


def test_nothing_is_found_of_what_was_said(running: Transcribing) -> None:
    owner = running.owner(f"{uuid.uuid4().hex}@example.com")
    file_id, key = recorded(owner)
    job = asked(owner, file_id=file_id, file_key=key, vocabulary=[NAMED])
    assert found_in(running) == []
    worker = running.start_worker()
    when_over(owner, job["transcription_id"])
    assert SAID in owner.opened(file_id)["segments"][0]["text"]
    assert owner.find(SOUGHT)["hits"]
    assert SAID in owner.call("POST", path(file_id), json={"ticket": owner.ticket(), "format": "srt"}).text
    assert running.engine.requests[-1].fields["prompt"] == [NAMED]
    assert found_in(running) == []
    running.end_workers()
    assert worker.returncode == 0


def test_nor_when_a_worker_dies(running: Transcribing) -> None:
    owner: Owner = running.owner(f"{uuid.uuid4().hex}@example.com")
    manner = running.engine.manner
    first, second = recorded(owner, SOUND), recorded(owner, SOUND)
    asked(owner, file_id=first[0], file_key=first[1], vocabulary=[NAMED])
    before = len(running.engine.requests)
    running.engine.manner = lambda handler: handler.wait_until_left()
    asked(owner, file_id=second[0], password=PASSWORD, vocabulary=[NAMED])
    worker = running.start_worker()
    eventually(lambda: len(running.engine.requests) > before, "the engine was never asked")
    worker.kill()
    printed, _ = worker.communicate()
    running.workers.remove(worker)
    assert found_in(running) == []
    assert not [word for word in CANARIES if word in printed]
    running.engine.manner = manner
