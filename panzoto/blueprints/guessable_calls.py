"""Which calls take something that could be guessed, read off the calls' own descriptions.

What stands in front of the service counts these calls more strictly than others: a load balancer's firewall
sees an address and a method, and nothing of what a body holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Flask

from panzoto import blueprints

# Names in a body of what lets somebody in, or of where a letter with it is sent.
GUESSABLE = frozenset({"code", "email", "new_password", "password", "recovery_key", "refresh_token"})


def guessable_calls() -> list[tuple[str, str]]:
    """Return (method, path) of each call whose body takes a password, a code, a key or an address.

    A parameter of a path, which is one segment of it, stands in braces.
    """
    app = Flask("guessing", static_folder=None)
    blueprints.init_app(app)
    document: dict[str, Any] = app.test_client().get("/api/openapi.json").get_json()
    return sorted((method.upper(), path) for method, path, body in _bodies(document) if body & GUESSABLE)


def _bodies(document: dict[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """Yield method, path and the names in the body, of each call that has a body."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if isinstance(operation, dict) and "requestBody" in operation:
                for content in operation["requestBody"]["content"].values():
                    yield method, path, _names(document, content["schema"])


def _names(document: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """Return the names of a schema's properties, of all of its alternatives."""
    if "$ref" in schema:
        return _names(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    parts = [part for kind in ("allOf", "anyOf", "oneOf") for part in schema.get(kind, ())]
    return set(schema.get("properties", ())).union(*(_names(document, part) for part in parts))
