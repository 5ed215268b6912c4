"""As much of systemctl as the install scripts use: it really starts and stops the units below a folder.

    systemctl.py [--no-block] daemon-reload | enable UNIT... | disable --now UNIT | start UNIT | restart UNIT
                 | stop UNIT | reload-or-restart UNIT

PANZOTO_TEST_ROOT names the folder. What the machine's environment would be is this process's own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from dotenv import dotenv_values

ROOT = Path(os.environ["PANZOTO_TEST_ROOT"])
RUN = ROOT / "run"
SECONDS = 60


def main(*words: str) -> int:
    action, *units = [word for word in words if not word.startswith("--")]
    RUN.mkdir(exist_ok=True)
    with (RUN / "calls").open("a") as calls:
        print(action, *units, file=calls)
    if action in ("daemon-reload", "enable"):
        return 0
    [unit] = units
    # Nobody waits for what may take its time, and no test looks at it.
    if unit.endswith(".timer") or "--no-block" in words:
        return 0
    pid = main_pid(unit)
    if action == "reload-or-restart" and pid:
        os.kill(pid, signal.SIGHUP)
        return 0
    if action in ("stop", "disable", "restart") and pid:
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: main_pid(unit) is None)
    return 0 if action in ("stop", "disable") or main_pid(unit) else start(unit)


def pid_file(unit: str) -> Path:
    return RUN / f"{unit}.pid"


def main_pid(unit: str) -> int | None:
    """The unit's process, if it still runs."""
    if not pid_file(unit).exists():
        return None
    pid = int(pid_file(unit).read_text())
    with suppress(OSError, IndexError):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z":
            return pid
    return None


def settings_of(unit: str) -> dict[str, list[str]]:
    """The unit's file: each setting with its values in their order."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "etc/systemd/system" / unit).read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def start(unit: str) -> int:
    settings = settings_of(unit)
    environment = dict(os.environ)
    for words in settings.get("Environment", []):
        environment |= dict(word.split("=", 1) for word in words.split())
    for file in settings.get("EnvironmentFile", []):
        environment |= {name: value or "" for name, value in dotenv_values(file, interpolate=False).items()}
    [command] = settings["ExecStart"]
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified,
        (RUN / f"{unit}.log").open("ab") as log,
    ):
        name = RUN / f"{unit}.notify"
        name.unlink(missing_ok=True)
        notified.bind(str(name))
        notified.settimeout(0.2)
        process = subprocess.Popen(
            command.split(),
            cwd=settings["WorkingDirectory"][0],
            env={**environment, "NOTIFY_SOCKET": str(name)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        pid_file(unit).write_text(str(process.pid))
        ready = settings.get("Type") != ["notify"]
        deadline = time.monotonic() + SECONDS
        while not ready and process.poll() is None and time.monotonic() < deadline:
            with suppress(TimeoutError):
                ready = b"READY=1" in notified.recv(4096).split(b"\n")
        return 0 if ready else 1


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + SECONDS
    while callable(condition) and not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
