"""Sign-in by an OpenID provider: its tokens, its keys, and the accounts that they open."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from panzoto.auth.openid import LONGEST_TOKEN, AccessTokenRule, OpenId, read_keys
from panzoto.auth.provider_keys import ProviderKeys
from panzoto.config import Settings
from panzoto.errors import SettingsError, TokenInvalid, Unavailable
from panzoto.version import VERSION
from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.openid_provider import AUDIENCE, Provider, SigningKey, decoded, encoded, run_provider
from tests.support.recordings import decrypt, hear, store, version_2
from tests.support.service import PASSWORD, Service, aws_client, run_service
from tests.support.waiting import eventually

OTHER_AUDIENCE = "panzoto-browser"
INVALID = (401, "Token is invalid or expired", "token_invalid")
CLAIMS_TABLE = "panzoto-claims"
NEW = "another quiet walk"
STRANGER = SigningKey("first")
_serial = itertools.count()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider of the test's own."""
    with run_provider() as running:
        yield running


@pytest.fixture(scope="module")
def realm() -> Iterator[Provider]:
    """The provider of `signed_in`'s service; who rotates its keys or stops it takes another."""
    with run_provider() as running:
        yield running


def openid_settings(provider: Provider) -> dict[str, str]:
    return {"OIDC_ISSUER": provider.issuer, "OIDC_AUDIENCE": f"{AUDIENCE}, {OTHER_AUDIENCE}"}


@pytest.fixture(scope="module")
def guarded(moto: str, realm: Provider) -> Iterator[Service]:
    """A service that takes the tokens of `realm`."""
    with run_service(moto, **UNLIMITED, **openid_settings(realm)) as running:
        yield running


@pytest.fixture(scope="module")
def verifier(realm: Provider) -> OpenId:
    return OpenId(realm.issuer, (AUDIENCE, OTHER_AUDIENCE), None)


@pytest.fixture
def subject() -> str:
    """The name of somebody at the provider who has no account yet."""
    return f"subject-{next(_serial)}-{time.time_ns()}"


def said(answer: requests.Response) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body["error"], body["code"]


def profile(service: Service, token: str) -> dict[str, Any]:
    answer = service.call("GET", "/api/user", token)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def set_password(service: Service, token: str, **body: Any) -> requests.Response:
    return service.call("POST", "/api/user/password", token, json={"new_password": PASSWORD, **body})


def later_token(provider: Provider, subject: str, **claims: Any) -> str:
    """Return a token of a later second than any before; sign-outs count by whole seconds."""
    second = int(time.time())
    eventually(lambda: int(time.time()) > second, "the clock stands still")
    return provider.token(subject, **claims)


# ---- What is accepted -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": OTHER_AUDIENCE},
        {"aud": ["somebody-else", AUDIENCE]},
        {"aud": None, "client_id": AUDIENCE, "token_use": "access"},
        {"nbf": 1},
        {"iat": time.time() - 0.25},
        {"typ": "Bearer"},
        {"sub": "x" * 255},
    ],
)
def test_an_access_token_speaks_for_its_subject(
    realm: Provider, verifier: OpenId, changes: dict[str, Any]
) -> None:
    found = verifier.verify(realm.token(**changes))
    assert (found.issuer, found.name) == (realm.issuer, changes.get("sub", "subject-1"))
    # A moment among the changes is of when the tests were collected.
    assert abs(found.issued_at - changes.get("iat", time.time())) < 600
    assert (found.tells_email, found.email) == (False, None)


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "application/at+jwt", None])
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_both_algorithms_and_every_name_of_an_access_token(
    provider: Provider, algorithm: str, kind: str | None
) -> None:
    key = provider.rotate(algorithm)
    token = key.sign(provider.claims(), typ=kind)
    assert OpenId(provider.issuer, (AUDIENCE,), None).verify(token).name == "subject-1"


class TestWhatAnOperatorAllows:
    def test_tokens_that_look_like_identity_tokens(self, realm: Provider) -> None:
        allowing = OpenId(realm.issuer, (AUDIENCE,), None, AccessTokenRule(id_tokens_too=True))
        token = realm.token(at_hash="AAAAAAAAAAAAAAAAAAAAAA", nonce="n-0S6_WzA2Mj")
        assert allowing.verify(token).name == "subject-1"

    def test_but_none_that_is_bound_to_its_sender(self, realm: Provider) -> None:
        allowing = OpenId(realm.issuer, (AUDIENCE,), None, AccessTokenRule(id_tokens_too=True))
        with pytest.raises(TokenInvalid):
            allowing.verify(realm.token(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}))

    @pytest.mark.parametrize("kind", ["acme+jwt", "application/ACME+JWT"])
    def test_other_types_in_the_header(self, provider: Provider, kind: str) -> None:
        token = provider.key.sign(provider.claims(), typ=kind)
        allowing = OpenId(provider.issuer, (AUDIENCE,), None, AccessTokenRule(types=("acme+jwt",)))
        assert allowing.verify(token).name == "subject-1"
        with pytest.raises(TokenInvalid):
            OpenId(provider.issuer, (AUDIENCE,), None).verify(token)


def test_a_clock_that_is_a_little_ahead_is_forgiven(realm: Provider, verifier: OpenId) -> None:
    ahead = int(time.time()) + 25
    assert verifier.verify(realm.token(iat=ahead, nbf=ahead)).issued_at == ahead


@pytest.mark.parametrize(
    ("claims", "email"),
    [
        ({"email": " Person@Example.com ", "email_verified": True}, "person@example.com"),
        ({"email": "person@example.com", "email_verified": False}, None),
        ({"email": "person@example.com", "email_verified": "true"}, None),
        ({"email": "person@example.com", "email_verified": 1}, None),
        ({"email": "person@example.com"}, None),
        ({"email": 7, "email_verified": True}, None),
        ({"email": "person", "email_verified": True}, None),
        ({"email": "per son@example.com", "email_verified": True}, None),
        ({"email": "per\nson@example.com", "email_verified": True}, None),
        ({"email": "\ud800@example.com", "email_verified": True}, None),
        ({"email": f"{'p' * 250}@example.com", "email_verified": True}, None),
    ],
)
def test_an_address_counts_when_the_provider_has_verified_it(
    realm: Provider, verifier: OpenId, claims: dict[str, Any], email: str | None
) -> None:
    found = verifier.verify(realm.token(**claims))
    assert (found.tells_email, found.email) == (True, email)


# ---- What is refused ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attack:
    """A token that must be refused, made from what an attacker can have."""

    name: str
    make: Callable[[Provider], str]


def claiming(**changes: Any) -> Callable[[Provider], str]:
    return lambda provider: provider.token(**changes)


def heading(**head: Any) -> Callable[[Provider], str]:
    return lambda provider: provider.key.sign(provider.claims(), **head)


def hmac_signed(secret: Callable[[Provider], bytes], **head: Any) -> Callable[[Provider], str]:
    """Sign with HMAC and somebody's public knowledge as the secret, which libraries refuse to help with."""

    def make(provider: Provider) -> str:
        header = {"typ": "JWT", "alg": "HS256", "kid": provider.key.kid, **head}
        claims = {**provider.claims(), "user_id": "8f4e1f5e-0f52-4b3c-9d6e-1c2d3e4f5a6b"}
        signed = f"{encoded(header)}.{encoded(claims)}"
        return f"{signed}.{encoded(hmac.digest(secret(provider), signed.encode(), 'sha256'))}"

    return make


def unsigned(algorithm: str) -> Callable[[Provider], str]:
    return lambda provider: f"{encoded({'alg': algorithm, 'typ': 'JWT'})}.{encoded(provider.claims())}."


def edited(edit: Callable[[list[str]], list[str]]) -> Callable[[Provider], str]:
    """Change the parts of a good token."""
    return lambda provider: ".".join(edit(provider.token().split(".")))


def with_payload(text: Callable[[dict[str, Any]], str]) -> Callable[[Provider], str]:
    """Sign a payload as it is written, which may be no JSON or have a name twice."""

    def make(provider: Provider) -> str:
        payload = text(provider.claims()).encode()
        headers = {"kid": provider.key.kid}
        return jwt.api_jws.PyJWS().encode(payload, provider.key.private, "RS256", headers)

    return make


def with_header(text: Callable[[Provider], str]) -> Callable[[Provider], str]:
    """Sign under a header as it is written."""

    def make(provider: Provider) -> str:
        signed = f"{encoded(text(provider))}.{encoded(provider.claims())}"
        signature = RSAAlgorithm(RSAAlgorithm.SHA256).sign(signed.encode(), provider.key.private)  # type: ignore[arg-type]
        return f"{signed}.{encoded(signature)}"

    return make


def strangers(**head: Any) -> Callable[[Provider], str]:
    """A stranger's key under the name of the provider's."""
    return lambda provider: STRANGER.sign(provider.claims(), **{"kid": provider.key.kid, **head})


def es256_of_stranger(provider: Provider) -> str:
    return SigningKey(provider.key.kid, "ES256").sign(provider.claims())


def doubled(name: str, value: Any) -> Callable[[dict[str, Any]], str]:
    return lambda claims: json.dumps(claims)[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}"


def jwk_set_of_stranger() -> dict[str, Any]:
    return STRANGER.jwk()


HOUR = 3600
ATTACKS = [
    Attack("alg none", unsigned("none")),
    Attack("alg None", unsigned("None")),
    Attack("alg NONE", unsigned("NONE")),
    Attack("no alg", lambda p: f"{encoded({'typ': 'JWT'})}.{encoded(p.claims())}."),
    Attack("alg a list", with_header(lambda _: '{"alg": ["RS256"], "kid": "first"}')),
    Attack("rs256 without signature", edited(lambda parts: [*parts[:2], ""])),
    Attack("hs256 signed with the public key's pem", hmac_signed(lambda p: p.key.pem())),
    Attack("hs256 with the pem stripped", hmac_signed(lambda p: p.key.pem().strip())),
    Attack("hs256 with the jwk", hmac_signed(lambda p: json.dumps(p.key.jwk()).encode())),
    Attack("hs256 with the modulus", hmac_signed(lambda p: decoded(p.key.jwk()["n"]))),
    Attack("hs256 with nothing", hmac_signed(lambda _: b"")),
    Attack("hs256 signature, alg rs256", hmac_signed(lambda p: p.key.pem(), alg="RS256")),
    Attack("alg rs512 in the header", heading(alg="RS512")),
    Attack("alg ps256 in the header", heading(alg="PS256")),
    Attack("alg es256 with an rsa key", with_header(lambda p: f'{{"alg": "ES256", "kid": "{p.key.kid}"}}')),
    Attack("an ec key under the name of an rsa key", es256_of_stranger),
    Attack("a stranger's key under the provider's name", strangers()),
    Attack("a stranger's key in jwk", strangers(jwk=jwk_set_of_stranger())),
    Attack("a stranger's key at jku", strangers(jku="http://127.0.0.1:1/keys")),
    Attack("a stranger's certificate at x5u", strangers(x5u="http://127.0.0.1:1/certificate")),
    Attack("a stranger's key without a kid", strangers(kid=None)),
    Attack("kid unknown", heading(kid="nobody's")),
    Attack("kid a path", heading(kid="../../../../dev/null")),
    Attack("kid sql", heading(kid="first' OR '1'='1")),
    Attack("kid empty", heading(kid="")),
    Attack("kid a number", with_header(lambda _: '{"alg": "RS256", "kid": 1}')),
    Attack("kid a list", with_header(lambda _: '{"alg": "RS256", "kid": ["first"]}')),
    Attack("kid null twice", with_header(lambda _: '{"alg": "RS256", "kid": null, "kid": "first"}')),
    Attack("crit", with_header(lambda _: '{"alg": "RS256", "kid": "first", "crit": ["exp"], "exp": 1}')),
    Attack("crit empty", with_header(lambda _: '{"alg": "RS256", "kid": "first", "crit": []}')),
    Attack("b64", with_header(lambda _: '{"alg": "RS256", "kid": "first", "b64": true}')),
    Attack("alg twice", with_header(lambda _: '{"alg": "none", "kid": "first", "alg": "RS256"}')),
    Attack("another kind: logout", heading(typ="logout+jwt")),
    Attack("another kind: event", heading(typ="secevent+jwt")),
    Attack("typ a number", with_header(lambda _: '{"alg": "RS256", "kid": "first", "typ": 1}')),
    Attack("issuer of another", claiming(iss="http://127.0.0.1:1/realm")),
    Attack("issuer with a slash more", lambda p: p.token(iss=p.issuer + "/")),
    Attack("issuer in capitals", lambda p: p.token(iss=p.issuer.upper())),
    Attack("issuer a list", lambda p: p.token(iss=[p.issuer])),
    Attack("no issuer", claiming(iss=None)),
    Attack("audience of another", claiming(aud="somebody-else")),
    Attack("audiences of others", claiming(aud=["somebody", "else"])),
    Attack("no audience", claiming(aud=None)),
    Attack("audience empty", claiming(aud=[])),
    Attack("audience a part of ours", claiming(aud=AUDIENCE[:-1])),
    Attack("audience an object", claiming(aud={AUDIENCE: 1})),
    Attack("audience of another, our client", claiming(aud="somebody-else", client_id=AUDIENCE)),
    Attack("client of another", claiming(aud=None, client_id="somebody-else")),
    Attack("client a list", claiming(aud=None, client_id=[AUDIENCE])),
    Attack("our audience as azp only", claiming(aud=None, azp=AUDIENCE)),
    Attack("expired", lambda p: p.token(iat=int(time.time()) - HOUR, exp=int(time.time()) - 1)),
    Attack("no expiry", claiming(exp=None)),
    Attack("expiry a text", lambda p: p.token(exp=str(int(time.time()) + HOUR))),
    Attack("expiry true", claiming(exp=True)),
    Attack("expiry infinite", with_payload(lambda c: json.dumps({**c, "exp": float("inf")}))),
    Attack("expiry not a number", with_payload(lambda c: json.dumps({**c, "exp": float("nan")}))),
    Attack("not yet valid", lambda p: p.token(nbf=int(time.time()) + 60)),
    Attack("nbf a text", claiming(nbf="1")),
    Attack("nbf an object", claiming(nbf={})),
    Attack("issued in the future", lambda p: p.token(iat=int(time.time()) + 60)),
    Attack("no iat", claiming(iat=None)),
    Attack("iat a text", lambda p: p.token(iat=str(int(time.time())))),
    Attack("iat true", claiming(iat=True)),
    Attack("iat far beyond", with_payload(lambda c: json.dumps({**c, "iat": 10**400}))),
    Attack("identity token of cognito", claiming(token_use="id")),
    Attack("token_use null", with_payload(lambda c: json.dumps({**c, "token_use": None}))),
    Attack("identity token of keycloak", claiming(typ="ID")),
    Attack("refresh token of keycloak", claiming(typ="Refresh")),
    Attack("identity token with at_hash", claiming(at_hash="AAAAAAAAAAAAAAAAAAAAAA")),
    Attack("identity token with a nonce", claiming(nonce="n-0S6_WzA2Mj")),
    Attack("nonce null", with_payload(lambda c: json.dumps({**c, "nonce": None}))),
    Attack("bound to its sender", claiming(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})),
    Attack("cnf empty", claiming(cnf={})),
    Attack("another kind: id", heading(typ="id+jwt")),
    Attack("logout token", claiming(events={"http://schemas.openid.net/event/backchannel-logout": {}})),
    Attack("no subject", claiming(sub=None)),
    Attack("subject a number", claiming(sub=12345)),
    Attack("subject empty", claiming(sub="")),
    Attack("subject null", with_payload(lambda c: json.dumps({**c, "sub": None}))),
    Attack("subject a list", claiming(sub=["subject-1"])),
    Attack("subject that utf-8 cannot hold", claiming(sub="\ud800")),
    Attack("subject twice", with_payload(doubled("sub", "somebody"))),
    Attack("issuer twice", with_payload(doubled("iss", "http://127.0.0.1:1"))),
    Attack("audience twice", with_payload(doubled("aud", AUDIENCE))),
    Attack("payload a list", with_payload(lambda c: json.dumps([c]))),
    Attack("payload no json", with_payload(lambda _: "{")),
    Attack("payload nested", with_payload(lambda c: json.dumps(c)[:-1] + ', "x": ' + "[" * 2000 + "}")),
    Attack("payload of another token", edited(lambda parts: [parts[0], encoded({"sub": "x"}), parts[2]])),
    Attack("two parts", edited(lambda parts: parts[:2])),
    Attack("four parts", edited(lambda parts: [*parts, parts[2]])),
    Attack("cut", edited(lambda parts: [*parts[:2], parts[2][:-2]])),
    Attack("one bit flipped", edited(lambda parts: [*parts[:2], flipped(parts[2])])),
    Attack("something behind it", edited(lambda parts: [*parts[:2], parts[2] + "!"])),
    Attack("too long", claiming(groups=["g" * 100] * 80)),
]


def flipped(part: str) -> str:
    data = bytearray(decoded(part))
    data[10] ^= 1
    return encoded(bytes(data))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused(realm: Provider, verifier: OpenId, guarded: Service, attack: Attack) -> None:
    token = attack.make(realm)
    with pytest.raises(TokenInvalid):
        verifier.verify(token)
    if len(token) <= LONGEST_TOKEN - 500:
        assert said(guarded.call("GET", "/api/user", token)) == INVALID


def test_the_attacks_are_built_from_what_is_accepted(realm: Provider, verifier: OpenId) -> None:
    """Otherwise each might be refused for another reason than its name says."""
    harmless = (
        claiming(),
        heading(),
        with_payload(json.dumps),
        with_header(lambda p: f'{{"alg": "RS256", "kid": "{p.key.kid}"}}'),
        edited(lambda parts: parts),
    )
    assert {verifier.verify(make(realm)).name for make in harmless} == {"subject-1"}


def test_what_no_key_could_make_good_asks_for_no_key(provider: Provider) -> None:
    verifier = OpenId(provider.issuer, (AUDIENCE,), None)
    past = int(time.time()) - 10
    for token in (
        provider.key.sign(provider.claims(iss="http://127.0.0.1:1"), kid="unknown"),
        provider.key.sign(provider.claims(exp=past), kid="unknown"),
        unsigned("none")(provider),
        hmac_signed(lambda p: p.key.pem())(provider),
    ):
        with pytest.raises(TokenInvalid):
            verifier.verify(token)
    assert provider.asked == []


def test_without_a_provider_its_tokens_are_strangers(service: Service, provider: Provider) -> None:
    for algorithm in ("RS256", "ES256"):
        provider.rotate(algorithm)
        assert said(service.call("GET", "/api/user", provider.token())) == INVALID
    assert provider.asked == []


def test_our_own_tokens_go_on_working_beside_it(guarded: Service) -> None:
    account = guarded.register(f"beside-{time.time_ns()}@example.com")
    assert profile(guarded, account["token"])["user_id"] == account["user_id"]


# ---- The provider's keys --------------------------------------------------------------------------


def test_a_changed_key_is_found_at_once(provider: Provider) -> None:
    verifier = OpenId(provider.issuer, (AUDIENCE,), None)
    verifier.verify(provider.token())
    for algorithm, kid in (("ES256", "second"), ("RS256", "third")):
        provider.rotate(algorithm, kid)
        assert verifier.verify(provider.token()).name == "subject-1"
    assert provider.fetches() == 3


def test_unknown_keys_cause_no_storm(provider: Provider) -> None:
    verifier = OpenId(provider.issuer, (AUDIENCE,), None)
    verifier.verify(provider.token())
    tokens = [STRANGER.sign(provider.claims(), kid=f"unknown-{number}") for number in range(100)]

    def refused(token: str) -> bool:
        with pytest.raises(TokenInvalid):
            verifier.verify(token)
        return True

    with ThreadPoolExecutor(20) as threads:
        assert all(threads.map(refused, tokens))
    assert provider.fetches() <= 3
    verifier.verify(provider.token())


def test_many_at_once_ask_for_the_first_keys_once(provider: Provider) -> None:
    verifier = OpenId(provider.issuer, (AUDIENCE,), None)
    tokens = [provider.token(f"subject-{number}") for number in range(40)]
    with ThreadPoolExecutor(40) as threads:
        names = list(threads.map(lambda token: verifier.verify(token).name, tokens))
    assert names == [f"subject-{number}" for number in range(40)]
    assert provider.fetches() == 1


class Clock:
    """A clock that stands still but for a microsecond a look, until it is moved."""

    def __init__(self) -> None:
        self._moment = 1000.0

    def __call__(self) -> float:
        self._moment += 1e-6
        return self._moment

    def move(self, seconds: float) -> None:
        self._moment += seconds


def keys_of(provider: Provider, **how: Any) -> ProviderKeys[jwt.PyJWK]:
    return ProviderKeys(provider.issuer, None, read_keys, **how)


FIRST = ("first", "RS256")


def test_asking_is_allowed_again_after_a_while(provider: Provider) -> None:
    clock = Clock()
    keys = keys_of(provider, ask_again_seconds=10, clock=clock)
    for _ in range(20):
        assert keys.find(("unknown", "RS256")) is None
    assert provider.fetches() == 3
    provider.rotate()
    assert keys.find(("second", "RS256")) is None
    clock.move(11)
    assert keys.find(("second", "RS256")) is not None
    assert provider.fetches() == 4


def test_a_withdrawn_key_is_forgotten(provider: Provider) -> None:
    clock = Clock()
    keys = keys_of(provider, fresh_seconds=300, clock=clock)
    assert keys.find(FIRST) is not None
    provider.rotate()
    assert keys.find(FIRST) is not None
    clock.move(301)
    assert keys.find(FIRST) is None


@pytest.mark.parametrize("trouble", ["gone", 500, 302, "page"])
def test_old_keys_are_used_while_the_provider_is_away(provider: Provider, trouble: str | int) -> None:
    clock = Clock()
    keys = keys_of(provider, fresh_seconds=0.0, ask_again_seconds=10, clock=clock)
    assert keys.find(FIRST) is not None
    provider.trouble = trouble
    for _ in range(10):
        assert keys.find(FIRST) is not None
    with pytest.raises(Unavailable):
        keys.find(("second", "RS256"))
    provider.trouble = None
    provider.rotate()
    clock.move(11)
    assert keys.find(("second", "RS256")) is not None


@pytest.mark.parametrize("trouble", ["gone", 404, 500, 302, "page", "endless"])
def test_without_a_key_nobody_can_tell(provider: Provider, trouble: str | int) -> None:
    provider.trouble = trouble
    clock = Clock()
    keys = keys_of(provider, ask_again_seconds=10, clock=clock)
    for _ in range(10):
        with pytest.raises(Unavailable):
            keys.find(FIRST)
    assert len(provider.asked) <= 3
    provider.trouble = None
    clock.move(11)
    assert keys.find(FIRST) is not None


@pytest.mark.parametrize("trouble", ["hangs", "drips"])
def test_a_provider_that_hangs_holds_nobody_for_long(provider: Provider, trouble: str) -> None:
    provider.trouble = trouble
    keys = keys_of(provider)
    started = time.monotonic()

    def unavailable(_: int) -> bool:
        with pytest.raises(Unavailable):
            keys.find(FIRST)
        return True

    with ThreadPoolExecutor(20) as threads:
        assert all(threads.map(unavailable, range(20)))
    # One after the other they would wait for a minute.
    assert time.monotonic() - started < 20
    assert len(provider.asked) == 1


def test_while_one_asks_the_others_use_what_is_known(provider: Provider) -> None:
    clock = Clock()
    keys = keys_of(provider, fresh_seconds=300, clock=clock)
    assert keys.find(FIRST) is not None
    clock.move(301)
    provider.trouble = "hangs"
    asking = threading.Thread(target=keys.find, args=(FIRST,))
    asking.start()
    eventually(lambda: len(provider.asked) == 3, "nobody asked again")
    assert keys.find(FIRST) is not None
    assert asking.is_alive()
    provider.closing.set()
    asking.join()


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://another.example.com"},
        {"issuer": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "ftp://127.0.0.1/keys"},
        {"jwks_uri": "data:application/json,{}"},
        {"jwks_uri": "/realm/keys"},
        {"jwks_uri": "http://[::1"},
        {"jwks_uri": 7},
    ],
)
def test_a_discovery_document_that_cannot_be_trusted(provider: Provider, document: dict[str, Any]) -> None:
    provider.document |= document
    with pytest.raises(Unavailable):
        keys_of(provider).find(FIRST)
    assert provider.fetches() == 0


def test_a_named_address_of_the_keys_needs_no_discovery(provider: Provider) -> None:
    issuer = "https://cannot-be-reached.invalid/pool"
    verifier = OpenId(issuer, (AUDIENCE,), provider.jwks_url)
    assert verifier.verify(provider.token(iss=issuer)).issuer == issuer
    assert set(provider.asked) == {"/realm/keys"}


def test_a_provider_is_told_who_asks_for_both_documents(provider: Provider) -> None:
    verifier = OpenId(provider.issuer, (AUDIENCE,), None)
    assert verifier.verify(provider.token()).name == "subject-1"
    assert [path.rpartition("/")[2] for path in provider.asked] == ["openid-configuration", "keys"]
    assert provider.user_agents == [f"Panzoto/{VERSION}"] * 2


def test_a_key_set_gives_only_what_verifies() -> None:
    good, curved = SigningKey("good"), SigningKey("curved", "ES256")
    other_curve = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
    private = RSAAlgorithm.to_jwk(SigningKey("x").private, as_dict=True) | {"key_ops": ["sign", "verify"]}
    found = read_keys(
        {
            "keys": [
                good.jwk(alg=None, use=None),
                curved.jwk(),
                {**SigningKey("x").jwk(), "kid": "good"},
                {"kty": "oct", "kid": "secret", "k": encoded(b"s" * 32), "alg": "HS256"},
                {"kty": "oct", "kid": "secret", "k": encoded(b"s" * 32), "alg": "RS256"},
                SigningKey("weak", bits=1024).jwk(),
                SigningKey("for encryption").jwk(use="enc"),
                SigningKey("for another algorithm").jwk(alg="PS256"),
                SigningKey("for signing").jwk(key_ops=["sign"]),
                {**other_curve, "kid": "other curve"},
                {**curved.jwk(), "kid": "not on the curve", "x": encoded(b"\1" * 32)},
                {**private, "kid": "with its secret"},
                {"kty": "RSA", "kid": "without a modulus", "e": "AQAB"},
                {"kty": ["RSA"], "kid": "a list"},
                "text",
                None,
            ]
        }
    )
    assert set(found) == {
        ("good", "RS256"),
        ("curved", "ES256"),
        ("with its secret", "RS256"),
        (None, "ES256"),
    }
    assert found["good", "RS256"].key.public_numbers() == good.private.public_key().public_numbers()  # type: ignore[union-attr]
    assert not hasattr(found["with its secret", "RS256"].key, "private_numbers")


@pytest.mark.parametrize("key_set", [{}, {"keys": None}, {"keys": {}}, {"keys": []}])
def test_a_key_set_without_keys(key_set: dict[str, Any]) -> None:
    assert read_keys(key_set) == {}


def test_a_key_without_a_name_is_found_when_it_is_the_only_one(provider: Provider) -> None:
    verifier = OpenId(provider.issuer, (AUDIENCE,), None)
    assert verifier.verify(provider.key.sign(provider.claims(), kid=None)).name == "subject-1"


# ---- The service and a provider that comes and goes -----------------------------------------------


def test_a_service_whose_provider_comes_and_goes(moto: str, provider: Provider) -> None:
    provider.trouble = "gone"
    with run_service(moto, **UNLIMITED, **openid_settings(provider)) as service:
        away = service.call("GET", "/api/user", provider.token())
        assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        assert int(away.headers["Retry-After"]) >= 1
        provider.trouble = None
        user_id = profile(service, provider.token())["user_id"]
        provider.rotate("ES256")
        assert profile(service, provider.token())["user_id"] == user_id
        storm = [STRANGER.sign(provider.claims(), kid=f"unknown-{number}") for number in range(100)]
        before = provider.fetches()
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda token: service.call("GET", "/api/user", token), storm))
        assert {said(answer) for answer in answers} == {INVALID}
        assert provider.fetches() - before <= 3
        provider.trouble = "gone"
        assert profile(service, provider.token())["user_id"] == user_id
        # A token is a secret, wherever it is refused.
        assert not any(token.split(".")[2] in service.log() for token in (*storm, provider.token()))


# ---- Accounts -------------------------------------------------------------------------------------


def claim_of(service: Service, provider: Provider, subject: str) -> dict[str, Any] | None:
    name = f"openid#{provider.issuer}#{subject}"
    found = service.dynamodb().get_item(TableName=CLAIMS_TABLE, Key={"claim": {"S": name}})
    item: dict[str, Any] | None = found.get("Item")
    return item


def accounts_of(service: Service, provider: Provider, subject: str) -> list[str]:
    """Every account that says it is the subject's, by reading the whole table."""
    pages = service.dynamodb().get_paginator("scan").paginate(TableName=rows.USERS_TABLE)
    wanted = {"S": f"openid#{provider.issuer}#{subject}"}
    return [
        item["user_id"]["S"] for page in pages for item in page["Items"] if item.get("openid_claim") == wanted
    ]


def test_first_sight_makes_an_account(guarded: Service, realm: Provider, subject: str) -> None:
    token = realm.token(subject)
    found = profile(guarded, token)
    assert (found["email"], found["email_verified"], found["recovery_key_set"]) == (None, False, False)
    assert claim_of(guarded, realm, subject) == {
        "claim": {"S": f"openid#{realm.issuer}#{subject}"},
        "user_id": {"S": found["user_id"]},
    }
    row = rows.user_row(guarded, found["user_id"])
    assert {"email", "password_hash", "vault"}.isdisjoint(row)
    events = guarded.call("GET", "/api/user/events", token).json()["events"]
    assert [(event["type"], event["session_id"]) for event in events] == [("registered", None)]
    assert guarded.call("GET", "/api/user/sessions", token).json() == {"sessions": []}
    listed = guarded.call("GET", "/api/user/audio-files", token)
    assert (listed.status_code, listed.json()["audio_files"]) == (200, [])


def test_it_is_the_same_account_ever_after(guarded: Service, realm: Provider, subject: str) -> None:
    tokens = [realm.token(subject), realm.token(subject, client_id="x"), later_token(realm, subject)]
    assert len({profile(guarded, token)["user_id"] for token in tokens}) == 1
    assert profile(guarded, realm.token(subject + "x"))["user_id"] != profile(guarded, tokens[0])["user_id"]


def test_racing_first_sights_make_one_account(
    moto: str, guarded: Service, realm: Provider, subject: str
) -> None:
    with run_service(moto, **UNLIMITED, **openid_settings(realm)) as second:
        # Both have the keys, so that the race is for the account.
        for service in (guarded, second):
            profile(service, realm.token("somebody else"))
        tokens = [realm.token(subject, jti=str(number)) for number in range(24)]
        start = threading.Barrier(len(tokens))

        def see(number: int) -> str:
            start.wait()
            user_id: str = profile((guarded, second)[number % 2], tokens[number])["user_id"]
            return user_id

        with ThreadPoolExecutor(len(tokens)) as threads:
            seen = set(threads.map(see, range(len(tokens))))
    assert len(seen) == 1
    assert accounts_of(guarded, realm, subject) == list(seen)
    events = guarded.call("GET", "/api/user/events", tokens[0]).json()["events"]
    assert [event["type"] for event in events] == ["registered"]


@pytest.mark.parametrize(("length", "filling"), [(255, "ü"), (3000, "u")])
def test_a_subject_of_any_length(guarded: Service, realm: Provider, length: int, filling: str) -> None:
    subjects = [f"{time.time_ns()}-".ljust(length - 1, filling) + end for end in "ab"]
    ids = [profile(guarded, realm.token(name))["user_id"] for name in (*subjects, *subjects)]
    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]


def test_an_address_never_leads_to_another_account(guarded: Service, realm: Provider, subject: str) -> None:
    email = f"shared-{time.time_ns()}@example.com"
    account = guarded.register(email)
    guest = profile(guarded, realm.token(subject, email=email, email_verified=True))
    assert guest["user_id"] != account["user_id"]
    assert (guest["email"], guest["email_verified"]) == (email, True)
    signed_in = guarded.call("POST", "/api/login", json={"email": email, "password": PASSWORD})
    assert signed_in.json()["user_id"] == account["user_id"]


def test_an_address_of_the_provider_keeps_nobody_from_registering(
    guarded: Service, realm: Provider, subject: str
) -> None:
    email = f"first-{time.time_ns()}@example.com"
    token = realm.token(subject, email=email, email_verified=True)
    guest = profile(guarded, token)
    assert set_password(guarded, token).status_code == 200
    stranger = guarded.call("POST", "/api/login", json={"email": email, "password": PASSWORD})
    assert said(stranger) == (401, "Invalid email or password", "invalid_credentials")
    account = guarded.register(email, NEW)
    assert account["user_id"] != guest["user_id"]
    by_other_password = guarded.call("POST", "/api/login", json={"email": email, "password": PASSWORD})
    assert by_other_password.status_code == 401
    assert profile(guarded, token)["user_id"] == guest["user_id"]


def test_the_address_follows_the_provider(guarded: Service, realm: Provider, subject: str) -> None:
    seen = []
    for claims in (
        {"email": "one@example.com", "email_verified": True},
        {},
        {"email": "two@example.com", "email_verified": True},
        {"email": "three@example.com", "email_verified": False},
    ):
        found = profile(guarded, realm.token(subject, **claims))
        seen.append((found["email"], found["email_verified"]))
    assert seen == [
        ("one@example.com", True),
        ("one@example.com", True),
        ("two@example.com", True),
        (None, False),
    ]


# ---- The first password ---------------------------------------------------------------------------


def test_before_its_first_password_nothing_is_decrypted(
    guarded: Service, realm: Provider, subject: str
) -> None:
    token = realm.token(subject)
    user_id = profile(guarded, token)["user_id"]
    file_id = store(guarded, {"token": token}, f"users/{user_id}/early.3gp", b"x" * 100)
    for method, path, body in (
        ("POST", "/api/decrypt-audio", {"password": PASSWORD, "file_id": file_id}),
        ("POST", "/api/user/recovery-key", {"password": PASSWORD}),
        ("POST", f"/api/audio-file/{file_id}/upgrade", {"password": PASSWORD}),
        ("DELETE", "/api/user", {"password": PASSWORD}),
    ):
        answer = guarded.call(method, path, token, json=body)
        assert (path, answer.status_code, answer.json()["code"]) == (path, 409, "password_not_set")
    assert profile(guarded, token)["user_id"] == user_id


@pytest.mark.parametrize("password", [{}, {"password": "whatever is sent"}, {"password": None}])
def test_the_first_password_makes_the_vault(
    guarded: Service, realm: Provider, subject: str, password: dict[str, Any]
) -> None:
    token = realm.token(subject)
    user_id = profile(guarded, token)["user_id"]
    answer = set_password(guarded, token, **password)
    assert answer.status_code == 200, answer.text
    account = answer.json()
    assert account["user"] == {"user_id": user_id, "email": None, "created_at": account["user"]["created_at"]}
    assert (account["user_id"], len(bytes.fromhex(account["key_salt"]))) == (user_id, 32)
    assert {"token", "refresh_token", "expires_at", "session_id", "key_derivation", "vault"} <= account.keys()
    s3_key = f"users/{user_id}/first.3gp"
    plain = b"#!AMR\n" + b"a first walk " * 900
    file_id = store(guarded, account, s3_key, version_2(account, PASSWORD, s3_key, plain))
    # The provider's token goes on, beside the session that has begun.
    for bearer in (token, account["token"]):
        assert hear(guarded, bearer, file_id, PASSWORD) == plain
        assert decrypt(guarded, bearer, file_id, NEW).json()["error"] == "Invalid password"
    refreshed = guarded.call(
        "POST", "/api/token/refresh", json={"refresh_token": account["refresh_token"]}
    ).json()
    assert profile(guarded, refreshed["token"])["user_id"] == user_id
    listed = guarded.call("GET", "/api/user/sessions", token).json()["sessions"]
    assert [(one["session_id"], one["current"]) for one in listed] == [(account["session_id"], False)]
    events = guarded.call("GET", "/api/user/events", token).json()["events"]
    assert "password_changed" in {event["type"] for event in events}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"new_password": "short"}, "Password must be at least 8 characters"),
        ({"new_password": None}, "New password is required"),
        ({"new_password": 12345678}, "This must be a text"),
    ],
)
def test_a_first_password_that_is_none(
    guarded: Service, realm: Provider, subject: str, body: dict[str, Any], error: str
) -> None:
    token = realm.token(subject)
    answer = set_password(guarded, token, **body)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert "password_hash" not in rows.user_row(guarded, profile(guarded, token)["user_id"])


def test_the_second_password_needs_the_first(guarded: Service, realm: Provider, subject: str) -> None:
    token = realm.token(subject)
    account = set_password(guarded, token).json()
    again = set_password(guarded, token, new_password=NEW)
    assert (again.status_code, again.json()["error"]) == (400, "Password is required")
    assert again.json()["fields"] == {"password": "Password is required"}
    wrong = set_password(guarded, token, password="not my password", new_password=NEW)
    assert (wrong.status_code, wrong.json()["error"]) == (401, "Invalid password")
    s3_key = f"users/{account['user_id']}/kept.3gp"
    plain = b"#!AMR\n" + b"a kept walk " * 900
    file_id = store(guarded, account, s3_key, version_2(account, PASSWORD, s3_key, plain))
    changed = set_password(guarded, token, password=PASSWORD, new_password=NEW)
    assert changed.status_code == 200, changed.text
    assert changed.json()["vault"]["key_id"] == account["vault"]["key_id"]
    # A changed password ends every session, and the provider's tokens before it; its next one is good.
    for ended in (token, account["token"]):
        assert said(guarded.call("GET", "/api/user", ended)) == INVALID
    for bearer in (changed.json()["token"], later_token(realm, subject)):
        assert hear(guarded, bearer, file_id, NEW) == plain


def test_of_two_first_passwords_at_once_one_is_set(guarded: Service, realm: Provider, subject: str) -> None:
    token = realm.token(subject)
    profile(guarded, token)
    passwords = [f"{NEW} {number}" for number in range(4)]
    with ThreadPoolExecutor(len(passwords)) as threads:
        answers = list(threads.map(lambda new: set_password(guarded, token, new_password=new), passwords))
    # One that came later finds that a password is set, and is asked for it.
    assert sum(answer.status_code == 200 for answer in answers) == 1
    assert {answer.status_code for answer in answers} <= {200, 400, 409}
    winner = next(new for new, answer in zip(passwords, answers, strict=True) if answer.status_code == 200)
    for password, status in [(winner, 201), (f"{winner} not", 401)]:
        made = guarded.call("POST", "/api/user/recovery-key", token, json={"password": password})
        assert made.status_code == status, made.text


def test_wrong_passwords_count_against_the_account_inside(
    guarded: Service, realm: Provider, subject: str
) -> None:
    token = realm.token(subject)
    set_password(guarded, token)
    statuses = [
        guarded.call("POST", "/api/user/recovery-key", token, json={"password": "a guess"}).status_code
        for _ in range(8)
    ]
    assert statuses[:5] == [401] * 5
    assert 429 in statuses[5:]


def test_its_address_is_changed_at_the_provider(guarded: Service, realm: Provider, subject: str) -> None:
    token = realm.token(subject)
    set_password(guarded, token)
    body = {"password": PASSWORD, "email": f"other-{time.time_ns()}@example.com"}
    answer = guarded.call("POST", "/api/user/email", token, json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "email_of_provider")


# ---- Signing out and going away -------------------------------------------------------------------


def test_signing_out_ends_the_providers_tokens_so_far(
    guarded: Service, realm: Provider, subject: str
) -> None:
    token = realm.token(subject)
    user_id = profile(guarded, token)["user_id"]
    assert guarded.call("POST", "/api/logout", token).status_code == 204
    assert said(guarded.call("GET", "/api/user", token)) == INVALID
    assert profile(guarded, later_token(realm, subject))["user_id"] == user_id


def test_signing_the_others_out_keeps_this_token(guarded: Service, realm: Provider, subject: str) -> None:
    earlier = realm.token(subject, iat=int(time.time()) - 60)
    token = realm.token(subject)
    account = set_password(guarded, token).json()
    assert profile(guarded, earlier)["user_id"] == account["user_id"]
    assert guarded.call("POST", "/api/logout-others", token).status_code == 204
    assert profile(guarded, token)["user_id"] == account["user_id"]
    for ended in (earlier, account["token"]):
        assert said(guarded.call("GET", "/api/user", ended)) == INVALID


def test_a_deleted_account_is_not_brought_back_by_its_last_token(
    guarded: Service, realm: Provider, subject: str
) -> None:
    token = realm.token(subject)
    account = set_password(guarded, token).json()
    deleted = guarded.call("DELETE", "/api/user", token, json={"password": PASSWORD})
    assert deleted.status_code == 202, deleted.text
    eventually(lambda: claim_of(guarded, realm, subject) is None, "the account is still there")
    assert accounts_of(guarded, realm, subject) == []
    for ended in (token, account["token"], token):
        assert said(guarded.call("GET", "/api/user", ended)) == INVALID
    assert accounts_of(guarded, realm, subject) == []
    newcomer = profile(guarded, later_token(realm, subject))
    assert newcomer["user_id"] != account["user_id"]
    assert "password_hash" not in rows.user_row(guarded, newcomer["user_id"])


# ---- A password of the vault that is lost ---------------------------------------------------------


def recovery_key_of(service: Service, token: str) -> str:
    made = service.call("POST", "/api/user/recovery-key", token, json={"password": PASSWORD})
    assert made.status_code == 201, made.text
    key: str = made.json()["recovery_key"]
    return key


def recover(service: Service, token: str, key: str, new_password: str = NEW) -> requests.Response:
    body = {"recovery_key": key, "new_password": new_password}
    return service.call("POST", "/api/user/recover", token, json=body)


def test_the_recovery_key_sets_another_while_signed_in(
    guarded: Service, realm: Provider, subject: str
) -> None:
    token = realm.token(subject)
    account = set_password(guarded, token).json()
    s3_key = f"users/{account['user_id']}/kept.3gp"
    plain = b"#!AMR\n" + b"a kept walk " * 900
    file_id = store(guarded, account, s3_key, version_2(account, PASSWORD, s3_key, plain))
    key = recovery_key_of(guarded, token)
    answer = recover(guarded, token, key)
    assert answer.status_code == 200, answer.text
    fresh = answer.json()
    assert fresh["user_id"] == account["user_id"]
    assert fresh["vault"]["key_id"] == account["vault"]["key_id"]
    assert fresh["key_salt"] != account["key_salt"]
    for ended in (token, account["token"]):
        assert said(guarded.call("GET", "/api/user", ended)) == INVALID
    for bearer in (fresh["token"], later_token(realm, subject)):
        assert hear(guarded, bearer, file_id, NEW) == plain
    told = guarded.call("GET", "/api/user/events", fresh["token"]).json()["events"]
    assert "recovered" in [event["type"] for event in told]
    # In a session of ours it is this session that goes on.
    again = recover(guarded, fresh["token"], key, "a third quiet walk")
    assert (again.status_code, again.json()["session_id"]) == (200, fresh["session_id"])


def test_a_recovery_key_that_is_none_recovers_nothing(
    guarded: Service, realm: Provider, subject: str
) -> None:
    token = realm.token(subject)
    foreign = recovery_key_of(guarded, set_password(guarded, realm.token(f"{subject}-other")).json()["token"])
    assert recover(guarded, token, foreign).json()["code"] == "recovery_failed"
    account = set_password(guarded, token).json()
    own = recovery_key_of(guarded, account["token"])
    slip = ("7" if own[0] != "7" else "8") + own[1:]
    for key, new_password, expected in (
        (foreign, NEW, (401, "recovery_failed")),
        (slip, NEW, (400, "invalid_recovery_key")),
        (own, "short", (400, "invalid_request")),
        ("", NEW, (400, "invalid_request")),
    ):
        answer = recover(guarded, account["token"], key, new_password)
        assert (answer.status_code, answer.json()["code"]) == expected
    for _ in range(8):
        answer = recover(guarded, account["token"], foreign)
    assert answer.status_code == 429


def test_an_account_with_a_password_of_its_own_recovers_inside_too(guarded: Service) -> None:
    account = guarded.register(f"inside-{time.time_ns()}@example.com")
    answer = recover(guarded, account["token"], recovery_key_of(guarded, account["token"]))
    assert (answer.status_code, answer.json()["session_id"]) == (200, account["session_id"])


def delete(service: Service, token: str, provider_token: Any) -> requests.Response:
    return service.call("DELETE", "/api/user", token, json={"provider_token": provider_token})


def test_a_token_that_was_just_issued_deletes_the_account(
    guarded: Service, realm: Provider, subject: str
) -> None:
    account = set_password(guarded, realm.token(subject)).json()
    answer = delete(guarded, account["token"], realm.token(subject, iat=int(time.time()) - 200))
    assert answer.status_code == 202, answer.text
    assert answer.json()["deletion"]["status"] == "in_progress"
    assert said(guarded.call("GET", "/api/user", account["token"])) == INVALID


def test_an_account_that_never_set_a_password_is_deleted_by_it(
    guarded: Service, realm: Provider, subject: str
) -> None:
    token = realm.token(subject)
    assert delete(guarded, token, token).status_code == 202


def test_no_other_token_deletes_it(guarded: Service, realm: Provider, subject: str) -> None:
    account = set_password(guarded, realm.token(subject)).json()
    stranger = guarded.register(f"stranger-{time.time_ns()}@example.com")
    moment = int(time.time())
    refused = [
        (account, realm.token(subject, iat=moment - 330)),
        (account, realm.token(f"{subject}-other")),
        (account, realm.token(subject, aud="another service")),
        (account, realm.token(subject, iat=moment - 600, exp=moment - 300)),
        (account, account["token"]),
        (account, "no token"),
        (stranger, realm.token(subject)),
    ]
    for whose, token in refused:
        answer = delete(guarded, whose["token"], token)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_provider_token")
    for nothing in ("", None, 7):
        assert delete(guarded, account["token"], nothing).status_code == 400
    wrong = {"password": "not my password", "provider_token": realm.token(subject)}
    answer = guarded.call("DELETE", "/api/user", account["token"], json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_password")
    assert guarded.call("GET", "/api/user", account["token"]).status_code == 200


def test_a_token_from_before_its_owner_signed_out_deletes_nothing(
    guarded: Service, realm: Provider, subject: str
) -> None:
    early = realm.token(subject)
    assert guarded.call("POST", "/api/logout", early).status_code == 204
    late = later_token(realm, subject)
    answer = delete(guarded, late, early)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_provider_token")
    assert delete(guarded, late, late).status_code == 202


def test_without_a_provider_there_is_no_such_token(service: Service, provider: Provider) -> None:
    account = service.register(f"alone-{time.time_ns()}@example.com")
    answer = delete(service, account["token"], provider.token("anybody"))
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_provider_token")


# ---- Settings -------------------------------------------------------------------------------------

ISSUER = "https://login.example.com/"
PRODUCTION = {"FLASK_ENV": "production", "SECRET_KEY": hashlib.sha256(b"of a test").hexdigest()}


def test_settings(tmp_path: Any) -> None:
    kept = {"PANZOTO_DATA_DIR": str(tmp_path)}
    nothing = Settings.from_environment(kept)
    assert (nothing.oidc_issuer, nothing.oidc_audiences, nothing.oidc_jwks_url) == (None, (), None)
    both = Settings.from_environment({"OIDC_ISSUER": ISSUER, "OIDC_AUDIENCE": "phone, browser", **kept})
    assert (both.oidc_issuer, both.oidc_audiences) == (ISSUER, ("phone", "browser"))
    local = "http://127.0.0.1:9/keys"
    production = Settings.from_environment(
        {"OIDC_ISSUER": ISSUER, "OIDC_AUDIENCE": "phone", "OIDC_JWKS_URL": local, **PRODUCTION}
    )
    assert production.oidc_jwks_url == local


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"OIDC_ISSUER": ISSUER}, "OIDC_ISSUER and OIDC_AUDIENCE"),
        ({"OIDC_AUDIENCE": "phone"}, "OIDC_ISSUER and OIDC_AUDIENCE"),
        ({"OIDC_JWKS_URL": ISSUER}, "OIDC_JWKS_URL"),
        ({"OIDC_ISSUER": "login.example.com", "OIDC_AUDIENCE": "phone"}, "OIDC_ISSUER"),
        ({"OIDC_ISSUER": ISSUER + "?a=b", "OIDC_AUDIENCE": "phone"}, "OIDC_ISSUER"),
        ({"OIDC_ISSUER": ISSUER + "#a", "OIDC_AUDIENCE": "phone"}, "OIDC_ISSUER"),
        ({"OIDC_ISSUER": "http://login.example.com", "OIDC_AUDIENCE": "p", **PRODUCTION}, "OIDC_ISSUER"),
        (
            {
                "OIDC_ISSUER": ISSUER,
                "OIDC_AUDIENCE": "p",
                "OIDC_JWKS_URL": "http://a.example/k",
                **PRODUCTION,
            },
            "OIDC_JWKS_URL",
        ),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Any, values: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings.from_environment({"PANZOTO_DATA_DIR": str(tmp_path), **values})


# ---- Amazon Cognito -------------------------------------------------------------------------------

COGNITO_PASSWORD = "Correct-Horse-7-Battery"


@dataclass(frozen=True)
class Pool:
    """A user pool of Cognito's stand-in, with one app client."""

    cognito: Any
    pool_id: str
    client_id: str

    def sign_up(self, email: str) -> None:
        attributes = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
        self.cognito.admin_create_user(
            UserPoolId=self.pool_id, Username=email, UserAttributes=attributes, MessageAction="SUPPRESS"
        )
        self.cognito.admin_set_user_password(
            UserPoolId=self.pool_id, Username=email, Password=COGNITO_PASSWORD, Permanent=True
        )

    def authenticate(self, flow: str = "USER_PASSWORD_AUTH", **parameters: str) -> dict[str, Any]:
        answer = self.cognito.initiate_auth(ClientId=self.client_id, AuthFlow=flow, AuthParameters=parameters)
        tokens: dict[str, Any] = answer["AuthenticationResult"]
        return tokens

    def sign_in(self, email: str) -> dict[str, Any]:
        return self.authenticate(USERNAME=email, PASSWORD=COGNITO_PASSWORD)


@pytest.fixture(scope="module")
def pool(moto: str) -> Pool:
    """Cognito as the service's operators set it up."""
    cognito = aws_client("cognito-idp", moto)
    policy = {
        "MinimumLength": 12,
        "RequireUppercase": True,
        "RequireLowercase": True,
        "RequireNumbers": True,
        "RequireSymbols": True,
        "TemporaryPasswordValidityDays": 1,
    }
    pool_id = cognito.create_user_pool(
        PoolName="panzoto",
        UsernameAttributes=["email"],
        AutoVerifiedAttributes=["email"],
        Policies={"PasswordPolicy": policy},
    )["UserPool"]["Id"]
    client_id = cognito.create_user_pool_client(
        UserPoolId=pool_id,
        ClientName="phone",
        GenerateSecret=False,
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        AccessTokenValidity=60,
        IdTokenValidity=60,
        RefreshTokenValidity=30,
        TokenValidityUnits={"AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "days"},
    )["UserPoolClient"]["ClientId"]
    return Pool(cognito, pool_id, client_id)


@pytest.fixture(scope="module")
def by_cognito(moto: str, pool: Pool) -> Iterator[Service]:
    """A service that takes the pool's tokens; its issuer cannot be reached from here, its keys can."""
    settings = {
        "OIDC_ISSUER": f"https://cognito-idp.us-east-1.amazonaws.com/{pool.pool_id}",
        "OIDC_AUDIENCE": pool.client_id,
        "OIDC_JWKS_URL": f"{moto}/{pool.pool_id}/.well-known/jwks.json",
    }
    with run_service(moto, **UNLIMITED, **settings) as running:
        yield running


def test_cognito_is_set_up_as_intended(pool: Pool) -> None:
    described = pool.cognito.describe_user_pool(UserPoolId=pool.pool_id)["UserPool"]
    assert described["UsernameAttributes"] == ["email"]
    assert described["AutoVerifiedAttributes"] == ["email"]
    with pytest.raises(pool.cognito.exceptions.InvalidPasswordException):
        pool.cognito.sign_up(ClientId=pool.client_id, Username="weak@example.com", Password="password")
    client = pool.cognito.describe_user_pool_client(UserPoolId=pool.pool_id, ClientId=pool.client_id)
    validity = client["UserPoolClient"]
    assert (validity["AccessTokenValidity"], validity["RefreshTokenValidity"]) == (60, 30)


def test_cognito_from_sign_in_to_playback(by_cognito: Service, pool: Pool) -> None:
    email = f"cognito-{time.time_ns()}@example.com"
    pool.sign_up(email)
    tokens = pool.sign_in(email)
    token = tokens["AccessToken"]
    claims = json.loads(decoded(token.split(".")[1]))
    assert (claims["exp"] - claims["iat"], claims["client_id"]) == (HOUR, pool.client_id)
    assert "aud" not in claims
    user_id = profile(by_cognito, token)["user_id"]
    account = set_password(by_cognito, token).json()
    s3_key = f"users/{user_id}/cognito.3gp"
    plain = b"#!AMR\n" + b"a walk by the pool " * 900
    file_id = store(by_cognito, {"token": token}, s3_key, version_2(account, PASSWORD, s3_key, plain))
    assert hear(by_cognito, token, file_id, PASSWORD) == plain
    refreshed = pool.authenticate("REFRESH_TOKEN_AUTH", REFRESH_TOKEN=tokens["RefreshToken"])
    for later in (refreshed["AccessToken"], pool.sign_in(email)["AccessToken"]):
        assert profile(by_cognito, later)["user_id"] == user_id
        assert hear(by_cognito, later, file_id, PASSWORD) == plain


def test_cognitos_other_tokens_are_no_access_tokens(by_cognito: Service, pool: Pool) -> None:
    email = f"cognito-{time.time_ns()}@example.com"
    pool.sign_up(email)
    tokens = pool.sign_in(email)
    for other in (tokens["IdToken"], tokens["RefreshToken"]):
        assert said(by_cognito.call("GET", "/api/user", other)) == INVALID


def test_another_pool_and_another_client_are_strangers(by_cognito: Service, pool: Pool) -> None:
    """The stand-in signs for all pools with one key, so only issuer and client tell them apart here."""
    email = f"cognito-{time.time_ns()}@example.com"
    make = pool.cognito
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    other_pool = make.create_user_pool(PoolName="other", UsernameAttributes=["email"])["UserPool"]["Id"]
    for pool_id in (other_pool, pool.pool_id):
        client = make.create_user_pool_client(
            UserPoolId=pool_id, ClientName="other", ExplicitAuthFlows=flows
        )["UserPoolClient"]["ClientId"]
        stranger = Pool(make, pool_id, client)
        stranger.sign_up(email)
        assert said(by_cognito.call("GET", "/api/user", stranger.sign_in(email)["AccessToken"])) == INVALID
