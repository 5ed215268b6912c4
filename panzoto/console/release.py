"""What the console is made of: its files, read once, and one hash over all of them.

The hash stands in the path of every file, so a browser may keep each for ever, and anybody can compare what
they were given with what was released.
"""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
INDEX = "index.html"
WORKER = "worker.js"
# What is served of the libraries that npm installs beside these files; nothing else of them is.
LIBRARIES = (
    "node_modules/hash-wasm/dist/argon2.umd.min.js",
    "node_modules/hpke/index.js",
    "node_modules/htm/preact/standalone.module.js",
)
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
# The page's own beginning, and what is said in a module of those that it needs.
ENTRY = "main.js"
IMPORTED = re.compile(rb"""^(?:import|export)\b[^"';]*?["'](\.[^"']+)["'];$""", re.MULTILINE)


class LibrariesMissing(Exception):
    """The libraries that npm installs are not there; the text says which."""


@dataclass(frozen=True)
class File:
    """One file as it is sent."""

    content_type: str
    content: bytes

    @cached_property
    def gzipped(self) -> bytes:
        """The content, packed when it is first asked for."""
        # Without the moment of packing in it, what is packed twice is the same twice.
        return gzip.compress(self.content, 9, mtime=0)


@dataclass(frozen=True, slots=True)
class Release:
    """All files by their paths, and the hash over them: the first 32 hex digits of SHA-256."""

    digest: str
    files: Mapping[str, File]
    index: File
    worker: File


@cache
def release() -> Release:
    """Return the files that are here. Raises `LibrariesMissing`."""
    contents = {name: (FOLDER / name).read_bytes() for name in sorted(_names())}
    digest = _digest(contents)
    files = {name: _file(name, content) for name, content in contents.items()}
    index = _file(INDEX, _filled(contents[INDEX], digest, contents))
    worker = _file(WORKER, _filled(contents[WORKER], digest, contents))
    return Release(digest, files, index, worker)


def _names() -> Iterator[str]:
    missing = [name for name in LIBRARIES if not (FOLDER / name).is_file()]
    if missing:
        raise LibrariesMissing(", ".join(missing))
    yield from LIBRARIES
    for path in FOLDER.rglob("*"):
        inside = path.relative_to(FOLDER)
        # A hidden folder is one into which npm is fetching.
        is_ours = inside.parts[0] != "node_modules" and not inside.parts[0].startswith(".")
        if is_ours and path.suffix in TYPES and path.is_file():
            yield inside.as_posix()


def _digest(contents: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, content in contents.items():
        whole.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()[:32]


def _file(name: str, content: bytes) -> File:
    return File(TYPES[Path(name).suffix], content)


def _filled(content: bytes, digest: str, contents: Mapping[str, bytes]) -> bytes:
    """Return a page or script with the release's address in it, and the modules of its first view."""
    preloads = "".join(
        f'<link rel="modulepreload" href="/console/{digest}/{escape(name)}">\n' for name in _needed(contents)
    )
    return content.replace(b"{{release}}", digest.encode()).replace(b"{{preloads}}", preloads.encode())


def _needed(contents: Mapping[str, bytes]) -> list[str]:
    """Return what the entry imports, and what that does; what is imported later is not among it."""
    found = [ENTRY]
    for name in found:
        for imported in IMPORTED.findall(contents[name]):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), imported.decode()))
            if path not in found:
                found.append(path)
    return found
