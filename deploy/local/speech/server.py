"""The interface on which speech engines agreed, on this machine's loopback: `POST /v1/audio/transcriptions`.

It is there before the engine is. Who asks before that is kept waiting for a while and then told to come back.
The fields and answers are those of OpenAI's API reference, "Create transcription". Nothing of a sound, of a
prompt or of what was heard is logged.
"""

from __future__ import annotations

import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deploy.local.speech import form
from deploy.local.speech.engine import Busy, Engine, Failed, Left, NotReady, Refused

TRANSCRIPTIONS = "/v1/audio/transcriptions"
HEALTH = "/health"
# Somebody who sends nothing for so long has gone.
SILENT_SECONDS = 60.0
# When to come back where the queue is full, and where the engine has just died.
BUSY_SECONDS, FAILED_SECONDS = 10, 2
PIECE_BYTES = 1 << 16


class Server(ThreadingHTTPServer):
    """Serves on a socket that listens already; `patience` is how long a question waits for the engine."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, engine: Engine, patience: float) -> None:
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.engine = engine
        self.patience = patience

    def handle_error(self, *_: object) -> None:
        """Say nothing of a connection that broke."""


class Handler(BaseHTTPRequestHandler):
    """One request; every connection ends with its answer."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = SILENT_SECONDS

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""

    def do_GET(self) -> None:
        """Tell whether the engine hears."""
        if self._is_elsewhere(HEALTH):
            return
        reason = self.server.engine.state()
        if reason is None:
            self._answer(200, {"status": "ok"})
        else:
            self._not_ready(reason)

    def do_POST(self) -> None:
        """Answer a question about a sound."""
        if self._is_elsewhere(TRANSCRIPTIONS):
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            self._refuse(411, "The request must tell its length in Content-Length.")
        elif int(length) > form.MOST_BODY_BYTES:
            self._refuse(413, f"The request is larger than {form.MOST_BODY_BYTES} bytes.")
        else:
            self._take_place(int(length))

    def _is_elsewhere(self, path: str) -> bool:
        """Refuse what is no question of this machine's own programs; a page in a browser is none."""
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if name not in ("127.0.0.1", "localhost") or "Origin" in self.headers:
            self._refuse(403, "This engine answers programs of this machine only.")
        elif self.path.partition("?")[0] != path:
            self._refuse(404, f"There is nothing here but {TRANSCRIPTIONS} and {HEALTH}.")
        else:
            return False
        return True

    def _take_place(self, length: int) -> None:
        try:
            with self.server.engine.place() as place:
                self._ask(place, length)
        except Busy:
            self._drain(length)
            self._refuse(429, "Too many sounds wait already.", BUSY_SECONDS)

    def _ask(self, place: object, length: int) -> None:
        try:
            asked = form.read(self.rfile, self.headers.get("Content-Type", ""), length)
            heard = self.server.engine.ask(place, asked.question, self.connection, self.server.patience)
        except (form.BadForm, Refused) as error:
            self._refuse(400, str(error))
        except NotReady as error:
            self._not_ready(error)
        except Failed:
            self._refuse(503, "The speech engine failed over this sound.", FAILED_SECONDS)
        except (Left, OSError):
            return
        else:
            self._tell(asked, heard)

    def _tell(self, asked: form.Form, heard: dict[str, Any]) -> None:
        text = " ".join(segment["text"].strip() for segment in heard["segments"]).strip()
        if asked.response_format == "text":
            self._send(200, "text/plain; charset=utf-8", f"{text}\n".encode())
        elif asked.response_format == "json":
            self._answer(200, {"text": text})
        else:
            self._answer(200, _verbose(heard, text, with_words=asked.question.words))

    def _not_ready(self, reason: NotReady) -> None:
        self._refuse(503, str(reason), reason.retry_after)

    def _refuse(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        kind = "invalid_request_error" if status < 500 and status != 429 else "server_error"
        self._answer(status, {"error": {"message": sentence, "type": kind}}, retry_after)

    def _answer(self, status: int, content: dict[str, Any], retry_after: int | None = None) -> None:
        self._send(status, "application/json", json.dumps(content).encode(), retry_after)

    def _send(self, status: int, kind: str, body: bytes, retry_after: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _drain(self, length: int) -> None:
        """Read what is sent and forget it: closed on, the sender would not see the answer."""
        while length > 0 and (piece := self.rfile.read(min(length, PIECE_BYTES))):
            length -= len(piece)


def _verbose(heard: dict[str, Any], text: str, *, with_words: bool) -> dict[str, Any]:
    segments = [
        {"id": number, **{name: value for name, value in segment.items() if name != "words"}}
        for number, segment in enumerate(heard["segments"])
    ]
    answer = {"task": "transcribe", "language": heard["language"], "duration": heard["duration"]}
    words = [{**word, "word": word["word"].strip()} for part in heard["segments"] for word in part["words"]]
    return {**answer, "text": text, "segments": segments, **({"words": words} if with_words else {})}
