"""The address of a speech engine: what an operator may write for it, and where it leads."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, unquote, urlsplit

from panzoto.errors import SettingsError

PORTS = {"http": 80, "https": 443}
# What a path may hold as it is (RFC 3986, 3.3), and the sign of what is escaped already.
PATH = "/:@!$&'()*+,;=-._~%"
BLANK = re.compile(r"[\x00-\x20\x7f]")
UNUSABLE = (
    "TRANSCRIPTION_URL must be an http or https address such as https://speech.example/v1, "
    "without a query or a fragment"
)


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where requests go; `path` is without a slash at its end, `credentials` are a user and a password."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)
    credentials: tuple[str, str] | None = field(default=None, repr=False)


def parse(url: str) -> EngineAddress:
    """Take the address apart. Raises `SettingsError`, which does not quote it: it may hold a password."""
    try:
        # `urlsplit` drops line breaks silently.
        return _address(urlsplit("" if BLANK.search(url) else url))
    except ValueError:
        raise SettingsError(UNUSABLE) from None


def _address(parts: SplitResult) -> EngineAddress:
    # What is wrong with a port or with IDNA is told by ValueErrors, too.
    if parts.scheme not in PORTS or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(UNUSABLE)
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    credentials = None
    if parts.username is not None:
        credentials = unquote(parts.username), unquote(parts.password or "")
    return EngineAddress(
        scheme=parts.scheme,
        host=host,
        port=PORTS[parts.scheme] if parts.port is None else parts.port,
        path=quote(parts.path.rstrip("/"), safe=PATH),
        credentials=credentials,
    )


def host(url: str) -> str:
    """Return the host's name or address alone, which may be shown. Raises `SettingsError`."""
    return parse(url).host


def is_local(url: str) -> bool:
    """Whether all addresses that the engine's name has now are loopback or private; False if it has none.

    Asks the resolver, which may take seconds. Raises `SettingsError`.
    """
    address = parse(url)
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(_is_near(str(place[4][0])) for place in found)


def _is_near(text: str) -> bool:
    # A zone (RFC 4007, 11) says by which of our own interfaces.
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if address.version == 6 else None
    address = mapped or address
    return address.is_loopback or address.is_private
