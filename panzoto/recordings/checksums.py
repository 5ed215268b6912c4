"""The checksums of what was uploaded, for which all of an object is read."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from panzoto.errors import Busy
from panzoto.storage import ObjectVersion, Storage

PIECE = 1024 * 1024


class Checksums:
    """Computes them for one bucket; in a process, each object is read for one request at a time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._under_way: set[str] = set()
        self._guard = threading.Lock()

    def sha256(self, version: ObjectVersion) -> str:
        """Return the SHA-256 of an object in base64.

        Raises `Busy` while another request has it read: what that finds out is the answer to this one too.
        """
        digest = hashlib.sha256()
        with self._alone(version.s3_key):
            for piece in self._storage.pinned(version).pieces(0, version.size, PIECE):
                digest.update(piece)
        return base64.b64encode(digest.digest()).decode("ascii")

    @contextmanager
    def _alone(self, s3_key: str) -> Iterator[None]:
        with self._guard:
            if s3_key in self._under_way:
                raise Busy()
            self._under_way.add(s3_key)
        try:
            yield
        finally:
            with self._guard:
                self._under_way.remove(s3_key)
