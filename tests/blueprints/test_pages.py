"""The pages to which letters lead: what they may do, and what a letter says where there are none."""

from __future__ import annotations

import re
import uuid
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.support import mails
from tests.support.service import PASSWORD, Service

SCRIPTS = (
    "/letters/device.js",
    "/letters/letters.js",
    "/letters/reset.js",
    "/letters/undo.js",
    "/letters/verify.js",
)


class TestPolicy:
    @pytest.mark.parametrize("path", ["/verify", "/reset", "/undo"])
    def test_a_page_may_do_little_and_is_never_framed(self, service: Service, path: str) -> None:
        answer = service.call("GET", path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        policy = dict(
            part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        # Neither a script nor a style stands in the page, and nothing comes from elsewhere.
        assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bon[a-z]+=|\bstyle=|https?:|//", answer.text) == []
        for address in re.findall(r'(?:src|href)="(letters/[^"]+)"', answer.text):
            assert service.call("GET", f"/{address}").status_code == 200

    def test_texts_and_looks_are_there(self, service: Service) -> None:
        for name in ("style.css", "icon.svg", "index.js", "plural.js", "en.js", "de.js"):
            assert service.call("GET", f"/letters/{name}").status_code == 200

    @pytest.mark.parametrize("path", SCRIPTS)
    def test_a_script_is_one_and_names_nobody_else(self, service: Service, path: str) -> None:
        answer = service.call("GET", path)
        assert answer.headers["Content-Type"].startswith("text/javascript")
        assert "http" not in answer.text
        assert "innerHTML" not in answer.text

    def test_other_files_are_not_there(self, service: Service) -> None:
        for path in (
            "/letters/reset.html",
            "/letters/..%2fcli.py",
            "/letters/",
            "/letters/x.js",
            "/letters/main.js",
            "/letters/release.py",
        ):
            answer = service.call("GET", path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    @pytest.mark.parametrize("name", ["verify", "reset", "undo"])
    @pytest.mark.parametrize("written", ["/{}/", "//{}", "//{}/"])
    def test_who_writes_a_slash_too_many_is_sent_on(self, service: Service, name: str, written: str) -> None:
        # requests would make one slash of two.
        connection = HTTPConnection(urlsplit(service.url).netloc, timeout=20)
        with closing(connection):
            connection.request("GET", written.format(name))
            answer = connection.getresponse()
            assert (answer.status, answer.headers["Location"], answer.read()) == (308, f"/{name}", b"")


class TestLetters:
    def test_the_address_of_a_request_is_in_no_letter(self, service: Service) -> None:
        """Without PUBLIC_URL a letter has the code alone, whatever host a request names."""
        email = f"{uuid.uuid4().hex}@example.com"
        evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
        body = {"email": email, "password": PASSWORD}
        assert service.call("POST", "/api/register", json=body, headers=evil).status_code == 201
        forgot = service.call("POST", "/api/password/forgot", json={"email": email}, headers=evil)
        assert forgot.status_code == 202
        for kind in ("verification", "reset"):
            message = mails.wait_for(service, email, kind)
            assert "evil" not in message.as_string()
            assert "http" not in mails.text(message)
            assert mails.code_in(message)
