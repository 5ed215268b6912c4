"""The standard library's HTTP server, before which many connections may wait."""

from __future__ import annotations

from http.server import ThreadingHTTPServer


class CrowdServer(ThreadingHTTPServer):
    """Lets as many wait as a browser or a crowd of threads opens at once.

    By itself it lets five. What comes beyond is dropped by the kernel, and sent again by its client after one
    second, three, seven, fifteen and thirty-one: a page takes longer than any test waits.
    """

    request_queue_size = 256
