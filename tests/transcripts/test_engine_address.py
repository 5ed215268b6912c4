"""Addresses of speech engines: what may be written, what is shown of them, and which are near."""

from __future__ import annotations

import pytest

from panzoto.errors import SettingsError
from panzoto.transcripts.engine_address import host, is_local, parse


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example/v1", ("https", "api.example", 443, "/v1")),
        ("HTTP://Api.Example:8000", ("http", "api.example", 8000, "")),
        ("http://speech_engine:80/", ("http", "speech_engine", 80, "")),
        ("http://[::1]:9000/v1/", ("http", "::1", 9000, "/v1")),
        ("https://münchen.example", ("https", "xn--mnchen-3ya.example", 443, "")),
    ],
)
def test_addresses_are_taken_apart(url: str, expected: tuple[str, str, int, str]) -> None:
    address = parse(url)
    assert (address.scheme, address.host, address.port, address.path) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example/v1",
        "ftp://api.example",
        "file:///etc/passwd",
        "http://",
        "http:///v1",
        "http://me:hunter2@:80/",
        "http://api.example:port/",
        "http://api.example:99999/",
        "http://[::1/",
        "http://api.example/v1?key=hunter2",
        "http://api.example/v1#hunter2",
        "http://api.example/\r\nX: hunter2",
        " http://api.example",
        "http://api .example",
    ],
)
def test_what_is_no_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_password_is_shown_nowhere() -> None:
    url = "https://me:hunter2@api.example:8443/v1/secret-path"
    assert host(url) == "api.example"
    assert "hunter2" not in repr(parse(url))
    assert parse(url).credentials == ("me", "hunter2")


@pytest.mark.parametrize(
    "near",
    [
        "127.0.0.1",
        "127.9.9.9",
        "10.1.2.3",
        "172.31.0.1",
        "192.168.1.1",
        "[::1]",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "localhost",
    ],
)
def test_loopback_and_private_addresses_are_near(near: str) -> None:
    assert is_local(f"http://{near}:8000/v1")


@pytest.mark.parametrize(
    "far",
    [
        "8.8.8.8",
        "172.32.0.1",
        "100.64.0.1",
        "[2606:4700::1111]",
        "[::ffff:8.8.8.8]",
        "no-such-engine.invalid",
        "a" * 70 + ".example",
    ],
)
def test_others_and_names_without_an_address_are_not(far: str) -> None:
    assert not is_local(f"http://{far}:8000/v1")
