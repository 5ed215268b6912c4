"""What tests of transcription jobs share in a module: a service, a queue and an engine of their own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.support.aws import start_moto
from tests.support.engines import SpeechEngine
from tests.support.jobs import HEARD
from tests.support.transcribing import Transcribing, transcribing
from tests.support.transcripts import Owner


@pytest.fixture(scope="module")
def running() -> Iterator[Transcribing]:
    with start_moto() as url, SpeechEngine(HEARD) as engine, transcribing(url, engine) as all_of_it:
        yield all_of_it


@pytest.fixture
def idle(running: Transcribing) -> Transcribing:
    running.engine.manner = HEARD
    running.engine.requests.clear()
    return running


@pytest.fixture
def owner(running: Transcribing) -> Iterator[Owner]:
    """An account; what it has asked for and is not over is canceled in the end."""
    made = running.owner(f"{uuid.uuid4().hex}@example.com")
    yield made
    jobs = made.call("GET", "/api/user/transcriptions").json().get("transcriptions", [])
    for job in jobs:
        made.call("DELETE", f"/api/transcriptions/{job['transcription_id']}")
