"""The pages to which letters lead: `/verify`, `/reset` and `/undo`, with nothing on them from elsewhere.

The code stands in the fragment of a page's address, which browsers do not
send, so it is in no log; the page's script takes it out of the address.
"""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, send_from_directory

FILES = Path(__file__).parents[1] / "pages"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

# A plain blueprint: pages are for people, and OpenAPI is for programs.
blueprint = Blueprint("pages", __name__)


@blueprint.get("/verify")
def verify() -> Response:
    return _page("verify.html")


@blueprint.get("/reset")
def reset() -> Response:
    return _page("reset.html")


@blueprint.get("/undo")
def undo() -> Response:
    return _page("undo.html")


@blueprint.get("/letters/<any('letters.css', 'letters.js', 'reset.js', 'undo.js', 'verify.js'):name>")
def file(name: str) -> Response:
    return send_from_directory(FILES, name)


def _page(name: str) -> Response:
    response = send_from_directory(FILES, name)
    response.headers["Content-Security-Policy"] = POLICY
    # Flask would let a browser keep the page as long as it asks whether it is still the same.
    response.headers["Cache-Control"] = "no-store"
    return response
