"""Answers are written as Flask's own provider writes them, to the byte."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, NamedTuple

import orjson
import pytest
from flask import Flask
from flask.json.provider import DefaultJSONProvider

from panzoto.edge import answer_json


class Flasks(DefaultJSONProvider):
    sort_keys = False
    compact = True


class Colour(IntEnum):
    RED = 1


class Word(str):
    pass


class Pair(NamedTuple):
    first: int
    second: str


@dataclass
class Held:
    value: int


WRITTEN = {
    "order": {"z": 1, "a": {"y": [], "b": {}}, "m": [True, False, None]},
    "letters": {"Jürgen": "Ständchen „лето“ 夏 \N{MUSICAL SYMBOL G CLEF}\N{FACE WITH TEARS OF JOY}"},
    "escapes": ["".join(map(chr, range(0x100))), '"\\/</script>', "\u2028\u2029", "\ufeff\uffff"],
    "delete alone": "\x7f",
    "delete and letters": "ä\x7fö\\",
    "half of a character": "\ud800",
    "half of a character as a key": {"\udfff": 1},
    "integers": [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 2**64, 10**30],
    "floats": [0.1, 1e16, 1e-7, 1e22, -0.0, 5e-324],
    "no number": [float("nan"), {"deep": [float("inf"), -float("inf")]}],
    "keys": {2: "a", None: "b", True: "c", 1.5: "d"},
    "tuples": (1, ("a", [2]), Pair(1, "b")),
    "subclasses": [Word("word"), Colour.RED, OrderedDict(b=1, a=Word("x"))],
    "moments": [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC).date()],
    "others of Flask's": [uuid.UUID(int=7), Decimal("1.50"), Held(3)],
    "a string": "a",
    "nothing": None,
}
REFUSED = {
    "bytes": b"a",
    "a set": {1},
    "an enumeration": Colour,
    "an object": [object()],
    "bytes as a key": {b"a": 1},
}


class Plain(Enum):
    A = "a"


@pytest.fixture(name="app")
def _app() -> Flask:
    app = Flask(__name__)
    answer_json.init_app(app)
    return app


def both(app: Flask, value: Any) -> tuple[Any, Any]:
    with app.app_context():
        return app.json.response(value), Flasks(app).response(value)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_bytes_are_those_of_flask(app: Flask, name: str) -> None:
    ours, theirs = both(app, WRITTEN[name])
    assert ours.get_data() == theirs.get_data()
    assert ours.headers.to_wsgi_list() == theirs.headers.to_wsgi_list()
    assert ours.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("value", [*REFUSED.values(), Plain.A], ids=[*REFUSED, "a member"])
def test_what_flask_cannot_write_is_still_refused(app: Flask, value: Any) -> None:
    with app.app_context(), pytest.raises(TypeError):
        app.json.response(value)


def test_a_view_s_answer_comes_this_way(app: Flask) -> None:
    app.add_url_rule("/", view_func=lambda: {"b": "ä", "a": 1})
    assert app.test_client().get("/").data == b'{"b":"\\u00e4","a":1}\n'
    assert type(app.json) is answer_json.AnswerJson


def test_what_is_plain_is_written_by_orjson() -> None:
    value = {"audio_files": [{"title": "a", "size": 1, "note": None, "parts": [{"even": True}]}]}
    assert answer_json._written(value) == orjson.dumps(value)
    assert answer_json._written({"share": 0.5}) is None
