"""A machine on which release 1.0.0 was installed goes to this release and back, although `deploy/` has moved.

`release-1.0.0.tar.gz` is that release as it was delivered, without what no machine runs: CloudFormation and
containers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from panzoto.version import VERSION
from tests.support.machine import NEVER_READY, Machine, await_version, checkout, unpacked
from tests.support.service import PASSWORD, ROOT

RELEASED = Path(__file__).with_name("release-1.0.0.tar.gz")
WATCH = "panzoto-watch.timer"


@dataclass(frozen=True)
class Phone:
    """A phone that stays signed in all the while."""

    url: str
    token: str

    def works(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        listed = requests.get(f"{self.url}/api/user/audio-files", headers=headers, timeout=20)
        assert listed.status_code == 200, listed.text


@pytest.fixture
def phone(machine: Machine, tmp_path: Path) -> Phone:
    """A phone at a machine that serves release 1.0.0, which its own script has installed."""
    released = unpacked(RELEASED, tmp_path / "1.0.0")
    machine.done(released, "install", "--no-start")
    url = machine.choose()
    assert "Release 1.0.0 is served and ready." in machine.done(released, "install")
    await_version(url, "1.0.0")
    account = {"email": f"{tmp_path.name}@example.com", "password": PASSWORD}
    answer = requests.post(f"{url}/api/register", json=account, timeout=20)
    assert answer.status_code == 201, answer.text
    return Phone(url, answer.json()["token"])


def serves(machine: Machine, phone: Phone, version: str) -> None:
    """Assert that `version` is what `current`, the units and the service itself say."""
    assert machine.current() == version
    supervisor = "deploy.supervise" if version == "1.0.0" else "deploy.serving.supervisor"
    assert f"-m {supervisor} --release" in machine.unit().read_text()
    assert machine.unit(WATCH).exists() == (version != "1.0.0")
    await_version(phone.url, version)
    phone.works()


def test_forward_and_back_and_forward_again(machine: Machine, phone: Phone) -> None:
    assert f"Release {VERSION} is served and ready." in machine.done(ROOT, "upgrade")
    serves(machine, phone, VERSION)
    assert f"start {WATCH}" in machine.calls()

    assert "Release 1.0.0 is served and ready." in machine.done(ROOT, "upgrade", "--to", "1.0.0")
    serves(machine, phone, "1.0.0")
    # It would start what 1.0.0 does not have, every five minutes.
    assert f"disable {WATCH}" in machine.calls()

    assert f"Release {VERSION} is served and ready." in machine.done(
        ROOT, "upgrade", "--untried", "--to", VERSION
    )
    serves(machine, phone, VERSION)


def test_the_script_of_1_0_0_goes_back_too(machine: Machine, phone: Phone) -> None:
    machine.done(ROOT, "upgrade", "--untried")
    released = machine.root / "opt/panzoto/releases/1.0.0"
    assert "Release 1.0.0 is served and ready." in machine.done(released, "upgrade", "--to", "1.0.0")
    assert machine.current() == "1.0.0"
    await_version(phone.url, "1.0.0")
    phone.works()


def test_one_that_never_gets_ready_gives_way_to_1_0_0(machine: Machine, phone: Phone, tmp_path: Path) -> None:
    failing = checkout(tmp_path / "failing", "9.0.0", **NEVER_READY)
    ran = machine.run(failing, "upgrade", "--untried", "--wait", "5")
    assert ran.returncode == 1
    assert "Release 9.0.0 does not work as it is served; going back to 1.0.0." in ran.stderr
    assert "1.0.0 serves again" in ran.stderr
    serves(machine, phone, "1.0.0")


def test_one_that_cannot_use_the_settings_leaves_1_0_0_as_it_is(machine: Machine, phone: Phone) -> None:
    with machine.settings().open("a") as settings:
        settings.write("HASHES_AT_ONCE=many\n")
    before = machine.pid()
    ran = machine.run(ROOT, "upgrade")
    assert ran.returncode == 1
    assert "panzoto: HASHES_AT_ONCE" in ran.stderr
    assert machine.pid() == before
    serves(machine, phone, "1.0.0")


def test_installed_beside_it_and_not_started_1_0_0_keeps_its_units(machine: Machine, phone: Phone) -> None:
    """Otherwise the next start of the machine would start what `current` does not hold."""
    machine.done(ROOT, "install", "--no-start")
    serves(machine, phone, "1.0.0")


@pytest.mark.usefixtures("phone")
class TestUnitAndReleaseChangeTogether:
    def test_the_service_does_not_run_while_they_differ(self, machine: Machine) -> None:
        """So that systemd starts nothing by the unit of one release with the files of the other."""
        machine.done(ROOT, "upgrade", "--untried")
        calls = machine.calls()
        last = {call: len(calls) - calls[::-1].index(call) for call in set(calls)}
        assert last["stop panzoto.service"] < last["daemon-reload"] < last["restart panzoto.service"]

    def test_an_upgrade_that_fails_in_between_leaves_a_service(
        self, machine: Machine, phone: Phone, tmp_path: Path
    ) -> None:
        ran = interrupted(machine, tmp_path, "exit 1")
        assert ran != 0
        serves(machine, phone, VERSION)

    def test_one_that_is_killed_in_between_can_be_made_again(
        self, machine: Machine, phone: Phone, tmp_path: Path
    ) -> None:
        ran = interrupted(machine, tmp_path, "kill -KILL $PPID; exit 1")
        assert ran != 0
        assert f"Release {VERSION} is served and ready." in machine.done(ROOT, "upgrade", "--untried")
        serves(machine, phone, VERSION)


def interrupted(machine: Machine, folder: Path, how: str) -> int:
    """Upgrade to this release, and have `daemon-reload` do `how`; return the status."""
    systemctl = machine.environment["SYSTEMCTL"]
    breaking = folder / "breaking-systemctl"
    breaking.write_text(f'#!/bin/sh\n[ "$1" != daemon-reload ] || {{ {how}; }}\nexec {systemctl} "$@"\n')
    breaking.chmod(0o755)
    machine.environment["SYSTEMCTL"] = str(breaking)
    ran = machine.run(ROOT, "upgrade", "--untried")
    machine.environment["SYSTEMCTL"] = systemctl
    return ran.returncode
