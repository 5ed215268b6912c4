"""Prometheus metrics; gunicorn's master serves them on a port of their own."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REQUESTS = Counter("panzoto_requests", "Requests answered", ["route", "method", "status"])
SECONDS = Histogram(
    "panzoto_request_seconds",
    "Seconds from a request's arrival to the end of its answer",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def observe(route: str, method: str, status: int, seconds: float) -> None:
    """Count one answered request. `route` is the rule, never the path, so labels stay few and say nothing."""
    REQUESTS.labels(route, method if method in METHODS else "other", str(status)).inc()
    SECONDS.labels(route).observe(seconds)
