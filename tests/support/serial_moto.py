"""moto's server with one DynamoDB request at a time: `python -m tests.support.serial_moto PORT`.

moto checks the conditions of a transaction and then writes, with nothing to
keep another request from coming in between, and undoes a failed one by
putting back what the tables were before.  DynamoDB's transactions are
serializable, so a stand-in for tests of races must be as well.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple


class OneAtATime:
    """A WSGI application whose DynamoDB calls never overlap."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "DynamoDB" not in environ.get("HTTP_X_AMZ_TARGET", ""):
            return self._application(environ, start_response)
        with self._lock:
            return self._application(environ, start_response)


if __name__ == "__main__":
    application = OneAtATime(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True)
