"""The client of a speech engine against real servers with the manners, good and bad, that engines have."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import ssl
import threading
import traceback
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from panzoto.errors import EngineRefused, EngineUnavailable, SettingsError
from panzoto.transcripts.answer import Answer, Segment
from panzoto.transcripts.engine import Abandoned, Engine, EngineSettings, retry_after
from tests.support.engines import Handler, Manner, SpeechEngine, says, sends

FLAC = b"fLaC" + bytes(range(256)) * 40
HELLO = {
    "text": " Hello there. ",
    "language": "english",
    "segments": [{"start": 0.5, "end": 2, "text": "Hello"}],
}
MIB = 1024 * 1024


def ask(
    engine: SpeechEngine | str, *, is_given_up: Callable[[], bool] = lambda: False, **settings: object
) -> Answer:
    url = engine if isinstance(engine, str) else engine.url
    made = Engine(EngineSettings(url, **settings))  # type: ignore[arg-type]
    return made.transcribe(FLAC, "en", "Panzoto", duration_ms=10_000, is_given_up=is_given_up)


def failure(manner: Manner, **settings: object) -> EngineRefused | EngineUnavailable:
    with SpeechEngine(manner) as engine, pytest.raises((EngineRefused, EngineUnavailable)) as caught:
        ask(engine, **settings)
    assert isinstance(caught.value, EngineRefused | EngineUnavailable)
    assert len(engine.requests) == 1, "nothing is asked twice, nowhere else either"
    return caught.value


class TestWhatIsSent:
    def test_the_fields_are_those_of_the_interface_and_no_others(self) -> None:
        with SpeechEngine(says(HELLO)) as engine:
            ask(engine, api_key="sk-1", model="large")
        (heard,) = engine.requests
        assert heard.path == "/v1/audio/transcriptions"
        assert (heard.file_name, heard.file) == ("audio.flac", FLAC)
        assert heard.fields == {
            "model": ["large"],
            "language": ["en"],
            "prompt": ["Panzoto"],
            "response_format": ["verbose_json"],
            "timestamp_granularities[]": ["segment", "word"],
            "temperature": ["0"],
            "file": [""],
        }
        assert heard.headers["Authorization"] == "Bearer sk-1"
        assert heard.headers["Accept-Encoding"] == "identity"

    def test_language_prompt_and_key_are_sent_only_if_given(self) -> None:
        with SpeechEngine(says(HELLO)) as engine:
            Engine(EngineSettings(engine.url)).transcribe(FLAC, None, None, duration_ms=1000)
        (heard,) = engine.requests
        assert set(heard.fields) == {
            "file",
            "model",
            "response_format",
            "timestamp_granularities[]",
            "temperature",
        }
        assert "Authorization" not in heard.headers

    def test_a_prompt_in_any_script_arrives_whole(self) -> None:
        with SpeechEngine(says(HELLO)) as engine:
            Engine(EngineSettings(engine.url)).transcribe(FLAC, None, 'Łódź, "東京"\ud800', duration_ms=1000)
        assert engine.requests[0].fields["prompt"] == ['Łódź, "東京"\ufffd']

    @pytest.mark.parametrize(
        ("ending", "path"),
        [("", ""), ("/", ""), ("/v1/", "/v1"), ("/a/b%20c//", "/a/b%20c"), ("/ä", "/%C3%A4")],
    )
    def test_a_path_is_kept_and_a_slash_at_its_end_is_not(self, ending: str, path: str) -> None:
        with SpeechEngine(says(HELLO)) as engine:
            ask(f"http://127.0.0.1:{engine.port}{ending}")
        assert engine.requests[0].path == f"{path}/audio/transcriptions"

    def test_credentials_of_the_address_are_sent_where_there_is_no_key(self) -> None:
        with SpeechEngine(says(HELLO)) as engine:
            address = f"http://me:p%40ss@127.0.0.1:{engine.port}"
            ask(address)
            ask(address, api_key="sk-1")
        # RFC 7617: base64 of me:p@ss.
        assert [heard.headers["Authorization"] for heard in engine.requests] == [
            "Basic bWU6cEBzcw==",
            "Bearer sk-1",
        ]

    def test_a_proxy_of_the_environment_is_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with SpeechEngine(says({"text": "proxy"})) as proxy, SpeechEngine(says(HELLO)) as engine:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.delenv("no_proxy", raising=False)
            ask(engine)
        assert (len(proxy.requests), len(engine.requests)) == (0, 1)


class TestAnswers:
    def test_a_full_answer_is_read(self) -> None:
        with SpeechEngine(says(HELLO)) as engine:
            assert ask(engine) == Answer("en", (Segment(500, 2000, "Hello"),))

    @pytest.mark.parametrize(
        ("coding", "packed"),
        [
            ("gzip", gzip.compress(json.dumps(HELLO).encode())),
            ("deflate", zlib.compress(json.dumps(HELLO).encode())),
            ("identity", json.dumps(HELLO).encode()),
        ],
    )
    def test_one_that_was_compressed_unasked_is_read(self, coding: str, packed: bytes) -> None:
        with SpeechEngine(sends(packed, Content_Encoding=coding)) as engine:
            assert len(ask(engine).segments) == 1

    def test_one_in_chunks_is_read(self) -> None:
        def chunked(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for byte in json.dumps(HELLO).encode():
                handler.wfile.write(b"1\r\n%c\r\n" % byte)
            handler.wfile.write(b"0\r\n\r\n")

        with SpeechEngine(chunked) as engine:
            assert len(ask(engine).segments) == 1

    def test_one_that_lasts_until_the_end_of_the_connection_is_read(self) -> None:
        def endless(handler: Handler) -> None:
            handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(HELLO).encode())

        with SpeechEngine(endless) as engine:
            assert len(ask(engine).segments) == 1

    def test_the_largest_that_may_be_read_is_read(self) -> None:
        answer = json.dumps(HELLO).encode()
        with SpeechEngine(sends(answer)) as engine:
            assert len(ask(engine, max_answer_bytes=len(answer)).segments) == 1
        assert isinstance(failure(sends(answer), max_answer_bytes=len(answer) - 1), EngineRefused)


class TestRefusals:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415, 422, 451, 499])
    def test_what_is_wrong_with_the_request_is_final(self, status: int) -> None:
        refused = failure(sends(b"secret words", status, Content_Type="text/plain"))
        assert (refused.code, refused.reason) == ("engine_refused", f"answers {status}")

    @pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
    def test_a_redirect_is_final_and_not_followed(self, status: int) -> None:
        with SpeechEngine(says(HELLO)) as elsewhere:
            refused = failure(sends(b"", status, Location=elsewhere.url))
        assert isinstance(refused, EngineRefused)
        assert elsewhere.requests == []

    def test_an_answer_beyond_the_limit_is_final(self) -> None:
        def flood(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(70 * MIB))
            handler.end_headers()
            for _ in range(70):
                handler.wfile.write(b" " * MIB)

        assert isinstance(failure(flood), EngineRefused)

    def test_one_that_unpacks_beyond_the_limit_is_final(self) -> None:
        bomb = gzip.compress(b" " * (70 * MIB))
        assert len(bomb) < MIB
        assert isinstance(failure(sends(bomb, Content_Encoding="gzip")), EngineRefused)

    def test_one_that_unpacks_to_more_takes_no_more_memory(self) -> None:
        bomb = sends(gzip.compress(b" " * (70 * MIB)), Content_Encoding="gzip")
        tracemalloc.start()
        try:
            assert isinstance(failure(bomb, max_answer_bytes=MIB), EngineRefused)
            assert tracemalloc.get_traced_memory()[1] < 8 * MIB
        finally:
            tracemalloc.stop()

    def test_a_refusal_before_the_sound_was_read_is_heard(self) -> None:
        """An engine that refuses by the head alone and closes breaks the connection that still sends."""
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def refuse() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(64)
                    connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

            thread = threading.Thread(target=refuse)
            thread.start()
            engine = Engine(EngineSettings(f"http://127.0.0.1:{listener.getsockname()[1]}"))
            with pytest.raises(EngineRefused):
                engine.transcribe(bytes(8 * MIB), None, None, duration_ms=1000)
            thread.join()


class TestAnotherAttempt:
    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
    def test_what_may_pass_is_not_final(self, status: int) -> None:
        failed = failure(sends(b"busy", status))
        assert (failed.code, failed.retry_after) == ("engine_unavailable", None)

    def test_the_engine_says_when(self) -> None:
        assert failure(sends(b"", 429, Retry_After="7")).retry_after == 7
        later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        assert failure(sends(b"", 503, Retry_After=later)).retry_after == 600

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>sign in</html>",
            b"Hello there.",
            b'"Hello"',
            b"[]",
            b"{}",
            b"null",
            b'{"error": {"message": "no"}}',
            b'{"text": 5}',
            b'{"text": "x", "segments": "y"}',
            b'{"text": "x", "segments": [5]}',
            b'{"segments": [{"start": 0, "text": ["x"]}]}',
            b'{"text": "Hel',
            b"[" * 100_000,
            b'{"text": "x", "n": ' + b"9" * 10_000 + b"}",
            b'\xff\xfe{"text"',
        ],
    )
    def test_an_answer_that_is_no_transcription_is_not_final(self, body: bytes) -> None:
        assert isinstance(failure(sends(body)), EngineUnavailable)

    @pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip"])
    def test_nor_is_one_that_cannot_be_unpacked(self, coding: str) -> None:
        assert isinstance(failure(sends(b"\x00\x01", Content_Encoding=coding)), EngineUnavailable)

    def test_an_answer_that_breaks_off_is_not_final(self) -> None:
        answer = json.dumps(HELLO).encode()
        half = sends(answer[:20], Content_Length=str(len(answer)))
        assert isinstance(failure(half), EngineUnavailable)

    def test_a_connection_that_closes_without_an_answer_is_not_final(self) -> None:
        assert isinstance(failure(lambda _: None), EngineUnavailable)
        assert isinstance(failure(lambda h: void(h.wfile.write(b"nonsense\r\n\r\n"))), EngineUnavailable)

    def test_an_engine_that_is_away_is_not_final(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(EngineUnavailable):
            ask(f"http://127.0.0.1:{port}")
        with pytest.raises(EngineUnavailable):
            ask("http://no-such-engine.invalid")


class TestTime:
    """The time is over because the engine never ends; each ends as soon as its client is gone."""

    def test_one_that_never_answers_is_left(self) -> None:
        with SpeechEngine(Handler.wait_until_left) as engine:
            with pytest.raises(EngineUnavailable):
                ask(engine, timeout_seconds=0.3)
            assert engine.finished.wait(10)

    @pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
    def test_one_that_drips_for_ever_is_left(self, start: bytes) -> None:
        """Each byte comes in time; the whole does not."""
        left = threading.Event()

        def drip(handler: Handler) -> None:
            handler.wfile.write(start)
            threading.Thread(target=lambda: (handler.wait_until_left(), left.set())).start()
            while not left.wait(0.01):
                handler.wfile.write(b" ")

        with SpeechEngine(drip) as engine:
            with pytest.raises(EngineUnavailable):
                ask(engine, timeout_seconds=0.5)
            assert left.wait(10)

    def test_who_gives_up_need_not_wait_for_the_engine(self) -> None:
        with SpeechEngine(Handler.wait_until_left) as engine:
            with pytest.raises(Abandoned):
                ask(engine, is_given_up=lambda: len(engine.requests) > 0)
            assert engine.finished.wait(10)

    def test_who_gives_up_in_the_middle_of_an_answer_is_free_too(self) -> None:
        begun = threading.Event()

        def begin(handler: Handler) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{")
            begun.set()
            handler.wait_until_left()

        with SpeechEngine(begin) as engine:
            with pytest.raises(Abandoned):
                ask(engine, is_given_up=begun.is_set)
            assert engine.finished.wait(10)

    def test_who_has_given_up_before_sends_nothing(self) -> None:
        with SpeechEngine(says(HELLO)) as engine:
            with pytest.raises(Abandoned):
                ask(engine, is_given_up=lambda: True)
            assert engine.requests == []


class TestEncryption:
    def test_a_certificate_that_nobody_vouches_for_is_refused(
        self, certificate: tuple[Path, ssl.SSLContext]
    ) -> None:
        _, tls = certificate
        with SpeechEngine(says(HELLO), tls) as engine:
            with pytest.raises(EngineUnavailable):
                ask(engine)
            assert engine.requests == []

    def test_one_that_the_machine_trusts_is_taken(
        self, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file, tls = certificate
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with SpeechEngine(says(HELLO), tls) as engine:
            assert ask(engine).language == "en"

    def test_a_name_that_is_not_its_own_is_refused(
        self, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file, tls = certificate
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with SpeechEngine(says(HELLO), tls) as engine:
            with pytest.raises(EngineUnavailable):
                ask(f"https://localhost:{engine.port}")
            assert engine.requests == []

    def test_an_engine_that_does_not_speak_it_is_left(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(EngineUnavailable):
            ask(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout_seconds=0.3)

    def test_who_gives_up_is_free_there_too(
        self, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file, tls = certificate
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with SpeechEngine(Handler.wait_until_left, tls) as engine:
            with pytest.raises(Abandoned):
                ask(engine, is_given_up=lambda: len(engine.requests) > 0)
            assert engine.finished.wait(10)


class TestSecrets:
    def test_nothing_that_was_said_or_is_secret_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        secrets = ("sk-hidden", "hunter2", "whispered", "vocabulary-name")
        manners: list[Manner] = [
            sends(b"whispered", 400),
            sends(b"whispered", 500),
            sends(b'{"text": ["whispered"]}'),
            sends(b'{"text": "whispered'),
            lambda handler: void(handler.wfile.write(b"whispered\r\n\r\n")),
            lambda handler: void(
                handler.wfile.write(b"HTTP/1.1 200 OK\r\n whispered\r\nContent-Length: x\r\n\r\n")
            ),
        ]
        told = []
        for manner in manners:
            with SpeechEngine(manner) as engine:
                url = f"http://me:hunter2@127.0.0.1:{engine.port}"
                settings = EngineSettings(url, api_key="sk-hidden")
                with pytest.raises((EngineRefused, EngineUnavailable)) as caught:
                    Engine(settings).transcribe(FLAC, None, secrets[3], duration_ms=1)
                told += [repr(settings), repr(caught.value), *traceback.format_exception(caught.value)]
        told += [str(vars(record)) for record in caplog.records]
        assert [(text, secret) for text in told for secret in secrets if secret in text] == []
        assert {record.message for record in caplog.records} == {"engine_refused", "engine_unavailable"}

    @pytest.mark.parametrize("key", ["sk\r\nX: 1", "sk-ä", "sk 1"])
    def test_a_key_that_no_header_can_carry_is_refused_at_the_start(self, key: str) -> None:
        with pytest.raises(SettingsError) as caught:
            Engine(EngineSettings("http://localhost", api_key=key))
        assert key not in str(caught.value)


NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 120 ", 120),
        ("600", 600),
        ("601", 600),
        ("9" * 5000, 600),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Sat, 28 Nov 2026 12:00:30 GMT", 30),
        ("Saturday, 28-Nov-26 12:00:30 GMT", 30),
        ("Sat Nov 28 12:00:30 2026", 30),
        ("Sat, 28 Nov 2026 11:00:00 GMT", 0),
        ("Sat, 28 Nov 2026 13:00:00 GMT", 600),
        ("Sat, 99 Nov 2026 13:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(told: str | None, seconds: int | None) -> None:
    assert retry_after(told, NOON) == seconds


def void(_: object) -> None:
    """Let a lambda return nothing."""


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 that vouches for itself, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "speech engine")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, both = tmp_path / "certificate.pem", tmp_path / "both.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(private + public.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return public, context
