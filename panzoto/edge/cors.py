"""Which web pages may call the service from a browser: `CORS_ORIGINS`, nobody by default in production."""

from __future__ import annotations

import re

from flask import Flask
from flask_cors import CORS

from panzoto.config import Settings

EXPOSED = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "ETag",
    "RateLimit",
    "RateLimit-Limit",
    "RateLimit-Policy",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Request-ID",
)
ALLOWED = ("Authorization", "Content-Type", "If-Range", "Range", "X-Request-ID")


def init_app(app: Flask, settings: Settings) -> None:
    """Answer the configured origins; tokens travel in a header, so credentials stay off."""
    if settings.cors_origins:
        CORS(
            app,
            origins=[_literally(origin) for origin in settings.cors_origins],
            expose_headers=list(EXPOSED),
            allow_headers=list(ALLOWED),
            send_wildcard="*" in settings.cors_origins,
            max_age=3600,
        )


def _literally(origin: str) -> str | re.Pattern[str]:
    """Return what flask-cors takes for this very origin: brackets, as of IPv6, it would read as a pattern."""
    return re.compile(re.escape(origin) + r"\Z", re.IGNORECASE) if "[" in origin else origin


def before_a_request(origins: tuple[str, ...]) -> dict[str, str]:
    """Return the headers for an error that comes before a request has been read, and its origin with it.

    Pages of the one allowed origin, or of any, can read it; where there are several nobody can tell which.
    """
    if "*" not in origins and len(origins) != 1:
        return {}
    named = "*" if "*" in origins else origins[0]
    told = {"Access-Control-Allow-Origin": named, "Access-Control-Expose-Headers": ", ".join(EXPOSED)}
    return told if named == "*" else {**told, "Vary": "Origin"}
