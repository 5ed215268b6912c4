"""The search for secrets finds them: in a log, in a file, in a table, and addresses where none belong."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.support import canaries

TOKEN = f"head.{uuid.uuid4().hex}.signature-of_it"
SENTENCE = f"a walk of {uuid.uuid4().hex} steps"
ADDRESS = f"{uuid.uuid4().hex}@canary.example"
TICKET = uuid.uuid4().hex


@pytest.fixture(scope="module", autouse=True)
def _noted() -> None:
    canaries.note(
        {"email": ADDRESS.upper(), "password": SENTENCE},
        {"token": TOKEN, "user": {"email": ADDRESS}, "download_url": f"http://x/api/playback/{TICKET}"},
    )


@pytest.mark.parametrize(
    "secret", [TOKEN, SENTENCE, ADDRESS, TICKET], ids=["token", "sentence", "address", "ticket"]
)
class TestFound:
    def test_in_a_log(self, secret: str, tmp_path: Path) -> None:
        with pytest.raises(AssertionError):
            canaries.check_files(
                f'{{"event": "request", "said": "GET /api/playback/{secret}?code={secret}."}}\n{{}}', tmp_path
            )

    def test_in_a_file(self, secret: str, tmp_path: Path) -> None:
        (tmp_path / "kept").write_bytes(b"\xff\x00" + secret.encode() + b'"')
        with pytest.raises(AssertionError):
            canaries.check_files("", tmp_path)

    def test_in_a_table(self, secret: str) -> None:
        with pytest.raises(AssertionError):
            canaries.check_table("panzoto-events", [{"detail": {"S": secret}}])


def test_where_they_belong(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "letter.eml").write_text(f"To: {ADDRESS}")
    canaries.check_files('{"event": "request", "status": 200}', tmp_path)
    canaries.check_table("panzoto-users", [{"email": {"S": ADDRESS}}])
    canaries.check_table("panzoto-claims", [{"claim": {"S": f"email#{ADDRESS}"}}])


def test_what_everybody_may_read_is_no_secret() -> None:
    example = {"error": "No such thing.", "code": f"code_{uuid.uuid4().hex}"}
    canaries.note(None, {"results": [example]})
    canaries.note(None, {"openapi": "3.1.0", "example": {"token": (shown := uuid.uuid4().hex)}})
    assert canaries.secrets_in(f"{example['code']} {shown}") == []
