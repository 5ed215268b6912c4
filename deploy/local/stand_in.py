"""The AWS stand-in of `make run`: ministack, with its state on disk at all times.

`deploy.local.stand_in_launch` starts this file with the interpreter of `.venv-aws`, in which the service's
own libraries are not installed; so nothing here imports panzoto, and nothing imports this.  It is told what
to do by

- its arguments: the numbers of inherited TCP sockets that already listen,
- the environment: that of `stand_in_settings.py`,
- standard input: a pipe whose other end the supervisor holds.  Its end of file means that the supervisor
  has died, however it died, and that it is time to save and go.

ministack by itself writes DynamoDB's tables and S3's bucket settings only at a clean stop.  Here they are
also written soon after each change, so that a machine that loses power, or a process that is killed, loses
seconds.  Programs of this machine may sign their calls with any key; but a presigned request must be
signed with the service's key, and other machines get nothing but such requests (`stand_in_gate.py`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app as aws
from ministack.core.persistence import STATE_DIR, load_state, save_state
from ministack.services import dynamodb, s3, sqs

# Last, so that none of our names hides one of a library; Python in its isolated mode leaves this folder out.
sys.path.append(str(Path(__file__).resolve().parent))

from stand_in_gate import Gate

log = logging.getLogger("stand_in")

KEPT = {"dynamodb": dynamodb, "s3": s3, "sqs": sqs}
OPEN_FILES = 8192
SAVE_AFTER_SECONDS = 1.0
# Copying the tables stops the world for a moment, so a big state is saved less often: at most 5 % of the
# time.
REST_PER_SECOND_OF_SAVING = 19
# Receiving a message only hides it for a while, and a queue is asked all the time.
READING_ACTIONS = ("BatchGet", "Describe", "Get", "List", "Query", "Receive", "Scan", "TransactGet")
# A web page of any origin can make a browser POST to the loopback interface, and ministack's own addresses
# include one that erases everything; only the question whether it is up stays open.
PRIVATE_PATHS = "/_ministack/"
OPEN_PATHS = ("/_ministack/health",)


class StandIn:
    """ministack's ASGI application, watched for requests that may have changed something."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self._changed = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and is_private(scope["path"]):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            await aws(scope, receive, send)
        finally:
            if scope["type"] == "http" and may_change(scope):
                self._changed.set()

    async def save_changes(self) -> None:
        """Save soon after a change until `stopping` is set; never leaves a half-written file."""
        while not await self._wait(self._changed):
            if await self._pause(SAVE_AFTER_SECONDS):
                return
            self._changed.clear()
            started = time.monotonic()
            try:
                # The copies are taken between two requests, on the thread that serves them, so each is a
                # state that really was; only the writing of them is left to another thread.
                states = {name: module.get_state() for name, module in KEPT.items()}
                await asyncio.to_thread(save, states)
            except Exception:
                # ministack's own clean-up threads may touch what is being copied; the next turn tries again.
                log.exception("The state could not be saved this time")
                self._changed.set()
            if await self._pause((time.monotonic() - started) * REST_PER_SECOND_OF_SAVING):
                return

    async def _wait(self, event: asyncio.Event) -> bool:
        """Wait for `event`, or for the stop; tell whether it is the stop."""
        waits = [asyncio.ensure_future(one.wait()) for one in (event, self.stopping)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return self.stopping.is_set()

    async def _pause(self, seconds: float) -> bool:
        """Wait `seconds`, or less when the stop comes; tell whether it came."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True


def is_private(path: str) -> bool:
    return path.startswith(PRIVATE_PATHS) and path not in OPEN_PATHS


def may_change(scope: Any) -> bool:
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return False
    target = dict(scope["headers"]).get(b"x-amz-target", b"").decode("latin-1")
    return not target.rpartition(".")[2].startswith(READING_ACTIONS) if target else True


def save(states: dict[str, Any]) -> None:
    for name, state in states.items():
        save_state(name, state)


def refuse_unreadable_state() -> None:
    """Stop before ministack would start empty over a state it cannot read, and then save that emptiness."""
    for name in KEPT:
        path = os.path.join(STATE_DIR, f"{name}.json")
        if os.path.exists(path) and load_state(name) is None:
            sys.exit(f"{path} cannot be read: put a good copy in its place, or move it away to start empty")


def raise_limit_of_open_files() -> None:
    """Allow one file for each of many connections; systems start programs with 256 or 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def main(listeners: list[int]) -> None:
    config = Config()
    config.bind = [f"fd://{listener}" for listener in listeners]
    config.keep_alive_timeout = 75
    # Those who still ask when it is stopped are roles that have ended in the middle of a long poll.
    config.graceful_timeout = 1.0
    stand_in = StandIn()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stand_in.stopping.set)
    loop.add_reader(sys.stdin.fileno(), stand_in.stopping.set)
    saving = asyncio.create_task(stand_in.save_changes())

    async def stopped() -> None:
        await stand_in.stopping.wait()
        loop.remove_reader(sys.stdin.fileno())
        # ministack saves once more as it shuts down; two writers at once would trip over each other's files.
        await saving

    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    await serve(Gate(stand_in, os.environ["S3_BUCKET"], key, secret), config, shutdown_trigger=stopped)


if __name__ == "__main__":
    refuse_unreadable_state()
    raise_limit_of_open_files()
    asyncio.run(main([int(number) for number in sys.argv[1:]]))
