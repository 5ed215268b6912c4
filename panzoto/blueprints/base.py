"""The blueprint class of all views: strict JSON bodies in, the contract's errors out, both documented."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from flask import Request, request
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge

from panzoto.errors import InvalidJson, InvalidRequest, UnsupportedMediaType
from panzoto.http import MAX_BODY_BYTES
from panzoto.shapes import Error

View = TypeVar("View", bound=Callable[..., Any])
JSON_TYPE = "application/json"
RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait"}}


class BodyParser(FlaskParser):
    """Reads requests as the contract says and raises the service's own errors."""

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002 - webargs passes it
        return json_object(req)

    def handle_error(self, error: ValidationError, *_: Any, **__: Any) -> NoReturn:
        _refuse(error)


class Blueprint(SmorestBlueprint):
    """An ordinary blueprint whose views say what they answer."""

    ARGUMENTS_PARSER = BodyParser()
    # Set where the blueprint is registered behind its guard; OpenAPI tells it.
    needs_bearer = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(self._document_guard)

    def _document_guard(self, doc: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        return doc | {"security": [{"bearer": []}]} if self.needs_bearer else doc

    def answers(
        self, status: int, shape: type[Schema] | None, sentence: str, *failures: int
    ) -> Callable[[View], View]:
        """Document a view's success and, in the one error shape, its failures."""

        def document(view: View) -> View:
            for failure in (*failures, 405, 413, 429, 500, 503):
                view = self.alt_response(
                    failure,
                    schema=Error,
                    description=FAILURES[failure],
                    headers=RETRY_AFTER if failure in (429, 503) else None,
                )(view)
            success: View = self.alt_response(status, schema=shape, description=sentence, success=True)(view)
            return success

        return document


FAILURES = {
    400: "The request cannot be understood",
    401: "No token, an invalid one, or a wrong password",
    403: "The key belongs to another user's folder, or the account's stored password is broken",
    404: "No such thing, or not this user's",
    405: "This address does not take that method",
    409: "It exists already, was changed at the same time, or needs a password that is not set yet",
    410: "The address has expired",
    413: "The body is larger than 64 KiB, or what is asked for is beyond a limit",
    415: "The body is not JSON",
    416: "The range lies outside the recording",
    422: "The recording cannot be decrypted",
    429: "Too many requests",
    500: "Something went wrong in the service",
    503: "Busy, or the storage cannot be reached; nothing was decided",
}


def json_object(req: Request = request) -> dict[str, Any]:
    """Return the request's JSON object; an empty body is an empty object.

    Raises `InvalidJson`, `UnsupportedMediaType` and Werkzeug's 413.
    """
    body = req.get_data() if (req.content_length or 0) <= MAX_BODY_BYTES else None
    if body is None or len(body) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge()
    if not body:
        return {}
    if req.mimetype != JSON_TYPE or req.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType()
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise InvalidJson() from error
    if not isinstance(value, dict):
        raise InvalidJson()
    return value


def _not_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse(error: ValidationError) -> NoReturn:
    """Raise `InvalidRequest`; its sentence is that of the first field that is wrong."""
    messages = error.normalized_messages()
    located = next(iter(messages.values())) if messages else {}
    by_name = located if isinstance(located, dict) else {"_schema": located}
    fields = {name: _first(message) for name, message in by_name.items()}
    raise InvalidRequest(next(iter(fields.values()), None), fields) from error


def _first(message: Any) -> str:
    while isinstance(message, dict | list):
        message = next(iter(message.values() if isinstance(message, dict) else message))
    return str(message)
