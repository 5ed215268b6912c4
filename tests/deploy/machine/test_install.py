"""Installing, upgrading and going back by the scripts themselves, below a folder of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from panzoto.console.release import LIBRARIES
from panzoto.version import VERSION
from tests.suites import need
from tests.support.aws import free_port
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Fault
from tests.support.machine import NEVER_READY, Machine, await_version, checkout
from tests.support.service import ROOT, Service
from tests.support.waiting import eventually

SCRIPTS = (
    "deploy/machine/install",
    "deploy/machine/upgrade",
    "deploy/machine/release.sh",
    "deploy/machine/systemd/panzoto-command",
)


def break_registering(release: Path, when: str) -> None:
    """Make a release say that every address is taken, when the expression `when` holds."""
    with (release / "wsgi.py").open("a") as program:
        program.write(
            "\n\nimport os\n\nfrom flask import request\n\n\n@app.before_request\ndef refuse():\n"
            f"    if request.path == '/api/register' and {when}:\n"
            "        return {'code': 'user_exists'}, 409\n"
        )


def test_install_twice_then_upgrade_then_back(machine: Machine, tmp_path: Path) -> None:
    # The first time it only makes the settings, in which this test then chooses a port.
    assert "not started" in machine.done(ROOT, "install", "--no-start", "--server-name", "voice.example.com")
    written = machine.settings().read_text()
    assert "PUBLIC_URL=https://voice.example.com\n" in written
    assert machine.settings().stat().st_mode & 0o777 == 0o640
    assert f"127.0.0.1:{5000} max_fails" in (machine.root / "etc/nginx/nginx.conf").read_text()
    # The stand-in is where the service is, so that a public name would lead nowhere.
    url = machine.choose()
    with machine.settings().open("a") as settings:
        settings.write(f"PUBLIC_URL={url}\n")
    written = machine.settings().read_text()

    assert f"Release {VERSION} is served and ready." in machine.done(ROOT, "install")
    pid = machine.pid()
    again = machine.done(ROOT, "install", "--wait", "60")
    assert f"Release {VERSION} is there already." in again
    assert f"Release {VERSION} is served and ready." in again
    assert machine.settings().read_text() == written
    assert machine.pid() == pid, "a second install is a reload"
    await_version(url, VERSION)
    assert (
        "enable panzoto.service panzoto-events.service panzoto-chores.service panzoto-watch.timer"
        in machine.calls()
    )

    machine.done(checkout(tmp_path / "next", "9.0.1"), "upgrade")
    assert (machine.current(), machine.pid()) == ("9.0.1", pid)
    await_version(url, "9.0.1")

    # It comes up and answers, and never becomes ready.
    failing = checkout(tmp_path / "failing", "9.0.2", **NEVER_READY)
    ran = machine.run(failing, "upgrade", "--wait", "5")
    assert ran.returncode == 1
    assert "release 9.0.2 does not work, and was never served" in ran.stderr
    assert not (machine.root / "opt/panzoto/releases/9.0.2").exists()
    assert machine.current() == "9.0.1"
    await_version(url, "9.0.1")

    # It works while it is tried, with letters off, and not once it is served.
    two_faced = checkout(tmp_path / "two-faced", "9.0.3")
    break_registering(two_faced, '"MAIL" not in os.environ')
    ran = machine.run(two_faced, "upgrade")
    assert ran.returncode == 1
    assert "Release 9.0.3 does not work as it is served; going back to 9.0.1." in ran.stderr
    assert "9.0.1 serves again" in ran.stderr
    assert machine.current() == "9.0.1"
    await_version(url, "9.0.1")

    assert f"Release {VERSION} is served" in machine.done(ROOT, "upgrade", "--to", VERSION)
    await_version(url, VERSION)
    assert f"* {VERSION}\n" in machine.done(ROOT, "upgrade", "--list")
    command = [str(machine.root / "usr/local/bin/panzoto"), "resources", "list"]
    shown = subprocess.run(command, env=machine.environment, capture_output=True, text=True, check=False)
    assert "panzoto-users" in shown.stdout, shown.stderr


@pytest.fixture
def served(machine: Machine) -> Machine:
    """A machine that serves this checkout."""
    machine.done(ROOT, "install", "--no-start")
    machine.choose()
    machine.done(ROOT, "install", "--untried")
    return machine


def test_what_turns_sound_into_words_runs_where_there_is_an_engine(served: Machine) -> None:
    unit = "panzoto-transcriptions.service"
    assert f"disable {unit}" in served.calls()
    assert f"restart {unit}" not in served.calls()
    with served.settings().open("a") as settings:
        settings.write("TRANSCRIPTION_URL=http://127.0.0.1:9/v1\n")
    served.done(ROOT, "install", "--untried")
    always = "panzoto.service panzoto-events.service panzoto-chores.service"
    assert f"enable {always} {unit} panzoto-watch.timer" in served.calls()
    assert f"restart {unit}" in served.calls()


def test_workers_for_letters_run_where_somebody_has_enabled_them(served: Machine) -> None:
    unit = "panzoto-mail.service"
    assert not [call for call in served.calls() if unit in call]
    enabled = served.unit("multi-user.target.wants") / unit
    enabled.parent.mkdir()
    enabled.symlink_to(f"../{unit}")
    served.done(ROOT, "install", "--untried")
    assert f"restart {unit}" in served.calls()


def releases(machine: Machine) -> list[str]:
    return sorted(folder.name for folder in (machine.root / "opt/panzoto/releases").iterdir())


class TestUpgrade:
    def test_a_version_that_was_not_raised_is_refused(self, served: Machine, tmp_path: Path) -> None:
        changed = checkout(tmp_path / "changed", VERSION, **{'"healthy"': '"very healthy"'})
        for script in ("upgrade", "install"):
            ran = served.run(changed, script)
            assert ran.returncode == 1
            assert f"release {VERSION} is installed, with another content than this checkout" in ran.stderr
            assert "panzoto/blueprints/health.py" in ran.stderr
            assert "is served and ready" not in ran.stdout

    def test_one_changes_the_machine_at_a_time(self, served: Machine, tmp_path: Path) -> None:
        """The one holds still in the middle of its work, as a slow build does."""
        marks = tmp_path / "marks"
        marks.mkdir()
        slow = tmp_path / "python"
        slow.write_text(
            f'#!/bin/sh\ncase "$*" in *compileall*) touch {marks}/there; '
            f'until [ -e {marks}/go ]; do sleep 0.1; done;; esac\nexec {sys.executable} "$@"\n'
        )
        slow.chmod(0o755)
        first_environment = tmp_path / "environment/bin"
        first_environment.mkdir(parents=True)
        (first_environment / "python").symlink_to(slow)
        first = checkout(tmp_path / "first", "9.1.0")
        command = [str(first / "deploy/machine/upgrade"), "--root", str(served.root)]
        command += ["--python-environment", str(first_environment.parent)]
        with subprocess.Popen(
            command, env=served.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as one:
            eventually(lambda: (marks / "there").exists() or one.poll() is not None, "it does not build")
            other = served.run(checkout(tmp_path / "second", "9.1.1"), "upgrade")
            assert (other.returncode, other.stdout) == (1, "")
            assert "another installation or upgrade is at work" in other.stderr
            (marks / "go").touch()
            printed, _ = one.communicate(timeout=300)
        assert one.returncode == 0, printed
        assert served.current() == "9.1.0"
        # What it started, the service above all, does not keep the others out.
        assert "is served and ready" in served.done(ROOT, "upgrade", "--untried", "--to", VERSION)

    def test_a_release_that_breaks_login_is_never_served(self, served: Machine, tmp_path: Path) -> None:
        broken = checkout(tmp_path / "broken", "9.2.0")
        break_registering(broken, "True")
        before = served.pid(), served.calls()
        ran = served.run(broken, "upgrade")
        assert ran.returncode == 1
        assert "smoke: registered: 409, user_exists" in ran.stderr
        assert "release 9.2.0 does not work, and was never served" in ran.stderr
        assert (served.pid(), served.calls()) == before
        assert (served.current(), releases(served)) == (VERSION, [VERSION])

    def test_it_leaves_no_account_behind(self, served: Machine, service: Service, tmp_path: Path) -> None:
        def accounts() -> set[str]:
            users = service.dynamodb().scan(TableName="panzoto-users")["Items"]
            return {one["user_id"]["S"] for one in users if "smoke-" in one.get("email", {}).get("S", "")}

        # Machines of other tests end in the middle of removing theirs, which a later process finishes.
        others = accounts()
        served.done(checkout(tmp_path / "next", "9.3.0"), "upgrade")
        eventually(lambda: accounts() <= others, lambda: f"left: {accounts() - others}")

    @pytest.mark.parametrize("how", ["fails", "is stopped", "is killed"])
    def test_a_build_that_does_not_end_leaves_nothing(
        self, served: Machine, tmp_path: Path, how: str
    ) -> None:
        environment = tmp_path / "environment/bin"
        environment.mkdir(parents=True)
        python = environment / "python"
        then = {"fails": "exit 1", "is stopped": "kill -TERM 0; exit 1", "is killed": "kill -KILL 0"}[how]
        python.write_text(
            f'#!/bin/sh\ncase "$*" in *compileall*) {then};; esac\nexec {sys.executable} "$@"\n'
        )
        python.chmod(0o755)
        command = [
            str(checkout(tmp_path / "next", "9.4.0") / "deploy/machine/upgrade"),
            "--root",
            str(served.root),
        ]
        command += ["--python-environment", str(environment.parent)]
        ran = subprocess.run(
            command,
            env=served.environment,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        assert ran.returncode != 0
        if how != "is killed":
            assert "release 9.4.0 could not be built and was removed again" in ran.stderr
            assert releases(served) == [VERSION]
        assert f"* {VERSION}\n" == served.done(ROOT, "upgrade", "--list")
        # Whoever comes next removes what nobody could remove.
        served.done(ROOT, "upgrade", "--untried")
        assert releases(served) == [VERSION]

    def test_new_tables_and_queues_are_made_before_the_switch(
        self, served: Machine, service: Service, tmp_path: Path
    ) -> None:
        newer = checkout(tmp_path / "newer", "9.5.0")
        config = newer / "panzoto/config.py"
        for former, latter in (
            ("panzoto-erasures", "test-erasures-2"),
            ("panzoto-bucket-events", "test-queue-2"),
        ):
            assert former in config.read_text()
            config.write_text(config.read_text().replace(former, latter))
        printed = served.done(newer, "upgrade")
        assert "table test-erasures-2: created" in printed
        assert "queue test-queue-2: created" in printed
        assert printed.index("test-erasures-2: created") < printed.index("Trying release 9.5.0")
        assert "test-erasures-2" in service.dynamodb().list_tables()["TableNames"]

    def test_the_right_to_make_them_is_named_where_it_is_missing(
        self, served: Machine, service: Service, tmp_path: Path
    ) -> None:
        newer = checkout(tmp_path / "newer", "9.6.0")
        config = newer / "panzoto/config.py"
        config.write_text(config.read_text().replace("panzoto-erasures", "test-erasures-3"))
        with FaultProxy(service.aws_url) as proxy:
            proxy.add(Fault(Answer.dynamodb("AccessDeniedException"), operation="CreateTable"))
            served.environment["AWS_ENDPOINT_URL"] = proxy.url
            ran = served.run(newer, "upgrade")
        assert ran.returncode == 1
        assert "table test-erasures-3: CreateTable" in ran.stderr
        assert "flask panzoto resources create" in ran.stderr
        assert served.current() == VERSION


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
                [str(ROOT / "deploy/machine/install"), *arguments],
                env=machine.environment | more,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 1
            assert sentence in ran.stderr


def test_the_scripts_are_clean() -> None:
    command = [need("shellcheck"), "-x", *SCRIPTS]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stdout + ran.stderr == ""
    for script in SCRIPTS[:2]:
        shown = subprocess.run([str(ROOT / script), "--help"], capture_output=True, text=True, check=True)
        assert "--python-environment" in shown.stdout


class TestConsole:
    """What npm brings belongs to a release and is no reason to have none."""

    @pytest.fixture
    def bare(self, tmp_path: Path) -> Path:
        """A checkout as it is cloned: without the libraries."""
        folder = checkout(tmp_path / "checkout", VERSION)
        shutil.rmtree(folder / "panzoto/console/node_modules", ignore_errors=True)
        return folder

    def libraries(self, machine: Machine) -> list[bool]:
        console = machine.root / "opt/panzoto/releases" / VERSION / "panzoto/console"
        return [(console / library).is_file() for library in LIBRARIES]

    def test_it_is_built_into_the_release(self, machine: Machine, bare: Path) -> None:
        machine.done(bare, "install", "--no-start")
        assert all(self.libraries(machine))
        assert not (machine.root / "opt/panzoto/releases" / VERSION / ".node").exists()
        url = machine.choose()
        machine.done(bare, "install", "--untried")
        assert requests.get(url, timeout=20).status_code == 200

    def test_without_npm_s_registry_there_is_a_service_and_later_a_console(
        self, machine: Machine, bare: Path
    ) -> None:
        closed = f"http://127.0.0.1:{free_port()}/"
        cut_off = machine.environment | {"npm_config_registry": closed, "npm_config_fetch_retries": "0"}
        there = replace(machine, environment=cut_off)
        there.done(bare, "install", "--no-start")
        url = machine.choose()
        printed = there.done(bare, "install", "--untried")
        assert "console: not available, since its libraries cannot be fetched (" in printed
        assert "This release has no console; run " in printed
        assert f"Release {VERSION} is served and ready." in printed
        assert not any(self.libraries(machine))
        assert requests.get(url, timeout=20).status_code == 404
        assert '"console_missing"' in (machine.root / "run/panzoto.service.log").read_text()
        assert "is served and ready." in machine.done(bare, "install", "--untried")
        assert requests.get(url, timeout=20).status_code == 200

    def test_settings_may_do_without(self, machine: Machine, bare: Path) -> None:
        machine.settings().parent.mkdir(parents=True)
        machine.settings().write_text(f"FLASK_ENV=production\nSECRET_KEY={'k' * 40}\nCONSOLE=0\n")
        machine.done(bare, "install", "--no-start")
        assert not any(self.libraries(machine))

    def test_the_way_back_leads_to_the_console_of_then(
        self, machine: Machine, bare: Path, tmp_path: Path
    ) -> None:
        machine.done(bare, "install", "--no-start")
        url = machine.choose()
        machine.done(bare, "install", "--untried")
        former = requests.get(url, timeout=20).text
        later = checkout(tmp_path / "later", "9.0.1")
        with (later / "panzoto/console/style.css").open("a") as style:
            style.write("/* Another release. */\n")
        machine.done(later, "upgrade", "--untried")
        await_version(url, "9.0.1")
        assert requests.get(url, timeout=20).text != former
        machine.done(bare, "upgrade", "--untried", "--to", VERSION)
        await_version(url, VERSION)
        assert requests.get(url, timeout=20).text == former
