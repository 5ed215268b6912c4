"""The library that the console and the JavaScript example share: its own tests in Node, and its types."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import build
from tests.suites import need
from tests.support.example_clients import ROOT, VECTORS

HERE = Path(__file__).parent
LIBRARY = ROOT / "panzoto" / "console" / "library"
TESTS = sorted(path.name for path in (HERE / "library").glob("*.test.mjs"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests, with what they import at its place in the repository, and their packages installed."""
    root = tmp_path_factory.mktemp("library")
    for folder in (LIBRARY, HERE / "library", VECTORS):
        shutil.copytree(
            folder, root / folder.relative_to(ROOT), ignore=shutil.ignore_patterns("node_modules")
        )
    tests = root / (HERE / "library").relative_to(ROOT)
    build([need("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], tests)
    return tests


def ran(project: Path, *command: str) -> None:
    done = subprocess.run(
        command, cwd=project, capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", TESTS)
def test_in_node(project: Path, name: str) -> None:
    ran(project, need("node"), "--test", "--test-reporter=spec", name)


def test_types(project: Path) -> None:
    ran(project, need("node"), "node_modules/typescript/bin/tsc", "--project", ".")


@pytest.mark.parametrize("module", sorted(LIBRARY.glob("*.js")), ids=lambda path: path.name)
def test_it_imports_nothing_but_itself(module: Path) -> None:
    # Page, worker and Node import it as it lies there, without a map of names.
    imported = [
        line.rpartition(" from ")[2].strip('";')
        for line in module.read_text("utf-8").splitlines()
        if " from " in line and line.endswith('";')
    ]
    assert all(name.startswith("./") and (LIBRARY / name).is_file() for name in imported)
    assert 'import("' not in module.read_text("utf-8")


GUIDE = ROOT / "docs" / "clients.md"
# What the modules share among themselves, and nobody else needs.
WITHIN = {"primitives.js"}


def test_the_guide_names_what_each_module_exports() -> None:
    told = {
        module: set(re.findall(r"`(\w+)`", exports))
        for module, exports in re.findall(
            r"^\| `([a-z-]+\.js)` \|[^|]*\| (.*) \|$", GUIDE.read_text("utf-8"), re.MULTILINE
        )
    }
    declared = re.compile(r"^export (?:async )?(?:function\*?|class|const) (\w+)", re.MULTILINE)
    assert told == {
        path.name: set(declared.findall(path.read_text("utf-8")))
        for path in LIBRARY.glob("*.js")
        if path.name not in WITHIN
    }
