"""Is this machine's Panzoto well? `python -m deploy.machine.watch`, every five minutes, by a timer.

It fails, which sets off the alarm, when the service is not ready in three
tries, when a worker does not run, when an account waits for its chores for
too long or nobody says so, or when the disk is nearly full. systemd itself
does not call a service failed that ends and is started again for ever.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TRIES = 3
PAUSE_SECONDS = 10
SECONDS = 10
FULLEST = 0.9
PLACES = ("/", "/var", "/opt/panzoto")
SERVICE = "panzoto.service"
ALWAYS = ("events", "chores")
# What an operator has enabled beside the first of a kind: panzoto-chores@2.
UNITS = Path("/etc/systemd/system")
# How long an account may be due, and how long the workers may say nothing of it; as in
# deploy/aws/cloudformation/watching.py.
LONGEST_DUE_SECONDS = 6 * 3600
SILENCE_SECONDS = 2 * 3600
STATUS = "chores_status"


@dataclass(frozen=True, slots=True)
class Commands:
    """By what the machine is asked, and where its units are."""

    systemctl: str = "systemctl"
    journalctl: str = "journalctl"
    units: Path = UNITS

    def says(self, *words: str) -> bool:
        """Whether systemctl answers with status 0."""
        return subprocess.run([self.systemctl, *words], check=False, capture_output=True).returncode == 0  # noqa: S603

    def lines_of_chores(self) -> list[str]:
        """Return what the workers for chores have said lately, the oldest first."""
        command = [self.journalctl, "--quiet", "--output=cat", f"--since=-{SILENCE_SECONDS}s"]
        command += ["--unit=panzoto-chores.service", "--unit=panzoto-chores@*.service"]
        ran = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")  # noqa: S603
        return ran.stdout.splitlines()


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


def workers(environment: Mapping[str, str], units: Path) -> list[str]:
    """Return the units that must run beside the service: one of each kind that is wanted, and more of it."""
    kinds = list(ALWAYS)
    if (units / "multi-user.target.wants/panzoto-mail.service").is_symlink():
        kinds.append("mail")
    if environment.get("TRANSCRIPTION_URL", "").strip():
        kinds.append("transcriptions")
    found = []
    for kind in kinds:
        first = f"panzoto-{kind}.service"
        more = (units / f"{first}.wants").glob(f"panzoto-{kind}@*.service")
        found += [first, *sorted(unit.name for unit in more)]
    return found


def findings(environment: Mapping[str, str], commands: Commands) -> list[str]:
    """Return what is wrong, one sentence each."""
    ready = is_ready(environment.get("PORT") or "5000")
    wrong = [] if ready else ["the service is not ready: see /api/health/ready and its journal"]
    wanted = (SERVICE, *workers(environment, commands.units))
    wrong += [f"{unit} does not run" for unit in wanted if not commands.says("is-active", "--quiet", unit)]
    wrong += overdue(commands.lines_of_chores())
    for place in PLACES:
        if Path(place).is_dir():
            usage = shutil.disk_usage(place)
            if usage.used > usage.total * FULLEST:
                wrong.append(f"the disk of {place} is more than {FULLEST:.0%} full")
    return wrong


def overdue(lines: list[str]) -> list[str]:
    """Return what is wrong with the chores, by the last line that tells how they stand."""
    told = [line for line in lines if f'"{STATUS}"' in line]
    try:
        last = json.loads(told[-1])
        seconds, held = float(last["oldest_due_seconds"]), int(last["held"])
    except (IndexError, KeyError, TypeError, ValueError):
        return [f"no worker has said for {SILENCE_SECONDS // 3600} hours how its chores stand ({STATUS})"]
    if held or seconds <= LONGEST_DUE_SECONDS:
        return []
    return [f"an account waits for its chores for {seconds / 3600:.0f} hours: panzoto chores status"]


def main() -> int:
    """Print what is wrong; the status is 1 when anything is."""
    commands = Commands(
        os.environ.get("SYSTEMCTL", "systemctl"),
        os.environ.get("JOURNALCTL", "journalctl"),
        Path(os.environ.get("UNITS", UNITS)),
    )
    wrong = findings(os.environ, commands)
    for sentence in wrong:
        sys.stderr.write(f"panzoto-watch: {sentence}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
