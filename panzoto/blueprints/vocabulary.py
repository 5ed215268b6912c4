"""Names that may be heard in a recording, as a client sends them; they are somebody's words."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields

MOST_NAMES, LONGEST_NAME = 50, 100
VOCABULARY_RULE = "vocabulary must be up to 50 names of up to 100 characters each"


class Vocabulary(fields.Field[list[str]]):
    """Names that the engine is told of, so that it writes them as their owner does."""

    def __init__(self, **kwargs: Any) -> None:
        described = {
            "type": "array",
            "maxItems": MOST_NAMES,
            "items": {"type": "string", "maxLength": LONGEST_NAME},
            "description": "Names that may be heard; kept nowhere in the clear",
        }
        super().__init__(metadata=described, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str]:
        right = isinstance(value, list) and len(value) <= MOST_NAMES
        if not right or not all(isinstance(name, str) and len(name) <= LONGEST_NAME for name in value):
            raise ValidationError(VOCABULARY_RULE)
        try:
            "".join(value).encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValidationError(VOCABULARY_RULE) from error
        return [name.strip() for name in value if name.strip()]
