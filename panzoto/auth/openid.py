"""Access tokens of an OpenID provider (RFC 9068, and Amazon Cognito's): RS256, ES256 and nothing else.

They never meet our own secrets: a provider's token is verified with a public
key of its own kind from the provider's key set, whatever its header says.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jwt

from panzoto.auth.mail_address import LONGEST as LONGEST_EMAIL
from panzoto.auth.mail_address import NoMailbox, require_mailbox
from panzoto.auth.provider_keys import KeyName, ProviderKeys
from panzoto.auth.tokens import CLOCK_AHEAD_SECONDS, unverified_parts
from panzoto.errors import TokenInvalid

ALGORITHMS = ("RS256", "ES256")
# For each kind of key its algorithm and the members that make its public part (RFC 7518, 6).
KINDS = {"RSA": ("RS256", ("kty", "n", "e")), "EC": ("ES256", ("kty", "crv", "x", "y"))}
CURVE = "P-256"
LEAST_RSA_BITS = 2048
MOST_KEYS = 100
# Groups and roles make a provider's tokens longer than ours; no header may be longer than this anyway.
LONGEST_TOKEN = 8192
# RFC 7515, 4.1.9: a media type's name may leave this out.
MEDIA_TYPE_PREFIX = "application/"
# What identity tokens hold (OpenID Connect Core 1.0, 2 and 3.3.2.11) and access tokens have no use for.
IDENTITY_CLAIMS = ("at_hash", "c_hash", "s_hash", "nonce")
# Logout tokens (Back-Channel Logout 1.0, 2.4), and tokens bound to a sender's key (RFC 7800, 3.1): whoever
# holds one of the latter without that key has stolen it, and nobody here could tell.
REFUSED_CLAIMS = ("events", "cnf")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a provider's token speaks for. `email` is an address that the provider has verified.

    Many access tokens say nothing of an address, which is not the same as saying that there is none.
    """

    issuer: str
    name: str
    issued_at: int
    tells_email: bool
    email: str | None


@dataclass(frozen=True, slots=True)
class AccessTokenRule:
    """What is taken for an access token: the `typ` of its header, in lower case; whether ID tokens are."""

    types: tuple[str, ...] = ("at+jwt", "jwt")
    id_tokens_too: bool = False

    def takes_type(self, kind: Any) -> bool:
        """Whether a header's `typ`, `JWT` where there is none, is one of an access token (RFC 8725, 3.11)."""
        return isinstance(kind, str) and kind.lower().removeprefix(MEDIA_TYPE_PREFIX) in self.types

    def takes_claims(self, claims: dict[str, Any]) -> bool:
        """Whether these are an access token's claims.

        Cognito tells kinds by `token_use`, Keycloak by `typ`; others by what only the other kinds hold, which
        counts when it is there, even empty.
        """
        if claims.get("token_use", "access") != "access":
            return False
        kind = claims.get("typ", "Bearer")
        if not isinstance(kind, str) or not (kind.lower() in ("bearer", "access") or self.takes_type(kind)):
            return False
        refused = REFUSED_CLAIMS if self.id_tokens_too else (*REFUSED_CLAIMS, *IDENTITY_CLAIMS)
        return not any(name in claims for name in refused)


class OpenId:
    """Verifies the access tokens of one issuer for one or more audiences."""

    def __init__(
        self,
        issuer: str,
        audiences: Iterable[str],
        jwks_url: str | None,
        rule: AccessTokenRule = AccessTokenRule(),
    ) -> None:
        self._issuer = issuer
        self._audiences = frozenset(audiences)
        self._keys = ProviderKeys(issuer, jwks_url, read_keys)
        self._rule = rule

    def verify(self, token: str) -> Subject:
        """Return whom `token` speaks for.

        Raises `TokenInvalid` for anything wrong with it, and `Unavailable`
        when the provider must be asked for its keys and does not answer.
        """
        try:
            head, payload = unverified_parts(token, LONGEST_TOKEN)
            # What could not be accepted with any key is no reason to ask for one.
            self._refuse_hopeless(payload)
            claims = self._verified(token, self._key(head))
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise TokenInvalid() from error
        return self._subject(claims)

    def _refuse_hopeless(self, payload: dict[str, Any]) -> None:
        if payload.get("iss") != self._issuer or not _number(payload, "exp") > time.time():
            raise TokenInvalid()

    def _key(self, head: dict[str, Any]) -> jwt.PyJWK:
        """Return the key that the header names; where to find keys is never read from a token."""
        kid, algorithm = head.get("kid"), head.get("alg")
        if algorithm not in ALGORITHMS or not (kid is None or isinstance(kid, str)):
            raise TokenInvalid()
        if not self._rule.takes_type(head.get("typ", "JWT")):
            raise TokenInvalid()
        key = self._keys.find((kid, algorithm))
        if key is None:
            raise TokenInvalid()
        return key

    def _verified(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=self._issuer,
            leeway=CLOCK_AHEAD_SECONDS,
            # The audience may be in either of two claims; see `_is_for_us`.
            options={"require": ["exp", "iat", "iss", "sub"], "verify_aud": False},
        )

    def _subject(self, claims: dict[str, Any]) -> Subject:
        if not self._is_for_us(claims) or not self._rule.takes_claims(claims):
            raise TokenInvalid()
        name, issued_at = claims["sub"], _number(claims, "iat")
        if not name or not _is_text(name):
            raise TokenInvalid()
        if "nbf" in claims:
            # PyJWT has compared it, but would take a text for a number.
            _number(claims, "nbf")
        return Subject(self._issuer, name, int(issued_at), "email" in claims, _verified_email(claims))

    def _is_for_us(self, claims: dict[str, Any]) -> bool:
        """Cognito's access tokens name their client in `client_id` and have no `aud`.

        Where there is an `aud` it decides alone: a token that our own client got for another service is
        not for us.
        """
        audience = claims.get("aud")
        if audience is None:
            return _is_one_of(claims.get("client_id"), self._audiences)
        named = audience if isinstance(audience, list) else [audience]
        return any(_is_one_of(name, self._audiences) for name in named)


def read_keys(key_set: dict[str, Any]) -> dict[KeyName, jwt.PyJWK]:
    """Return the usable keys of a JWK set; what is for another purpose, or weak, is passed over.

    A key that is the only one of its algorithm is also found without a name
    (OpenID Connect Core 1.0, section 10.1).
    """
    members = key_set.get("keys")
    found: list[tuple[Any, jwt.PyJWK]] = []
    for member in members[:MOST_KEYS] if isinstance(members, list) else []:
        key = _usable(member)
        if key is not None:
            found.append((member.get("kid"), key))
    keys: dict[KeyName, jwt.PyJWK] = {}
    for kid, key in found:
        if isinstance(kid, str):
            keys.setdefault((kid, key.algorithm_name), key)
    for algorithm in ALGORITHMS:
        of_it = [key for _, key in found if key.algorithm_name == algorithm]
        if len(of_it) == 1:
            keys[None, algorithm] = of_it[0]
    return keys


def _usable(member: Any) -> jwt.PyJWK | None:
    if not isinstance(member, dict) or not isinstance(member.get("kty"), str) or member["kty"] not in KINDS:
        return None
    algorithm, public = KINDS[member["kty"]]
    fits = member.get("alg", algorithm) == algorithm and member.get("crv", CURVE) == CURVE
    operations = member.get("key_ops", ["verify"])
    signs = member.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if not fits or not signs:
        return None
    try:
        key = jwt.PyJWK({name: member[name] for name in public}, algorithm)
    except (jwt.PyJWTError, KeyError, ValueError, TypeError):
        return None
    return key if member["kty"] == "EC" or key.key.key_size >= LEAST_RSA_BITS else None


def _verified_email(claims: dict[str, Any]) -> str | None:
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str) or not _is_text(email):
        return None
    address = email.strip().lower()
    try:
        require_mailbox(address)
    except NoMailbox:
        return None
    return address if len(address) <= LONGEST_EMAIL else None


def _number(claims: dict[str, Any], name: str) -> float:
    """Return a moment (RFC 7519, NumericDate). Raises `TokenInvalid`."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenInvalid()
    if isinstance(value, float) and not math.isfinite(value):
        raise TokenInvalid()
    return value


def _is_one_of(value: Any, names: frozenset[str]) -> bool:
    return isinstance(value, str) and value in names


def _is_text(value: str) -> bool:
    """Whether UTF-8 can hold it; a lone surrogate, which JSON can carry, cannot be stored."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
