"""A worker on a queue, in a process of its own: `python -m tests.support.queue_worker QUEUE REGION RULES`.

RULES are `Rules` as JSON. A message is JSON and says what becomes of it: `name` is printed when it is begun
and when it is done, `until` is a file that is waited for, `failures` how many times it fails first; with
`dies` it takes the process with it, and with `stops` the thread that works on it gets the process's SIGTERM.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

from panzoto.queues.consumer import Consumer, Rules
from panzoto.queues.queue import Message, Queue
from panzoto.queues.trouble import Trouble
from panzoto.telemetry import logs
from tests.support.waiting import eventually


def main() -> None:
    """Work until told to stop."""
    queue, region, rules = sys.argv[1:]
    logs.init("INFO", production=True)
    failed: Counter[str] = Counter()

    def handle(message: Message) -> None:
        told = json.loads(message.body)
        name = told["name"]
        _say(f"begun {name}")
        if told.get("dies"):
            os._exit(9)
        if told.get("stops"):
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        if failed[name] < told.get("failures", 0):
            failed[name] += 1
            raise LookupError(message.body)
        if "until" in told:
            eventually(Path(told["until"]).exists, "never allowed to end")
        _say(f"done {name}")

    consumer = Consumer(Queue(queue, region), handle, Rules(**json.loads(rules)))
    consumer.run_until_signalled(Trouble(_say))


def _say(line: str) -> None:
    # `print` writes the end of the line by itself, and another thread's line may come before it.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
