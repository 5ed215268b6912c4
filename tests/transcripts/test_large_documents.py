"""What is too large for a row: a worker puts it into the bucket, and takes away what it replaces."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator

import pytest

from tests.support.aws import start_moto
from tests.support.bursts import bursts, wav
from tests.support.engines import Manner, SpeechEngine, says
from tests.support.recordings import single_shot, store
from tests.support.service import BUCKET, PASSWORD
from tests.support.transcribing import Transcribing, transcribing, when_over
from tests.support.transcripts import Owner


@pytest.fixture
def working() -> Iterator[Transcribing]:
    with start_moto() as url, SpeechEngine(says({})) as engine, transcribing(url, engine) as running:
        running.start_worker()
        yield running


def much(seed: bytes) -> tuple[str, Manner]:
    """Words that no compression makes short enough for a row, and who says them."""
    said = base64.b64encode(seed).decode()
    return said, says({"language": "en", "segments": [{"start": 0.0, "end": 2.0, "text": said}]})


def test_it_lies_in_the_bucket_and_goes_with_what_replaces_it(working: Transcribing) -> None:
    owner = working.owner("large@example.com")
    data = single_shot(PASSWORD, owner.account["key_salt"], wav(bursts(16000, 2.0, (200, 900))))
    s3_key = f"audio_upload/{owner.user_id}/audio_1.wav_encrypted"
    file_id = store(owner.service, owner.account, s3_key, data)
    lying: list[set[str]] = []
    for _ in range(2):
        said, working.engine.manner = much(os.urandom(450_000))
        body = {"file_id": file_id, "password": PASSWORD, "replace": True}
        answer = owner.call("POST", "/api/transcriptions", json=body)
        assert answer.status_code == 202, answer.text
        job = when_over(owner, answer.json()["transcription"]["transcription_id"])
        assert (job["status"], job["error"]) == ("succeeded", None)
        (segment,) = owner.opened(file_id)["segments"]
        assert segment["text"] == said
        lying.append(under_transcripts(owner))
    assert [len(keys) for keys in lying] == [1, 1]
    assert lying[0] != lying[1]


def under_transcripts(owner: Owner) -> set[str]:
    """Every version that lies in the account's folder of transcripts."""
    prefix = f"transcripts/{owner.user_id}/"
    listed = owner.service.s3().list_object_versions(Bucket=BUCKET, Prefix=prefix)
    assert not listed.get("DeleteMarkers")
    return {version["Key"] for version in listed.get("Versions", [])}
