"""Which web pages may call: any in development, none in production, and there those that are configured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.service import Service, run_service

PAGE = "https://voice.example.com"
OTHER_PAGE = "https://admin.example.com:8443"
# An address of IPv6 has brackets, which must not be read as a pattern.
IPV6_PAGE = "http://[2001:db8::1]:3000"
STRANGERS = (
    "https://evil.example",
    "https://voice.example.com.evil.example",
    "https://evil-voice.example.com",
    "https://voiceXexample.com",
    "http://voice.example.com",
    "https://voice.example.com:444",
    "http://2:3000",
    "http://::3000",
    "http://2:3000.evil.example",
    f"{IPV6_PAGE}0",
    f"{IPV6_PAGE}.evil.example",
    "null",
    "*",
)
ALLOW_ORIGIN = "Access-Control-Allow-Origin"


def production(moto: str, **settings: str) -> Any:
    return run_service(moto, FLASK_ENV="production", SECRET_KEY="7" + "kq-3Zt9_Rw2" * 4, **settings)


@pytest.fixture(scope="module")
def closed(moto: str) -> Iterator[Service]:
    """Production as it is by default."""
    with production(moto) as running:
        yield running


@pytest.fixture(scope="module")
def configured(moto: str) -> Iterator[Service]:
    with production(moto, CORS_ORIGINS=f" {PAGE}, {OTHER_PAGE} ,{IPV6_PAGE}") as running:
        yield running


def ask(service: Service, method: str, path: str, origin: str, **headers: str) -> requests.Response:
    return service.call(method, path, headers={"Origin": origin, **headers})


def preflight(service: Service, path: str, method: str, origin: str) -> requests.Response:
    return ask(
        service,
        "OPTIONS",
        path,
        origin,
        **{
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization, content-type, range",
        },
    )


def cors_headers(answer: requests.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


def listed(value: str) -> set[str]:
    return {name.strip().lower() for name in value.split(",")}


CALLS = (
    ("POST", "/api/register"),
    ("POST", "/api/login"),
    ("POST", "/api/audio-file"),
    ("POST", "/api/decrypt-audio"),
    ("GET", "/api/user/audio-files"),
    ("GET", "/api/playback/ticket"),
)


class TestDevelopment:
    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_a_page_may_ask_before_it_sends_a_token(self, service: Service, method: str, path: str) -> None:
        answer = preflight(service, path, method, "http://localhost:3000")
        assert answer.status_code in (200, 204)
        assert answer.headers[ALLOW_ORIGIN] == "*"
        assert listed(answer.headers["Access-Control-Allow-Headers"]) >= {
            "authorization",
            "content-type",
            "range",
        }
        assert method.lower() in listed(answer.headers["Access-Control-Allow-Methods"])
        assert "Access-Control-Allow-Credentials" not in answer.headers

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/api/health", 200),
            ("GET", "/api/nothing", 404),
            ("GET", "/api/login", 405),
            ("POST", "/api/login", 400),
            ("GET", "/api/user/audio-files", 401),
            ("GET", "/api/playback/ticket", 404),
        ],
    )
    def test_a_page_may_read_answers_and_errors(
        self, service: Service, method: str, path: str, status: int
    ) -> None:
        answer = ask(service, method, path, "http://localhost:3000")
        assert answer.status_code == status
        assert answer.headers[ALLOW_ORIGIN] == "*"
        exposed = listed(answer.headers["Access-Control-Expose-Headers"])
        assert exposed >= {"content-range", "accept-ranges", "etag", "retry-after", "x-request-id"}
        assert "Access-Control-Allow-Credentials" not in answer.headers


class TestProduction:
    @pytest.mark.parametrize("origin", [PAGE, *STRANGERS])
    def test_by_default_no_page_may_call(self, closed: Service, origin: str) -> None:
        for method, path in CALLS:
            assert cors_headers(ask(closed, method, path, origin)) == {}
            assert cors_headers(preflight(closed, path, method, origin)) == {}

    @pytest.mark.parametrize("origin", [PAGE, OTHER_PAGE, IPV6_PAGE])
    def test_a_configured_page_may(self, configured: Service, origin: str) -> None:
        for method, path in CALLS:
            for answer in (
                ask(configured, method, path, origin),
                preflight(configured, path, method, origin),
            ):
                assert answer.headers[ALLOW_ORIGIN] == origin
                # A cache must not give one page's answer to another.
                assert "origin" in listed(answer.headers["Vary"])
                assert "Access-Control-Allow-Credentials" not in answer.headers

    @pytest.mark.parametrize("origin", STRANGERS)
    def test_no_other_page_may(self, configured: Service, origin: str) -> None:
        for method, path in CALLS:
            for answer in (
                ask(configured, method, path, origin),
                preflight(configured, path, method, origin),
            ):
                assert ALLOW_ORIGIN not in answer.headers

    def test_clients_that_are_no_pages_are_served(self, closed: Service) -> None:
        assert closed.call("GET", "/api/health").status_code == 200
        assert closed.call("GET", "/api/user/audio-files").status_code == 401
