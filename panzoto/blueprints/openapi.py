"""What makes the OpenAPI document worth reading: groups, errors by their codes, examples, an introduction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from panzoto import errors
from panzoto.blueprints.answers import Error
from panzoto.blueprints.examples import NOT_WITH_THE_REST, OF_PROPERTIES, OF_REQUESTS, OF_SCHEMAS
from panzoto.edge.http import REFUSALS
from panzoto.errors import PanzotoError

JSON_TYPE = "application/json"
METHODS = ("get", "put", "post", "delete", "patch")
ERROR = {"$ref": f"#/components/schemas/{Error.__name__}"}
REQUEST_ID = "a1b2c3d4e5f60718"
BINARY = {"type": "string", "format": "binary"}

# Blueprints speak of code; these are the groups in which a reader looks for a call, in the order of the page.
GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Signing in",
        "Make an account, sign in, renew a token, get back in with a recovery key.",
        ("entrance",),
    ),
    ("Sessions", "Where an account is signed in, and how that ends.", ("sessions",)),
    (
        "Account",
        "The account itself: password, recovery key, address, security log, export, deletion.",
        ("account", "profile"),
    ),
    (
        "Letters",
        "Codes that came by mail: confirm an address, choose a new password.",
        ("mail_entrance", "mail"),
    ),
    ("Uploads", "Bring an encrypted recording into the bucket, in one piece or in parts.", ("uploads",)),
    (
        "Recordings",
        "Lists, single recordings, what is known of them, the trash.",
        ("recordings",),
    ),
    ("Playback", "Open recordings with the password or their own keys, and hear them.", ("playback",)),
    (
        "Transcripts",
        "From sound to words: ask for transcripts, read and write them, find words in them.",
        ("transcriptions", "transcripts"),
    ),
    ("Following", "What changed since, what was recorded together, what was erased.", ("history",)),
    ("Service", "Is it there, and can it do its work?", ("health",)),
)
GROUP_OF = {name: group for group, _, names in GROUPS for name in names}

INTRODUCTION = """\
The backend of an encrypted voice recorder. A phone encrypts each recording before it leaves the phone; the
service keeps accounts, the list of recordings and the encrypted objects, and plays a recording back,
deciphered, to whoever gives the account's password or that recording's own key. What was said in it can be
transcribed; a transcript is sealed to its account, so that only its owner reads it.

**A first call.** `POST /api/register` with an email and a password answers with a `token`. Send it with
every other call: `Authorization: Bearer <token>`. Calls without a lock on this page need none.

**A recording's way.** `POST /api/uploads` announces it and answers with an address for the bytes; `POST
/api/uploads/{file_id}/complete` lists it; `POST /api/decrypt-audio` opens it and answers with a
`download_url`, which any media player takes.

**Errors** have one shape, `{"error", "code", "request_id"}`: a sentence for a person, a stable name for
programs, and what to quote to support. Decide by status and `code`; each call lists the codes that it
knows. `429` and `503` carry `Retry-After` in seconds, and say nothing about the request itself: send it
again.

**What is added later.** New fields in answers, new codes and new types of events come without a new
version. Ignore what you do not know. Fields that a request holds beyond the described ones are ignored too.

**Times** are RFC 3339 in UTC ending in `Z`. Bodies are JSON in UTF-8, up to 64 KiB; up to 256 KiB where
several recordings are opened or transcribed, and up to 12 MiB where a transcript is written. Lists come in
pages: pass `next_cursor` as `cursor` until it is null.

How keys are derived and recordings encrypted, byte for byte, and what to do when an answer is lost, is
written in the project's `docs/clients.md`.
"""

# What a person reads beside a status; the codes follow.
MEANINGS = {
    400: "The request is not understood",
    401: "Not signed in, or what proves it is wrong",
    403: "Not allowed",
    404: "There is no such thing, or it is somebody else's",
    405: "This address does not take that method",
    409: "It does not fit what is there",
    410: "It was there and is over",
    413: "Too large",
    415: "The body is not JSON",
    416: "The range lies outside the recording",
    422: "The recording is not what it should be",
    429: "Too many requests; `Retry-After` says when to come back",
    500: "Something went wrong in the service",
    503: "Busy, or the storage cannot be reached; nothing was decided, send it again after `Retry-After`",
}
# What every call may answer, then what calls with a token and calls with a body may answer as well.
ALWAYS: tuple[type[PanzotoError] | int, ...] = (
    405,
    413,
    errors.TooManyRequests,
    PanzotoError,
    errors.DamagedRecord,
    errors.Unavailable,
    errors.Busy,
)
WITH_TOKEN = (errors.TokenMissing, errors.TokenInvalid)
WITH_BODY = (errors.InvalidRequest, errors.InvalidJson, 400, errors.UnsupportedMediaType)
COMPONENT_HEADERS: dict[str, Any] = {
    "RequestId": {
        "description": "The name of this request in the service's log: the one that was sent, or a new one",
        "schema": {"type": "string", "examples": [REQUEST_ID]},
    },
    "Length": {
        "description": "How long the recording is",
        "schema": {"type": "string", "examples": ["bytes */64000"]},
    },
    "RetryAfter": {
        "description": "Seconds to wait before the request is sent again",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "examples": [2]},
    },
}


def every_error() -> Iterator[type[PanzotoError]]:
    """Yield every error that a client may meet, the base of all first."""
    waiting: list[type[PanzotoError]] = [PanzotoError]
    while waiting:
        one = waiting.pop(0)
        if one.met_by_clients:
            yield one
        waiting += one.__subclasses__()


def every_code() -> list[str]:
    """Return every code that an answer may hold, sorted."""
    return sorted({one.code for one in every_error()} | {code for code, _ in REFUSALS.values()})


def failures(
    declared: Iterable[type[PanzotoError] | int], with_token: bool, with_body: bool
) -> dict[str, dict[str, Any]]:
    """Return the error answers of a call by status: `declared` and what comes with a token or a body."""
    known: dict[int, dict[str, str]] = {}
    extra = (*(WITH_TOKEN if with_token else ()), *(WITH_BODY if with_body else ()))
    for one in (*declared, *extra, *ALWAYS):
        for status, code, sentence in _told(one):
            known.setdefault(status, {}).setdefault(code, sentence)
    return {str(status): _failure(status, known[status]) for status in sorted(known)}


def _told(one: type[PanzotoError] | int) -> Iterator[tuple[int, str, str]]:
    """Yield status, code and sentence of an error, or of what a framework refuses with that status."""
    if isinstance(one, type):
        yield one.status, one.code, SENTENCES.get(one.code, one.sentence)
    elif one in REFUSALS:
        yield one, *REFUSALS[one]
    else:
        yield from ((one, known.code, known.sentence) for known in every_error() if known.status == one)


def _failure(status: int, codes: dict[str, str]) -> dict[str, Any]:
    names = ", ".join(f"`{code}`" for code in codes)
    examples = {
        code: {"value": {"error": sentence, "code": code, "request_id": REQUEST_ID, **EXTRAS.get(code, {})}}
        for code, sentence in codes.items()
    }
    headers = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}
    if status == 416:
        headers["Content-Range"] = {"$ref": "#/components/headers/Length"}
    if status in (429, 503):
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    return {
        "description": f"{MEANINGS[status]}: {names}",
        "headers": headers,
        "content": {JSON_TYPE: {"schema": ERROR, "examples": examples}},
    }


# Sentences that are put together when the error is raised.
SENTENCES = {
    "quota_exceeded": "The account is full: 12 of 12 recordings and 7340032 of 53687091200 bytes are used",
    "upload_incomplete": "Parts that are still missing: 2, 3",
    "invalid_request": "The email address is malformed",
}
# What single errors say beyond sentence, code and request id.
EXTRAS: dict[str, dict[str, Any]] = {
    "invalid_request": {"fields": {"email": "The email address is malformed"}},
    "quota_exceeded": {"usage": OF_SCHEMAS["Usage"]},
    "upload_incomplete": {"missing_parts": [2, 3]},
    "clips_not_joinable": {"file_id": OF_PROPERTIES["file_id"]},
    "sitting_too_long": {"file_id": OF_PROPERTIES["file_id"]},
    "not_audio": {"file_id": OF_PROPERTIES["file_id"]},
    "transcript_exists": {"file_id": OF_PROPERTIES["file_id"]},
    "transcription_running": {
        "file_id": OF_PROPERTIES["file_id"],
        "transcription_id": OF_PROPERTIES["transcription_id"],
    },
}


def finished(document: dict[str, Any]) -> dict[str, Any]:
    """Return `document`, as it was put together from the views, with groups, examples and an introduction."""
    document["info"]["description"] = INTRODUCTION
    document["servers"] = [{"url": "/", "description": "Where this document came from"}]
    document["tags"] = [{"name": name, "description": sentence} for name, sentence, _ in GROUPS]
    components = document["components"]
    components["headers"] = COMPONENT_HEADERS
    schemas = components["schemas"]
    # flask-smorest's own, which nothing here uses.
    schemas.pop("PaginationMetadata", None)
    codes: list[dict[str, Any]] = [{"type": "string", "enum": every_code()}, {"type": "string"}]
    code = schemas[Error.__name__]["properties"]["code"]
    code["anyOf"] = codes
    for name, schema in schemas.items():
        for property_name, described in schema.get("properties", {}).items():
            if "anyOf" in described or "oneOf" in described:
                # The choices say it, and generators would make a choice of their own of it.
                described.pop("type", None)
            if described.get("default", "") is None:
                # It says no more than that the property may be absent, and generators would demand it.
                del described["default"]
            if set(described) == {"default"}:
                # What is always the same, which is told as a default that could be another value.
                described |= {"type": "string", "const": described.pop("default")}
            if described.get("format") == "url":
                described["format"] = "uri"
            _give_example(described, _example_of(name, property_name))
    for path in sorted(document["paths"]):
        for method, operation in document["paths"][path].items():
            if method in METHODS:
                _finish(operation, document)
    return document


def _finish(operation: dict[str, Any], document: dict[str, Any]) -> None:
    operation["tags"] = [GROUP_OF.get(tag, tag) for tag in operation["tags"]]
    schemas = document["components"]["schemas"]
    for parameter in operation.get("parameters", ()):
        if "$ref" not in parameter:
            _give_example(parameter["schema"], _example_of("", parameter["name"]))
            if parameter["name"] in ("file_id", "session_id"):
                parameter["schema"]["format"] = "uuid"
            parameter.setdefault("description", PARAMETERS.get(parameter["name"], ""))
    body = operation.get("requestBody", {}).get("content", {}).get(JSON_TYPE)
    if body is not None:
        name = body["schema"]["$ref"].rpartition("/")[2]
        _let_null_be_absent(schemas[name])
        body["examples"] = OF_REQUESTS.get(name) or {"usual": {"value": assembled(body["schema"], schemas)}}
    for answer in operation["responses"].values():
        if "$ref" in answer:
            continue
        answer.setdefault("headers", {})["X-Request-ID"] = {"$ref": "#/components/headers/RequestId"}
        content = answer.get("content", {}).get(JSON_TYPE)
        if content is not None and "examples" not in content:
            content["examples"] = {"usual": {"value": assembled(content["schema"], schemas)}}


def _let_null_be_absent(request: dict[str, Any]) -> None:
    """Say that null means the same as nothing where a property may be absent; many libraries write it so."""
    for name, described in request.get("properties", {}).items():
        if name not in request.get("required", ()) and isinstance(described.get("type"), str):
            described["type"] = [described["type"], "null"]


PARAMETERS = {
    "file_id": "The recording, as lists and announcements name it",
    "session_id": "The session, as the list of sessions names it",
    "status": "Only those that are so",
    "ticket": "What `download_url` ends in",
    "transcription_id": "The transcription, as asking for it named it",
    "limit": "How many at most",
    "cursor": "`next_cursor` of the page before; absent for the first page",
    "since": "`next` of the answer before; absent for everything from the beginning",
    "order": "By which time the list is ordered, newest first",
    "from": "Not before this time",
    "to": "Not after this time",
    "gap": "Up to so many seconds between two recordings belong to one sitting",
    "permanent": "`true` erases it for good, with every version of its object; else it goes into the trash",
}


def _example_of(schema: str, name: str) -> Any:
    return OF_PROPERTIES.get(f"{schema}.{name}", OF_PROPERTIES.get(name, _NONE))


_NONE = object()


def _give_example(described: dict[str, Any], example: Any) -> None:
    if example is not _NONE and "$ref" not in described:
        described.setdefault("examples", [example])


def assembled(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return an example of `schema`, put together from those of its parts."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        return OF_SCHEMAS[name] if name in OF_SCHEMAS else _whole(schemas[name], schemas, name)
    choices = schema.get("oneOf") or schema.get("anyOf")
    if choices and "examples" not in schema:
        return assembled(choices[0], schemas)
    if "properties" in schema:
        return _whole(schema, schemas)
    if schema.get("type") == "array" and "examples" not in schema:
        return [assembled(schema["items"], schemas)]
    return [*schema.get("examples", ()), *schema.get("enum", ()), schema.get("const")][0]


def _whole(schema: dict[str, Any], schemas: dict[str, Any], name: str = "") -> Any:
    """Return an example of an object with all that can occur together; of anything else, as `assembled`."""
    if "properties" not in schema:
        return assembled(schema, schemas)
    return {
        part: assembled(described, schemas)
        for part, described in schema["properties"].items()
        if f"{name}.{part}" not in NOT_WITH_THE_REST
    }
