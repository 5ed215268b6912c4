"""The Flask edge: request ids, exceptions to JSON, response headers, one log line a request."""

from __future__ import annotations

import logging
import re
import secrets
import time
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix

from panzoto.auth.caller import DEVICE_NAME_CHARACTERS, Client
from panzoto.auth.network_address import counted_as, parse_address
from panzoto.config import Settings
from panzoto.crypto.permits import begin_asking, end_asking
from panzoto.edge import answer_json
from panzoto.edge.bodies import MAX_BODY_BYTES
from panzoto.errors import DamagedRecord, PanzotoError, PayloadTooLarge, RangeNotSatisfiable, TooManyRequests
from panzoto.models.windows import Allowance
from panzoto.services import Services
from panzoto.telemetry import logs, metrics, tracing

# Where the server that runs us tells of the client that takes the answer; another server tells nothing.
LISTENER = "panzoto.listener"
HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[(?P<address>[0-9a-fA-F:.]{2,45})\])(?::[0-9]{1,5})?")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
# Sentences and codes for what Flask and Werkzeug refuse by themselves.
REFUSALS = {
    400: ("bad_request", "The request cannot be understood"),
    404: ("not_found", "There is nothing at this address"),
    405: ("method_not_allowed", "This address does not take that method"),
    408: ("request_timeout", "The request took too long to arrive"),
    413: ("payload_too_large", "The request body is larger than 64 KiB"),
    414: ("uri_too_long", "The address is too long"),
    415: ("unsupported_media_type", "The request body must be sent as application/json"),
    416: ("range_not_satisfiable", "The requested range cannot be served"),
    431: ("headers_too_large", "The request headers are too large"),
}

log = logging.getLogger("panzoto.request")


def services() -> Services:
    """Return the services of the application that handles this request."""
    found: Services = current_app.extensions["panzoto"]
    return found


def client(device_name: str | None = None) -> Client:
    """Return who sent this request; a device that gives no name is called by its User-Agent."""
    offered = (device_name or "", request.headers.get("User-Agent", ""), "unknown device")
    return Client(client_address(), next(filter(None, map(_printable_name, offered))))


def _printable_name(offered: str) -> str:
    printable = "".join(character for character in offered if character.isprintable())
    return printable.strip()[:DEVICE_NAME_CHARACTERS]


def client_address() -> str:
    """Return the client's network address in its usual spelling, past as many proxies as are trusted.

    Each proxy appends to `X-Forwarded-For` whom it heard; what stands before
    the trusted ones' entries anybody may have written. Werkzeug's own reading
    of it drops the whole list for one unbalanced quotation mark. An entry that
    is no address counts as the proxy that wrote it, so that nobody is counted
    anew for each nonsense.
    """
    hops = services().settings.trusted_proxies
    entries = ",".join(request.headers.getlist("X-Forwarded-For")).split(",")
    heard = parse_address(entries[-hops]) if hops and len(entries) >= hops else None
    own = request.remote_addr or "unknown"
    return str(heard or parse_address(own) or own)


def public_root() -> str:
    """Return the service's address as the client knows it, or `PUBLIC_URL`; no slash at the end."""
    public_url = services().settings.public_url
    if public_url:
        return public_url
    if _is_host(request.host):
        return f"{request.scheme}://{request.host}"
    # A Host header that names nothing; the address at which the request arrived is still one.
    return f"{request.scheme}://{request.environ['SERVER_NAME']}:{request.environ['SERVER_PORT']}"


def client_host() -> str:
    """Return the host of `public_root`, without a port."""
    return urlsplit(public_root()).hostname or "localhost"


def _is_host(value: str) -> bool:
    """Whether `value` is a name or an address, perhaps with a port (RFC 3986, 3.2.2)."""
    found = HOST.fullmatch(value)
    if found is None or found["address"] is None:
        return found is not None
    try:
        IPv6Address(found["address"])
    except ValueError:
        return False
    return True


def limit_address(name: str) -> None:
    """Count this call against its client's address. Raises `TooManyRequests` and `Unavailable`."""
    g.allowance = services().throttle.count_address(name, client_address())
    g.allowance.require()


def limit_account(name: str, user_id: str) -> None:
    """Count this call against the account it is made in. Raises `TooManyRequests` and `Unavailable`."""
    g.allowance = services().throttle.count_account(name, user_id)
    g.allowance.require()


def init_app(app: Flask, settings: Settings) -> None:
    """Plug the edge into `app`."""
    # Werkzeug cuts a body of unknown length silently at the limit; the one byte more tells that it went on.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1
    app.url_map.strict_slashes = False
    # A redirect of a doubled slash would be an HTML page.
    app.url_map.merge_slashes = False
    answer_json.init_app(app)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=0, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(lambda _: end_asking())
    app.register_error_handler(PanzotoError, _answer_error)
    app.register_error_handler(HTTPException, answer_refusal)
    app.register_error_handler(Exception, _answer_unexpected)


def _begin() -> None:
    g.started = time.perf_counter()
    g.span = tracing.begin_request()
    offered = request.headers.get("X-Request-ID", "")
    g.request_id = offered if REQUEST_ID.fullmatch(offered) else secrets.token_hex(8)
    logs.belong_to(g.request_id)
    begin_asking(counted_as(client_address()))


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = _request_id()
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    _tell_allowance(response)
    route = request.url_rule.rule if request.url_rule else ""
    method = request.method
    started = g.get("started", time.perf_counter())
    span = g.get("span")
    line = {
        "request_id": _request_id(),
        "user_id": g.get("user_id", ""),
        "route": route,
        "method": method,
        "status": response.status_code,
    }

    # A stream is over only when its body has been sent, so that is when it is logged.
    @response.call_on_close
    def log_line() -> None:
        seconds = time.perf_counter() - started
        metrics.observe(route, method, response.status_code, seconds)
        if span is not None:
            span.end(line)
        log.info("request", extra={**line, "duration_ms": round(seconds * 1000, 1)})

    return response


def _tell_allowance(response: Response) -> None:
    """Write the RateLimit headers, in the field's usual three and in the IETF draft's two."""
    allowance: Allowance | None = g.get("allowance")
    if allowance is None:
        return
    left, reset = max(0, allowance.remaining), allowance.reset_seconds
    response.headers["RateLimit-Limit"] = str(allowance.rate.count)
    response.headers["RateLimit-Remaining"] = str(left)
    response.headers["RateLimit-Reset"] = str(reset)
    window = f"q={allowance.rate.count};w={allowance.rate.seconds}"
    response.headers["RateLimit-Policy"] = f'"{allowance.name}";{window}'
    response.headers["RateLimit"] = f'"{allowance.name}";r={left};t={reset}'


def _request_id() -> str:
    if "request_id" not in g:
        g.request_id = secrets.token_hex(8)
    request_id: str = g.request_id
    return request_id


def _answer_error(error: PanzotoError) -> Response:
    if isinstance(error, TooManyRequests) and error.allowance is not None:
        g.allowance = error.allowance
    if isinstance(error, DamagedRecord):
        log.error("damaged_record", extra={"request_id": _request_id(), "row": error.row})
    body: dict[str, Any] = {"error": error.sentence, "code": error.code, "request_id": _request_id()}
    body |= error.details()
    response = jsonify(body)
    response.status_code = error.status
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, RangeNotSatisfiable):
        response.headers["Content-Range"] = f"bytes */{error.length}"
    if isinstance(error, PayloadTooLarge):
        # What is left of the body will not be read, so the connection cannot be used again.
        response.headers["Connection"] = "close"
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def answer_refusal(refusal: HTTPException) -> Response:
    """Say in JSON what Flask refuses: an address, a method, a body."""
    status = refusal.code or 500
    if status >= 500:
        return _answer_unexpected(refusal)
    code, sentence = REFUSALS.get(status, REFUSALS[400])
    response = jsonify({"error": sentence, "code": code, "request_id": _request_id()})
    response.status_code = status
    for name in ("Allow", "Retry-After"):
        for value in (value for header, value in refusal.get_headers() if header == name):
            response.headers[name] = value
    if isinstance(refusal, RequestEntityTooLarge):
        # What is left of the body will not be read, so the connection cannot be used again.
        response.headers["Connection"] = "close"
    return response


def _answer_unexpected(error: Exception) -> Response:
    """The last handler: the log gets the trace, the client a sentence that says nothing."""
    log.error("unexpected_error", exc_info=error, extra={"request_id": _request_id()})
    return _answer_error(PanzotoError())
