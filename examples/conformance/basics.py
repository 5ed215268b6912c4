"""What is common to all calls, and the calls that the phones in the field make."""

from __future__ import annotations

import base64
import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from asking import PASSWORD, TIME, UUID, FellShort, expect, has
from world import World

SALT = re.compile(r"[0-9a-f]{64}")
TEXT_OR_NONE = (str, None)
TIME_OR_NONE = (TIME, None)
NUMBER_OR_NONE = (int, None)
STATUS = re.compile(r"pending|stored|unknown")


def audio_file(value: object, what: str = "audio_file") -> dict[str, Any]:
    """Check the shape of a recording."""
    return has(
        value,
        what,
        file_id=UUID,
        user_id=UUID,
        s3_key=str,
        file_size=NUMBER_OR_NONE,
        uploaded_at=TIME_OR_NONE,
        status=STATUS,
        recorded_at=TIME_OR_NONE,
        duration_ms=NUMBER_OR_NONE,
        content_type=TEXT_OR_NONE,
        format=TEXT_OR_NONE,
        title=TEXT_OR_NONE,
        note=TEXT_OR_NONE,
        transcript=(dict, None),
        deleted_at=TIME_OR_NONE,
    )


def account(value: object) -> dict[str, Any]:
    """Check the shape of what register, login and their like return."""
    told = has(
        value,
        "the account",
        token=str,
        user_id=UUID,
        key_salt=SALT,
        refresh_token=str,
        expires_at=TIME,
        session_id=UUID,
        vault=dict,
    )
    has(told["user"], "user", user_id=told["user_id"], email=TEXT_OR_NONE, created_at=TIME)
    has(told["key_derivation"], "key_derivation", algorithm="pbkdf2-hmac-sha256", iterations=100_000)
    has(told["vault"], "vault", version=1, key_id=re.compile(r"[0-9a-f]{32}"), wrapped_key=str)
    has(told["vault"]["kdf"], "vault.kdf", algorithm="argon2id", version=19, salt=SALT)
    return told


def health(world: World) -> None:
    """GET /api/health says who it is."""
    told = world.service.ask("GET", "/api/health").good(200)
    has(told, "health", status="healthy", service="panzoto-backend", database="dynamodb", version=str)


def errors(world: World) -> None:
    """Every error is JSON with a sentence, a code and a request id, whatever was wrong."""
    ask, login = world.service.ask, "/api/login"
    ask("GET", "/api/no-such-thing").refused(404)
    ask("GET", login).refused(405)
    ask("POST", login, raw=b"{", Content_Type="application/json").refused(400)
    ask("POST", login, raw=b"[]", Content_Type="application/json").refused(400)
    ask("POST", login, raw=b"{}", Content_Type="text/plain").refused(415)
    ask("POST", login, raw=b'"' + b"a" * 300_000 + b'"', Content_Type="application/json").refused(413)
    wrong = ask("POST", "/api/register", body={"email": "no address", "password": PASSWORD}).refused(400)
    fields = wrong.get("fields")
    expect(isinstance(fields, dict) and "email" in fields, "a malformed email is not told under `fields`")
    answer = ask("GET", "/api/no-such-thing", X_Request_ID="conformance-0001")
    expect(answer.headers.get("X-Request-ID"), "an answer has no X-Request-ID")


def bearer(world: World) -> None:
    """A token is taken with and without `Bearer `; none and a wrong one are told apart."""
    ask, token = world.service.ask, world.token
    ask("GET", "/api/user", token).good(200)
    ask("GET", "/api/user", Authorization=token).good(200)
    ask("GET", "/api/user").refused(401, sentence="Token is missing")
    for wrong in ("nonsense", token[:-3] + ("abc" if token[-3:] != "abc" else "xyz"), unsigned(token)):
        ask("GET", "/api/user", wrong).refused(401, sentence="Token is invalid or expired")


def unsigned(token: str) -> str:
    """Return the token with the algorithm `none` and no signature."""
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


def claims(world: World) -> None:
    """The token is a JWT, HS256, with user_id, iat and exp, and ends at expires_at."""
    parts = world.token.split(".")
    expect(len(parts) == 3, "the token is no JWT")
    head, told = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in parts[:2])
    expect(head.get("alg") == "HS256", f"the token's algorithm is {head.get('alg')}")
    has(told, "the token", user_id=world.me["user_id"], iat=int, exp=int)
    ends = datetime.fromisoformat(world.me["expires_at"]).timestamp()
    expect(abs(ends - told["exp"]) < 2, "expires_at is not the token's exp")


def unknown_fields(world: World) -> None:
    """Fields that a service does not know are ignored."""
    world.service.login(world.me["email"], a_field_to_come={"deep": [1]}).good(200)


def register(world: World) -> None:
    """POST /api/register makes an account; the address is stripped and lower-cased."""
    ask = world.service.ask
    name = f"conformance-{secrets.token_hex(8)}@example.com"
    body = {"email": f"  {name.upper()} ", "password": PASSWORD}
    made = account(ask("POST", "/api/register", body=body).good(201))
    expect(made["user"]["email"] == name, f"the address became {made['user']['email']!r}")
    ask("POST", "/api/register", body={"email": name, "password": PASSWORD}).refused(
        409, sentence="User already exists"
    )
    account(world.service.login(name).good(200))
    ask("DELETE", "/api/user", made["token"], {"password": PASSWORD}).good(202)
    missing = "Email and password are required"
    for part in ({}, {"email": name}, {"password": PASSWORD}, {"email": "", "password": ""}):
        ask("POST", "/api/register", body=part).refused(400, sentence=missing)
    short = {"email": f"a{name}", "password": "1234567"}
    ask("POST", "/api/register", body=short).refused(400, sentence="Password must be at least 8 characters")
    for email in ("no address", "a@", "@b.example", "a b@c.example"):
        ask("POST", "/api/register", body={"email": email, "password": PASSWORD}).refused(400)


def login(world: World) -> None:
    """POST /api/login returns the account, and says the same of a wrong password and of no account."""
    again = account(world.service.login(world.me["email"]).good(200))
    for name in ("user_id", "key_salt", "vault"):
        expect(again[name] == world.me[name], f"login returns another `{name}` than register did")
    wrong = "Invalid email or password"
    world.service.login(world.me["email"], "not the password").refused(401, sentence=wrong)
    nobody = f"conformance-{secrets.token_hex(8)}@example.com"
    world.service.login(nobody).refused(401, sentence=wrong)
    world.service.ask("POST", "/api/login", body={"email": nobody}).refused(
        400, sentence="Email and password are required"
    )


def record(world: World) -> None:
    """POST /api/audio-file records a key once, however often it is asked."""
    ask, token = world.service.ask, world.token
    key = f"users/test-user/audio-{secrets.token_hex(6)}.3gp"
    body = {"s3_key": key, "file_size": 1024}
    made = audio_file(ask("POST", "/api/audio-file", token, body).good(201)["audio_file"])
    has(made, "audio_file", s3_key=key, file_size=1024, user_id=world.me["user_id"])
    again = audio_file(ask("POST", "/api/audio-file", token, body).good(201)["audio_file"])
    expect(again["file_id"] == made["file_id"], "a repeated request made another record")
    ask("POST", "/api/audio-file", world.stranger["token"], body).refused(409, "key_taken")
    sizeless = {"s3_key": f"{key}-2"}
    made = audio_file(ask("POST", "/api/audio-file", token, sizeless).good(201)["audio_file"])
    expect(made["file_size"] is None, "a size that nobody told is not null")


def keys(world: World) -> None:
    """An s3_key and a file_size are checked, and a stranger's folder is closed."""
    ask, token = world.service.ask, world.token
    ask("POST", "/api/audio-file", body={"s3_key": "k"}).refused(401)
    for nothing in ({}, {"s3_key": ""}, {"s3_key": None}):
        ask("POST", "/api/audio-file", token, nothing).refused(400, sentence="s3_key is required")
    for key in ("a" * 1025, "ü" * 513, "a\nb", "a\u0000b", 7, ["a"]):
        ask("POST", "/api/audio-file", token, {"s3_key": key}).refused(400)
    for size in (-1, 1.5, "12", True, 5 * 1024**4 + 1):
        wrong = {"s3_key": f"users/x/{secrets.token_hex(8)}", "file_size": size}
        ask("POST", "/api/audio-file", token, wrong).refused(400)
    longest = "ü" * 500 + secrets.token_hex(12)
    body = {"s3_key": longest, "file_size": 5 * 1024**4}
    made = ask("POST", "/api/audio-file", token, body).good(201)["audio_file"]
    expect(made["s3_key"] == longest, "a long key came back as another")
    # It would fill the account.
    ask("DELETE", f"/api/audio-file/{made['file_id']}?permanent=true", token).good(204)
    for folder in ("users", "audio_upload"):
        foreign = {"s3_key": f"{folder}/{world.stranger['user_id']}/audio-1.3gp"}
        ask("POST", "/api/audio-file", token, foreign).refused(403, "forbidden_key")


def newest(world: World) -> None:
    """GET /api/user/audio-files lists the newest first, page by page."""
    ask, token = world.service.ask, world.token
    for number in range(3):
        key = f"users/test-user/{secrets.token_hex(6)}-{number}.3gp"
        ask("POST", "/api/audio-file", token, {"s3_key": key}).good(201)
    listed = ask("GET", "/api/user/audio-files?limit=50", token).good(200)["audio_files"]
    for one in listed:
        audio_file(one)
    times = [datetime.fromisoformat(one["uploaded_at"]) for one in listed]
    expect(times == sorted(times, reverse=True), "the list is not newest first")
    expect(listed[0]["s3_key"] == key, "the newest recording is not the first")
    walked, cursor = [], ""
    for _ in range(len(listed)):
        page = ask("GET", f"/api/user/audio-files?limit=2{cursor}", token).good(200)
        walked += [one["file_id"] for one in page["audio_files"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    expect(walked == [one["file_id"] for one in listed], "the pages do not add up to the list")
    for limit in ("0", "1001", "-1", "1.5", "many", ""):
        ask("GET", f"/api/user/audio-files?limit={limit}", token).refused(400)
    ask("GET", "/api/user/audio-files?cursor=nonsense", token).refused(400, "invalid_cursor")
    ask("GET", "/api/user/audio-files").refused(401)
    future = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    later = ask("GET", f"/api/user/audio-files?from={future}", token).good(200)
    expect(later["audio_files"] == [], "`from` does not keep what is before it out")


def description(world: World) -> None:
    """GET /api/openapi.json describes the calls of this contract, if it is there."""
    answer = world.service.ask("GET", "/api/openapi.json")
    if answer.status == 404:
        return
    paths = answer.good(200).get("paths", {})
    for path in (
        "/api/register",
        "/api/login",
        "/api/audio-file",
        "/api/user/audio-files",
        "/api/decrypt-audio",
    ):
        if path not in paths:
            raise FellShort(f"{path} is not described")


CHECKS = (
    health,
    errors,
    register,
    login,
    bearer,
    claims,
    unknown_fields,
    record,
    keys,
    newest,
    description,
)
