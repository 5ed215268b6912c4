"""A WSGI application that tells of the process in which gunicorn runs it what nobody else may read there."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable
from typing import Any

PR_GET_DUMPABLE = 3


def app(_environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    start("200 OK", [("Content-Type", "application/json")])
    dumpable = ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
    tunables = os.environ.get("GLIBC_TUNABLES")
    return [json.dumps({"dumpable": dumpable, "GLIBC_TUNABLES": tunables}).encode()]
