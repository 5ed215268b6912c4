"""The public keys of an OpenID provider: found, fetched, remembered, and asked for again sparingly.

Anybody can send tokens that name keys which do not exist, so the name of an
unknown key makes this process ask a few times at once and then once in every
`ASK_AGAIN_SECONDS`, whatever arrives.
"""

from __future__ import annotations

import http.client
import json
import logging
import math
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlsplit

from panzoto.errors import Unavailable
from panzoto.version import VERSION

# OpenID Connect Discovery 1.0, section 4.
DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_SECONDS = 2.0
LONGEST_FETCH_SECONDS = 4.0
LARGEST_ANSWER_BYTES = 256 * 1024
PIECE_BYTES = 16 * 1024
# A key that the provider has withdrawn is refused after this time at the latest.
FRESH_SECONDS = 300.0
# So that a key that has just been changed is found at once, and found again.
ASKS_AT_ONCE = 3
ASK_AGAIN_SECONDS = 10.0
# Some providers turn away a library's own name, which is that of many an uninvited visitor.
HEADERS = {"Accept": "application/json", "User-Agent": f"Panzoto/{VERSION}"}
UNREACHABLE = "The sign-in provider cannot be reached right now; please try again"

# What tells keys apart: the token's `kid`, or None for one without, and its algorithm.
KeyName = tuple[str | None, str]
Key = TypeVar("Key")
log = logging.getLogger(__name__)


class ProviderFailure(Exception):
    """The provider cannot be reached or says what cannot be used; the text names no secret."""


class ProviderKeys(Generic[Key]):
    """The keys of one provider, as this process knows them.

    `read` makes usable keys of a JWK set (RFC 7517, 5). Without a `jwks_url`
    the issuer's discovery document names it.
    """

    def __init__(
        self,
        issuer: str,
        jwks_url: str | None,
        read: Callable[[dict[str, Any]], dict[KeyName, Key]],
        *,
        fresh_seconds: float = FRESH_SECONDS,
        ask_again_seconds: float = ASK_AGAIN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._discovered: str | None = None
        self._read = read
        self._keys: dict[KeyName, Key] = {}
        self._fresh_seconds = fresh_seconds
        self._fetched_at = self._told_at = -math.inf
        self._answered = False
        self._clock = clock
        self._allowance = _Allowance(ASKS_AT_ONCE, ask_again_seconds, clock)
        self._lock = threading.Lock()

    def find(self, name: KeyName) -> Key | None:
        """Return the provider's key of that name, or None when it has none.

        Keys that are old go on being used while the provider cannot be
        reached. Raises `Unavailable` when it cannot and the key is not known:
        then nobody can tell.
        """
        if self._is_worth_asking(name):
            self._ask(name)
        found = self._keys.get(name)
        if found is None and not self._answered:
            raise Unavailable(UNREACHABLE)
        return found

    def _is_worth_asking(self, name: KeyName) -> bool:
        return name not in self._keys or self._clock() - self._fetched_at > self._fresh_seconds

    def _ask(self, name: KeyName) -> None:
        """Fetch the keys, unless it was done too often of late.

        While somebody else does so, who has an old key goes on with it, and
        who has none waits: an answer, or none, that has come since is for both.
        """
        came = self._clock()
        if not self._lock.acquire(blocking=name not in self._keys):
            return
        try:
            if self._told_at < came and self._is_worth_asking(name) and self._allowance.take():
                self._fetch()
                self._told_at = self._clock()
        finally:
            self._lock.release()

    def _fetch(self) -> None:
        try:
            keys = self._usable_keys()
        except ProviderFailure as error:
            # The document may name another address by now.
            self._discovered = None
            self._answered = False
            log.warning("openid_provider_failure", extra={"reason": str(error)})
            return
        self._keys = keys
        self._fetched_at = self._clock()
        self._answered = True

    def _usable_keys(self) -> dict[KeyName, Key]:
        keys = self._read(_get(self._jwks_url or self._discover()))
        if not keys:
            raise ProviderFailure("its key set holds no usable key")
        return keys

    def _discover(self) -> str:
        if self._discovered is None:
            document = _get(self._issuer.rstrip("/") + DISCOVERY)
            # Section 4.3: a document of another issuer would bring another issuer's keys.
            if document.get("issuer") != self._issuer:
                raise ProviderFailure("the discovery document is of another issuer than OIDC_ISSUER")
            address = document.get("jwks_uri")
            if not isinstance(address, str) or not _as_safe_as(self._issuer, address):
                raise ProviderFailure("the discovery document names no usable jwks_uri")
            self._discovered = address
        return self._discovered


class _Allowance:
    """So many at once, and one more in every so many seconds. Used under its owner's lock."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float]) -> None:
        self._most, self._seconds = most, seconds
        self._left = float(most)
        self._clock = clock
        self._counted_at = self._clock()

    def take(self) -> bool:
        moment = self._clock()
        self._left = min(self._most, self._left + (moment - self._counted_at) / self._seconds)
        self._counted_at = moment
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _as_safe_as(issuer: str, address: str) -> bool:
    """Whether `address` is read over https, or over http from an issuer that is itself (in development)."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.scheme in ("https", urlsplit(issuer).scheme)
    except ValueError:
        return False


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens http and https and nothing else, and follows no redirect to anywhere."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        director.add_handler(handler)
    return director


def _get(address: str) -> dict[str, Any]:
    """Return the JSON object at `address`. Raises `ProviderFailure`."""
    deadline = time.monotonic() + LONGEST_FETCH_SECONDS
    request = urllib.request.Request(address, headers=HEADERS)  # noqa: S310 - see `_opener`
    try:
        with _opener().open(request, timeout=TIMEOUT_SECONDS) as response:
            value = json.loads(_body(response, deadline))
    except HTTPError as error:
        error.close()
        raise ProviderFailure(f"it answers {error.code}") from error
    except (OSError, http.client.HTTPException) as error:
        raise ProviderFailure(f"it cannot be reached: {type(error).__name__}") from error
    except (ValueError, RecursionError) as error:
        raise ProviderFailure("its answer is not JSON") from error
    if not isinstance(value, dict):
        raise ProviderFailure("its answer is not a JSON object")
    return value


def _body(response: Any, deadline: float) -> bytes:
    """Read an answer that is neither endless in length nor in time."""
    body = bytearray()
    while piece := response.read1(PIECE_BYTES):
        body += piece
        if len(body) > LARGEST_ANSWER_BYTES or time.monotonic() > deadline:
            raise ProviderFailure("its answer is too long or takes too long")
    return bytes(body)
