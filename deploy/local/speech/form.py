"""A question as it comes over HTTP: a form of several parts, read into memory and nowhere else."""

from __future__ import annotations

import io
from dataclasses import dataclass
from io import BufferedIOBase
from typing import IO, cast

from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import MultiPartParser
from werkzeug.http import parse_options_header
from werkzeug.wsgi import LimitedStream

from deploy.local.speech.engine import Question

MOST_BODY_BYTES = 40 * 1024 * 1024
# Any field but the file. werkzeug counts what it holds of the file at a time, too, which is less than half.
MOST_FIELD_BYTES = 256 * 1024
MOST_PARTS = 32
FORMATS = ("json", "text", "verbose_json")
GRANULARITIES = {"segment", "word"}


class BadForm(Exception):
    """The form is not what the interface wants; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Form:
    """A question, and in what form its answer is wanted."""

    question: Question
    response_format: str


def read(stream: BufferedIOBase, content_type: str, length: int) -> Form:
    """Return what is asked. Raises `BadForm`, and `OSError` when the connection breaks."""
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise BadForm("The body must be multipart/form-data.")
    parser = MultiPartParser(
        # werkzeug's own would put a large file onto the disk.
        stream_factory=lambda *_args, **_kwargs: io.BytesIO(),
        max_form_memory_size=MOST_FIELD_BYTES,
        max_form_parts=MOST_PARTS,
    )
    body = cast(IO[bytes], LimitedStream(cast(IO[bytes], stream), length))
    try:
        fields, files = parser.parse(body, options["boundary"].encode(), length)
    except (HTTPException, ValueError) as error:
        raise BadForm("The form cannot be read, or its fields are too large.") from error
    response_format = fields.get("response_format", "json")
    if response_format not in FORMATS:
        raise BadForm(f"response_format must be one of {', '.join(FORMATS)}.")
    granularities = set(fields.getlist("timestamp_granularities[]"))
    if not granularities <= GRANULARITIES:
        raise BadForm("timestamp_granularities[] must be segment or word.")
    question = Question(
        content=_content(files.get("file")),
        language=fields.get("language", "").strip().lower() or None,
        prompt=fields.get("prompt", "").strip() or None,
        temperature=_temperature(fields.get("temperature", "0")),
        words="word" in granularities,
    )
    return Form(question, response_format)


def _content(file: FileStorage | None) -> bytes:
    if file is None:
        raise BadForm("The form must have a file, named file.")
    memory = file.stream
    return memory.getvalue() if isinstance(memory, io.BytesIO) else memory.read()


def _temperature(text: str) -> float:
    try:
        temperature = float(text)
    except ValueError:
        temperature = -1.0
    if not 0.0 <= temperature <= 1.0:
        raise BadForm("temperature must be a number from 0 to 1.")
    return temperature
