"""The pages to which letters lead: `/verify`, `/reset` and `/undo`, with nothing on them from elsewhere.

The code stands in the fragment of a page's address, which browsers do not
send, so it is in no log; the page's script takes it out of the address.
"""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, abort, request, send_file, send_from_directory

from panzoto.console.release import FOLDER as CONSOLE

PAGES = Path(__file__).parents[1] / "pages"
# Texts, looks and how a browser is called are the console's own files, which are there whether or not it is
# served.
FILES = {name: PAGES / name for name in ("letters.js", "reset.js", "undo.js", "verify.js")} | {
    name: CONSOLE / folder / name
    for folder, name in (
        ("", "icon.svg"),
        ("", "style.css"),
        ("session", "device.js"),
        ("texts", "de.js"),
        ("texts", "en.js"),
        ("texts", "index.js"),
        ("texts", "plural.js"),
    )
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

# A plain blueprint: pages are for people, and OpenAPI is for programs.
blueprint = Blueprint("pages", __name__)


@blueprint.get("/verify")
def verify() -> Response:
    return _page("verify")


@blueprint.get("/reset")
def reset() -> Response:
    return _page("reset")


@blueprint.get("/undo")
def undo() -> Response:
    return _page("undo")


@blueprint.get("/letters/<name>")
def file(name: str) -> Response:
    if name not in FILES:
        abort(404)
    return send_file(FILES[name])


def _page(name: str) -> Response:
    # A letter without a link has people write the page's name behind the address, which may end in a slash
    # already, and some end what they write with one. The page's files are found from its own address only.
    # `request.path` has lost its doubled slash already.
    if request.environ["PATH_INFO"] != f"/{name}":
        return _elsewhere(f"/{name}")
    response = send_from_directory(PAGES, f"{name}.html")
    response.headers["Content-Security-Policy"] = POLICY
    # Flask would let a browser keep the page as long as it asks whether it is still the same.
    response.headers["Cache-Control"] = "no-store"
    return response


def _elsewhere(path: str) -> Response:
    """Send a browser on; it takes the fragment along, with the code in it (RFC 9110, section 10.2.2)."""
    return Response(status=308, headers={"Location": path, "Cache-Control": "no-store"})
