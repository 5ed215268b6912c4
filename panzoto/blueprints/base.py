"""The blueprint class of all views: strict JSON bodies in, the contract's errors out, both documented."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from flask import Request, request
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge

from panzoto.blueprints.openapi import BINARY, JSON_TYPE, failures
from panzoto.edge.bodies import longest_body
from panzoto.errors import (
    Busy,
    InvalidJson,
    InvalidRequest,
    PanzotoError,
    PayloadTooLarge,
    UnsupportedMediaType,
)

View = TypeVar("View", bound=Callable[..., Any])


# How many bodies that may be longer than this are read at once, and how long the next one waits.
LONG_BODY_BYTES = 1024 * 1024
LONG_BODIES = 8
LONG_BODY_WAIT_SECONDS = 5.0

_long_bodies = threading.BoundedSemaphore(LONG_BODIES)


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

    def register_views_in_doc(self, api: Any, *where: Any, **how: Any) -> None:
        """Describe the views once somebody asks for the document: doing so was most of what a start cost."""
        describe = super().register_views_in_doc
        api.tell_later(lambda: describe(api, *where, **how))

    def _document_guard(self, doc: dict[str, Any], info: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Say who may call, and in the one error shape what can go wrong."""
        responses = doc.setdefault("responses", {})
        responses |= failures(info.get("failures", ()), self.needs_bearer, "requestBody" in doc)
        doc["responses"] = dict(sorted(responses.items(), key=lambda one: str(one[0])))
        return doc | {"security": [{"bearer": []}] if self.needs_bearer else []}

    def answers(
        self, status: int, shape: type[Schema] | None, sentence: str, *declared: type[PanzotoError] | int
    ) -> Callable[[View], View]:
        """Document a view's success, and the failures that are its own: errors, or statuses of `REFUSALS`.

        What every call may answer, and what comes with a token or a body, is added.
        """

        def document(view: View) -> View:
            success: View = self.alt_response(status, schema=shape, description=sentence, success=True)(view)
            return self.failures(*declared)(success)

        return document

    def failures(self, *declared: type[PanzotoError] | int) -> Callable[[View], View]:
        """Document the failures that are this view's own; `answers` does it too."""

        def document(view: View) -> View:
            known = view.__dict__.setdefault("_apidoc", {})
            known["failures"] = [*known.get("failures", ()), *declared]
            return view

        return document

    def streams(
        self, status: int, kinds: tuple[str, ...], sentence: str, headers: dict[str, Any]
    ) -> Callable[[View], View]:
        """Document a success whose body is bytes of one of these media types."""

        def document(view: View) -> View:
            for kind in kinds:
                view = self.alt_response(
                    status,
                    schema=BINARY,
                    content_type=kind,
                    description=sentence,
                    headers=headers,
                    success=True,
                )(view)
            return view

        return document


def json_object(req: Request = request) -> dict[str, Any]:
    """Return the request's JSON object; an empty body is an empty object.

    Raises `InvalidJson`, `UnsupportedMediaType`, `PayloadTooLarge` and, where many long ones come, `Busy`.
    """
    body = _body(req)
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


def _body(req: Request) -> bytes:
    limit = longest_body(req.method, req.path)
    length = req.content_length or 0
    if length > limit:
        raise PayloadTooLarge(limit)
    # Werkzeug cuts a body of unknown length silently at the limit; the one byte more tells that it went on.
    req.max_content_length = limit + 1
    with _room_for(limit):
        try:
            body = req.get_data()
        except RequestEntityTooLarge as error:
            raise PayloadTooLarge(limit) from error
    if len(body) > limit:
        raise PayloadTooLarge(limit)
    return body


@contextmanager
def _room_for(limit: int) -> Iterator[None]:
    """Let few long bodies be read at a time, whatever they turn out to be. Raises `Busy`."""
    if limit <= LONG_BODY_BYTES:
        yield
        return
    if not _long_bodies.acquire(timeout=LONG_BODY_WAIT_SECONDS):
        raise Busy()
    try:
        yield
    finally:
        _long_bodies.release()


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
