"""Our sealed transcripts are Tink's hybrid encryption: what one seals the other opens."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
import tink
from tink import cleartext_keyset_handle, hybrid
from tink.proto import hpke_pb2, tink_pb2

from panzoto.crypto import transcripts
from panzoto.errors import DecryptionFailed
from tests.support.vectors import FOLDER

VECTORS = json.loads((FOLDER / "transcripts.json").read_text("utf-8"))
PRIVATE_KEY = bytes.fromhex(VECTORS["transcripts_private_key"])
PUBLIC_KEY = base64.b64decode(VECTORS["transcripts_public_key"])
USER_ID, FILE_ID = VECTORS["user_id"], "0b9c8f3e-7a55-4a1b-8f6f-9d1c2b3a4e5f"
INFO = b"panzoto/v2/transcript\x00" + USER_ID.encode() + b"\x00" + FILE_ID.encode()
SIZES = (1, 2, 300_000, 8 * 1024 * 1024)

PARAMETERS = hpke_pb2.HpkeParams(
    kem=hpke_pb2.DHKEM_X25519_HKDF_SHA256, kdf=hpke_pb2.HKDF_SHA256, aead=hpke_pb2.AES_256_GCM
)
PUBLIC = hpke_pb2.HpkePublicKey(version=0, params=PARAMETERS, public_key=PUBLIC_KEY)
PRIVATE = hpke_pb2.HpkePrivateKey(version=0, public_key=PUBLIC, private_key=PRIVATE_KEY)


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    hybrid.register()


def primitive(key: Any, kind: str, material: int, of: Any) -> Any:
    """Return Tink's own primitive for a key that puts nothing before what it seals."""
    data = tink_pb2.KeyData(
        type_url=f"type.googleapis.com/google.crypto.tink.{kind}",
        value=key.SerializeToString(),
        key_material_type=material,
    )
    one = tink_pb2.Keyset.Key(
        key_data=data, status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW
    )
    keyset = tink_pb2.Keyset(primary_key_id=1, key=[one])
    return cleartext_keyset_handle.from_keyset(keyset).primitive(of)


def opener() -> hybrid.HybridDecrypt:
    material = tink_pb2.KeyData.ASYMMETRIC_PRIVATE
    return primitive(PRIVATE, "HpkePrivateKey", material, hybrid.HybridDecrypt)


def sealer() -> hybrid.HybridEncrypt:
    return primitive(PUBLIC, "HpkePublicKey", tink_pb2.KeyData.ASYMMETRIC_PUBLIC, hybrid.HybridEncrypt)


@pytest.mark.parametrize("size", SIZES)
def test_tink_opens_what_we_seal(size: int) -> None:
    plain = random.Random(size).randbytes(size)
    assert opener().decrypt(transcripts.seal(plain, PUBLIC_KEY, USER_ID, FILE_ID), INFO) == plain


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_tink_seals(size: int) -> None:
    plain = random.Random(size).randbytes(size)
    sealed = sealer().encrypt(plain, INFO)
    assert transcripts.open_sealed(sealed, PRIVATE_KEY, USER_ID, FILE_ID) == plain


@pytest.mark.parametrize("case", VECTORS["transcripts"], ids=lambda case: case["name"])
def test_on_the_vectors_both_say_the_same(case: dict[str, Any]) -> None:
    sealed = base64.b64decode(case["sealed"])
    info = b"panzoto/v2/transcript\x00" + f"{case['user_id']}\x00{case['file_id']}".encode()
    try:
        ours = transcripts.open_sealed(sealed, PRIVATE_KEY, case["user_id"], case["file_id"])
    except DecryptionFailed:
        with pytest.raises(tink.TinkError):
            opener().decrypt(sealed, info)
    else:
        assert opener().decrypt(sealed, info) == ours


def test_neither_opens_what_was_sealed_for_another_recording() -> None:
    sealed = sealer().encrypt(b"spoken", INFO + b"x")
    with pytest.raises(DecryptionFailed):
        transcripts.open_sealed(sealed, PRIVATE_KEY, USER_ID, FILE_ID)
    with pytest.raises(tink.TinkError):
        opener().decrypt(transcripts.seal(b"spoken", PUBLIC_KEY, USER_ID, FILE_ID), INFO + b"x")
