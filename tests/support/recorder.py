"""An account's recordings with titles, notes and transcripts, as its clients write them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from tests.support import overheard
from tests.support.example_clients import python_module
from tests.support.service import PASSWORD, Service


@dataclass
class Recorder:
    """Somebody with an account, whose phone records."""

    service: Service
    account: dict[str, Any]

    @cached_property
    def vault(self) -> Any:
        return python_module().open_vault(self.account, PASSWORD)

    @property
    def user_id(self) -> str:
        return str(self.account["user_id"])

    def call(self, method: str, path: str, **how: Any) -> Any:
        answer = self.service.call(method, path, self.account["token"], **how)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def record(
        self,
        name: str,
        at: datetime | None = None,
        lasting: timedelta | None = None,
        title: str | None = None,
        note: str | None = None,
    ) -> str:
        """Tell the service of a recording and return its id; no object is behind it."""
        body: dict[str, Any] = {"s3_key": f"users/{self.user_id}/{name}", "file_size": 4096}
        if at is not None:
            body["recorded_at"] = at.isoformat()
        if lasting is not None:
            body["duration_ms"] = lasting // timedelta(milliseconds=1)
        file_id = str(self.call("POST", "/api/audio-file", json=body)["audio_file"]["file_id"])
        if title is not None:
            self.describe(file_id, title=title)
        if note is not None:
            self.describe(file_id, note=note)
        return file_id

    def describe(self, file_id: str, **texts: str) -> None:
        """Write a title, a note or both, as all clients of the account write them."""
        overheard.texts(texts.values())
        seal = python_module().seal_name
        sealed = {what: seal(self.vault, what, file_id, text) for what, text in texts.items()}
        self.call("PATCH", f"/api/audio-file/{file_id}", json=sealed)

    def say(self, file_id: str, *texts: str, together: bool = False) -> None:
        """Write a transcript with these segments, one every two seconds, or all `together`."""
        starts = [0 if together else 2000 * place for place in range(len(texts))]
        segments = [
            {"start_ms": start, "end_ms": start + 1900, "text": text}
            for start, text in zip(starts, texts, strict=True)
        ]
        overheard.texts(texts)
        told = {"file_id": file_id, "language": "en", "source": "client"}
        packed = json.dumps({"version": 1, **told, "segments": segments}).encode()
        sealed = python_module().seal_transcript(self.vault, self.user_id, file_id, packed)
        body = {"sealed": base64.b64encode(sealed).decode(), "language": "en"}
        self.call("PUT", f"/api/audio-file/{file_id}/transcript", json=body)

    def told(self, file_id: str, what: str) -> str:
        """Return a title or a note as the service has it, opened."""
        value = self.call("GET", f"/api/audio-file/{file_id}")["audio_file"][what]
        return str(python_module().open_name(self.vault, what, file_id, value))
