"""How mail leaves: the messages themselves, the transports, the settings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from panzoto.auth.caller import Client
from panzoto.config import Settings
from panzoto.errors import SettingsError
from panzoto.mail.letters import LINE_CHARACTERS, Letter, Letters
from panzoto.mail.transports import Files, NotSent, Ses, message_of, transport_for
from tests.support import mails
from tests.support.aws import aws_environment
from tests.support.service import aws_client

SENDER = "Panzoto <no-reply@panzoto.example>"
CODE = "A-very-long_code" * 10
# The letters with a code, and the page that takes it.
PAGES = {"verification": "verify", "email-changed": "verify", "email-left": "undo", "reset": "reset"}
CLIENT = Client("203.0.113.7", "Ada's telephone")
AT = datetime(2025, 11, 21, 9, 5, tzinfo=UTC)


def letter(to: str = "ada@example.com", text: str = "Hello,\n") -> Letter:
    return Letter("verification", to, "Confirm your address", text)


def all_letters(service_url: str | None = None) -> list[Letter]:
    letters, to = Letters(service_url), "ada@example.com"
    return [
        letters.verification(to, CODE),
        letters.new_device(to, CLIENT, AT),
        letters.password_changed(to, CLIENT, AT),
        letters.recovered(to, CLIENT, AT),
        letters.password_reset(to, CLIENT, AT, started_over=False),
        letters.password_reset(to, CLIENT, AT, started_over=True),
        letters.recovery_key_made(to, CLIENT, AT),
        letters.email_left(to, CLIENT, AT, CODE),
        letters.move_requested(to, CODE),
        letters.reset(to, CODE, has_recovery_key=False),
        letters.reset(to, CODE, has_recovery_key=True),
    ]


def test_a_device_whose_name_was_cut_off_is_told_by_whole_words() -> None:
    cut = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"[:64]
    text = Letters(None).recovery_key_made("ada@example.com", Client("192.0.2.1", cut), AT).text
    assert "Device:  Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 ...\n" in text


class TestMessages:
    def test_its_fields_say_who_when_and_that_nobody_wrote_it(self) -> None:
        message = mails.read(message_of(letter(), SENDER).as_bytes())
        assert message["From"] == SENDER
        assert message["To"] == "ada@example.com"
        assert message["Subject"] == "Confirm your address"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Message-ID"].endswith("@panzoto.example>")
        assert abs((message["Date"].datetime - datetime.now(UTC)).total_seconds()) < 60
        assert message.get_content_type() == "text/plain"

    def test_a_code_stands_in_one_line_on_the_wire(self) -> None:
        raw = message_of(Letters(None).verification("ada@example.com", CODE), SENDER).as_bytes()
        assert CODE.encode() in raw.split(b"\r\n")
        assert raw.isascii()

    def test_a_name_in_any_script_arrives(self) -> None:
        client = Client("203.0.113.7", "Теле́фон 📱")
        raw = message_of(Letters(None).new_device("ada@example.com", client, AT), SENDER).as_bytes()
        assert raw.isascii()
        assert "Теле́фон 📱" in mails.text(mails.read(raw))

    @pytest.mark.parametrize(
        ("address", "written"),
        [
            ("ada@bücher.example", "ada@xn--bcher-kva.example"),
            ("a,b@example.com", '"a,b"@example.com'),
            ("<ada>@example.com", '"<ada>"@example.com'),
            ("ada@example.com,eve@example.com", '"ada@example.com,eve"@example.com'),
            ('a"b@example.com', '"a\\"b"@example.com'),
            ("o'hara+notes@sub.example.com", "o'hara+notes@sub.example.com"),
        ],
    )
    def test_an_address_is_one_address_and_no_list(self, address: str, written: str) -> None:
        message = mails.read(message_of(letter(address), SENDER).as_bytes())
        (receiver,) = message["To"].addresses
        assert receiver.addr_spec == written

    @pytest.mark.parametrize(
        "address",
        ["ada@example.com,eve", "ada@exa>mple.com", "ada@a..b", "ada@", "@example.com", "ädä@example.com"],
    )
    def test_what_mail_cannot_be_sent_to_is_refused_without_being_named(self, address: str) -> None:
        with pytest.raises(NotSent, match=r"^unsendable_address$") as refusal:
            message_of(letter(address), SENDER)
        assert refusal.value.is_final


class TestTexts:
    @pytest.mark.parametrize("written", all_letters(), ids=lambda one: one.kind)
    def test_they_are_short_lines_without_an_address_to_open(self, written: Letter) -> None:
        lines = written.text.split("\n")
        assert [line for line in lines if len(line) > LINE_CHARACTERS and line != CODE] == []
        assert "http" not in written.text
        assert lines.count(CODE) == (written.kind in PAGES)
        # A code is of no use to who does not know where it goes.
        said = " ".join(written.text.split())
        assert (f"/{PAGES.get(written.kind)} behind it" in said) == (written.kind in PAGES)

    def test_a_code_comes_with_an_address_to_open_where_the_services_own_is_known(self) -> None:
        for written in all_letters("https://voice.example.com"):
            lines = written.text.split("\n")
            assert written.text.endswith("\nPanzoto, https://voice.example.com\n")
            page = PAGES.get(written.kind)
            assert lines.count(f"https://voice.example.com/{page}#code={CODE}") == (page is not None)
            assert lines.count(CODE) == (page is not None)
            assert written.text.count("http") == 1 + (page is not None)
            # Before the fragment there is nothing that a log on the way could keep.
            assert CODE not in written.text.replace(f"#code={CODE}", "").replace(f"\n{CODE}\n", "")

    def test_none_says_that_what_was_copied_is_void(self) -> None:
        for written in all_letters():
            assert "void" not in written.text
        for kind in ("password-changed", "new-device", "recovered", "recovery-key-made"):
            (told,) = {one.text for one in all_letters() if one.kind == kind}
            assert "goes on opening" in " ".join(told.split())

    def test_notices_say_which_device_where_and_when(self) -> None:
        told = Letters(None).new_device("ada@example.com", CLIENT, AT).text
        for fact in ("Ada's telephone", "203.0.113.7", "21 November 2025, 09:05 UTC"):
            assert fact in told

    def test_a_letter_shows_neither_address_nor_text(self) -> None:
        shown = repr(letter(text="Hello,\nsecret"))
        assert "ada@example.com" not in shown
        assert "secret" not in shown


class TestFiles:
    def test_each_message_is_a_file_that_only_the_operator_reads(self, tmp_path: Path) -> None:
        folder = tmp_path / "data" / "mail"
        for _ in range(3):
            Files(folder).send("verification", message_of(letter(), SENDER))
        written = list(folder.iterdir())
        assert [mails.kind(path) for path in written] == ["verification"] * 3
        assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
        assert folder.stat().st_mode & 0o777 == 0o700
        assert mails.read(written[0].read_bytes())["To"] == "ada@example.com"

    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "mail").write_text("no folder")
        with pytest.raises(NotSent, match="FileExistsError"):
            Files(tmp_path / "mail").send("verification", message_of(letter(), SENDER))


class TestSes:
    @pytest.fixture
    def ses(self, moto: str, monkeypatch: pytest.MonkeyPatch) -> Ses:
        for name, value in aws_environment(moto).items():
            monkeypatch.setenv(name, value)
        return Ses("us-east-1")

    def test_a_verified_sender_sends(self, moto: str, ses: Ses) -> None:
        client = aws_client("sesv2", moto)
        client.create_email_identity(EmailIdentity="no-reply@panzoto.test")
        # Version 2 of moto's interface counts nothing; version 1 is the same account.
        counts = aws_client("ses", moto).get_send_quota
        before = counts()["SentLast24Hours"]
        ses.send("verification", message_of(letter(), "Panzoto <no-reply@panzoto.test>"))
        assert counts()["SentLast24Hours"] > before

    def test_a_refusal_is_named_without_its_text(self, ses: Ses) -> None:
        with pytest.raises(NotSent, match=r"^MessageRejected$"):
            ses.send("verification", message_of(letter(), "nobody@unverified.example"))

    def test_an_endpoint_that_nobody_answers_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in aws_environment("http://127.0.0.1:9").items():
            monkeypatch.setenv(name, value)
        with pytest.raises(NotSent, match=r"^EndpointConnectionError$"):
            Ses("us-east-1", attempts=1).send("verification", message_of(letter(), SENDER))


class TestSettings:
    def settings(self, tmp_path: Path, **values: str) -> Settings:
        return Settings.from_environment({"PANZOTO_DATA_DIR": str(tmp_path), **values})

    def test_development_writes_files_and_production_sends_nothing(self, tmp_path: Path) -> None:
        production = {"FLASK_ENV": "production", "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCD"}
        assert self.settings(tmp_path).mail == "files"
        assert self.settings(tmp_path, **production).mail == "off"
        assert self.settings(tmp_path, **production, MAIL="files").mail == "files"

    def test_ses_needs_a_sender(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="MAIL_FROM is missing"):
            self.settings(tmp_path, MAIL="ses")
        assert self.settings(tmp_path, MAIL="ses", MAIL_FROM=SENDER).mail_from == SENDER

    @pytest.mark.parametrize("sender", ["nobody", "a@b@c", "Panzoto <>", "ädä@example.com", "a@b\u2028c"])
    def test_a_sender_that_is_no_address_stops_the_start(self, tmp_path: Path, sender: str) -> None:
        with pytest.raises(SettingsError, match="MAIL_FROM must be an address"):
            self.settings(tmp_path, MAIL_FROM=sender)

    def test_another_word_stops_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="MAIL must be one of off, files, ses"):
            self.settings(tmp_path, MAIL="smtp")

    def test_off_opens_nothing(self) -> None:
        assert transport_for(Settings(mail="off")) is None
