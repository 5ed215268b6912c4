"""The types of the console's modules, strictly: those of the page, and those of its workers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.conftest import build
from tests.suites import need
from tests.support.service import ROOT

HERE = Path(__file__).parent / "console"
CONSOLE = ROOT / "panzoto" / "console"
PROJECTS = ("tsconfig.json", "tsconfig.workers.json")
# How the service worker, which lies above the release's folder, is told where that is.
RELEASE = "/console/{{release}}/"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, console_libraries: None) -> Path:
    """The console and its check at their places in a folder of their own, with what the check needs."""
    root = tmp_path_factory.mktemp("types")
    shutil.copytree(CONSOLE, root / CONSOLE.relative_to(ROOT))
    # Its declarations lie beside it; its own source is written for another set of checks.
    (root / CONSOLE.relative_to(ROOT) / "node_modules/hpke/index.ts").unlink()
    checks = root / HERE.relative_to(ROOT)
    shutil.copytree(HERE, checks, ignore=shutil.ignore_patterns("node_modules"))
    build([need("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], checks)
    worker = root / CONSOLE.relative_to(ROOT) / "worker.js"
    worker.write_text(worker.read_text("utf-8").replace(RELEASE, "./"), "utf-8")
    return checks


def found(project: Path, config: str) -> str:
    """Return what tsc finds wrong, a line for each."""
    done = subprocess.run(
        [need("node"), "node_modules/typescript/bin/tsc", "--project", config],
        cwd=project,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


@contextmanager
def with_line(project: Path, module: str, line: str) -> Iterator[None]:
    """Have a line more in a module while the block runs."""
    file = project.parents[2] / "panzoto" / "console" / module
    text = file.read_text("utf-8")
    file.write_text(f"{text}\n{line}\n", "utf-8")
    yield
    file.write_text(text, "utf-8")


@pytest.mark.parametrize("config", PROJECTS)
def test_nothing_is_wrong(project: Path, config: str) -> None:
    assert found(project, config) == ""


@pytest.mark.parametrize(
    ("config", "module", "line"),
    [
        ("tsconfig.json", "main.js", "start(1, 2, 3);"),
        ("tsconfig.json", "ui.js", 'import { useState as s } from "./ui.js"; s("")[0].size;'),
        ("tsconfig.workers.json", "worker.js", "document.body.remove();"),
        ("tsconfig.workers.json", "session/argon2-worker.js", "const text = /** @type {string} */ (7);"),
    ],
)
def test_what_is_wrong_is_found(project: Path, config: str, module: str, line: str) -> None:
    with with_line(project, module, line):
        assert f"{Path(module).name}(" in found(project, config)
