"""Serve, and change to another release without losing a request: `python -m deploy.serving.supervisor
--help`.

The supervisor owns the listening socket and runs gunicorn on it. SIGHUP starts a second gunicorn, of the
release to which --release leads by then and with the settings that the file holds by then. When a worker
of it can take requests, the first gunicorn is asked to end, and ends when its last download has, or after
DRAIN_SECONDS. When the second one does not come up, the first goes on as if nothing had been asked.
SIGTERM ends everything; what is under way gets STOP_SECONDS.
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from dotenv import dotenv_values
from gunicorn.systemd import sd_notify

from deploy.serving.processes import end_with_parent
from panzoto.config import Settings, child_environment
from panzoto.errors import SettingsError
from panzoto.host.sandbox import hide_memory
from panzoto.telemetry import logs

ROOT = Path(__file__).resolve().parents[2]
# As long as a playback address is valid, unless it is configured otherwise: so long may a download take.
DRAIN_SECONDS = 900
STOP_SECONDS = 30
# What gunicorn gets to end its workers once it may not wait for them any longer.
HURRY_SECONDS = 5
START_SECONDS = 60
# Connections that wait to be accepted, while no worker does; Linux grants net.core.somaxconn at most.
BACKLOG = 2048
WRONG_USAGE = 2

log = logging.getLogger("panzoto.supervisor")


class Asked:
    """What signals have asked for, as something that can be waited for together with a file descriptor."""

    def __init__(self) -> None:
        self.stop = False
        self.roll = False
        self._read, self._write = os.pipe()
        for end in (self._read, self._write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.roll = True
        elif number != signal.SIGCHLD:
            self.stop = True

    def wait(self, seconds: float, *descriptors: int) -> list[int]:
        """Wait for a signal or for one of `descriptors` to be readable; return those that are."""
        readable: list[int] = select.select([self._read, *descriptors], [], [], max(0.0, seconds))[0]
        if self._read in readable:
            with suppress(BlockingIOError):
                os.read(self._read, 512)
        return [descriptor for descriptor in readable if descriptor != self._read]


@dataclass
class Generation:
    """One gunicorn with its workers; `ready` is the pipe to which a worker writes when it can serve."""

    release: Path
    process: subprocess.Popen[bytes]
    ready: int
    drain_until: float = 0.0

    def ended(self) -> bool:
        return self.process.poll() is not None

    def ask(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        """End every process of it at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Supervisor:
    """Keeps one generation serving, and those before it until they have finished."""

    def __init__(self, listener: socket.socket, release: Path, environment_file: Path | None) -> None:
        self._listener = listener
        self._release = release
        self._environment_file = environment_file
        self._asked = Asked()
        self._serving: Generation | None = None
        self._draining: list[Generation] = []

    def run(self) -> int:
        """Serve until asked to stop; return the status to exit with."""
        self._serving = self._started()
        if self._serving is None:
            return 0 if self._asked.stop else 1
        _tell_systemd("READY=1")
        while not self._asked.stop:
            self._asked.wait(1.0)
            self._end_the_drained()
            if self._serving.ended():
                log.error("gunicorn ended by itself", extra={"status": self._serving.process.returncode})
                break
            if self._asked.roll:
                self._asked.roll = False
                self._roll()
        expected = self._asked.stop
        _tell_systemd("STOPPING=1")
        self._stop()
        return 0 if expected else 1

    def _roll(self) -> None:
        _tell_systemd("RELOADING=1")
        following = self._started()
        if following is None:
            if not self._asked.stop:
                log.error("The next generation did not come up; the one before goes on")
        else:
            former, self._serving = self._serving, following
            if former is not None:
                former.drain_until = time.monotonic() + DRAIN_SECONDS
                former.ask(signal.SIGTERM)
                self._draining.append(former)
        _tell_systemd("READY=1")

    def _started(self) -> Generation | None:
        """Return a new generation of which a worker can serve, or None."""
        try:
            generation = self._start()
        except (OSError, SettingsError) as error:
            # The sentences of SettingsError name a setting and never show a value.
            reason = str(error) if isinstance(error, SettingsError) else error.strerror
            log.error("gunicorn could not be started: %s", reason)
            return None
        deadline = time.monotonic() + START_SECONDS
        ready = False
        try:
            while not (ready or self._asked.stop or generation.ended()) and time.monotonic() < deadline:
                if self._asked.wait(min(1.0, deadline - time.monotonic()), generation.ready):
                    # Nothing to read is the end: nobody is left who could say that he is ready.
                    if not os.read(generation.ready, 1):
                        break
                    ready = True
        finally:
            os.close(generation.ready)
        if not ready:
            generation.kill()
            return None
        log.info("A generation serves", extra={"release": generation.release.name})
        return generation

    def _start(self) -> Generation:
        release = self._release.resolve(strict=True)
        environment = environment_of(self._environment_file)
        Settings.from_environment(environment)
        ready, say_ready = os.pipe()
        changes = {"PANZOTO_READY_FD": str(say_ready), "PYTHONPATH": str(release), "NOTIFY_SOCKET": None}
        python = release / "venv" / "bin" / "python"
        command = [
            str(python) if python.exists() else sys.executable,
            *("-m", "gunicorn", "--config", str(release / "deploy" / "serving" / "gunicorn.conf.py")),
            *("--bind", f"fd://{self._listener.fileno()}", "--graceful-timeout", str(DRAIN_SECONDS)),
            "wsgi:app",
        ]
        try:
            process = subprocess.Popen(  # noqa: S603 - all of it comes from whoever started this
                command,
                env=child_environment(changes, environ=environment),
                stdin=subprocess.DEVNULL,
                pass_fds=(self._listener.fileno(), say_ready),
                start_new_session=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - no thread has been started here
            )
        except OSError:
            os.close(ready)
            raise
        finally:
            os.close(say_ready)
        return Generation(release, process, ready)

    def _end_the_drained(self) -> None:
        for generation in [*self._draining]:
            # gunicorn keeps to the time by itself; this is for one that hangs.
            if generation.ended() or time.monotonic() > generation.drain_until + HURRY_SECONDS:
                generation.kill()
                self._draining.remove(generation)

    def _stop(self) -> None:
        # Whoever connects from now on is refused, as soon as gunicorn's own copies are closed too.
        self._listener.close()
        running = [generation for generation in (self._serving, *self._draining) if generation is not None]
        for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGQUIT, HURRY_SECONDS)):
            for generation in running:
                generation.ask(number)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and not all(generation.ended() for generation in running):
                self._asked.wait(0.2)
        for generation in running:
            generation.kill()


def environment_of(file: Path | None) -> dict[str, str]:
    """Return this process's environment and what `file` adds to it. Raises `OSError`."""
    if file is None:
        return child_environment({})
    with file.open(encoding="utf-8") as lines:
        values = dotenv_values(stream=lines, interpolate=False)
    return {**{name: value for name, value in values.items() if value is not None}, **child_environment({})}


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.serving.supervisor", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument(
        "--release",
        type=Path,
        default=ROOT,
        help="the folder of the service, usually a link that is moved; default: this one",
    )
    parser.add_argument("--environment-file", type=Path, help="settings, one NAME=value a line")
    arguments = parser.parse_args()
    hide_memory()
    try:
        settings = Settings.from_environment(environment_of(arguments.environment_file))
        listener = socket.create_server((arguments.host, settings.port), backlog=BACKLOG)
    except SettingsError as error:
        return _wrong(str(error))
    except OSError as error:
        place = error.filename or f"{arguments.host} port {settings.port}"
        return _wrong(f"{place}: {error.strerror}")
    logs.init(settings.log_level, settings.production)
    with listener:
        return Supervisor(listener, arguments.release, arguments.environment_file).run()


def _wrong(sentence: str) -> int:
    sys.stderr.write(f"panzoto: {sentence}\n")
    return WRONG_USAGE


def _tell_systemd(state: str) -> None:
    sd_notify(state, log)


if __name__ == "__main__":
    sys.exit(main())
