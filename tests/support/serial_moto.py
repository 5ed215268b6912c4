"""moto's server with one DynamoDB request at a time: `python -m tests.support.serial_moto PORT [DAYS]`.

moto checks the conditions of a transaction and then writes, with nothing to
keep another request from coming in between, and undoes a failed one by
putting back what the tables were before.  DynamoDB's transactions are
serializable, so a stand-in for tests of races must be as well.

With DAYS, objects look as if they had been put so many days ago: what is
young is left alone by the sweep, and no test can wait for a day.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from moto.core.utils import utcnow
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3 import models as s3
from werkzeug.serving import run_simple

from tests.support.aws_calls import RECORD, Recorder


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


def age_objects(days: int) -> None:
    """Let S3's clock, and nobody else's, stand so many days back."""

    def earlier() -> datetime:
        return utcnow() - timedelta(days=days)

    s3.utcnow = earlier


if __name__ == "__main__":
    age_objects(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    application: Callable[..., Iterable[bytes]] = OneAtATime(DomainDispatcherApplication(create_backend_app))
    if RECORD in os.environ:
        application = Recorder(application, Path(os.environ[RECORD]) / f"{os.getpid()}.jsonl")
    run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True)
