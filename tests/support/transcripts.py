"""An account that seals and opens its own transcripts, as a client does."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import requests

from panzoto.crypto import transcripts
from panzoto.transcripts.document import packed, read
from tests.support import overheard
from tests.support.phone import Keys
from tests.support.recordings import store
from tests.support.service import BUCKET, PASSWORD, Service

SOMEBODY_ELSES_KEY = base64.b64encode(bytes(31) + b"\x09").decode()


def path(file_id: str) -> str:
    return f"/api/audio-file/{file_id}/transcript"


def refused(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def exchange_public_key(service: Service, table: str, name: str, **key: str) -> None:
    """Put a public key of somebody else into a row, as who can write to tables may."""
    service.dynamodb().update_item(
        TableName=table,
        Key={part: {"S": value} for part, value in key.items()},
        UpdateExpression=f"SET {name} = :key",
        ExpressionAttributeValues={":key": {"S": SOMEBODY_ELSES_KEY}},
    )


class Owner:
    """An account that seals and opens its own transcripts, as a client does."""

    def __init__(self, service: Service, account: dict[str, Any]) -> None:
        self.service = service
        self.account = account
        self.user_id: str = account["user_id"]
        self.token: str = account["token"]
        self.private_key = transcripts.private_key_of(Keys(account, PASSWORD).vault_key)
        self.public_key = base64.b64decode(account["vault"]["transcripts_public_key"])

    def call(self, method: str, path: str, **how: Any) -> requests.Response:
        return self.service.call(method, path, self.token, **how)

    def record(self, **more: Any) -> str:
        return store(self.service, self.account, f"users/{self.user_id}/{uuid.uuid4()}", b"sound" * 9, **more)

    def seal(self, file_id: str, *texts: str, **fields: Any) -> str:
        segments = [
            {"start_ms": 1000 * number, "end_ms": 1000 * number + 900, "text": text}
            for number, text in enumerate(texts)
        ]
        document = {"version": 1, "file_id": file_id, "segments": segments, **fields}
        return self.seal_bytes(file_id, packed(document))

    def seal_bytes(self, file_id: str, plain: bytes) -> str:
        overheard.transcript(plain)
        return base64.b64encode(transcripts.seal(plain, self.public_key, self.user_id, file_id)).decode()

    def put(self, file_id: str, sealed: str, **more: Any) -> requests.Response:
        return self.call("PUT", path(file_id), json={"sealed": sealed, **more})

    def write(self, file_id: str, *texts: str, **more: Any) -> dict[str, Any]:
        answer = self.put(file_id, self.seal(file_id, *texts), **more)
        assert answer.status_code == 200, answer.text
        written: dict[str, Any] = answer.json()
        return written

    def ticket(self) -> str:
        answer = self.call("POST", "/api/transcripts/unlock", json={"password": PASSWORD})
        assert answer.status_code == 200, answer.text
        ticket: str = answer.json()["ticket"]
        return ticket

    def state(self, file_id: str) -> dict[str, Any] | None:
        state: dict[str, Any] | None = self.call("GET", f"/api/audio-file/{file_id}").json()["audio_file"][
            "transcript"
        ]
        return state

    def find(self, query: str, **more: Any) -> dict[str, Any]:
        body = {"password": PASSWORD, "query": query, **more}
        if "ticket" in more:
            del body["password"]
        answer = self.call("POST", "/api/search", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def changes(self, since: str | None = None, **more: Any) -> dict[str, Any]:
        query = {} if since is None else {"since": since}
        answer = self.call("GET", "/api/user/transcripts", params={**query, **more})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def objects(self) -> list[str]:
        found = self.service.s3().list_object_versions(Bucket=BUCKET, Prefix=f"transcripts/{self.user_id}/")
        return [one["Key"] for one in (*found.get("Versions", []), *found.get("DeleteMarkers", []))]

    def opened(self, file_id: str) -> dict[str, Any]:
        """Return the document, opened as a client would."""
        answer = self.call("GET", path(file_id))
        assert answer.status_code == 200, answer.text
        sealed = base64.b64decode(answer.json()["sealed"])
        plain = transcripts.open_sealed(sealed, self.private_key, self.user_id, file_id)
        return dict(read(plain).fields)
