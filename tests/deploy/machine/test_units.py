"""The units and nginx's configuration, as systemd and nginx themselves judge them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from deploy.serving.supervisor import HURRY_SECONDS, STOP_SECONDS
from panzoto.operations.cli import panzoto as commands
from tests.suites import need
from tests.support.edge import rendered
from tests.support.service import ROOT

UNITS = ROOT / "deploy" / "machine" / "systemd"
SERVICES = sorted(unit.name for unit in UNITS.glob("*.service"))
WORKERS = ("chores", "events", "mail", "transcriptions")
EXPOSURE_BOUND = 2.5


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [need("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_all_units_are_known() -> None:
    assert SERVICES == [
        "panzoto-alarm@.service",
        "panzoto-chores.service",
        "panzoto-chores@.service",
        "panzoto-events.service",
        "panzoto-events@.service",
        "panzoto-mail.service",
        "panzoto-mail@.service",
        "panzoto-transcriptions.service",
        "panzoto-transcriptions@.service",
        "panzoto-watch.service",
        "panzoto.service",
    ]


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    # What they start has to be there, so an installation is imitated.
    home = tmp_path / "panzoto"
    (home / "current/venv/bin").mkdir(parents=True)
    (home / "current/venv/bin/python").symlink_to(sys.executable)
    units = []
    for unit in UNITS.glob("panzoto*.[st]*"):
        units.append(tmp_path / unit.name)
        units[-1].write_text(unit.read_text().replace("/opt/panzoto", str(home)))
    assert len(units) == 12
    ran = systemd_analyze("verify", "--man=no", *map(str, units))
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


@pytest.mark.parametrize("kind", WORKERS)
def test_one_more_of_a_kind_is_the_same_and_goes_with_the_first(kind: str) -> None:
    first, more = (
        (UNITS / f"panzoto-{kind}{ending}.service").read_text().splitlines() for ending in ("", "@")
    )
    assert f"PartOf=panzoto-{kind}.service" in more
    assert more[-2:] == ["[Install]", f"WantedBy=panzoto-{kind}.service"]
    differing = ("#", "Description=", "PartOf=", "WantedBy=")
    alike = ([line for line in lines if not line.startswith(differing)] for lines in (first, more))
    assert next(alike) == next(alike)


@pytest.mark.parametrize("kind", WORKERS)
def test_each_starts_a_command_that_there_is(kind: str) -> None:
    unit = (UNITS / f"panzoto-{kind}.service").read_text()
    (words,) = re.findall(r"^ExecStart=\S+ -m flask --app wsgi panzoto (.*)$", unit, re.MULTILINE)
    found: click.Command = commands
    for word in words.split():
        assert isinstance(found, click.Group)
        found = found.commands[word]
    # What a release before lacks by which systemd knows that it is one.
    for module in re.findall(r"^ConditionPathExists=/opt/panzoto/current/(\S+)$", unit, re.MULTILINE):
        assert (ROOT / module).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_they_may_do_little(name: str) -> None:
    ran = systemd_analyze("security", "--offline=true", "--no-pager", str(UNITS / name))
    found = re.search(r"exposure level for \S+: ([0-9.]+)", ran.stdout)
    assert found is not None, ran.stdout + ran.stderr
    assert float(found[1]) < EXPOSURE_BOUND


def test_systemd_is_more_patient_than_the_service_itself() -> None:
    unit = (UNITS / "panzoto.service").read_text()
    patience = re.search(r"^TimeoutStopSec=([0-9]+)$", unit, re.MULTILINE)
    assert patience is not None
    assert int(patience[1]) > STOP_SECONDS + 2 * HURRY_SECONDS


def test_no_unit_and_no_script_knows_a_key_of_aws() -> None:
    for file in (
        *UNITS.iterdir(),
        ROOT / "deploy" / "machine" / "install",
        ROOT / "deploy" / "machine" / "upgrade",
    ):
        assert not re.search("AWS_(ACCESS|SECRET|SESSION)", file.read_text()), file


def test_nginx_finds_nothing_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "edge"
    configuration = rendered(folder, 5000, 8443, 8080, "--ipv6", "--balancer", "10.0.0.0/16")
    program = need("nginx")
    command = [program, "-t", "-e", str(folder / "logs" / "start.log"), "-c", str(configuration)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "warn" not in ran.stderr
