"""The client of a speech engine: one piece of sound in, what was heard out.

The interface is the one that engines agreed on, `POST {url}/audio/transcriptions` as a form of several parts
(OpenAI's API reference, "Create transcription"; RFC 7578). A request goes where the setting says and nowhere
else: no proxy of the environment, no redirect. It can be left at any moment, so it runs in a thread of its
own, whose connection is cut when its time is over or its caller gives up. What the engine says, the words,
the prompt and the key reach no log.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import logging
import math
import secrets
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from panzoto.errors import EngineRefused, EngineUnavailable, SettingsError
from panzoto.transcripts import engine_address
from panzoto.transcripts.answer import Answer, NotAnAnswer, clean, read_answer
from panzoto.transcripts.engine_address import EngineAddress
from panzoto.version import VERSION

LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
PIECE_BYTES = 64 * 1024
# For the connection and, once more, for its encryption; the rest of the time is for listening.
CONNECT_SECONDS = 10.0
# How soon a caller who gives up is rid of the request.
LOOK_SECONDS = 0.25
# What an engine may ask us to wait at most.
LONGEST_RETRY_AFTER_SECONDS = 600
# 4xx that are about the moment, not about the request.
PASSING = (408, 429)

log = logging.getLogger(__name__)


class Abandoned(Exception):
    """The caller gave the request up."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where the engine is and how it is asked; `timeout_seconds` are for the whole of a request."""

    url: str = field(repr=False)
    model: str = "whisper-1"
    api_key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 600.0
    max_answer_bytes: int = LARGEST_ANSWER_BYTES


@dataclass(frozen=True, slots=True)
class _Request:
    path: str
    headers: dict[str, str]
    body: tuple[bytes, ...]
    most_bytes: int


def _never() -> bool:
    return False


class Engine:
    """One engine. Threads may share it: each request has a connection of its own."""

    def __init__(self, settings: EngineSettings) -> None:
        """Raises `SettingsError` for an address or a key that no request can carry."""
        self._settings = settings
        self._address = engine_address.parse(settings.url)
        self._authorization = _authorization(self._address, settings.api_key)
        self._tls = ssl.create_default_context() if self._address.scheme == "https" else None

    @property
    def host(self) -> str:
        return self._address.host

    @property
    def model(self) -> str:
        return self._settings.model

    def transcribe(
        self,
        flac: bytes,
        language: str | None,
        prompt: str | None,
        *,
        duration_ms: int,
        is_given_up: Callable[[], bool] = _never,
    ) -> Answer:
        """Let the engine listen to a piece of that length, as long as `is_given_up()` is false.

        That is asked a few times a second. Raises `EngineRefused` for good, `EngineUnavailable` when another
        attempt may do, and `Abandoned`.
        """
        try:
            body = self._ask(self._request(flac, language, prompt), is_given_up)
            return _read(body, duration_ms)
        except (EngineRefused, EngineUnavailable) as failure:
            log.warning(failure.code, extra={"engine": self.host, "reason": failure.reason})
            raise

    def _request(self, flac: bytes, language: str | None, prompt: str | None) -> _Request:
        fields = [("model", self.model)]
        fields += [("language", language)] if language else []
        fields += [("prompt", clean(prompt))] if prompt else []
        fields += [
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "segment"),
            ("timestamp_granularities[]", "word"),
            ("temperature", "0"),
        ]
        # No text can hold it but by chance, and that chance is one in 2 to the 128.
        boundary = secrets.token_hex(16)
        body = _form(boundary, fields, flac)
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "Content-Length": str(sum(map(len, body))),
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "User-Agent": f"Panzoto/{VERSION}",
            **({"Authorization": self._authorization} if self._authorization else {}),
        }
        path = f"{self._address.path}/audio/transcriptions"
        return _Request(path, headers, body, self._settings.max_answer_bytes)

    def _ask(self, request: _Request, is_given_up: Callable[[], bool]) -> bytes:
        if is_given_up():
            raise Abandoned
        deadline = time.monotonic() + self._settings.timeout_seconds
        exchange = _Exchange(self._connection(), request, self._settings.timeout_seconds)
        try:
            while not exchange.outcome.done():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise EngineUnavailable("takes longer than TRANSCRIPTION_TIMEOUT")
                wait((exchange.outcome,), min(LOOK_SECONDS, left))
                if is_given_up():
                    raise Abandoned
        finally:
            exchange.leave()
        return exchange.outcome.result()

    def _connection(self) -> http.client.HTTPConnection:
        where = self._address
        seconds = min(CONNECT_SECONDS, self._settings.timeout_seconds)
        if self._tls is None:
            return http.client.HTTPConnection(where.host, where.port, timeout=seconds)
        return http.client.HTTPSConnection(where.host, where.port, timeout=seconds, context=self._tls)


class _Exchange:
    """One request and its answer, in a thread of its own from the start on."""

    def __init__(self, connection: http.client.HTTPConnection, request: _Request, seconds: float) -> None:
        self.outcome: Future[bytes] = Future()
        self._connection = connection
        self._request = request
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._is_left = False
        threading.Thread(target=self._run, name="speech-engine", daemon=True).start()

    def leave(self) -> None:
        """Wake the thread out of whatever it waits for, so that it ends; nothing if it has ended."""
        self._is_left = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # An encrypted socket's own method would have the thread read on, as if in plain.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            self.outcome.set_result(self._exchanged())
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is asked for
            self.outcome.set_exception(error)
        finally:
            self._connection.close()

    def _exchanged(self) -> bytes:
        try:
            self._connection.connect()
            # The connection forgets its socket once the answer begins.
            self._socket = self._connection.sock
            # Whoever left before could not cut it.
            if self._is_left:
                raise EngineUnavailable("nobody waits for it")
            self._socket.settimeout(self._seconds)
            self._send()
            with self._connection.getresponse() as response:
                return _body(response, self._request.most_bytes)
        except (OSError, http.client.HTTPException, zlib.error, UnicodeError) as error:
            # Its text may quote what the engine said.
            raise EngineUnavailable(f"breaks off: {type(error).__name__}") from None

    def _send(self) -> None:
        request = self._request
        # Who refuses early closes early, and its answer may lie there all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._connection.request("POST", request.path, body=request.body, headers=request.headers)


def _authorization(address: EngineAddress, api_key: str | None) -> str | None:
    if api_key:
        if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
            raise SettingsError("TRANSCRIPTION_API_KEY must be printable ASCII without spaces")
        return f"Bearer {api_key}"
    if address.credentials is None:
        return None
    # RFC 7617, 2.1.
    return "Basic " + base64.b64encode(":".join(address.credentials).encode()).decode("ascii")


def _form(boundary: str, fields: Sequence[tuple[str, str]], flac: bytes) -> tuple[bytes, ...]:
    """Return the form in parts, so that the sound is not copied. Names are ours and need no escaping."""
    texts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields
    )
    file = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="audio.flac"\r\n'
        "Content-Type: audio/flac\r\n\r\n"
    )
    return f"{texts}{file}".encode(), flac, f"\r\n--{boundary}--\r\n".encode()


def _body(response: http.client.HTTPResponse, most_bytes: int) -> bytes:
    """Return the body of an answer that says 2xx. Raises `EngineRefused`, `EngineUnavailable`."""
    _judge(response)
    inflate = _inflater(response.headers.get("Content-Encoding"))
    body = bytearray()
    while piece := response.read1(PIECE_BYTES):
        body += inflate(piece, most_bytes + 1 - len(body))
        if len(body) > most_bytes:
            raise EngineRefused("answers more than may be read")
    return bytes(body)


def _judge(response: http.client.HTTPResponse) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    if 300 <= status < 500 and status not in PASSING:
        raise EngineRefused(f"answers {status}")
    wanted = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    raise EngineUnavailable(f"answers {status}", wanted)


def retry_after(told: str | None, now: datetime) -> int | None:
    """Return the seconds that `Retry-After` asks for (RFC 9110, 10.2.3), at most ten minutes of them."""
    told = (told or "").strip()
    if told.isascii() and told.isdigit():
        # More digits might be too many for `int`, and these are too long already.
        return min(int(told[:9]), LONGEST_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(told)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(math.ceil((moment - now).total_seconds()), 0), LONGEST_RETRY_AFTER_SECONDS)


def _inflater(encoding: str | None) -> Callable[[bytes, int], bytes]:
    """Return what makes plain bytes of an answer's, at most so many of them at a time.

    None but plain was asked for, but some servers compress whatever they are asked.
    """
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        return lambda piece, _: piece
    if name in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(32 + zlib.MAX_WBITS).decompress
    raise EngineUnavailable("answers in an encoding that was not asked for")


def _read(body: bytes, duration_ms: int) -> Answer:
    try:
        return read_answer(body, duration_ms)
    except NotAnAnswer as error:
        raise EngineUnavailable(f"answers no transcription: {error}") from None
