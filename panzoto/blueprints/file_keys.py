"""What a client sends to open recordings without the password: one file key, or one for each of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from panzoto.blueprints.base64_bytes import Bytes, decoded
from panzoto.crypto.keys import KEY_BYTES

FILE_KEY_RULE = "file_key must be base64 of 32 bytes"
FILE_KEYS_RULE = "file_keys must hold a key for each of file_ids, base64 of 32 bytes"
EITHER_KEY_RULE = "Either the password or file keys, not both"
PAIRING_RULE = "file_key goes with file_id or s3_key, file_keys with file_ids"


class FileKeyField(Bytes):
    """The 32 bytes that open one recording."""

    def __init__(self, **kwargs: Any) -> None:
        what = "The recording's own key, 32 bytes as base64, in place of the password; version 2 only"
        super().__init__(FILE_KEY_RULE, KEY_BYTES, what, **kwargs)


class FileKeysField(fields.Field[dict[str, Any]]):
    """The key of each recording by its file_id; those of recordings that were not asked for are ignored."""

    def __init__(self, **kwargs: Any) -> None:
        described = {
            "type": "object",
            "additionalProperties": True,
            "description": "The key of each recording of `file_ids`, by its file_id, as `file_key` is of one",
        }
        super().__init__(metadata=described, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError(FILE_KEYS_RULE)
        return value


def check_pairing(sent: Mapping[str, Any]) -> None:
    """Refuse what says twice, or wrongly, how recordings are opened. Raises `ValidationError`."""
    keys = [name for name in ("file_key", "file_keys") if name in sent]
    fitting = "file_keys" if "file_ids" in sent else "file_key"
    if keys and "password" in sent:
        raise ValidationError({keys[0]: [EITHER_KEY_RULE]})
    if keys and keys != [fitting]:
        raise ValidationError({next(name for name in keys if name != fitting): [PAIRING_RULE]})


def decode_keys_of_all(data: dict[str, Any]) -> None:
    """Make `file_keys` the keys of `file_ids` and of nothing else. Raises `ValidationError`."""
    if "file_keys" in data:
        given = data["file_keys"]
        try:
            data["file_keys"] = {
                one: decoded(given.get(one), FILE_KEYS_RULE, KEY_BYTES) for one in data["file_ids"]
            }
        except ValidationError as error:
            raise ValidationError(FILE_KEYS_RULE, "file_keys") from error
