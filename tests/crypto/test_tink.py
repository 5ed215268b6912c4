"""Our segment stream is Tink's: what one writes the other reads, at every size that is special."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

import pytest
import tink
from tink import cleartext_keyset_handle, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from panzoto.crypto import header
from panzoto.crypto.derivation import hkdf
from panzoto.crypto.segments import (
    FIRST_PLAIN,
    OTHER_PLAIN,
    PREAMBLE,
    SEGMENT,
    STREAM_INFO,
    SegmentedRecording,
    encrypt,
)
from tests.support.vectors import VAULT_KEY, Bytes

S3_KEY = "users/somebody/walk – Tuesday.3gp_encrypted"
MIB = 1024 * 1024
SIZES = (
    0,
    1,
    FIRST_PLAIN - 1,
    FIRST_PLAIN,
    FIRST_PLAIN + 1,
    FIRST_PLAIN + OTHER_PLAIN - 1,
    FIRST_PLAIN + OTHER_PLAIN,
    FIRST_PLAIN + OTHER_PLAIN + 1,
    200 * MIB,
)


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    streaming_aead.register()


def tink_primitive(file_key: bytes) -> streaming_aead.StreamingAead:
    """Return Tink's own primitive for a recording's key stream."""
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        version=0,
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=SEGMENT, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
        ),
        key_value=hkdf(file_key, STREAM_INFO),
    )
    keyset = tink_pb2.Keyset(
        primary_key_id=1,
        key=[
            tink_pb2.Keyset.Key(
                key_data=tink_pb2.KeyData(
                    type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
                    value=key.SerializeToString(),
                    key_material_type=tink_pb2.KeyData.SYMMETRIC,
                ),
                status=tink_pb2.ENABLED,
                key_id=1,
                output_prefix_type=tink_pb2.RAW,
            )
        ],
    )
    handle = cleartext_keyset_handle.from_keyset(keyset)
    return handle.primitive(streaming_aead.StreamingAead)


def pieces_of(plain: bytes) -> Iterator[bytes]:
    """Yield `plain` in pieces that meet no segment's border."""
    for start in range(0, len(plain), 99_991):
        yield plain[start : start + 99_991]


class Kept(io.BytesIO):
    """A buffer whose content outlives its closing."""

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()


def content(size: int) -> bytes:
    block = random.Random(size).randbytes(min(size, MIB))
    return (block * (size // MIB + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
def test_tink_reads_what_we_write(size: int) -> None:
    plain = content(size)
    written = b"".join(encrypt(VAULT_KEY, S3_KEY, pieces_of(plain)))
    head = written[: header.HEADER_BYTES]
    primitive = tink_primitive(header.open_file_key(head, VAULT_KEY))
    associated = head + S3_KEY.encode()
    with primitive.new_decrypting_stream(io.BytesIO(written[header.HEADER_BYTES :]), associated) as stream:
        assert stream.read() == plain


@pytest.mark.parametrize("size", SIZES)
def test_we_read_what_tink_writes(size: int) -> None:
    plain = content(size)
    file_key = random.Random(size + 1).randbytes(32)
    head = header.create(VAULT_KEY, file_key)
    sink = Kept()
    with tink_primitive(file_key).new_encrypting_stream(sink, head + S3_KEY.encode()) as stream:
        stream.write(plain)
    written = head + sink.kept
    recording = SegmentedRecording(file_key, written[:PREAMBLE], S3_KEY, Bytes(written))
    assert recording.length == size
    assert b"".join(recording.plain(0, size)) == plain


def test_we_refuse_what_tink_refuses() -> None:
    """Bound to another key, cut at a segment or with a segment doubled, neither gives the recording."""
    written = b"".join(encrypt(VAULT_KEY, S3_KEY, pieces_of(content(2 * SEGMENT))))
    head = written[: header.HEADER_BYTES]
    primitive = tink_primitive(header.open_file_key(head, VAULT_KEY))
    cut = written[header.HEADER_BYTES :][:SEGMENT]
    stream = primitive.new_decrypting_stream(io.BytesIO(cut), head + S3_KEY.encode())
    with pytest.raises((tink.TinkError, OSError)):
        stream.read()
