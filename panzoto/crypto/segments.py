"""The segment stream of a version 2 recording: Tink's streaming AEAD, AES256-GCM-HKDF, 64 KiB.

After the 128 header bytes comes exactly what Tink's `StreamingAead` writes
(AES-GCM-HKDF streaming, 32-byte keys, SHA-256, ciphertext segments of 65536
bytes), with header ‖ `s3_key` as associated data:

    stream header = 0x28 ‖ salt (32) ‖ nonce prefix (7)
    segment i     = AES-GCM, nonce = prefix ‖ uint32 i ‖ (1 for the last, else 0)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panzoto.crypto import header
from panzoto.crypto.derivation import hkdf
from panzoto.crypto.source import ByteSource, read
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
STREAM_INFO = b"panzoto/v2/stream"
# Segments are read this many at a time, so that a fast reader is not slowed
# by many small reads and a player holds no more than about a megabyte.
SEGMENTS_AT_ONCE = 8


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

    @staticmethod
    def index_of(position: int) -> int:
        """Return the segment that holds plain byte `position`."""
        return 0 if position < FIRST_PLAIN else 1 + (position - FIRST_PLAIN) // OTHER_PLAIN

    @staticmethod
    def plain_start(index: int) -> int:
        return 0 if index == 0 else FIRST_PLAIN + (index - 1) * OTHER_PLAIN


class _SegmentCipher:
    """Seals or opens single segments of one stream."""

    def __init__(self, file_key: bytes, head: bytes, s3_key: str, salt: bytes, prefix: bytes) -> None:
        associated = head + s3_key.encode("utf-8")
        self._aead = AESGCM(hkdf(hkdf(file_key, STREAM_INFO), associated, salt=salt))
        self._prefix = prefix

    def _nonce(self, index: int, last: bool) -> bytes:
        return self._prefix + index.to_bytes(4, "big") + bytes([last])

    def seal(self, index: int, last: bool, plain: bytes | memoryview) -> bytes:
        return self._aead.encrypt(self._nonce(index, last), plain, None)

    def open(self, index: int, last: bool, data: memoryview) -> bytes:
        plain = bytearray(len(data) - TAG)
        self.open_into(index, last, data, memoryview(plain))
        return bytes(plain)

    def open_into(self, index: int, last: bool, data: memoryview, plain: memoryview) -> None:
        """Authenticate a segment and write its plain bytes into `plain`, which is just as long."""
        try:
            self._aead.decrypt_into(self._nonce(index, last), data, None, plain)
        except InvalidTag as error:
            raise DecryptionFailed() from error


class SegmentedRecording:
    """A version 2 recording opened with its file key (see `panzoto.crypto.source.Recording`).

    `preamble` is the object's first 168 bytes. Every range authenticates the
    last segment first, since only that proves the length.
    """

    def __init__(self, file_key: bytes, preamble: bytes, s3_key: str, source: ByteSource) -> None:
        if len(preamble) != PREAMBLE or preamble[header.HEADER_BYTES] != STREAM_HEADER:
            raise DecryptionFailed()
        salt = preamble[header.HEADER_BYTES + 1 :][:SALT_BYTES]
        prefix = preamble[PREAMBLE - PREFIX_BYTES :]
        self._cipher = _SegmentCipher(file_key, preamble[: header.HEADER_BYTES], s3_key, salt, prefix)
        self._source = source
        self._layout = Layout.of(source.size)
        self._last_plain: bytes | None = None

    @property
    def length(self) -> int:
        """Length of the plain recording in bytes; proven once `prove_length` has returned."""
        return self._layout.plain_length

    def prove_length(self) -> bytes:
        """Authenticate the last segment and return its plain bytes. Raises `DecryptionFailed`."""
        if self._last_plain is None:
            last = self._layout.count - 1
            block = read(self._source, self._layout.block(last), self._layout.size)
            self._last_plain = self._open_block(last, memoryview(block))
        return self._last_plain

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the plain bytes [start:stop), each segment authenticated before a byte of it is."""
        self.prove_length()
        if start >= stop:
            return
        first = self._layout.index_of(start)
        position = self._layout.plain_start(first)
        for opened in self._opened(first, self._layout.index_of(stop - 1)):
            wanted = slice(max(0, start - position), stop - position)
            position += len(opened)
            yield opened if position <= stop and wanted.start == 0 else opened[wanted]

    def _opened(self, first: int, final: int) -> Iterator[bytes]:
        """Yield the plain bytes of segments first to final, several segments at a time."""
        last = self._layout.count - 1
        beyond = min(final + 1, last)
        if first < beyond:
            groups = self._source.pieces(
                self._layout.block(first), self._layout.block(beyond), SEGMENT * SEGMENTS_AT_ONCE
            )
            for group in groups:
                yield self._open_blocks(first, memoryview(group))
                first += len(group) // SEGMENT
        if final == last:
            yield self.prove_length()

    def _open_blocks(self, index: int, blocks: memoryview) -> bytes:
        """Open whole blocks from segment `index` on, none of them the last, into one buffer."""
        count = len(blocks) // SEGMENT
        plain = bytearray(len(blocks) - count * TAG - (STREAM_HEADER if index == 0 else 0))
        room, filled = memoryview(plain), 0
        for number in range(count):
            data = self._data(index + number, blocks[number * SEGMENT : (number + 1) * SEGMENT])
            length = len(data) - TAG
            self._cipher.open_into(index + number, False, data, room[filled : filled + length])
            filled += length
        return bytes(plain)

    def _open_block(self, index: int, block: memoryview) -> bytes:
        return self._cipher.open(index, index == self._layout.count - 1, self._data(index, block))

    @staticmethod
    def _data(index: int, block: memoryview) -> memoryview:
        return block[STREAM_HEADER:] if index == 0 else block


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
