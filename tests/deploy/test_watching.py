"""One machine without CloudWatch: what fails is told to a person, and Prometheus can read its rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from panzoto.telemetry.metrics import REQUESTS, SECONDS
from tests.support.aws import free_port
from tests.support.service import ROOT, Service

RULES = ROOT / "deploy/machine/prometheus/panzoto.rules.yaml"
UNITS = ROOT / "deploy/machine/systemd"
SUFFIXES = ("_total", "_bucket", "_count", "_sum")


def run(module: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def pager(refusals: int = 0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Somebody who is called; the first calls are refused."""
    heard: list[dict[str, Any]] = []
    left = [refusals]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            left[0] -= 1
            self.send_response(503 if left[0] >= 0 else 204)
            self.end_headers()
            if left[0] < 0:
                heard.append(json.loads(body))

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token-of-a-pager", heard
        server.shutdown()


class TestAlarm:
    def test_a_url_is_called_with_what_failed(self) -> None:
        with pager(refusals=1) as (url, heard):
            ran = run("deploy.machine.alarm", "panzoto-chores.service", ALARM_URL=url)
        assert (ran.returncode, ran.stderr) == (0, "")
        (told,) = heard
        assert told.keys() == {"unit", "host", "at", "text"}
        assert told["unit"] == "panzoto-chores.service"
        assert "journalctl -u panzoto-chores.service" in told["text"]

    def test_a_letter_is_handed_to_sendmail(self, tmp_path: Path) -> None:
        program = tmp_path / "sendmail"
        program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/words; cat >{tmp_path}/letter\n')
        program.chmod(0o755)
        path = f"{tmp_path}:/usr/bin:/bin"
        ran = run("deploy.machine.alarm", "panzoto.service", ALARM_MAIL="ops@example.com", PATH=path)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert (tmp_path / "words").read_text() == "-i -- ops@example.com\n"
        letter = (tmp_path / "letter").read_text()
        assert letter.startswith("To: ops@example.com\nSubject: panzoto.service has failed on ")

    def test_what_cannot_be_told_is_said_without_the_address(self) -> None:
        silent = run("deploy.machine.alarm", "panzoto.service")
        assert silent.returncode == 1
        assert "neither ALARM_URL nor ALARM_MAIL is set" in silent.stderr
        wrong = run("deploy.machine.alarm", "panzoto.service", ALARM_URL="ftp://secret-of-a-pager.example/x")
        assert wrong.returncode == 1
        assert "ALARM_URL could not be called" in wrong.stderr
        assert "secret-of-a-pager" not in wrong.stderr
        assert run("deploy.machine.alarm").returncode == 2

    def test_every_unit_that_may_fail_sets_it_off(self) -> None:
        for unit in UNITS.glob("*.service"):
            if unit.name != "panzoto-alarm@.service":
                assert "\nOnFailure=panzoto-alarm@%n.service\n" in unit.read_text(), unit.name


Watch = Callable[..., subprocess.CompletedProcess[str]]
STANDING = '{"event": "chores_status", "oldest_due_seconds": %d, "backlog": 3, "held": %d}\n'


class TestWatch:
    @pytest.fixture
    def there(self, tmp_path: Path) -> Path:
        """A systemctl that says what the file of a unit's name holds, and a journal that is a file."""
        systemctl, journalctl = tmp_path / "systemctl", tmp_path / "journalctl"
        systemctl.write_text(f'#!/bin/sh\ntest "$(cat {tmp_path}/$3 2>/dev/null)" = "$1"\n')
        journalctl.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/asked; cat {tmp_path}/journal\n')
        for program in (systemctl, journalctl):
            program.chmod(0o755)
        for unit in ("panzoto.service", "panzoto-events.service", "panzoto-chores.service"):
            (tmp_path / unit).write_text("is-active")
        (tmp_path / "journal").write_text(f"of another kind\n{STANDING % (90000, 0)}{STANDING % (60, 0)}")
        return tmp_path

    @pytest.fixture
    def watch(self, there: Path, service: Service) -> Watch:
        """Look at a machine whose service is ready, unless another port is said."""
        how = {"SYSTEMCTL": str(there / "systemctl"), "JOURNALCTL": str(there / "journalctl")}
        how |= {"UNITS": str(there / "units"), "PORT": service.url.rpartition(":")[2]}
        return lambda **more: run("deploy.machine.watch", **how | more)

    def test_a_machine_that_is_well(self, watch: Watch) -> None:
        ran = watch()
        assert "the service" not in ran.stderr
        assert ".service" not in ran.stderr
        assert "chores" not in ran.stderr

    def test_what_is_wrong_is_named(self, there: Path, watch: Watch) -> None:
        (there / "panzoto-events.service").unlink()
        (there / "panzoto-chores.service").write_text("is-failed")
        ran = watch(PORT=str(free_port()))
        assert ran.returncode == 1
        assert "the service is not ready" in ran.stderr
        assert "panzoto-events.service does not run" in ran.stderr
        assert "panzoto-chores.service does not run" in ran.stderr
        assert "panzoto.service does not run" not in ran.stderr

    def test_what_turns_sound_into_words_is_missed_where_there_is_an_engine(
        self, there: Path, watch: Watch
    ) -> None:
        missed = "panzoto-transcriptions.service does not run"
        engine = {"TRANSCRIPTION_URL": "http://127.0.0.1:8000/v1"}
        assert missed not in watch().stderr
        assert missed in watch(**engine).stderr
        (there / "panzoto-transcriptions.service").write_text("is-active")
        assert missed not in watch(**engine).stderr

    def test_a_worker_for_letters_is_missed_where_it_is_enabled(self, there: Path, watch: Watch) -> None:
        missed = "panzoto-mail.service does not run"
        assert missed not in watch().stderr
        enabled = there / "units/multi-user.target.wants"
        enabled.mkdir(parents=True)
        (enabled / "panzoto-mail.service").symlink_to("../panzoto-mail.service")
        assert missed in watch().stderr
        (there / "panzoto-mail.service").write_text("is-active")
        assert missed not in watch().stderr

    def test_more_of_a_kind_are_missed_where_they_are_enabled(self, there: Path, watch: Watch) -> None:
        enabled = there / "units/panzoto-chores.service.wants"
        enabled.mkdir(parents=True)
        (enabled / "panzoto-chores@2.service").symlink_to("../panzoto-chores@.service")
        assert "panzoto-chores@2.service does not run" in watch().stderr
        (there / "panzoto-chores@2.service").write_text("is-active")
        assert "chores@2" not in watch().stderr

    def test_accounts_that_wait_for_their_chores_are_told_of(self, there: Path, watch: Watch) -> None:
        (there / "journal").write_text(STANDING % (7 * 3600, 1))
        assert "chores" not in watch().stderr, "somebody holds them back"
        (there / "journal").write_text(STANDING % (7 * 3600, 0))
        assert "an account waits for its chores for 7 hours" in watch().stderr
        asked = (there / "asked").read_text()
        assert "--unit=panzoto-chores.service --unit=panzoto-chores@*.service" in asked
        for nothing in ("", STANDING.partition(",")[0], '{"event": "chores_status"}'):
            (there / "journal").write_text(nothing)
            assert "no worker has said for 2 hours how its chores stand" in watch().stderr


class TestRules:
    def rules(self) -> list[dict[str, Any]]:
        (group,) = yaml.safe_load(RULES.read_text())["groups"]
        assert group.keys() == {"name", "rules"}
        rules: list[dict[str, Any]] = group["rules"]
        return rules

    def test_each_says_what_is_wrong_and_where_to_read_on(self) -> None:
        runbook = (ROOT / "docs/runbook.md").read_text()
        anchors = {
            re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-") for line in runbook.splitlines()
        }
        for rule in self.rules():
            assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
            assert re.fullmatch(r"Panzoto[A-Z][A-Za-z]+", rule["alert"])
            assert re.fullmatch(r"[0-9]+[smh]", rule.get("for", "0s"))
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["annotations"].keys() == {"summary", "runbook"}
            page, _, anchor = rule["annotations"]["runbook"].partition("#")
            assert (page, anchor in anchors) == ("docs/runbook.md", True), anchor
        names = [rule["alert"] for rule in self.rules()]
        assert len(set(names)) == len(names) > 3
        # Prometheus's own judgement, where it is on this machine.
        if promtool := shutil.which("promtool"):
            ran = subprocess.run([promtool, "check", "rules", str(RULES)], check=False, capture_output=True)
            assert ran.returncode == 0, ran.stderr

    def test_they_ask_for_metrics_and_labels_that_there_are(self) -> None:
        ours: dict[str, set[str]] = {"up": {"job", "instance"}}
        for metric in (REQUESTS, SECONDS):
            for suffix in SUFFIXES:
                (described,) = metric.describe()
                ours[described.name + suffix] = {"route", "method", "status", "instance", "le"}
        for rule in self.rules():
            expression = rule["expr"]
            assert expression.count("(") == expression.count(")")
            asked = re.findall(r"\b(panzoto_\w+|up)\b(?:\{([^}]*)\})?", expression)
            assert asked, rule["alert"]
            for name, selector in asked:
                assert name in ours, name
                labels = re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"[^"]*"', selector)
                assert set(labels) <= ours[name], rule["alert"]
            for grouped in re.findall(r"by \(([^)]*)\)", expression):
                assert set(re.split(r",\s*", grouped)) <= {"instance", "route", "le"}
