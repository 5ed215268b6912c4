"""Writes the hash over the console's files into the changelog, for the version that is being built.

    .venv/bin/python -m deploy.packages.changelog

`make changelog` runs it, before a release and after each change of the console; a test compares the two.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from panzoto.console.release import LibrariesMissing, release
from panzoto.version import VERSION

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"
LINE = re.compile(r"^The console of this release is `([0-9a-f]{32})`\.$", re.MULTILINE)


def section(text: str, version: str) -> tuple[int, int]:
    """Return where a version's part of the changelog begins, behind its heading, and where it ends.

    Raises `ValueError` for a version that has none.
    """
    heading = f"\n## {version}\n"
    start = text.index(heading) + len(heading)
    end = text.find("\n## ", start)
    return start, len(text) if end < 0 else end + 1


def hash_in(text: str, version: str) -> str | None:
    """Return the hash that the changelog tells for a version."""
    start, end = section(text, version)
    found = LINE.search(text[start:end])
    return found[1] if found else None


def with_hash(text: str, version: str, digest: str) -> str:
    """Return the changelog with this hash as the first line of a version's part."""
    start, end = section(text, version)
    rest = LINE.sub("", text[start:end]).lstrip("\n")
    return f"{text[:start]}\nThe console of this release is `{digest}`.\n\n{rest}{text[end:]}"


def main() -> int:
    try:
        digest = release().digest
    except LibrariesMissing as error:
        sys.stderr.write(f"{error}: not there; `make console` fetches what is missing\n")
        return 1
    text = CHANGELOG.read_text("utf-8")
    CHANGELOG.write_text(with_hash(text, VERSION, digest), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
