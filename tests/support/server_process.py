"""Servers that stand in for AWS, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def serving(serve: Callable[..., None], *arguments: Any) -> Iterator[str]:
    """Run `serve(ready, *arguments)` in a process of its own while the block runs; gives its URL.

    It sends the port on 127.0.0.1 through `ready` once it listens, and serves until it is ended.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, *arguments), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join(5)


def end(process: subprocess.Popen[Any], seconds: float) -> None:
    """Ask a process to end, and end it when it has not within so many seconds."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
