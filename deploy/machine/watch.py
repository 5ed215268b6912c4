"""Is this machine's Panzoto well? `python -m deploy.machine.watch`, every five minutes, by a timer.

It fails, which sets off the alarm, when the service is not ready in three
tries, when a worker does not run, when the sweep failed the last time, or
when the disk is nearly full. systemd itself does not call a service failed
that ends and is started again for ever.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

TRIES = 3
PAUSE_SECONDS = 10
SECONDS = 10
FULLEST = 0.9
PLACES = ("/", "/var", "/opt/panzoto")
RUNNING = ("panzoto.service", "panzoto-events.service")
# Where there is a speech engine.
TRANSCRIBER = "panzoto-transcriptions.service"
SWEEP = "panzoto-sweep.service"


def is_ready(port: str) -> bool:
    """Whether the service says in one of a few tries that it can work."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            address = f"http://127.0.0.1:{port}/api/health/ready"
            with urllib.request.urlopen(address, timeout=SECONDS):
                return True
        except (urllib.error.URLError, OSError):
            continue
    return False


def findings(port: str, systemctl: str, *, transcribes: bool) -> list[str]:
    """Return what is wrong, one sentence each."""
    wanted = (*RUNNING, TRANSCRIBER) if transcribes else RUNNING
    wrong = [] if is_ready(port) else ["the service is not ready: see /api/health/ready and its journal"]
    wrong += [f"{unit} does not run" for unit in wanted if not _said(systemctl, "is-active", "--quiet", unit)]
    if _said(systemctl, "is-failed", "--quiet", SWEEP):
        wrong.append(f"{SWEEP} failed the last time")
    for place in PLACES:
        if Path(place).is_dir():
            usage = shutil.disk_usage(place)
            if usage.used > usage.total * FULLEST:
                wrong.append(f"the disk of {place} is more than {FULLEST:.0%} full")
    return wrong


def _said(systemctl: str, *words: str) -> bool:
    return subprocess.run([systemctl, *words], check=False, capture_output=True).returncode == 0  # noqa: S603


def main() -> int:
    """Print what is wrong; the status is 1 when anything is."""
    transcribes = bool(os.environ.get("TRANSCRIPTION_URL", "").strip())
    systemctl = os.environ.get("SYSTEMCTL", "systemctl")
    wrong = findings(os.environ.get("PORT") or "5000", systemctl, transcribes=transcribes)
    for sentence in wrong:
        sys.stderr.write(f"panzoto-watch: {sentence}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
