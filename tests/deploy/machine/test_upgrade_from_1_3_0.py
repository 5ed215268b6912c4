"""A machine on which release 1.3.0 was installed, with its nightly sweep, goes to one with workers and back.

`release-1.3.0.tar.xz` is that release as it was delivered, without what no machine runs and without the
files of the console, which these machines do without.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.machine import NEVER_READY, Machine, await_version, checkout, unpacked

RELEASED = Path(__file__).with_name("release-1.3.0.tar.xz")
SWEEP = ("panzoto-sweep.service", "panzoto-sweep.timer")
CHORES = (
    "panzoto-chores.service",
    "panzoto-chores@.service",
    "panzoto-events@.service",
    "panzoto-mail.service",
)


@pytest.fixture
def url(machine: Machine, tmp_path: Path) -> str:
    """The address of a machine that serves release 1.3.0, which its own script has installed."""
    folder = unpacked(RELEASED, tmp_path / "1.3.0")
    machine.settings().parent.mkdir(parents=True)
    machine.settings().write_text(f"FLASK_ENV=production\nSECRET_KEY={'k' * 40}\nCONSOLE=0\n")
    chosen = machine.choose()
    assert "Release 1.3.0 is served and ready." in machine.done(folder, "install", "--untried")
    await_version(chosen, "1.3.0")
    return chosen


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    return checkout(tmp_path / "newer", "9.0.0")


def sweeps_at_night(machine: Machine) -> bool:
    """Whether the units are those of 1.3.0 alone, or those of a release with workers alone."""
    there = [[machine.unit(unit).exists() for unit in units] for units in (SWEEP, CHORES)]
    assert there in (
        [[True] * len(SWEEP), [False] * len(CHORES)],
        [[False] * len(SWEEP), [True] * len(CHORES)],
    )
    return there[0][0]


def since(machine: Machine, before: list[str]) -> list[str]:
    return machine.calls()[len(before) :]


def test_forward_and_back_and_forward_again(machine: Machine, url: str, newer: Path) -> None:
    assert sweeps_at_night(machine)
    pid, before = machine.pid(), machine.calls()
    assert "Release 9.0.0 is served and ready." in machine.done(newer, "upgrade")
    assert not sweeps_at_night(machine)
    calls = since(machine, before)
    assert "disable panzoto-sweep.timer" in calls
    assert "enable panzoto.service panzoto-events.service panzoto-chores.service panzoto-watch.timer" in calls
    assert "restart panzoto-chores.service" in calls
    # The service itself is not ended for it.
    assert machine.pid() == pid
    await_version(url, "9.0.0")

    # Somebody wants more than one of a kind, and workers for letters.
    enabled = [
        machine.unit("panzoto-chores.service.wants") / "panzoto-chores@2.service",
        machine.unit("multi-user.target.wants") / "panzoto-mail.service",
    ]
    for link in enabled:
        link.parent.mkdir()
        link.symlink_to(f"../{link.name.replace('@2', '@')}")

    before = machine.calls()
    assert "Release 1.3.0 is served and ready." in machine.done(
        newer, "upgrade", "--to", "1.3.0", "--untried"
    )
    assert sweeps_at_night(machine)
    calls = since(machine, before)
    for ended in (
        "stop panzoto-chores@*.service",
        "disable panzoto-chores.service",
        "stop panzoto-mail.service",
    ):
        assert ended in calls
    assert "start panzoto-sweep.timer" in calls
    assert not [call for call in calls if call.startswith(("restart panzoto-chores", "restart panzoto-mail"))]
    assert machine.pid() == pid
    await_version(url, "1.3.0")

    before = machine.calls()
    machine.done(newer, "upgrade", "--to", "9.0.0", "--untried")
    assert not sweeps_at_night(machine)
    # What was enabled is, once more.
    assert all(link.is_symlink() and link.exists() for link in enabled)
    assert "restart panzoto-mail.service" in since(machine, before)


def test_one_that_never_gets_ready_gives_the_sweep_back(machine: Machine, url: str, tmp_path: Path) -> None:
    failing = checkout(tmp_path / "failing", "9.0.0", **NEVER_READY)
    before = machine.calls()
    ran = machine.run(failing, "upgrade", "--untried", "--wait", "5")
    assert ran.returncode == 1
    assert "1.3.0 serves again" in ran.stderr
    assert sweeps_at_night(machine)
    calls = since(machine, before)
    assert calls.index("disable panzoto-sweep.timer") < calls.index("start panzoto-sweep.timer")
    await_version(url, "1.3.0")
