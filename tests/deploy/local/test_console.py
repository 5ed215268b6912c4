"""The console of `make run`: its libraries come beside the running service, which then has it."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.aws import free_port
from tests.support.make_run import AT_A_TERMINAL, BANNER_END, Run, running
from tests.support.npm import held_npm, path_with
from tests.support.service import ROOT
from tests.support.waiting import eventually

FETCHED = (
    r"console: Open http://127\.0\.0\.1:\d+ in a browser of this machine\. It is release ([0-9a-f]{32})\."
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what `make run` starts, without the console's libraries."""
    copy = tmp_path / "checkout"
    for name in ("panzoto", "deploy"):
        left_out = shutil.ignore_patterns("node_modules", "__pycache__", ".*")
        shutil.copytree(ROOT / name, copy / name, ignore=left_out)
    for name in ("wsgi.py", "requirements-node.txt"):
        shutil.copy(ROOT / name, copy)
    (copy / ".venv-aws").symlink_to((ROOT / ".venv-aws").resolve())
    return copy


def settings_for(checkout: Path, **more: str) -> dict[str, Any]:
    return {"PYTHONPATH": str(checkout), "CONSOLE": "1", **more}


def page(run: Run) -> requests.Response:
    return requests.get(run.url, timeout=30)


def shown_to_a_person(run: Run) -> requests.Response:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    return requests.get(run.url, headers={"Accept": accept}, timeout=30)


def test_the_service_answers_before_npm_has_and_then_has_its_console(tmp_path: Path, checkout: Path) -> None:
    npm, gate = held_npm(tmp_path)
    with running(tmp_path / "run", **settings_for(checkout, PATH=path_with(npm))) as run:
        run.wait_for(BANNER_END)
        first = next(line for line in run.text().splitlines() if "http://" in line)
        assert first == f"The console is being fetched; in a moment it is at {run.url}"
        assert "  Console   being fetched\n" in run.text()
        eventually((gate / "running").exists, run.text)
        assert requests.get(f"{run.url}/api/health", timeout=30).status_code == 200
        missing = page(run)
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        coming = shown_to_a_person(run)
        assert (coming.status_code, coming.headers["Retry-After"]) == (503, "5")
        assert coming.headers["Content-Type"] == "text/html; charset=utf-8"
        assert coming.headers["Cache-Control"] == "no-store"
        assert "The console is still being fetched" in coming.text
        assert "<code>make console</code>" in coming.text
        assert '<meta http-equiv="refresh" content="5">' in coming.text
        (gate / "go").touch()
        release = run.wait_for(FETCHED)[1]
        shown = page(run)
        policy = "Content-Security-Policy"
        assert shown_to_a_person(run).headers[policy] == coming.headers[policy] == shown.headers[policy]
        assert (shown.status_code, shown.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert f'content="{release}"' in shown.text
        assert (checkout / "panzoto" / "console" / "node_modules" / ".installed").exists()
    with running(tmp_path / "run", AT_A_TERMINAL, **settings_for(checkout)) as run:
        run.wait_for(BANNER_END)
        told = [line for line in run.text().splitlines() if "http://" in line or release in line]
        assert told[:2] == [f"Open {run.url} in a browser of this machine.", f"  Console   release {release}"]
        assert_files_are_told_of_where_they_are_missing(run)
        assert "console: fetching" not in run.text()


def assert_files_are_told_of_where_they_are_missing(run: Run) -> None:
    """A look at the console would otherwise fill the terminal."""
    file = re.findall(r'"(/console/[^"]+)"', page(run).text)[0]
    for path, status in ((file, 200), (f"{file}.gone", 404), ("/api/health", 200)):
        assert requests.get(run.url + path, timeout=30).status_code == status
    run.wait_for("GET /api/health 200")
    assert re.findall(r"GET (/console\S+) (\d+)", run.text()) == [("/console/<digest>/<path:name>", "404")]


def test_where_they_cannot_be_had_the_service_runs_and_says_why(tmp_path: Path, checkout: Path) -> None:
    closed = f"http://127.0.0.1:{free_port()}/"
    npm = {"npm_config_registry": closed, "npm_config_fetch_retries": "0"}
    with running(tmp_path / "run", **settings_for(checkout, **npm)) as run:
        told = run.wait_for(r"console: not available, since its libraries cannot be fetched \((.*)\)")[1]
        assert "ECONNREFUSED" in told
        run.wait_for("`make console` tries again")
        assert page(run).status_code == 404
        run.register()


def test_whoever_stops_it_stops_npm(tmp_path: Path, checkout: Path) -> None:
    npm, gate = held_npm(tmp_path)
    with running(tmp_path / "run", **settings_for(checkout, PATH=path_with(npm))) as run:
        run.wait_for(BANNER_END)
        eventually((gate / "running").exists, run.text)
        number = (gate / "running").read_text().strip()
        run.process.send_signal(signal.SIGINT)
        assert run.ended() == 0
    eventually(lambda: not Path("/proc", number).exists(), "npm goes on")
    assert not list((checkout / "panzoto" / "console").glob(".fetching-*"))


def test_it_can_be_left_out(tmp_path: Path, checkout: Path) -> None:
    npm, gate = held_npm(tmp_path)
    settings = settings_for(checkout, PATH=path_with(npm)) | {"CONSOLE": "0"}
    with running(tmp_path / "run", **settings) as run:
        run.wait_for(BANNER_END)
        assert re.search(r"^  Console   off, by CONSOLE$", run.text(), re.MULTILINE)
        assert shown_to_a_person(run).status_code == 404
        for path in ("/", "/console-worker.js", "/console/0123456789abcdef0123456789abcdef/main.js"):
            missing = requests.get(run.url + path, timeout=30)
            assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        # The letters' own pages are no part of it.
        for path in ("/verify", "/letters/style.css", "/letters/en.js"):
            assert requests.get(run.url + path, timeout=30).status_code == 200
        assert not (gate / "running").exists()
