"""The console in the browser: its page at `/`, its service worker, and its files under their hash."""

from __future__ import annotations

from flask import Blueprint, Response, abort, request, send_from_directory
from werkzeug.exceptions import NotFound

from panzoto.blueprints.pages import PAGES
from panzoto.console.release import File, LibrariesMissing, Release, release
from panzoto.edge.http import answer_refusal, client_host, services
from panzoto.telemetry.logs import CONSOLE_FILES

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "connect-src 'self' {bucket}; media-src 'self' blob:; img-src 'self' data:; worker-src 'self'; "
    "frame-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types panzoto"
)
# What a person finds who comes before the libraries, and the seconds after which it looks again, as it says.
COMING, COMING_SECONDS = "console-coming.html", "5"
# What a person finds who has mistyped an address.
NOTHING = "nothing-here.html"
FOR_EVER = "public, max-age=31536000, immutable"

# A plain blueprint: the console is for people, and OpenAPI is for programs.
blueprint = Blueprint("console", __name__)


@blueprint.get("/")
def page() -> Response:
    try:
        return _current(_release().index)
    except NotFound:
        # A program is told so as of anything else; a person has come too early.
        if services().settings.console and _is_browser():
            return _coming()
        raise


@blueprint.get("/console-worker.js")
def worker() -> Response:
    return _current(_release().worker)


@blueprint.get(CONSOLE_FILES)
def file(digest: str, name: str) -> Response:
    found = _release()
    if digest != found.digest or name not in found.files:
        abort(404)
    response = _answer(found.files[name])
    response.headers["Cache-Control"] = FOR_EVER
    return response


@blueprint.app_errorhandler(NotFound)
def nothing_here(refusal: NotFound) -> Response:
    """Lead whoever has mistyped an address to the console; a program is told as of anything else."""
    is_for_programs = request.path == "/api" or request.path.startswith("/api/")
    if is_for_programs or not services().settings.console or not _is_browser():
        return answer_refusal(refusal)
    return _for_a_person(NOTHING, 404)


def _is_browser() -> bool:
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def _coming() -> Response:
    """Answer that the console is not there yet; its page looks again by itself."""
    response = _for_a_person(COMING, 503)
    response.headers["Retry-After"] = COMING_SECONDS
    return response


def _for_a_person(page: str, status: int) -> Response:
    response = send_from_directory(PAGES, page, conditional=False, etag=False)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return _guarded(response)


def _release() -> Release:
    if not services().settings.console:
        abort(404)
    try:
        return release()
    except LibrariesMissing:
        abort(404)


def _current(content: File) -> Response:
    """Answer what a browser may keep only as long as it asks whether it is still so."""
    response = _answer(content)
    response.headers["Cache-Control"] = "no-cache"
    response.set_etag(_release().digest, weak=True)
    response.make_conditional(request)
    return response


def _answer(content: File) -> Response:
    packed = request.accept_encodings["gzip"] > 0
    response = Response(content.gzipped if packed else content.content, content_type=content.content_type)
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")
    return _guarded(response)


def _guarded(response: Response) -> Response:
    bucket = services().presigner.origin(client_host())
    response.headers["Content-Security-Policy"] = POLICY.format(bucket=bucket)
    return response
