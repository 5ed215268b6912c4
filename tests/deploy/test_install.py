"""Installing, upgrading and going back by the scripts themselves, below a folder of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from panzoto.version import VERSION
from tests.support.aws import free_port
from tests.support.edge import executable
from tests.support.service import CHEAP_HASHES, ROOT, Service

PARTS = ("panzoto", "migrations_from_rds", "deploy", "wsgi.py", "requirements.txt", ".env.example")
SCRIPTS = ("deploy/install", "deploy/upgrade", "deploy/release.sh", "deploy/systemd/panzoto-command")


@dataclass(frozen=True)
class Machine:
    """A folder in which the scripts install, with a systemctl of its own."""

    root: Path
    environment: dict[str, str]

    def run(self, checkout: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(checkout / "deploy" / script), "--root", str(self.root), *arguments]
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

    def current(self) -> str:
        return (self.root / "opt/panzoto/current").readlink().name

    def pid(self) -> int:
        return int((self.root / "run/panzoto.service.pid").read_text())

    def calls(self) -> list[str]:
        return (self.root / "run/calls").read_text().splitlines()

    def log(self) -> str:
        log = self.root / "run/panzoto.service.log"
        return log.read_text()[-4000:] if log.exists() else ""


@pytest.fixture
def machine(service: Service, tmp_path: Path) -> Iterator[Machine]:
    root = tmp_path / "machine"
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/support/systemctl.py "$@"\n')
    systemctl.chmod(0o755)
    aws = {name: value for name, value in service.environment.items() if name.startswith("AWS_")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **aws}
    environment |= {"SYSTEMCTL": str(systemctl), "PANZOTO_TEST_ROOT": str(root)}
    yield Machine(root, environment)
    for file in (root / "run").glob("*.pid"):
        with suppress(ProcessLookupError):
            os.killpg(int(file.read_text()), signal.SIGTERM)


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


def test_install_twice_then_upgrade_then_back(machine: Machine, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    # The first time it only makes the settings, in which this test then chooses a port.
    assert "not started" in machine.done(ROOT, "install", "--no-start", "--server-name", "voice.example.com")
    written = machine.settings().read_text()
    assert "PUBLIC_URL=https://voice.example.com\n" in written
    assert machine.settings().stat().st_mode & 0o777 == 0o640
    assert f"127.0.0.1:{5000} max_fails" in (machine.root / "etc/nginx/nginx.conf").read_text()
    chosen = {"PORT": str(port), "METRICS_PORT": "0", "WEB_CONCURRENCY": "1", **CHEAP_HASHES}
    machine.settings().write_text(written + "".join(f"{name}={value}\n" for name, value in chosen.items()))
    written = machine.settings().read_text()

    assert f"Release {VERSION} is served and ready." in machine.done(ROOT, "install")
    pid = machine.pid()
    again = machine.done(ROOT, "install", "--wait", "60")
    assert f"Release {VERSION} is there already." in again
    assert f"Release {VERSION} is served and ready." in again
    assert machine.settings().read_text() == written
    assert machine.pid() == pid, "a second install is a reload"
    assert requests.get(f"{url}/api/health", timeout=20).json()["version"] == VERSION
    assert "enable panzoto.service panzoto-events.service panzoto-sweep.timer" in machine.calls()

    machine.done(checkout(tmp_path / "next", "9.0.1"), "upgrade")
    assert (machine.current(), machine.pid()) == ("9.0.1", pid)
    assert requests.get(f"{url}/api/health", timeout=20).json()["version"] == "9.0.1"

    # It comes up and answers, and never becomes ready.
    failing = checkout(tmp_path / "failing", "9.0.2", **{"    check_reachable()": "    raise ValueError"})
    ran = machine.run(failing, "upgrade", "--wait", "5")
    assert ran.returncode == 1
    assert "Release 9.0.2 is not ready after 5 s; going back to 9.0.1." in ran.stderr
    assert "9.0.1 serves again" in ran.stderr
    assert machine.current() == "9.0.1"
    assert requests.get(f"{url}/api/health", timeout=20).json()["version"] == "9.0.1"

    assert f"Release {VERSION} is served" in machine.done(ROOT, "upgrade", "--to", VERSION)
    assert requests.get(f"{url}/api/health", timeout=20).json()["version"] == VERSION
    assert f"* {VERSION}\n" in machine.done(ROOT, "upgrade", "--list")
    command = [str(machine.root / "usr/local/bin/panzoto"), "resources", "list"]
    shown = subprocess.run(command, env=machine.environment, capture_output=True, text=True, check=False)
    assert "panzoto-users" in shown.stdout, shown.stderr


class TestWrongUse:
    def refused(self, machine: Machine, script: str, *arguments: str, status: int = 1) -> str:
        ran = machine.run(ROOT, script, *arguments)
        assert (ran.returncode, ran.stdout) == (status, ""), ran.stderr
        return ran.stderr

    def test_it_says_how_to_run_it_rightly(self, machine: Machine) -> None:
        assert "Try " in self.refused(machine, "install", "--faster", status=2)
        assert "--wait takes a whole number" in self.refused(machine, "install", "--wait", "long", status=2)
        assert "is not installed on this machine: run " in self.refused(machine, "upgrade")

    def test_keys_of_aws_are_refused(self, machine: Machine) -> None:
        machine.settings().parent.mkdir(parents=True)
        machine.settings().write_text("AWS_ACCESS_KEY_ID=AKIAEXAMPLE\n")
        sentence = self.refused(machine, "install")
        assert "holds AWS keys" in sentence
        assert "AKIAEXAMPLE" not in sentence

    def test_settings_that_do_not_work_change_nothing(self, machine: Machine) -> None:
        machine.settings().parent.mkdir(parents=True)
        machine.settings().write_text("FLASK_ENV=production\nSECRET_KEY=short\n")
        ran = machine.run(ROOT, "install")
        assert ran.returncode == 1
        assert "SECRET_KEY is shorter" in ran.stderr
        assert not (machine.root / "opt/panzoto/current").exists()

    def test_without_root_python_or_systemd_it_says_what_is_missing(
        self, machine: Machine, tmp_path: Path
    ) -> None:
        somebody = tmp_path / "bin"
        somebody.mkdir()
        (somebody / "id").write_text("#!/bin/sh\necho 1000\n")
        (somebody / "id").chmod(0o755)
        path = f"{somebody}:{os.environ['PATH']}"
        for more, arguments, sentence in (
            ({"PATH": path}, (), "needs root: sudo"),
            ({"SYSTEMCTL": "no-such-command"}, ("--root", str(machine.root)), "does not run systemd"),
            ({}, ("--root", str(machine.root), "--python", "/no/python"), "needs Python 3.11 or newer"),
        ):
            ran = subprocess.run(
                [str(ROOT / "deploy/install"), *arguments],
                env=machine.environment | more,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 1
            assert sentence in ran.stderr


def test_the_scripts_are_clean() -> None:
    command = [executable("shellcheck", "shellcheck"), "-x", *SCRIPTS]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stdout + ran.stderr == ""
    for script in SCRIPTS[:2]:
        shown = subprocess.run([str(ROOT / script), "--help"], capture_output=True, text=True, check=True)
        assert "--python-environment" in shown.stdout
