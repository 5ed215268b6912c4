"""Access tokens: the public list of attacks on JWT, and no token of one kind that works as another."""

from __future__ import annotations

import base64
import hmac
import json
import string
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from panzoto.auth.refresh import RefreshClaim, RefreshTokens
from panzoto.auth.tokens import LONGEST_TOKEN, Tokens
from panzoto.crypto.sealed import Sealer
from panzoto.errors import TokenInvalid
from panzoto.mail.codes import MailCodes
from panzoto.models import User
from tests.support import rows
from tests.support.recordings import decrypt, store, version_2
from tests.support.service import PASSWORD, Service

OLDER, OTHER = "an older secret of the same service", "a secret of another service altogether"
HOUR = 3600
INVALID = {"error": "Token is invalid or expired", "code": "token_invalid"}


@dataclass(frozen=True)
class Target:
    """The session an attacker would like to speak for, and the secret that only the service knows."""

    secret: str
    user_id: str
    session_id: str


def spelt(data: bytes | str) -> str:
    content = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def signed(head: Any, claims: Any, key: bytes | str, digest: str = "sha256") -> str:
    """A JWS by hand, so that it can be wrong; a text for `head` or `claims` stands as it is."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (head, claims)]
    content = ".".join(spelt(part) for part in parts)
    secret = key.encode() if isinstance(key, str) else key
    return f"{content}.{spelt(hmac.digest(secret, content.encode(), digest))}"


def claims_of(target: Target, **changes: Any) -> dict[str, Any]:
    """Good claims but for `changes`; a change to `...` takes the claim away."""
    moment = int(time.time())
    claims = {"user_id": target.user_id, "iat": moment, "exp": moment + HOUR, "sid": target.session_id}
    return {name: value for name, value in {**claims, **changes}.items() if value is not ...}


USER, SESSION = str(uuid.UUID(int=4, version=4)), str(uuid.UUID(int=5, version=4))
HEAD = {"alg": "HS256", "typ": "JWT"}


def with_head(**changes: Any) -> Callable[[Target], str]:
    head = {name: value for name, value in {**HEAD, **changes}.items() if value is not ...}
    return lambda target: signed(head, claims_of(target), target.secret)


def with_claims(**changes: Any) -> Callable[[Target], str]:
    return lambda target: signed(HEAD, claims_of(target, **changes), target.secret)


def with_times(change: Callable[[float], dict[str, Any]]) -> Callable[[Target], str]:
    return lambda target: signed(HEAD, claims_of(target, **change(time.time())), target.secret)


def with_key(make: Callable[[Target], bytes | str], **head: Any) -> Callable[[Target], str]:
    return lambda target: signed({**HEAD, **head}, claims_of(target), make(target))


def spoiled(change: Callable[[str], str]) -> Callable[[Target], str]:
    return lambda target: change(good(target))


def good(target: Target) -> str:
    return signed(HEAD, claims_of(target), target.secret)


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def public_pem() -> bytes:
    return rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def unsigned(algorithm: str, parts: int = 3, signature: str = "") -> Callable[[Target], str]:
    def make(target: Target) -> str:
        content = [spelt(json.dumps({**HEAD, "alg": algorithm})), spelt(json.dumps(claims_of(target)))]
        return ".".join([*content, signature][:parts])

    return make


def with_own_key(algorithm: str, **head: Any) -> Callable[[Target], str]:
    """Signed well, by a key the attacker made and, in the header, offers for the check."""

    def make(target: Target) -> str:
        key: Any = {"RS256": rsa_key, "PS256": rsa_key}.get(algorithm, lambda: None)()
        if algorithm == "ES256":
            key = ec.generate_private_key(ec.SECP256R1())
        if algorithm == "EdDSA":
            key = ed25519.Ed25519PrivateKey.generate()
        return jwt.encode(claims_of(target), key, algorithm, headers=head)

    return make


def own_jwk() -> dict[str, Any]:
    described: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key().public_key(), as_dict=True)
    return described


def twice(name: str, first: Any, second: Any) -> Callable[[Target], str]:
    """A claim that stands there twice: one reader takes the first, another the last."""

    def make(target: Target) -> str:
        values = [target.user_id if value is None else value for value in (first, second)]
        others = json.dumps(claims_of(target, **{name: ...}))[1:]
        doubled = "".join(f'"{name}": {json.dumps(value)}, ' for value in values)
        return signed(HEAD, "{" + doubled + others, target.secret)

    return make


def with_number(name: str, text: str) -> Callable[[Target], str]:
    """A number that JSON readers know and Python's integers do not."""

    def make(target: Target) -> str:
        others = json.dumps(claims_of(target, **{name: ...}))[1:]
        return signed(HEAD, f'{{"{name}": {text}, {others}', target.secret)

    return make


ATTACKS: dict[str, Callable[[Target], str]] = {
    # RFC 8725, 2.1: the algorithm the attacker chooses.
    "alg none": unsigned("none"),
    "alg none without its dot": unsigned("none", parts=2),
    "alg None": unsigned("None"),
    "alg NONE": unsigned("NONE"),
    "alg nOnE": unsigned("nOnE"),
    "alg none with a signature": unsigned("none", signature=spelt(bytes(32))),
    "alg none, signed all the same": with_head(alg="none"),
    "alg HS256 without a signature": unsigned("HS256"),
    "alg missing": with_head(alg=...),
    "alg empty": with_head(alg=""),
    "alg null": with_head(alg=None),
    "alg number": with_head(alg=256),
    "alg list": with_head(alg=["HS256"]),
    "alg object": with_head(alg={"HS256": 1}),
    "alg in small letters": with_head(alg="hs256"),
    "alg with a space": with_head(alg="HS256 "),
    "alg HS384": lambda target: signed({**HEAD, "alg": "HS384"}, claims_of(target), target.secret, "sha384"),
    "alg HS512": lambda target: signed({**HEAD, "alg": "HS512"}, claims_of(target), target.secret, "sha512"),
    "alg HS256, signed with SHA-512": lambda target: signed(HEAD, claims_of(target), target.secret, "sha512"),
    "alg HS256, signed with SHA-1": lambda target: signed(HEAD, claims_of(target), target.secret, "sha1"),
    # Key confusion.
    "alg RS256 over the secret's MAC": with_head(alg="RS256"),
    "alg ES256 over the secret's MAC": with_head(alg="ES256"),
    "a public key as the secret": with_key(lambda _: public_pem()),
    "a public key as the secret, alg RS256": with_key(lambda _: public_pem(), alg="RS256"),
    "own RS256 key": with_own_key("RS256"),
    "own RS256 key in jwk": with_own_key("RS256", jwk={"kty": "RSA"}),
    "own PS256 key": with_own_key("PS256"),
    "own ES256 key": with_own_key("ES256"),
    "own EdDSA key": with_own_key("EdDSA"),
    "own key in a whole jwk": lambda target: jwt.encode(
        claims_of(target), rsa_key(), "RS256", headers={"jwk": own_jwk()}
    ),
    "own key at a jku": with_own_key("RS256", jku="http://127.0.0.1:9/keys.json"),
    "own key at an x5u": with_own_key("RS256", x5u="http://127.0.0.1:9/cert.pem"),
    "own key in an x5c": with_own_key("RS256", x5c=[base64.b64encode(b"certificate").decode()]),
    "an oct key in jwk": with_key(lambda _: b"k" * 32, jwk={"kty": "oct", "k": spelt(b"k" * 32)}),
    "an ECDSA signature of zeros": unsigned("ES256", signature=spelt(bytes(64))),
    # The secret, guessed.
    "empty secret": with_key(lambda _: b""),
    "a template's secret": with_key(lambda _: "change-this-secret-key"),
    "another secret": with_key(lambda _: OTHER),
    "the user's id as the secret": with_key(lambda target: target.user_id),
    "the secret and a newline": with_key(lambda target: target.secret + "\n"),
    "the secret cut by one": with_key(lambda target: target.secret[:-1]),
    "the secret in hex": with_key(lambda target: target.secret.encode().hex()),
    "the secret in base64": with_key(lambda target: base64.b64encode(target.secret.encode())),
    # Tricks with kid.
    "kid of a file": with_key(lambda _: b"", kid="/dev/null"),
    "kid of a file further up": with_key(lambda _: b"", kid="../../../../../../dev/null"),
    "kid of SQL": with_key(lambda _: b"x", kid="' UNION SELECT 'x' --"),
    "kid of a command": with_key(lambda _: b"", kid="|/bin/true"),
    "kid of an address": with_key(lambda _: b"", kid="http://127.0.0.1:9/key"),
    "kid that is unknown, signed well": with_head(kid="0123456789abcdef"),
    "kid empty": with_head(kid=""),
    "kid null": with_head(kid=None),
    "kid number": with_head(kid=0),
    "kid true": with_head(kid=True),
    "kid list": with_head(kid=[]),
    "kid object": with_head(kid={}),
    "kid with NUL": with_head(kid="\x00"),
    "kid of the secret, signed with another": lambda target: signed(
        {**HEAD, "kid": kid_of(target.secret)}, claims_of(target), OTHER
    ),
    "kid of the older secret, signed with the newest": lambda target: signed(
        {**HEAD, "kid": kid_of(OLDER)}, claims_of(target), target.secret
    ),
    "kid of the secret and a letter more": lambda target: signed(
        {**HEAD, "kid": kid_of(target.secret) + "0"}, claims_of(target), target.secret
    ),
    # What must be there.
    "no user_id": with_claims(user_id=...),
    "no iat": with_claims(iat=...),
    "no exp": with_claims(exp=...),
    "no claims": lambda target: signed(HEAD, {}, target.secret),
    "user_id null": with_claims(user_id=None),
    "user_id empty": with_claims(user_id=""),
    "user_id number": with_claims(user_id=1),
    "user_id true": with_claims(user_id=True),
    "user_id list": lambda target: signed(HEAD, claims_of(target, user_id=[target.user_id]), target.secret),
    "user_id object": with_claims(user_id={"S": "x"}),
    "user_id a wildcard": with_claims(user_id="*"),
    "user_id that utf-8 cannot hold": with_claims(user_id="\ud800"),
    "user_id in capitals": lambda target: signed(
        HEAD, claims_of(target, user_id=target.user_id.upper()), target.secret
    ),
    "user_id without hyphens": lambda target: signed(
        HEAD, claims_of(target, user_id=target.user_id.replace("-", "")), target.secret
    ),
    "user_id with a line break": lambda target: signed(
        HEAD, claims_of(target, user_id=target.user_id + "\n"), target.secret
    ),
    "sid that utf-8 cannot hold": with_claims(sid="\udfff"),
    "user_id of 65 characters": with_claims(user_id="x" * 65),
    "user_id of a stranger with this session": with_claims(user_id=str(uuid.UUID(int=1))),
    "sub instead of user_id": lambda target: signed(
        HEAD, claims_of(target, user_id=..., sub=target.user_id), target.secret
    ),
    "iat null": with_claims(iat=None),
    "iat text": with_claims(iat="1700000000"),
    "iat true": with_claims(iat=True),
    "iat list": with_claims(iat=[1700000000]),
    "exp null": with_claims(exp=None),
    "exp text": with_claims(exp="4000000000"),
    "exp true": with_claims(exp=True),
    "exp list": with_claims(exp=[4000000000]),
    "exp object": with_claims(exp={}),
    "sid empty": with_claims(sid=""),
    "sid null in a list": with_claims(sid=[None]),
    "sid number": with_claims(sid=7),
    "sid of 65 characters": with_claims(sid="x" * 65),
    "sid unknown": with_claims(sid=str(uuid.UUID(int=2))),
    "claims that are a list": lambda target: signed(HEAD, [claims_of(target)], target.secret),
    "claims that are a text": lambda target: signed(HEAD, '"claims"', target.secret),
    "claims that are null": lambda target: signed(HEAD, "null", target.secret),
    "claims that are no JSON": lambda target: signed(HEAD, "{", target.secret),
    "claims cut short": lambda target: signed(HEAD, json.dumps(claims_of(target))[:-1], target.secret),
    "claims nested too deeply": lambda target: signed(HEAD, "[" * 1400 + "]" * 1400, target.secret),
    "header that is a list": lambda target: signed([HEAD], claims_of(target), target.secret),
    "header that is no JSON": lambda target: signed("HS256", claims_of(target), target.secret),
    "header that is empty": lambda target: signed("", claims_of(target), target.secret),
    # RFC 7519, 4: names that stand there twice.
    "user_id twice": twice("user_id", str(uuid.UUID(int=1)), None),
    "user_id twice, the good one first": twice("user_id", None, str(uuid.UUID(int=1))),
    "user_id twice, both good": twice("user_id", None, None),
    "exp twice": twice("exp", 1, 4_000_000_000),
    "exp twice, the good one first": twice("exp", 4_000_000_000, 1),
    "sid twice": twice("sid", str(uuid.UUID(int=2)), str(uuid.UUID(int=3))),
    "alg twice": lambda target: signed('{"alg":"none","alg":"HS256"}', claims_of(target), target.secret),
    "kid twice": lambda target: signed(
        f'{{"alg":"HS256","kid":"{kid_of(OTHER)}","kid":"{kid_of(target.secret)}"}}',
        claims_of(target),
        target.secret,
    ),
    "a name twice inside a claim": with_number("more", '{"a": 1, "a": 2}'),
    # RFC 7515, 4.1.11: extensions that must be understood.
    "crit of something unknown": with_head(crit=["urn:example:more"], **{"urn:example:more": True}),
    "crit of exp": with_head(crit=["exp"], exp=4_000_000_000),
    "crit empty": with_head(crit=[]),
    "crit null": with_head(crit=None),
    "crit of b64": with_head(crit=["b64"], b64=False),
    "b64 without crit": with_head(b64=False),
    # Time.
    "expired": with_times(lambda now: {"iat": int(now) - 2 * HOUR, "exp": int(now) - HOUR}),
    "expired a second ago": with_times(lambda now: {"exp": int(now) - 1}),
    "expired this second": with_times(lambda now: {"exp": int(now)}),
    "expired, with a fraction": with_times(lambda now: {"exp": now - 0.5}),
    "exp 0": with_claims(exp=0),
    "exp negative": with_claims(exp=-4_000_000_000),
    "exp infinite": with_number("exp", "Infinity"),
    "exp too large for a float": with_number("exp", "1e999"),
    "exp not a number": with_number("exp", "NaN"),
    "iat infinite": with_number("iat", "Infinity"),
    "iat minus infinite": with_number("iat", "-Infinity"),
    "iat not a number": with_number("iat", "NaN"),
    "issued in an hour": with_times(lambda now: {"iat": int(now) + HOUR, "exp": int(now) + 2 * HOUR}),
    "issued in a minute": with_times(lambda now: {"iat": int(now) + 60}),
    "not before an hour": with_times(lambda now: {"nbf": int(now) + HOUR}),
    "nbf infinite": with_number("nbf", "Infinity"),
    # Other kinds, and other audiences.
    "typ refresh": with_claims(typ="refresh"),
    "typ mail": with_claims(typ="mail"),
    "typ ticket": with_claims(typ="ticket"),
    "typ cursor": with_claims(typ="cursor"),
    "typ in capitals": with_claims(typ="ACCESS"),
    "typ empty": with_claims(typ=""),
    "typ null": with_claims(typ=None),
    "typ list": with_claims(typ=["access"]),
    "an audience that is not us": with_claims(aud="another service"),
    # Size and shape.
    "oversized": with_claims(more="x" * LONGEST_TOKEN),
    "nothing but dots": lambda _: "..",
    "four parts": spoiled(lambda token: token + "." + token.rpartition(".")[2]),
    "five parts": lambda _: ".".join([spelt('{"alg":"dir","enc":"A256GCM"}'), "", spelt(b"iv"), "AA", "AA"]),
    "without its signature": spoiled(lambda token: token.rpartition(".")[0] + "."),
    "without its signature and its dot": spoiled(lambda token: token.rpartition(".")[0]),
    "without its header": spoiled(lambda token: token.partition(".")[2]),
    "with an empty header": spoiled(lambda token: "." + token.partition(".")[2]),
    "cut by one": spoiled(lambda token: token[:-1]),
    "cut by half": spoiled(lambda token: token[: len(token) // 2]),
    "without its first letter": spoiled(lambda token: token[1:]),
    "signature of another token": spoiled(
        lambda token: token.rpartition(".")[0] + "." + spelt(hmac.digest(b"x", b"y", "sha256"))
    ),
    "signature twice": spoiled(lambda token: token + token.rpartition(".")[2]),
    "a dot more": spoiled(lambda token: token + "."),
    "a letter more": spoiled(lambda token: token + "A"),
    "junk inside its signature": spoiled(lambda token: token[:-9] + "!" + token[-9:]),
    "other claims under its signature": lambda target: ".".join(
        [
            good(target).split(".")[0],
            spelt(json.dumps(claims_of(target, exp=4_000_000_000))),
            good(target).split(".")[2],
        ]
    ),
    "as JSON": spoiled(
        lambda token: json.dumps(
            dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))
        )
    ),
    "percent-encoded": spoiled(lambda token: token.replace(".", "%2E")),
    "in quotes": spoiled(lambda token: f'"{token}"'),
}


def kid_of(secret: str) -> str:
    minted, _ = Tokens(secret, (), 60).mint(USER, SESSION)
    kid: str = jwt.get_unverified_header(minted)["kid"]
    return kid


TARGET = Target("the newest secret of this service", "2f1c7a52-6a0e-4f0e-9d53-0d6f5f0a1b2c", "a-session")
# What only a look at the stored session or account can refuse.
NEEDS_A_LOOK = {
    "user_id of a stranger with this session",
    "sid unknown",
}


def reader() -> Tokens:
    return Tokens(TARGET.secret, (OLDER,), HOUR)


class TestReading:
    def test_what_was_minted_is_read(self) -> None:
        before = int(time.time())
        token, expires_at = reader().mint(USER, SESSION)
        identity = reader().identify(token)
        assert (identity.user_id, identity.session_id) == (USER, SESSION)
        assert before <= identity.issued_at <= time.time()
        assert expires_at == identity.issued_at + HOUR
        claims = jwt.decode(token, TARGET.secret, algorithms=["HS256"])
        assert (claims["user_id"], claims["exp"]) == (USER, expires_at)

    def test_a_token_of_the_earlier_service_is_read(self) -> None:
        """As PyJWT writes it: no `kid`, no `typ` claim, no session."""
        moment = int(time.time())
        claims = {"user_id": USER, "iat": moment, "exp": moment + HOUR}
        identity = reader().identify(jwt.encode(claims, TARGET.secret, "HS256"))
        assert (identity.user_id, identity.issued_at, identity.session_id) == (USER, moment, None)

    def test_a_clock_that_is_a_little_ahead_is_forgiven(self) -> None:
        ahead = int(time.time()) + 25
        token = signed(HEAD, claims_of(TARGET, iat=ahead, nbf=ahead), TARGET.secret)
        assert reader().identify(token).issued_at == ahead

    @pytest.mark.parametrize("at", [0, 1, 2])
    def test_each_part_is_written_in_one_way_only(self, at: int) -> None:
        parts = good(TARGET).split(".")
        content = base64.urlsafe_b64decode(parts[at] + "=" * (-len(parts[at]) % 4))
        spellings = {parts[at] + "=", parts[at] + "==", parts[at][:4] + "\n" + parts[at][4:], parts[at] + "!"}
        spellings |= {
            parts[at][:-1] + last
            for last in string.ascii_letters + string.digits + "-_"
            if len(parts[at]) % 4 and last != parts[at][-1]
            if base64.urlsafe_b64decode(parts[at][:-1] + last + "=" * (-len(parts[at]) % 4)) == content
        }
        for spelling in spellings:
            with pytest.raises(TokenInvalid):
                reader().identify(".".join([*parts[:at], spelling, *parts[at + 1 :]]))

    def test_a_secret_can_be_rotated(self) -> None:
        old, _ = Tokens(OLDER, (), HOUR).mint(USER, SESSION)
        of_the_earlier_service = signed(HEAD, claims_of(TARGET, sid=...), OLDER)
        assert reader().identify(old).user_id == USER
        assert reader().identify(of_the_earlier_service).session_id is None
        with pytest.raises(TokenInvalid):
            Tokens(OTHER, (), HOUR).identify(old)
        minted, _ = reader().mint(USER, SESSION)
        assert Tokens(TARGET.secret, (), HOUR).identify(minted).user_id == USER

    def test_the_attacks_would_work_but_for_their_flaw(self) -> None:
        identity = reader().identify(good(TARGET))
        assert (identity.user_id, identity.session_id) == (TARGET.user_id, TARGET.session_id)
        for harmless in ({"typ": "access"}, {"more": {"a": [None]}}, {"nbf": int(time.time()) - 1}):
            token = signed(HEAD, claims_of(TARGET, **harmless), TARGET.secret)
            assert reader().identify(token).user_id == TARGET.user_id
        kept = signed({**HEAD, "kid": kid_of(TARGET.secret)}, claims_of(TARGET), TARGET.secret)
        assert reader().identify(kept).user_id == TARGET.user_id

    @pytest.mark.parametrize("name", [name for name in ATTACKS if name not in NEEDS_A_LOOK])
    def test_every_attack_is_refused(self, name: str) -> None:
        with pytest.raises(TokenInvalid):
            reader().identify(ATTACKS[name](TARGET))

    def test_every_changed_character_is_noticed(self) -> None:
        token, _ = reader().mint(USER, SESSION)
        for at, character in enumerate(token):
            changed = token[:at] + ("A" if character != "A" else "B") + token[at + 1 :]
            with pytest.raises(TokenInvalid):
                reader().identify(changed)
        for end in range(len(token)):
            with pytest.raises(TokenInvalid):
                reader().identify(token[:end])

    @pytest.mark.parametrize(
        "odd", ["", " ", "\x00", "é", "🎤", "\ud800", "a.b.c", "e30.e30.", "A" * 100_000], ids=ascii
    )
    def test_nonsense_is_refused(self, odd: str) -> None:
        with pytest.raises(TokenInvalid):
            reader().identify(odd)


def sessions_with(service: Service, authorization: str) -> requests.Response:
    return service.call("GET", "/api/user/sessions", headers={"Authorization": authorization})


class TestOverTheWire:
    def test_every_attack_is_answered_alike(self, service: Service, account: dict[str, Any]) -> None:
        target = Target(service.secret_key(), account["user_id"], account["session_id"])
        assert sessions_with(service, "Bearer " + good(target)).status_code == 200
        answers = {}
        with requests.Session() as client:
            for name, attack in ATTACKS.items():
                headers = {"Authorization": "Bearer " + attack(target)}
                answer = client.get(service.url + "/api/user/sessions", headers=headers, timeout=30)
                answers[name] = (answer.status_code, answer.json() | {"request_id": ""})
        expected = (401, {**INVALID, "request_id": ""})
        wrong = {name: answer for name, answer in answers.items() if answer != expected}
        assert wrong == {}
        assert sessions_with(service, "Bearer " + good(target)).status_code == 200

    @pytest.mark.parametrize(
        "header",
        [
            "Bearer",
            "Bearer ",
            "Bearer null",
            "Basic {token}",
            "Token {token}",
            "JWT {token}",
            "Bearer Bearer {token}",
            "Bearer {token} {token}",
            "Bearer {token}, Bearer {token}",
            "Bearer {token};",
            "Bearer,{token}",
            'Bearer "{token}"',
            "Bearer={token}",
            "{token} Bearer",
        ],
    )
    def test_other_ways_to_show_a_token_are_refused(
        self, service: Service, account: dict[str, Any], header: str
    ) -> None:
        answer = sessions_with(service, header.format(token=account["token"]))
        assert (answer.status_code, answer.json()["error"]) == (401, INVALID["error"])
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    def test_the_ways_that_clients_use_are_taken(self, service: Service, account: dict[str, Any]) -> None:
        for header in ("Bearer {token}", "bearer {token}", "BEARER   {token}", "{token}"):
            assert sessions_with(service, header.format(token=account["token"])).status_code == 200, header
        missing = service.call("GET", "/api/user/sessions")
        assert (missing.status_code, missing.json()["error"]) == (401, "Token is missing")
        in_the_address = service.call("GET", "/api/user/sessions?token=" + account["token"])
        assert in_the_address.json()["error"] == "Token is missing"


@pytest.fixture(scope="module")
def kinds(service: Service) -> dict[str, str]:
    """One good token of every kind that the service gives or reads, all of the same account."""
    account = service.register("every-kind@example.com")
    s3_key = f"users/{account['user_id']}/audio-1.3gp"
    file_id = store(service, account, s3_key, version_2(account, PASSWORD, s3_key, b"#!AMR\nsound" * 99))
    opened = decrypt(service, account["token"], file_id, PASSWORD).json()
    made = service.call("POST", "/api/user/recovery-key", account["token"], json={"password": PASSWORD})
    events = service.call("GET", "/api/user/events?limit=1", account["token"]).json()
    secret = service.secret_key()
    row = rows.user_row(service, account["user_id"])
    owner = User(account["user_id"], email=row["email"]["S"], key_salt=row["key_salt"]["S"])
    codes = MailCodes(secret, ())
    in_an_hour = int(time.time()) + HOUR
    values = {"user": account["user_id"], "session": account["session_id"], "issued": int(time.time())}
    sealed = {
        f"sealed as {purpose}": Sealer(secret, (), purpose).seal(
            {**values, "query": "events", "position": "z"}, in_an_hour
        )
        for purpose in ("mail", "upload", "access", "refresh", "")
    }
    target = Target(secret, account["user_id"], account["session_id"])
    jwts = {
        f"JWT of {kind}": signed(HEAD, claims_of(target, typ=kind), secret)
        for kind in ("refresh", "ticket", "cursor", "mail")
    }
    return {
        "access": account["token"],
        "refresh": account["refresh_token"],
        "ticket": opened["download_url"].rpartition("/")[2],
        "cursor": events["next_cursor"],
        "verify-email": codes.for_address(owner.user_id, owner.email),
        "reset": codes.for_reset(owner),
        "undo-email": codes.for_return(owner.user_id, (owner.email, in_an_hour)),
        "recovery key": made.json()["recovery_key"],
        "session id": account["session_id"],
        "user id": account["user_id"],
        **sealed,
        **jwts,
    }


RESET = {"new_password": "another quiet walk", "discard_recordings": True}
Place = Callable[[Service, dict[str, str], str], requests.Response]
# Where a token can be shown, and how one of the wrong kind is refused there.
PLACES: dict[str, tuple[Place, tuple[int, str]]] = {
    "access": (
        lambda service, _, token: sessions_with(service, "Bearer " + token),
        (401, "token_invalid"),
    ),
    "ticket": (
        lambda service, _, token: service.call("GET", "/api/playback/" + token),
        (404, "playback_not_found"),
    ),
    "cursor": (
        lambda service, kinds, token: service.call(
            "GET", "/api/user/events", kinds["access"], params={"cursor": token}
        ),
        (400, "invalid_cursor"),
    ),
    "refresh": (
        lambda service, _, token: service.call("POST", "/api/token/refresh", json={"refresh_token": token}),
        (401, "invalid_refresh_token"),
    ),
    "verify-email": (
        lambda service, _, token: service.call("POST", "/api/verify-email", json={"code": token}),
        (400, "invalid_code"),
    ),
    # Last, since a reset that succeeds ends every session.
    "reset": (
        lambda service, _, token: service.call("POST", "/api/password/reset", json=RESET | {"code": token}),
        (400, "invalid_code"),
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_token_of_one_kind_works_as_another(service: Service, kinds: dict[str, str], place: str) -> None:
    show, (status, code) = PLACES[place]
    for kind, token in kinds.items():
        if kind == place:
            continue
        answer = show(service, kinds, token)
        assert (answer.status_code, answer.json()["code"]) == (status, code), kind
    # Last, since some are good for one use.
    assert show(service, kinds, kinds[place]).status_code in (200, 204)


def test_a_key_of_one_kind_signs_no_other() -> None:
    """Refresh tokens and sealed values use keys derived for them, so the secret itself signs none."""
    claim = RefreshClaim("u", str(uuid.uuid4()), 1)
    token = RefreshTokens(TARGET.secret, ()).write(claim)
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert hmac.digest(TARGET.secret.encode(), data[:-32], "sha256") != data[-32:]
