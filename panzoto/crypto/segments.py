"""The segment stream of a version 2 recording: Tink's streaming AEAD, AES256-GCM-HKDF, 64 KiB.

After the 128 header bytes comes exactly what Tink's `StreamingAead` writes
(AES-GCM-HKDF streaming, 32-byte keys, SHA-256, ciphertext segments of 65536
bytes), with header ‖ `s3_key` as associated data:

    stream header = 0x28 ‖ salt (32) ‖ nonce prefix (7)
    segment i     = AES-GCM, nonce = prefix ‖ uint32 i ‖ (1 for the last, else 0)
"""

from __future__ import annotations

import itertools
import os
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panzoto.crypto import header
from panzoto.crypto.derivation import hkdf
from panzoto.crypto.source import ByteSource
from panzoto.errors import DecryptionFailed

SEGMENT = 65536
TAG = 16
STREAM_HEADER = 40
SALT_BYTES = 32
PREFIX_BYTES = 7
PREAMBLE = header.HEADER_BYTES + STREAM_HEADER
FIRST_PLAIN = SEGMENT - STREAM_HEADER - TAG
OTHER_PLAIN = SEGMENT - TAG
MAX_SEGMENTS = 2**32
NONCE_END = struct.Struct(">I?")
STREAM_INFO = b"panzoto/v2/stream"
# So many are read, opened and sent at a time, a megabyte: fewer cost a fast reader more system calls.
SEGMENTS_AT_ONCE = 16
# Who takes their time is given little, since all that is opened waits in memory meanwhile; who comes back
# within so many seconds is given twice as much, up to that megabyte.
FEWEST_AT_ONCE = 2
READ_AT_ONCE = 8
FAST_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the segments of an object of `size` bytes lie."""

    size: int
    count: int

    @classmethod
    def of(cls, size: int) -> Layout:
        """Raises `DecryptionFailed` when no stream is `size` bytes long."""
        stream = size - header.HEADER_BYTES
        count = -(-stream // SEGMENT)
        # The last segment is never empty, unless the recording is.
        least_last = STREAM_HEADER + TAG if count == 1 else TAG + 1
        if count < 1 or count > MAX_SEGMENTS or stream - (count - 1) * SEGMENT < least_last:
            raise DecryptionFailed()
        return cls(size, count)

    @property
    def plain_length(self) -> int:
        return self.size - PREAMBLE - TAG * self.count

    @staticmethod
    def block(index: int) -> int:
        """Return the object offset of segment `index`; segment 0's block begins with the stream header."""
        return header.HEADER_BYTES + index * SEGMENT

    def block_end(self, index: int) -> int:
        return min(self.block(index + 1), self.size)

    @staticmethod
    def index_of(position: int) -> int:
        """Return the segment that holds plain byte `position`."""
        return 0 if position < FIRST_PLAIN else 1 + (position - FIRST_PLAIN) // OTHER_PLAIN

    def plain_start(self, index: int) -> int:
        """Return where the plain bytes of segment `index` begin; those behind the last begin at the end."""
        return 0 if index == 0 else min(FIRST_PLAIN + (index - 1) * OTHER_PLAIN, self.plain_length)


class _SegmentCipher:
    """Seals or opens single segments of one stream."""

    def __init__(self, file_key: bytes, head: bytes, s3_key: str, salt: bytes, prefix: bytes) -> None:
        associated = head + s3_key.encode("utf-8")
        self._aead = AESGCM(hkdf(hkdf(file_key, STREAM_INFO), associated, salt=salt))
        self._prefix = prefix

    def seal(self, index: int, last: bool, plain: bytes | memoryview) -> bytes:
        return self._aead.encrypt(self._prefix + NONCE_END.pack(index, last), plain, None)

    def open_into(self, room: memoryview, index: int, last: bool, sealed: memoryview) -> bool:
        """Write the plain bytes of a segment to `room`, which has their length; return if it is authentic."""
        try:
            self._aead.decrypt_into(self._prefix + NONCE_END.pack(index, last), sealed, None, room)
        except InvalidTag:
            return False
        return True


class _Room:
    """Memory that is written again once nobody holds the bytes that were last taken from it.

    `BytesIO` sees to that: its value shares its memory, and while somebody
    still holds one, writing begins with a copy. What is taken is no key of a
    dict or a set: bytes that are written again would remember their old hash.
    """

    def __init__(self) -> None:
        self._size = 0
        self._memory = BytesIO()

    def of(self, size: int) -> memoryview:
        """Return `size` bytes to write to; release them before `taken`, or what is taken could change."""
        if self._size != size:
            self._size, self._memory = size, BytesIO(bytes(size))
        return self._memory.getbuffer()

    def taken(self) -> bytes:
        return self._memory.getvalue()


class SegmentedRecording:
    """A version 2 recording opened with its file key (see `panzoto.crypto.source.Recording`).

    `preamble` is the object's first 168 bytes. Every range authenticates the
    last segment first, since only that proves the length; in its place where
    the whole is read, and where a range is short and ends with it.
    """

    def __init__(self, file_key: bytes, preamble: bytes, s3_key: str, source: ByteSource) -> None:
        if len(preamble) != PREAMBLE or preamble[header.HEADER_BYTES] != STREAM_HEADER:
            raise DecryptionFailed()
        salt = preamble[header.HEADER_BYTES + 1 :][:SALT_BYTES]
        prefix = preamble[PREAMBLE - PREFIX_BYTES :]
        self._cipher = _SegmentCipher(file_key, preamble[: header.HEADER_BYTES], s3_key, salt, prefix)
        self._source = source
        self._layout = Layout.of(source.size)
        self._proven = False

    @property
    def length(self) -> int:
        """Length of the plain recording in bytes; proven once the last segment is authenticated."""
        return self._layout.plain_length

    def prove_length(self) -> None:
        """Authenticate the last segment, once. Raises `DecryptionFailed`."""
        if not self._proven:
            last = self._layout.count - 1
            for _ in self._opened(last, last):
                pass

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the plain bytes [start:stop), each segment authenticated before a byte of it is."""
        if start >= stop:
            self.prove_length()
            return
        first, last = self._layout.index_of(start), self._layout.count - 1
        final = self._layout.index_of(stop - 1)
        if final < last or (start > 0 and first <= last - SEGMENTS_AT_ONCE):
            self.prove_length()
        pieces = self._opened(first, final)
        if start > 0 and not self._proven:
            # The last segment is one of few here, so all of them are opened before any is given out.
            pieces = iter(list(pieces))
        position = self._layout.plain_start(first)
        for opened in pieces:
            wanted = slice(max(0, start - position), stop - position)
            position += len(opened)
            yield opened if position <= stop and wanted.start == 0 else opened[wanted]

    def _opened(self, first: int, final: int) -> Iterator[bytes]:
        """Yield the plain bytes of segments first to final, several at once, up to one that is damaged."""
        blocks = self._blocks(self._layout.block(first), self._layout.block_end(final))
        # Whoever reads holds what it was given until it is given more, so there are two to take turns.
        rooms = itertools.cycle((_Room(), _Room()))
        at_once = FEWEST_AT_ONCE
        while first <= final:
            # A whole object's first reads each end within a segment, which must not hold up the others.
            after = min(first + at_once - (first == 0), final + 1)
            begin = self._layout.plain_start(first)
            room = next(rooms)
            with room.of(self._layout.plain_start(after) - begin) as free:
                reached = self._open_into(free, first, itertools.islice(blocks, after - first))
            if reached < after:
                if first < reached:
                    yield room.taken()[: self._layout.plain_start(reached) - begin]
                raise DecryptionFailed()
            given = time.monotonic()
            yield room.taken()
            fast = time.monotonic() - given < FAST_SECONDS
            at_once = min(2 * at_once, SEGMENTS_AT_ONCE) if fast else FEWEST_AT_ONCE
            first = after
        self._proven |= final == self._layout.count - 1

    def _open_into(self, room: memoryview, index: int, blocks: Iterable[memoryview]) -> int:
        """Write the plain bytes of the blocks from segment `index` on to `room`.

        Returns the segment that was reached: the first that is damaged or was not given.
        """
        at = 0
        for block in blocks:
            sealed = block if index else block[STREAM_HEADER:]
            end = at + len(sealed) - TAG
            if not self._cipher.open_into(room[at:end], index, index == self._layout.count - 1, sealed):
                break
            index, at = index + 1, end
        return index

    def _blocks(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield the blocks that object[start:stop) consists of."""
        begun = b""
        for piece in self._source.pieces(start, stop, SEGMENT * READ_AT_ONCE):
            start += len(piece)
            missing = SEGMENT - len(begun) if begun else 0
            begun += piece[:missing]
            if begun and (len(begun) == SEGMENT or start == stop):
                yield memoryview(begun)
                begun = b""
            arrived = memoryview(piece)[missing:]
            whole = len(arrived) if start == stop else len(arrived) // SEGMENT * SEGMENT
            for at in range(0, whole, SEGMENT):
                yield arrived[at : at + SEGMENT]
            begun += arrived[whole:]


def encrypt(vault_key: bytes, s3_key: str, plain: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a version 2 object that holds the bytes of `plain`, in constant memory.

    The recording gets a file key of its own, wrapped under `vault_key`, and is
    bound to `s3_key`: under another key it does not open.
    """
    file_key = os.urandom(32)
    head = header.create(vault_key, file_key)
    salt, prefix = os.urandom(SALT_BYTES), os.urandom(PREFIX_BYTES)
    cipher = _SegmentCipher(file_key, head, s3_key, salt, prefix)
    yield head + bytes([STREAM_HEADER]) + salt + prefix
    index = 0
    waiting = bytearray()
    for chunk in plain:
        waiting += chunk
        # A full segment is held back until more follows, since only then is it not the last.
        room = FIRST_PLAIN if index == 0 else OTHER_PLAIN
        while len(waiting) > room:
            yield cipher.seal(index, False, bytes(waiting[:room]))
            del waiting[:room]
            index, room = index + 1, OTHER_PLAIN
    yield cipher.seal(index, True, bytes(waiting))


def encrypted_size(plain_length: int) -> int:
    """Return the size in bytes of the object that `encrypt` makes of `plain_length` bytes."""
    segments = 1 if plain_length <= FIRST_PLAIN else 1 + -(-(plain_length - FIRST_PLAIN) // OTHER_PLAIN)
    return PREAMBLE + plain_length + TAG * segments
