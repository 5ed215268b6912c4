"""All that is open to the world, and who may call it: read `TABLE`.

A module of views for each noun. What comes in is checked by `requests` and `transcript_requests`, what goes
out is described by `answers` and `transcript_answers`, and `counted_calls` lists those that could be used
for guessing.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import flask
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_instance
from flask import Flask, Response, jsonify
from flask_smorest import Api

from panzoto.blueprints import (
    account,
    console,
    docs,
    health,
    history,
    mail,
    pages,
    playback,
    profile,
    recordings,
    sessions,
    transcriptions,
    transcripts,
    uploads,
)
from panzoto.blueprints.answers import Error
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.openapi import finished
from panzoto.edge.guard import bearer, open_to_all
from panzoto.version import VERSION

Guard = Callable[[], None]

# Blueprint, prefix, guard. A blueprint that is not here cannot be reached.
TABLE: tuple[tuple[flask.Blueprint, str, Guard], ...] = (
    (health.blueprint, "/api", open_to_all),
    (docs.blueprint, "/api", open_to_all),
    (pages.blueprint, "", open_to_all),
    (console.blueprint, "", open_to_all),
    (account.entrance, "/api", open_to_all),
    (mail.entrance, "/api", open_to_all),
    (playback.blueprint, "/api", open_to_all),
    (account.blueprint, "/api", bearer),
    (mail.blueprint, "/api", bearer),
    (profile.blueprint, "/api", bearer),
    (sessions.blueprint, "/api", bearer),
    (recordings.blueprint, "/api", bearer),
    (uploads.blueprint, "/api", bearer),
    (history.blueprint, "/api", bearer),
    (transcriptions.blueprint, "/api", bearer),
    (transcripts.blueprint, "/api", bearer),
)

BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": (
        "The `token` of register, login or token/refresh; or, where the service is set up for it, an access"
        " token of its OpenID provider, whose account is made at first sight."
    ),
}


class DocumentedApi(Api):
    """flask-smorest's OpenAPI, without its error handler: `panzoto.edge.http` answers errors."""

    ERROR_SCHEMA = Error
    # What a call can answer is written out at each.
    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(self, app: Flask, spec_kwargs: dict[str, Any]) -> None:
        self._untold: list[Callable[[], None]] = []
        self._guard = Lock()
        self._document: dict[str, Any] | None = None
        super().__init__(app, spec_kwargs=spec_kwargs)

    def _register_error_handlers(self) -> None:
        return

    # Both are made of schemas, a response for each status there is: a part of what a process takes to start.
    def _register_responses(self) -> None:
        self.tell_later(super()._register_responses)

    def _register_pagination_header(self) -> None:
        self.tell_later(super()._register_pagination_header)

    def _openapi_json(self) -> Response:
        return jsonify(self.document())

    def tell_later(self, describe: Callable[[], None]) -> None:
        """Let `describe` add to the document once somebody asks for it; of most processes nobody does."""
        self._untold.append(describe)

    def document(self) -> dict[str, Any]:
        """Return the OpenAPI document, which is made when it is first asked for."""
        with self._guard:
            if self._document is None:
                for describe in self._untold:
                    describe()
                self._document = finished(self.spec.to_dict())
            return self._document


def _schema_name(schema: Any) -> str:
    """Name a schema as its readers would: an account, not the shape of one."""
    return type(resolve_schema_instance(schema)).__name__.removesuffix("Shape").removesuffix("Schema")


def init_app(app: Flask) -> None:
    """Register every blueprint of `TABLE` behind its guard."""
    app.config.update(
        API_TITLE="Panzoto",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/api",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "components": {"securitySchemes": {"bearer": BEARER}},
        },
    )
    plugin = MarshmallowPlugin(schema_name_resolver=_schema_name)
    api = DocumentedApi(app, spec_kwargs={"marshmallow_plugin": plugin})
    for blueprint, prefix, guard in TABLE:
        if guard not in app.before_request_funcs.get(blueprint.name, []):
            app.before_request_funcs.setdefault(blueprint.name, []).append(guard)
        if isinstance(blueprint, Blueprint):
            blueprint.needs_bearer = guard is bearer
            api.register_blueprint(blueprint, url_prefix=prefix)
        else:
            app.register_blueprint(blueprint, url_prefix=prefix)
