"""A machine below a folder, on which the scripts of `deploy/machine` install and upgrade."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.support.aws import free_port
from tests.support.service import CHEAP_HASHES, ROOT, Service
from tests.support.waiting import eventually

PARTS = (
    "panzoto",
    "migrations_from_rds",
    "deploy",
    "wsgi.py",
    "requirements.txt",
    "requirements-node.txt",
    ".env.example",
)


def unpacked(release: Path, folder: Path) -> Path:
    """Unpack the archive of a former release, which is one of ours, into `folder`; return that."""
    # The archives' own `extractall` takes a filter from Python 3.11.4 on only.
    shutil.unpack_archive(release, folder)
    return folder


@dataclass(frozen=True)
class Machine:
    """A folder in which the scripts install, with a systemctl of its own."""

    root: Path
    environment: dict[str, str]

    def run(self, checkout: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        scripts = checkout / "deploy" / "machine"
        if not scripts.exists():
            # As in releases before 1.1.0.
            scripts = checkout / "deploy"
        command = [str(scripts / script), "--root", str(self.root), *arguments]
        if "--list" not in arguments:
            command += ["--python-environment", sys.prefix]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )

    def done(self, checkout: Path, script: str, *arguments: str) -> str:
        ran = self.run(checkout, script, *arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr + self.log()
        return ran.stdout

    def settings(self) -> Path:
        return self.root / "etc/panzoto/panzoto.env"

    def choose(self, **settings: str) -> str:
        """Write what a test's service needs into the settings; return its address."""
        port = free_port()
        chosen = {"PORT": str(port), "METRICS_PORT": "0", "WEB_CONCURRENCY": "1", **CHEAP_HASHES, **settings}
        # All machines of these tests are one address to the one AWS that they have.
        chosen.setdefault("LIMIT_REGISTER", "1000 per minute")
        with self.settings().open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in chosen.items())
        return f"http://127.0.0.1:{port}"

    def unit(self, name: str = "panzoto.service") -> Path:
        return self.root / "etc/systemd/system" / name

    def current(self) -> str:
        return (self.root / "opt/panzoto/current").readlink().name

    def pid(self) -> int:
        return int((self.root / "run/panzoto.service.pid").read_text())

    def calls(self) -> list[str]:
        return (self.root / "run/calls").read_text().splitlines()

    def log(self) -> str:
        log = self.root / "run/panzoto.service.log"
        return log.read_text()[-4000:] if log.exists() else ""


@contextmanager
def machine_of(service: Service, folder: Path) -> Iterator[Machine]:
    """Make a machine in `folder` that has the AWS of `service`; what it runs ends with the block."""
    root = folder / "machine"
    systemctl = folder / "systemctl"
    systemctl.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/support/systemctl.py "$@"\n')
    systemctl.chmod(0o755)
    aws = {name: value for name, value in service.environment.items() if name.startswith("AWS_")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **aws}
    environment |= {"SYSTEMCTL": str(systemctl), "PANZOTO_TEST_ROOT": str(root)}
    yield Machine(root, environment)
    for file in (root / "run").glob("*.pid"):
        with suppress(ProcessLookupError):
            os.killpg(int(file.read_text()), signal.SIGTERM)


# A change of `checkout`: what it makes comes up and answers, and never becomes ready.
NEVER_READY = {"    services().readiness.require()": "    raise ValueError"}


def checkout(folder: Path, version: str, **changes: str) -> Path:
    """Copy the project under another version; `changes` are text and its replacement in health.py."""
    for part in PARTS:
        copy: Any = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        folder.mkdir(exist_ok=True)
        copy(ROOT / part, folder / part)
    (folder / "panzoto/version.py").write_text(f'VERSION = "{version}"\n')
    health = folder / "panzoto/blueprints/health.py"
    for former, latter in changes.items():
        assert former in health.read_text()
        health.write_text(health.read_text().replace(former, latter))
    return folder


def served_version(url: str) -> str:
    """Return what version answers at `url` just now."""
    return str(requests.get(f"{url}/api/health", timeout=20).json()["version"])


def await_version(url: str, version: str) -> None:
    """Wait until `version` answers: for a moment after a change the release before it may still do."""
    eventually(lambda: served_version(url) == version, lambda: f"{served_version(url)}, not {version}")
