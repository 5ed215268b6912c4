"""Whether a service serves this very release of the console, to whoever asks now."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.parse import urlsplit

from panzoto.console.release import Release

SECONDS = 20
# As the page names its release.
NAMED = re.compile(rb'name="panzoto-release" content="([0-9a-f]{32})"')


def differences(release: Release, address: str) -> Iterator[str]:
    """Fetch every file from `address`, as a browser does, and yield a line for each that is another one.

    Raises `OSError` where the service cannot be reached, and `ValueError` for what is no address of one.
    """
    base = address.rstrip("/")
    if urlsplit(base).scheme not in ("http", "https"):
        raise ValueError("give an address that begins with https:// or http://")
    page = _served(f"{base}/")
    named = NAMED.search(page or b"")
    if named is None:
        yield "/: there is no console"
        return
    if named[1].decode() != release.digest:
        yield f"/: names release {named[1].decode()}, which is another one"
        return
    wanted = {
        "/": release.index.content,
        "/console-worker.js": release.worker.content,
        **{f"/console/{release.digest}/{name}": file.content for name, file in release.files.items()},
    }
    for path, content in wanted.items():
        served = _served(f"{base}{path}")
        if served != content:
            yield f"{path}: {'is not there' if served is None else 'is another one'}"


def _served(url: str) -> bytes | None:
    """Return what is at `url`, or None where the service says that nothing is."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - of http or https, as was seen
            content: bytes = answer.read()
            return content
    except HTTPError as error:
        with error:
            return None
