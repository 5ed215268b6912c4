"""Jobs of transcription: a recording that an engine can hear, and asking for its transcript."""

from __future__ import annotations

import base64
import time
import uuid
from typing import Any

import requests

from panzoto.crypto import header
from tests.support import rows
from tests.support.bursts import bursts, wav
from tests.support.engines import says
from tests.support.phone import Keys
from tests.support.recordings import store, version_2
from tests.support.service import PASSWORD
from tests.support.transcripts import Owner

JOBS = "panzoto-transcriptions"
# And a minute, so that nobody disputes it.
DAY = 86_400 + 60
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


def recorded(owner: Owner, sound: bytes = SOUND, **more: Any) -> tuple[str, str]:
    """Record a sound as version 2; return its file_id and its file key."""
    s3_key = f"users/{owner.user_id}/{uuid.uuid4()}"
    data = version_2(owner.account, PASSWORD, s3_key, sound)
    keys = Keys(owner.account, PASSWORD)
    file_key = header.open_file_key(data[: header.HEADER_BYTES], keys.vault_key)
    return store(owner.service, owner.account, s3_key, data, **more), base64.b64encode(file_key).decode()


def stored_to_transcribe(owner: Owner) -> dict[str, Any]:
    """Store a version 2 object; return the body that records it and has it transcribed."""
    s3_key = f"users/{owner.user_id}/{uuid.uuid4()}"
    data = version_2(owner.account, PASSWORD, s3_key, SOUND)
    owner.service.put_object(s3_key, data)
    file_key = header.open_file_key(data[: header.HEADER_BYTES], Keys(owner.account, PASSWORD).vault_key)
    transcribe = {"file_key": base64.b64encode(file_key).decode()}
    return {"s3_key": s3_key, "file_size": len(data), "transcribe": transcribe}


def made_a_day_older(owner: Owner, job: dict[str, Any]) -> str:
    """Let a job be as if it had been asked for a day before, and its recordings name it so; return its id."""
    dynamodb, then = owner.service.dynamodb(), time.time() - DAY
    key = {"user_id": {"S": owner.user_id}, "transcription_id": {"S": job["transcription_id"]}}
    row = dynamodb.delete_item(TableName=JOBS, Key=key, ReturnValues="ALL_OLD")["Attributes"]
    older = f"{int(then * 1e6):014x}-{job['transcription_id'].partition('-')[2]}"
    row |= {"transcription_id": {"S": older}, "created_at": {"N": f"{then:.6f}"}}
    dynamodb.put_item(TableName=JOBS, Item=row)
    for file_id in job["file_ids"]:
        where: dict[str, Any] = {"TableName": rows.FILES_TABLE, "Key": {"file_id": {"S": file_id}}}
        said = dynamodb.get_item(**where)["Item"]["transcript"]["S"]
        dynamodb.update_item(
            **where,
            UpdateExpression="SET transcript = :said",
            ExpressionAttributeValues={":said": {"S": said.replace(job["transcription_id"], older)}},
        )
    return older


def ask(owner: Owner, **body: Any) -> requests.Response:
    return owner.call("POST", "/api/transcriptions", json=body)


def asked(owner: Owner, **body: Any) -> dict[str, Any]:
    answer = ask(owner, **body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()["transcription"]
    return job
