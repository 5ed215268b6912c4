"""The checksums of what was uploaded, for which all of an object is read."""

from __future__ import annotations

import base64
import hashlib
import threading
from dataclasses import dataclass, field

from panzoto.errors import Busy
from panzoto.storage import ObjectVersion, Storage

PIECE = 1024 * 1024
# How long a request waits for what another one finds out.
PATIENCE_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class _Reading:
    """An object that a request has read; `found` stays None where it does not come to its end."""

    over: threading.Event = field(default_factory=threading.Event)
    found: str | None = None


class Checksums:
    """Computes them for one bucket; in a process, each object is read for one request at a time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._under_way: dict[ObjectVersion, _Reading] = {}
        self._guard = threading.Lock()

    def sha256(self, version: ObjectVersion) -> str:
        """Return the SHA-256 of an object in base64.

        Where another request has it read this one waits for what that finds out. Raises `Busy` when it does
        not come in time.
        """
        with self._guard:
            reading = self._under_way.get(version)
            if reading is None:
                mine = self._under_way[version] = _Reading()
        if reading is None:
            return self._read(version, mine)
        reading.over.wait(PATIENCE_SECONDS)
        if reading.found is None:
            raise Busy()
        return reading.found

    def _read(self, version: ObjectVersion, reading: _Reading) -> str:
        digest = hashlib.sha256()
        try:
            for piece in self._storage.pinned(version).pieces(0, version.size, PIECE):
                digest.update(piece)
            reading.found = base64.b64encode(digest.digest()).decode("ascii")
            return reading.found
        finally:
            with self._guard:
                del self._under_way[version]
            reading.over.set()
