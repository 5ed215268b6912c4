"""Single-shot recordings, what phones in the field wrote: IV ‖ AES-256-GCM ciphertext ‖ tag.

Nothing in the object says how long its IV is or how its salt was read; only
the one tag over everything can tell.  So the whole object is authenticated
first, in constant memory and without giving out a byte, and ranges are then
served from AES-CTR at the right counter (NIST SP 800-38D, 6.5 and 7.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import AEADDecryptionContext, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB, GCM

from panzoto.crypto.keys import DirectKeys
from panzoto.crypto.source import ByteSource, read

TAG = 16
BLOCK = 16
COUNTER_MODULUS = 2**32
# Of one password: two readings of its salt, and two lengths of an IV.
CANDIDATES_OF_ONE = 4
LONGEST_IV = 16
PIECE = 512 * 1024


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way in which a recording may have been encrypted: a key and an IV length in bytes."""

    key: bytes = field(repr=False)
    iv_length: int
    name: str


def candidates(generations: Iterable[DirectKeys]) -> list[Candidate]:
    """Return every variant in the field for each password's keys, most likely first."""
    return [
        Candidate(key, iv_length, f"single-iv{iv_length}-{reading}-salt")
        for keys in generations
        for reading, key in (("raw", keys.raw_salt), ("hex", keys.hex_salt))
        for iv_length in (12, 16)
    ]


def iv_length_of(name: str) -> int:
    """Return how many bytes of IV a recording begins with that was opened as the candidate of this name."""
    return int(name.removeprefix("single-iv")[:2])


def authenticate(source: ByteSource, among: Sequence[Candidate]) -> Candidate | None:
    """Read all of `source` once and return the candidate whose tag it carries, or None.

    All candidates are tried in that pass, however many passwords there were, so
    their work is added and not their reads. Memory is constant; no plain byte
    leaves this function.
    """
    possible = [candidate for candidate in among if source.size >= candidate.iv_length + TAG]
    if not possible:
        return None
    opening = read(source, 0, min(LONGEST_IV, source.size - TAG))
    attempts = [(candidate, _gcm(candidate, opening)) for candidate in possible]
    scratch = bytearray(PIECE + BLOCK)
    for candidate, context in attempts:
        context.update_into(opening[candidate.iv_length :], scratch)
    tag = b""
    body_end = source.size - TAG
    position = len(opening)
    for piece in source.pieces(position, source.size, PIECE):
        body = memoryview(piece)[: max(0, body_end - position)]
        tag += piece[len(body) :]
        position += len(piece)
        for _, context in attempts:
            context.update_into(body, scratch)
    return next((candidate for candidate, context in attempts if _accepts(context, tag)), None)


def _gcm(candidate: Candidate, opening: bytes) -> AEADDecryptionContext:
    return Cipher(AES(candidate.key), GCM(opening[: candidate.iv_length])).decryptor()


def _accepts(context: AEADDecryptionContext, tag: bytes) -> bool:
    try:
        context.finalize_with_tag(tag)
    except InvalidTag:
        return False
    return True


def trial(opening: bytes, candidate: Candidate) -> SingleShotRecording:
    """Return what `opening`, the first bytes of an object, would be with `candidate`.

    Nothing of it is authenticated, so it is good for nothing but to guess by.
    """
    return SingleShotRecording(candidate.key, opening[: candidate.iv_length], _Opening(opening))


@dataclass(frozen=True, slots=True)
class _Opening:
    """The first bytes of an object as a `ByteSource`."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def pieces(self, start: int, stop: int, piece: int) -> Iterator[bytes]:
        return (self.data[at : min(at + piece, stop)] for at in range(start, stop, piece))


class SingleShotRecording:
    """A single-shot recording that `authenticate` has accepted (see `panzoto.crypto.source.Recording`).

    `source` must be the very bytes that were authenticated: pin it to their ETag.
    """

    def __init__(self, key: bytes, iv: bytes, source: ByteSource) -> None:
        self._key = key
        self._iv_length = len(iv)
        self._first_counter = first_counter_block(key, iv)
        self._source = source

    @property
    def length(self) -> int:
        return self._source.size - self._iv_length - TAG

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the plain bytes [start:stop)."""
        if start >= stop:
            return
        keystream = _CounterStream(self._key, self._first_counter, start)
        for piece in self._source.pieces(self._iv_length + start, self._iv_length + stop, PIECE):
            yield keystream.decrypt(piece)


def first_counter_block(key: bytes, iv: bytes) -> bytes:
    """Return the counter block of the first ciphertext block, inc32(J0) of SP 800-38D.

    For a 12-byte IV that is IV ‖ 2.  For other lengths J0 is a GHASH: a zero
    block encrypted in GCM mode is the encrypted counter block itself, and the
    bare block cipher turns it back.
    """
    if len(iv) == 12:
        return iv + (2).to_bytes(4, "big")
    encrypted = Cipher(AES(key), GCM(iv)).encryptor().update(bytes(BLOCK))
    # ECB of one block is the bare block cipher, which is just what is wanted here.
    return Cipher(AES(key), ECB()).decryptor().update(encrypted)  # noqa: S305


class _CounterStream:
    """GCM's keystream from any plain offset on.

    GCM counts in the low 32 bits only and a library's CTR mode in all 128, so
    the stream is begun anew at the block where the low 32 bits wrap.
    """

    def __init__(self, key: bytes, first_counter: bytes, offset: int) -> None:
        self._key = key
        self._fixed = first_counter[:12]
        low = int.from_bytes(first_counter[12:], "big")
        self._counter = (low + offset // BLOCK) % COUNTER_MODULUS
        self._begin()
        skipped = offset % BLOCK
        self._stream.update(bytes(skipped))
        self._until_wrap -= skipped

    def _begin(self) -> None:
        block = self._fixed + self._counter.to_bytes(4, "big")
        self._stream = Cipher(AES(self._key), CTR(block)).encryptor()
        self._until_wrap = (COUNTER_MODULUS - self._counter) * BLOCK

    def decrypt(self, data: bytes) -> bytes:
        if len(data) < self._until_wrap:
            self._until_wrap -= len(data)
            return self._stream.update(data)
        before, after = data[: self._until_wrap], data[self._until_wrap :]
        plain = self._stream.update(before)
        self._counter = 0
        self._begin()
        return plain + self.decrypt(after)
