"""The segment stream of a version 2 recording: Tink's streaming AEAD, AES256-GCM-HKDF, 64 KiB.

After the 128 header bytes comes exactly what Tink's `StreamingAead` writes
(AES-GCM-HKDF streaming, 32-byte keys, SHA-256, ciphertext segments of 65536
bytes), with header ‖ `s3_key` as associated data:

    stream header = 0x28 ‖ salt (32) ‖ nonce prefix (7)
    segment i     = AES-GCM, nonce = prefix ‖ uint32 i ‖ (1 for the last, else 0)
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
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
NONCE_END = struct.Struct(">I?")
STREAM_INFO = b"panzoto/v2/stream"
# Segments are read this many at a time: a megabyte, so that a fast reader is
# not slowed by many small reads, and a player holds some four.
SEGMENTS_AT_ONCE = 16
# So many are sent at once; a range that ends with so few is not sent before its last one is authenticated.
SEGMENTS_SENT_AT_ONCE = 8


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

    def seal(self, index: int, last: bool, plain: bytes | memoryview) -> bytes:
        return self._aead.encrypt(self._prefix + NONCE_END.pack(index, last), plain, None)

    def opened(self, index: int, last: int, segments: Iterable[memoryview]) -> Iterator[bytes]:
        """Authenticate the segments from `index` on, one after the other, and yield the plain bytes of each.

        `last` is the index of the recording's last segment. Raises `DecryptionFailed`.
        """
        try:
            for number, segment in enumerate(segments, index):
                nonce = self._prefix + NONCE_END.pack(number, number == last)
                yield self._aead.decrypt(nonce, segment, None)
        except InvalidTag as error:
            raise DecryptionFailed() from error


class SegmentedRecording:
    """A version 2 recording opened with its file key (see `panzoto.crypto.source.Recording`).

    `preamble` is the object's first 168 bytes. Every range authenticates the
    last segment first, since only that proves the length; in its place where
    the whole is read, and where there are only a few segments up to it.
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
            block = read(self._source, self._layout.block(last), self._layout.size)
            for _ in self._open_blocks(last, [memoryview(block)]):
                self._proven = True

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the plain bytes [start:stop), each segment authenticated before a byte of it is."""
        if start >= stop:
            self.prove_length()
            return
        first, last = self._layout.index_of(start), self._layout.count - 1
        final = self._layout.index_of(stop - 1)
        if final < last or 0 < first <= last - SEGMENTS_SENT_AT_ONCE:
            self.prove_length()
        position = self._layout.plain_start(first)
        for opened in self._opened(first, final):
            wanted = slice(max(0, start - position), stop - position)
            position += len(opened)
            yield opened if position <= stop and wanted.start == 0 else opened[wanted]

    def _opened(self, first: int, final: int) -> Iterator[bytes]:
        """Yield the plain bytes of segments first to final."""
        stop = min(self._layout.block(final + 1), self._layout.size)
        for blocks in self._blocks(self._layout.block(first), stop):
            yield from self._open_blocks(first, blocks)
            first += len(blocks)
        self._proven |= final == self._layout.count - 1

    def _blocks(self, start: int, stop: int) -> Iterator[list[memoryview]]:
        """Yield the blocks that object[start:stop) consists of, as many at once as have arrived."""
        begun = b""
        for piece in self._source.pieces(start, stop, SEGMENT * SEGMENTS_AT_ONCE):
            start += len(piece)
            missing = SEGMENT - len(begun) if begun else 0
            begun += piece[:missing]
            arrived = memoryview(piece)[missing:]
            blocks = []
            if begun and (len(begun) == SEGMENT or start == stop):
                blocks.append(memoryview(begun))
                begun = b""
            whole = len(arrived) if start == stop else len(arrived) // SEGMENT * SEGMENT
            blocks += [arrived[at : at + SEGMENT] for at in range(0, whole, SEGMENT)]
            begun += arrived[whole:]
            if blocks:
                yield blocks

    def _open_blocks(self, index: int, blocks: Sequence[memoryview]) -> Iterator[bytes]:
        """Yield the plain bytes of the blocks from segment `index` on."""
        segments = blocks if index else [blocks[0][STREAM_HEADER:], *blocks[1:]]
        return self._cipher.opened(index, self._layout.count - 1, segments)


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
