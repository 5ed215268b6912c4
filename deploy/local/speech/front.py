"""The speech engine of `make run`: its interface at once, and behind it what has to be fetched and loaded.

    python -m deploy.local.speech.front SOCKET [--model FOLDER]

`deploy.local.speech.launch` starts it; SOCKET is the number of an inherited socket that listens.
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.local.speech import fetching, weights
from deploy.local.speech.engine import LOOK_SECONDS, Engine, wait_for
from deploy.local.speech.server import Server
from deploy.packages.running import python_in
from panzoto.config import child_environment
from panzoto.host.sandbox import hide_memory

LISTENER = Path(__file__).with_name("listener.py")
# How long a question waits for an engine that is being fetched, and when it is to come back after that. A job
# that asks three times so has a quarter of an hour, and begins at once when the engine is there by then.
PATIENCE_SECONDS, FETCHING_SECONDS = 120.0, 300
# One that dies sooner than this after its start is not simply started again.
HEALTHY_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 60.0


def listener_command(environment: Path, model: Path) -> list[str]:
    """Return the command of the process that hears."""
    return [str(python_in(environment)), "-I", "-X", "utf8", str(LISTENER), str(model)]


def listener_environment() -> dict[str, str]:
    """Return the variables of the process that hears: none of the service's, and no way into a network."""
    return child_environment(
        {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        inherit=("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ"),
    )


def serve(
    listener: socket.socket,
    command: Callable[[], Sequence[str]],
    fetch: Sequence[str] = (),
    patience: float = PATIENCE_SECONDS,
) -> None:
    """Serve until SIGTERM; `fetch` is run first, if it is given, then `command()`, again whenever it ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    engine = Engine(command, listener_environment(), FETCHING_SECONDS)
    server = Server(listener, engine, patience)
    threading.Thread(target=server.serve_forever, name="speech", daemon=True).start()
    if fetch and not fetched(fetch):
        engine.tell("The speech engine could not be installed; make run has said why.", None)
        while True:
            time.sleep(LOOK_SECONDS)
    keep_alive(engine)


def fetched(command: Sequence[str]) -> bool:
    """Run what fetches the engine; tell whether it is there."""
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:  # noqa: S603 - a command of ours
        try:
            return wait_for(process) == 0
        finally:
            process.terminate()


def keep_alive(engine: Engine) -> None:
    """Start the process that hears, again and again, with longer pauses when it does not live."""
    pause = 1.0
    while True:
        if engine.live() > HEALTHY_SECONDS:
            pause = 1.0
            continue
        fetching.tell(f"the engine has ended; it is started again in {pause:.0f} seconds")
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def main() -> None:
    hide_memory()
    parser = argparse.ArgumentParser(prog="python -m deploy.local.speech.front", description=__doc__)
    parser.add_argument("socket", type=int)
    parser.add_argument("--model", type=Path, help="a folder with another model than the one that is fetched")
    arguments = parser.parse_args()
    into, model = fetching.ENVIRONMENT, arguments.model
    fetch = [sys.executable, "-m", "deploy.local.speech.fetching", *(["--without-model"] if model else [])]
    is_there = fetching.is_complete(into, with_model=model is None)
    with socket.socket(fileno=arguments.socket) as listener:
        serve(
            listener,
            lambda: listener_command(into, model or weights.found(fetching.models_in(into)) or into),
            [] if is_there else fetch,
        )


if __name__ == "__main__":
    main()
