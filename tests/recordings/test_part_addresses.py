"""Addresses of parts that are signed by hand are those that botocore signs."""

from __future__ import annotations

import random
from collections.abc import Iterator

import boto3
import pytest

from panzoto.recordings.part_addresses import PartAddresses
from panzoto.recordings.presigning import Presigner
from panzoto.storage import secret_key
from tests.support.aws import REGION

KEY = "users/0f8fad5b-d9cb-469f-a165-70867728950e/a recording+ü~.v2"
UPLOADS = ("an+upload/id==", "2~abcDEF_-.x", "ä")
HOSTS = ("127.0.0.1", "192.0.2.7", "2001:db8::7")
MIB = 1024 * 1024


@pytest.fixture(params=["", "a token/with+signs=="], ids=["key", "session"])
def presigner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Presigner]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret/with+signs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5566")
    if request.param:
        monkeypatch.setenv("AWS_SESSION_TOKEN", request.param)
    boto3.setup_default_session()
    yield Presigner("panzoto-audio-dev", REGION, True, 900)
    # Others find their own credentials.
    boto3.setup_default_session()


@pytest.mark.parametrize("upload_id", UPLOADS)
@pytest.mark.parametrize("host", HOSTS)
def test_they_are_what_botocore_signs(presigner: Presigner, upload_id: str, host: str) -> None:
    drawn = random.Random(upload_id + host)
    lengths = {number: drawn.randrange(1, 80 * MIB) for number in drawn.sample(range(1, 10_001), 30)}

    def by_hand_and_by_botocore() -> tuple[list[str], list[str]]:
        by_hand, _ = presigner.parts(KEY, upload_id, lengths, host)
        # Of a single part botocore signs the address itself.
        alone = [presigner.parts(KEY, upload_id, {number: lengths[number]}, host)[0][0] for number in lengths]
        return by_hand, alone

    # What is signed in another second has another signature.
    assert any(by_hand == alone for by_hand, alone in (by_hand_and_by_botocore() for _ in range(20)))


def test_who_signs_otherwise_is_not_imitated(presigner: Presigner) -> None:
    urls, _ = presigner.parts(KEY, "id", {5: 7}, "127.0.0.1")
    assert PartAddresses.like(urls[0], 5, 7, secret_key()) is not None
    assert PartAddresses.like(urls[0], 5, 7, "another") is None
    assert PartAddresses.like(urls[0], 6, 7, secret_key()) is None
    assert PartAddresses.like(urls[0], 5, 8, secret_key()) is None
    assert PartAddresses.like(presigner.get(KEY, "127.0.0.1").url, 5, 7, secret_key()) is None


def test_what_is_secret_is_not_printed(presigner: Presigner) -> None:
    urls, _ = presigner.parts(KEY, "id", {5: 7}, "127.0.0.1")
    like = PartAddresses.like(urls[0], 5, 7, secret_key())
    assert "_key" not in repr(like)
