"""The example clients, made ready once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests.suites import BCPROV, need
from tests.support.example_clients import EXAMPLES, LANGUAGES, PYTHON, ROOT, Client, python_module


def build(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command[:2])} failed in the example clients:\n{done.stdout}{done.stderr}")


@pytest.fixture(scope="session")
def python_client() -> Client:
    return PYTHON


def javascript_example(root: Path) -> Path:
    """Return the folder of the JavaScript example in a copy under `root`, with its packages installed."""
    # It imports the console's library by its place in the repository.
    for folder in ("examples/javascript", "panzoto/console/library"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("node_modules"))
    example = root / "examples" / "javascript"
    build([need("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], example)
    return example


@pytest.fixture(scope="session")
def javascript_client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client((need("node"), str(javascript_example(tmp_path_factory.mktemp("client")) / "cli.mjs")))


@pytest.fixture(scope="session")
def java_client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    java, javac, bcprov = need("java"), need("javac"), need(BCPROV.name)
    # The archive's manifest names neighbours that Debian does not install with it: no warning of ours.
    lint = ["-Xlint:all,-path", "-Werror"]
    classes = tmp_path_factory.mktemp("client") / "classes"
    build([javac, *lint, "-cp", bcprov, "-d", str(classes), "Panzoto.java"], EXAMPLES / "java")
    # A small heap proves that long recordings are not held; Argon2id takes 64 MiB of it.
    return Client((java, "-Xmx112m", "-cp", f"{classes}{os.pathsep}{bcprov}", "Panzoto"))


@pytest.fixture(scope="session", params=LANGUAGES)
def client(request: pytest.FixtureRequest) -> Client:
    """Each client in turn; one that cannot be made ready leaves the others to be tested."""
    ready: Client = request.getfixturevalue(f"{request.param}_client")
    return ready


@pytest.fixture(scope="session")
def example() -> ModuleType:
    return python_module()
