"""Bytes as clients send them: padded standard base64 (RFC 4648, 4), and nothing that only looks like it."""

from __future__ import annotations

import base64
from typing import Any

from marshmallow import ValidationError, fields


def decoded(value: Any, sentence: str, length: int | None = None) -> bytes:
    """Return the bytes that `value` is base64 of, `length` of them if that is told.

    Raises `ValidationError` with `sentence`.
    """
    try:
        found = base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except ValueError as error:
        raise ValidationError(sentence) from error
    if found is None or length not in (None, len(found)):
        raise ValidationError(sentence)
    return found


class Bytes(fields.Field[bytes]):
    """Bytes, as many as `length` says if it does; `sentence` is what is said of anything else."""

    def __init__(
        self, sentence: str, length: int | None = None, description: str = "base64", **kwargs: Any
    ) -> None:
        super().__init__(metadata={"type": "string", "description": description}, **kwargs)
        self._sentence = sentence
        self._length = length

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bytes:
        return decoded(value, self._sentence, self._length)
