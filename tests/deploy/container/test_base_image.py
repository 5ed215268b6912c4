"""`deploy/container/pin-base-image` against a registry that speaks as the OCI specification says, sign-in
included.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.crowd_server import CrowdServer
from tests.support.service import ROOT

DIGEST = "sha256:" + "ab" * 32
DOCKERFILE = ROOT / "Dockerfile"


class Registry(BaseHTTPRequestHandler):
    """Public images for whoever has fetched a token for them."""

    def do_HEAD(self) -> None:
        host = self.headers["Host"]
        if self.path != "/v2/library/python/manifests/3.13-slim":
            self._answer(404)
        elif self.headers.get("Authorization") != "Bearer for-reading":
            realm = (
                f'Bearer realm="http://{host}/token",service="here",scope="repository:library/python:pull"'
            )
            self._answer(401, {"WWW-Authenticate": realm})
        elif "image.index" not in self.headers.get("Accept", ""):
            self._answer(406)
        else:
            self._answer(200, {"Docker-Content-Digest": DIGEST})

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        known = asked == {"service": ["here"], "scope": ["repository:library/python:pull"]}
        self._answer(200 if known else 403, body=json.dumps({"token": "for-reading"}).encode())

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    with CrowdServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def pin(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "deploy" / "container" / "pin-base-image"), *arguments],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_digest_is_asked_for_and_written_down(registry: str, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(f"# a\nARG BASE_IMAGE={registry}/library/python:3.13-slim\nFROM ${{BASE_IMAGE}}\n")
    where = ("--dockerfile", str(file))
    assert pin("--check", *where).returncode == 1
    for _ in range(2):
        pinned = pin("--http", *where)
        assert pinned.returncode == 0, pinned.stderr
        image = f"{registry}/library/python:3.13-slim@{DIGEST}"
        assert file.read_text() == f"# a\nARG BASE_IMAGE={image}\nFROM ${{BASE_IMAGE}}\n"
    assert pin("--check", *where).returncode == 0


def test_what_the_registry_does_not_have(registry: str, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    text = f"ARG BASE_IMAGE={registry}/library/python:9\n"
    file.write_text(text)
    failed = pin("--http", "--dockerfile", str(file))
    assert failed.returncode == 1
    assert "does not tell the digest of library/python:9" in failed.stderr
    assert file.read_text() == text


def test_the_own_dockerfile_has_the_line(tmp_path: Path) -> None:
    copy = tmp_path / "Dockerfile"
    shutil.copy(DOCKERFILE, copy)
    assert pin("--check", "--dockerfile", str(copy)).returncode in (0, 1)
    assert pin("--check", "--dockerfile", str(ROOT / "Makefile")).returncode == 2
