"""Settings: what is read, what is refused and how, and that the example file lists exactly that."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from panzoto.config import Settings
from panzoto.errors import SettingsError

ROOT = Path(__file__).resolve().parents[1]
SECRET = "fJ2-" + "q8Zr_tW6" * 5
# Settings of botocore's and of the AWS chain, which an example file may show although we do not read them.
OF_BOTOCORE = re.compile(r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|PROFILE|DEFAULT_REGION)")


def read(tmp_path: Path, **environ: str) -> Settings:
    return Settings.from_environment({"PANZOTO_DATA_DIR": str(tmp_path / "data"), **environ})


def refusal(tmp_path: Path, **environ: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, **environ)
    return str(refused.value)


def production(tmp_path: Path, **environ: str) -> Settings:
    return read(tmp_path, FLASK_ENV="production", **environ)


class TestDefaults:
    def test_they_are_those_that_operators_know(self, tmp_path: Path) -> None:
        settings = read(tmp_path)
        assert settings.region == "us-east-1"
        assert settings.users_table == "panzoto-users"
        assert settings.audio_files_table == "panzoto-audio-files"
        assert settings.claims_table == "panzoto-claims"
        assert settings.bucket == "panzoto-audio-dev"
        assert settings.environment == "development"
        assert settings.token_ttl == 30 * 86400
        assert settings.ticket_ttl == 900
        assert settings.public_url is None
        assert settings.trusted_proxies == 0
        assert settings.auto_create_resources is False
        assert (settings.port, settings.aws_port) == (5000, 5566)
        argon2 = settings.argon2
        assert (argon2.time_cost, argon2.memory_cost_kib, argon2.parallelism) == (3, 65536, 4)
        assert Settings.from_environment({"SECRET_KEY": SECRET}).data_dir == Path(".panzoto")

    def test_pages_may_call_in_development_only(self, tmp_path: Path) -> None:
        assert read(tmp_path).cors_origins == ("*",)
        assert production(tmp_path, SECRET_KEY=SECRET).cors_origins == ()
        chosen = production(
            tmp_path, SECRET_KEY=SECRET, CORS_ORIGINS=" https://a.example ,,https://b.example "
        )
        assert chosen.cors_origins == ("https://a.example", "https://b.example")

    @pytest.mark.parametrize(
        ("url", "origin"),
        [
            ("https://voice.example.com", "https://voice.example.com"),
            ("https://Voice.Example.COM:443/", "https://voice.example.com"),
            ("http://voice.example.com:80/some/path", "http://voice.example.com"),
            ("https://voice.example.com:8443", "https://voice.example.com:8443"),
            ("http://[2001:DB8::1]:5000", "http://[2001:db8::1]:5000"),
        ],
    )
    def test_the_console_reaches_the_bucket_from_its_own_origin(
        self, tmp_path: Path, url: str, origin: str
    ) -> None:
        settings = production(tmp_path, SECRET_KEY=SECRET, PUBLIC_URL=url, CORS_ORIGINS="https://a.example")
        assert settings.bucket_origins == [("https://a.example",), (origin,)]
        # The service's own calls come from its own page, and no other is allowed by it.
        assert settings.cors_origins == ("https://a.example",)
        assert production(tmp_path, SECRET_KEY=SECRET, PUBLIC_URL=url).bucket_origins == [(origin,)]

    def test_without_an_address_of_its_own_it_reaches_a_stand_in_only(self, tmp_path: Path) -> None:
        beside = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "CORS_ORIGINS": "https://a.example"}
        assert read(tmp_path, **beside).bucket_origins == [("*",)]
        assert production(tmp_path, SECRET_KEY=SECRET, **beside).bucket_origins == [("https://a.example",)]
        assert production(tmp_path, SECRET_KEY=SECRET).bucket_origins == []
        assert production(tmp_path, SECRET_KEY=SECRET, CORS_ORIGINS="*").bucket_origins == [("*",)]

    def test_an_empty_variable_is_an_absent_one(self, tmp_path: Path) -> None:
        names = set(settings_read(tmp_path)) - {"PANZOTO_DATA_DIR", "SECRET_KEY"}
        empty = read(tmp_path, SECRET_KEY=SECRET, **dict.fromkeys(names, "  "))
        assert empty == read(tmp_path, SECRET_KEY=SECRET)

    def test_they_are_frozen(self, tmp_path: Path) -> None:
        settings = read(tmp_path)
        with pytest.raises(dataclasses.FrozenInstanceError):
            settings.port = 1  # type: ignore[misc]


GOOD: dict[str, tuple[str, str, Any]] = {
    "AWS_REGION": ("eu-central-1", "region", "eu-central-1"),
    "USERS_TABLE": (" users ", "users_table", "users"),
    "AUDIO_FILES_TABLE": ("files", "audio_files_table", "files"),
    "CLAIMS_TABLE": ("claims", "claims_table", "claims"),
    "TRANSCRIPTIONS_TABLE": ("a_B.c-9", "transcriptions_table", "a_B.c-9"),
    "S3_BUCKET": ("bucket.of-9", "bucket", "bucket.of-9"),
    "EVENTS_QUEUE": ("Events_of-9", "events_queue", "Events_of-9"),
    # With what is put behind it for what fails these are the 80 that SQS takes.
    "MAIL_QUEUE": ("m" * 75, "mail_queue", "m" * 75),
    "INVENTORY": ("s3://my-inventories/a/b", "inventory", "s3://my-inventories/a/b"),
    "TOKEN_TTL": ("60", "token_ttl", 60),
    "TICKET_TTL": ("60", "ticket_ttl", 60),
    "CORS_ORIGINS": (
        "HTTPS://A.example,http://[::1]:80",
        "cors_origins",
        ("https://a.example", "http://[::1]:80"),
    ),
    "PUBLIC_URL": ("https://voice.example.com/", "public_url", "https://voice.example.com"),
    "TRUSTED_PROXIES": ("2", "trusted_proxies", 2),
    "AUTO_CREATE_RESOURCES": ("yes", "auto_create_resources", True),
    "PORT": ("8080", "port", 8080),
    "PANZOTO_AWS_PORT": ("4566", "aws_port", 4566),
    "AWS_ENDPOINT_URL": ("http://localhost:1", "custom_aws_endpoint", True),
    "AWS_ENDPOINT_URL_DYNAMODB": ("http://localhost:1", "custom_aws_endpoint", True),
    "AWS_ENDPOINT_URL_S3": ("http://localhost:1", "custom_aws_endpoint", True),
    "SECRET_KEY": (SECRET, "secret_key", SECRET),
    "SECRET_KEY_FALLBACKS": ("one, two", "secret_key_fallbacks", ("one", "two")),
}
NUMBERS = ("abc", "-1", "1.5", "1e3", "0x10", "1_0", "٥", "²", "5 5", "99999999999999999999999", "\0", "+5")
TABLES = tuple(
    f"{name}_TABLE"
    for name in (
        *("USERS", "AUDIO_FILES", "CLAIMS", "SESSIONS", "THROTTLE", "EVENTS"),
        *("CHANGES", "ERASURES", "SWEEPS", "TRANSCRIPTS", "TRANSCRIPTIONS"),
    )
)
QUEUES = ("EVENTS_QUEUE", "MAIL_QUEUE", "CHORES_QUEUE", "TRANSCRIPTIONS_QUEUE")
ENDPOINTS = ("AWS_ENDPOINT_URL", *(f"AWS_ENDPOINT_URL_{of}" for of in ("S3", "DYNAMODB", "SQS")))
NO_ENDPOINTS = ("foo", "localhost:4566", "ftp://a", "https://", "http://a:99999", "http://a:b", "http://a?b")
BAD: dict[str, tuple[str, ...]] = {
    "S3_BUCKET": ("Bad_Name", "ab", "b" * 64, "-bucket", "bucket.", "a..b", "192.168.0.1", "s3://a", "b c"),
    **dict.fromkeys(TABLES, ("x y", "ab", "t" * 256, "tables/users", "täble")),
    **dict.fromkeys(QUEUES, ("a b", "q" * 76, "mail.fifo", "https://sqs/1/mail", "quéue")),
    **dict.fromkeys(ENDPOINTS, NO_ENDPOINTS),
    "AWS_REGION": ("us east 1", "us_east_1", "us-east-1/", "-"),
    "TRANSCRIPTION_ALLOW_LANGUAGES": ("english", "en,german", "e", "en_US", "en;de"),
    "FLASK_ENV": ("prod", "Production", "development,production", "testing"),
    "INVENTORY": ("my-inventories/a", "s3://", "https://my-inventories/a", "s3://UPPER/a", "s3://a"),
    "TOKEN_TTL": ("0", *NUMBERS),
    "TICKET_TTL": ("0", *NUMBERS),
    # A pattern would let in more than it says, and an address with a path is no origin.
    "CORS_ORIGINS": (
        "https://*.example.com",
        "https://a.example/",
        "https://a.example, https://.*",
        "a.example",
        "https://a.example|https://b.example",
        "http://[::1",
        "null",
    ),
    "TRUSTED_PROXIES": ("11", *NUMBERS),
    "PORT": ("0", "65536", *NUMBERS),
    "PANZOTO_AWS_PORT": ("0", "65536", *NUMBERS),
    "METRICS_PORT": ("65536", *NUMBERS),
    "WEB_CONCURRENCY": ("0", *NUMBERS),
    "THREADS": ("0", *NUMBERS),
    "HASHES_AT_ONCE": ("0", *NUMBERS),
    "HASH_WAIT_SECONDS": ("-1", "nan", "inf", "1e3", "31"),
    "ARGON2_TIME_COST": ("0", "21", *NUMBERS),
    "ARGON2_MEMORY_KIB": ("0", "1048577", "4096", *NUMBERS),
    "ARGON2_PARALLELISM": ("0", "17", *NUMBERS),
    "AUTO_CREATE_RESOURCES": ("maybe", "2", "on and off"),
    "PUBLIC_URL": (
        "voice.example.com",
        "ftp://voice.example.com",
        "https://",
        "http://[",
        "https://a?b",
        "https://a?",
        "https://a#b",
        "https://a b",
        "https://a\tb",
        "https://user:word@a",
        "javascript:a",
    ),
    "LOG_LEVEL": ("LOUD", "info,debug"),
}


class TestValues:
    @pytest.mark.parametrize("name", GOOD)
    def test_each_is_taken_over(self, tmp_path: Path, name: str) -> None:
        given, attribute, expected = GOOD[name]
        assert getattr(read(tmp_path, **{name: given}), attribute) == expected

    @pytest.mark.parametrize(
        ("name", "value"), [(name, value) for name in BAD for value in BAD[name]], ids=ascii
    )
    def test_one_that_cannot_be_used_is_refused_by_name(self, tmp_path: Path, name: str, value: str) -> None:
        sentence = refusal(tmp_path, **{name: value})
        assert name in sentence
        assert len(sentence) < 300
        assert "\n" not in sentence

    @pytest.mark.parametrize("wrong", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SQS"])
    def test_an_endpoint_is_looked_at_also_beside_another(self, tmp_path: Path, wrong: str) -> None:
        endpoints = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", wrong: "foo"}
        assert wrong in refusal(tmp_path, **endpoints)

    def test_languages_beyond_two_letters_are_those_of_an_engine(self, tmp_path: Path) -> None:
        settings = read(tmp_path, TRANSCRIPTION_ALLOW_LANGUAGES="en, DE ,yue,zh-Hant-TW")
        assert settings.transcription.allow_languages == ("en", "de", "yue", "zh-hant-tw")

    @pytest.mark.parametrize("first", QUEUES)
    @pytest.mark.parametrize("second", QUEUES)
    def test_no_two_queues_are_one(self, tmp_path: Path, first: str, second: str) -> None:
        """What one worker does not understand it would put aside, and the other never see."""
        if first == second:
            return
        for name in ("same", "same-dead"):
            sentence = refusal(tmp_path, **{first: "same", second: name})
            assert first in sentence
            assert second in sentence
        read(tmp_path, **{first: "same", second: "other"})

    def test_a_queue_is_not_another_s_by_default(self, tmp_path: Path) -> None:
        for name in ("panzoto-chores", "panzoto-chores-dead"):
            assert "MAIL_QUEUE" in refusal(tmp_path, MAIL_QUEUE=name)

    @pytest.mark.parametrize("name", [name for name in TABLES if name != "USERS_TABLE"])
    def test_no_two_tables_are_one(self, tmp_path: Path, name: str) -> None:
        sentence = refusal(tmp_path, USERS_TABLE="same", **{name: "same"})
        assert "USERS_TABLE" in sentence
        assert name in sentence

    @pytest.mark.parametrize(
        ("time_cost", "memory"),
        [("1", "47103"), ("2", "19455"), ("3", "12287"), ("4", "9215"), ("5", "7167")],
    )
    def test_hashes_cheaper_than_owasps_minimum_are_refused(
        self, tmp_path: Path, time_cost: str, memory: str
    ) -> None:
        weak = {"ARGON2_TIME_COST": time_cost, "ARGON2_MEMORY_KIB": memory}
        assert "ARGON2" in refusal(tmp_path, **weak)
        read(tmp_path, **weak | {"ARGON2_MEMORY_KIB": str(int(memory) + 1)})


DEFAULT_SECRETS = (
    "dev-secret-key-change-in-production",
    "your-secret-key-change-this-in-production",
    "change-me-change-me-change-me-change-me",
    "CHANGE_THIS_TO_A_RANDOM_SECRET_KEY_0123456789",
    "your-secret-key-here-at-least-32-characters-long",
    "insecure-default-secret-key-0123456789abcdef",
    "supersecretsupersecretsupersecretsupersecret",
    "replace-me-with-a-real-secret-of-32-bytes!!",
)


class TestProductionSecret:
    def test_a_missing_one_is_refused_saying_why(self, tmp_path: Path) -> None:
        for environ in ({}, {"SECRET_KEY": ""}, {"SECRET_KEY": "   "}):
            sentence = refusal(tmp_path, FLASK_ENV="production", **environ)
            assert "SECRET_KEY is missing" in sentence
            assert "32" in sentence
        assert not (tmp_path / "data").exists()

    @pytest.mark.parametrize("value", ["x", "k7" * 15 + "k", "é" * 15])
    def test_a_short_one_is_refused_saying_why(self, tmp_path: Path, value: str) -> None:
        sentence = refusal(tmp_path, FLASK_ENV="production", SECRET_KEY=value)
        assert "SECRET_KEY" in sentence
        assert "shorter than 32 bytes" in sentence
        assert len(value) < 5 or value not in sentence

    @pytest.mark.parametrize("value", DEFAULT_SECRETS)
    def test_a_known_default_is_refused_saying_why(self, tmp_path: Path, value: str) -> None:
        assert len(value) >= 32
        sentence = refusal(tmp_path, FLASK_ENV="production", SECRET_KEY=value)
        assert "SECRET_KEY" in sentence
        assert "default" in sentence
        assert value not in sentence

    def test_32_bytes_are_enough(self, tmp_path: Path) -> None:
        secret = SECRET[:32]
        assert production(tmp_path, SECRET_KEY=secret).secret_key == secret
        assert production(tmp_path, SECRET_KEY="é" * 16).secret_key == "é" * 16

    @pytest.mark.parametrize("value", ["short", DEFAULT_SECRETS[0], f"{SECRET},short"])
    def test_fallbacks_are_held_to_the_same(self, tmp_path: Path, value: str) -> None:
        sentence = refusal(tmp_path, FLASK_ENV="production", SECRET_KEY=SECRET, SECRET_KEY_FALLBACKS=value)
        assert "SECRET_KEY_FALLBACKS" in sentence
        assert SECRET not in sentence

    def test_the_service_itself_does_not_start(self, tmp_path: Path) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "FLASK_ENV": "production",
            "PANZOTO_DATA_DIR": str(tmp_path / "data"),
            "AWS_REGION": "us-east-1",
        }
        short = "only-a-short-one"
        for more, reason in (({}, "SECRET_KEY is missing"), ({"SECRET_KEY": short}, "shorter than 32 bytes")):
            tried = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "gunicorn",
                    "-c",
                    str(ROOT / "deploy" / "serving" / "gunicorn.conf.py"),
                    "wsgi:app",
                ],
                cwd=tmp_path,
                env={**environ, **more},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert tried.returncode != 0
            assert reason in tried.stderr
            assert short not in tried.stderr + tried.stdout
            assert "Traceback" not in tried.stderr


class TestDevelopmentSecret:
    def test_a_random_one_is_made_and_kept(self, tmp_path: Path) -> None:
        first, second = read(tmp_path), read(tmp_path)
        assert first.secret_key == second.secret_key
        assert len(first.secret_key.encode()) >= 32
        other = Settings.from_environment({"PANZOTO_DATA_DIR": str(tmp_path / "other")})
        assert other.secret_key != first.secret_key

    def test_it_is_its_owners_alone(self, tmp_path: Path) -> None:
        read(tmp_path)
        (kept,) = (tmp_path / "data").iterdir()
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    def test_starts_at_the_same_time_agree_on_one(self, tmp_path: Path) -> None:
        with ThreadPoolExecutor(16) as pool:
            found = set(pool.map(lambda _: read(tmp_path).secret_key, range(16)))
        assert len(found) == 1
        assert len(list((tmp_path / "data").iterdir())) == 1

    def test_a_folder_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("a file in its place")
        sentence = refusal(tmp_path)
        assert "SECRET_KEY" in sentence
        assert "PANZOTO_DATA_DIR" in sentence

    def test_one_that_is_given_is_used_and_not_kept(self, tmp_path: Path) -> None:
        assert read(tmp_path, SECRET_KEY="short but mine").secret_key == "short but mine"
        assert not (tmp_path / "data").exists()


class TestNothingIsShown:
    def test_no_secret_in_a_repr(self, tmp_path: Path) -> None:
        settings = production(tmp_path, SECRET_KEY=SECRET, SECRET_KEY_FALLBACKS=SECRET[::-1])
        for shown in (repr(settings), str(settings), f"{settings}", repr([settings])):
            assert SECRET not in shown
            assert SECRET[::-1] not in shown

    def test_no_secret_in_an_error_about_something_else(self, tmp_path: Path) -> None:
        for name, values in BAD.items():
            environ = {"FLASK_ENV": "production", "SECRET_KEY": SECRET, "SECRET_KEY_FALLBACKS": SECRET[::-1]}
            with pytest.raises(SettingsError) as refused:
                read(tmp_path, **environ | {name: values[0]})
            shown = f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"
            assert SECRET not in shown
            assert SECRET[::-1] not in shown


class Watched(Mapping[str, str]):
    """An environment that notes which variables are looked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.seen.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def settings_read(tmp_path: Path) -> set[str]:
    """Every variable that the settings are read from."""
    watched = Watched({"PANZOTO_DATA_DIR": str(tmp_path / "data"), "SECRET_KEY": SECRET})
    Settings.from_environment(watched)
    return watched.seen


class TestExampleFile:
    @staticmethod
    def listed() -> set[str]:
        text = (ROOT / ".env.example").read_text("utf-8")
        return set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))

    def test_every_setting_has_its_line(self, tmp_path: Path) -> None:
        assert settings_read(tmp_path) - self.listed() == set()

    def test_every_line_is_a_setting(self, tmp_path: Path) -> None:
        surplus = self.listed() - settings_read(tmp_path)
        assert {name for name in surplus if not OF_BOTOCORE.fullmatch(name)} == set()

    def test_it_holds_no_secret_that_production_would_take(self, tmp_path: Path) -> None:
        text = (ROOT / ".env.example").read_text("utf-8")
        for value in re.findall(r"^#? ?SECRET_KEY(?:_FALLBACKS)?=(.*)$", text, re.MULTILINE):
            with pytest.raises(SettingsError):
                production(tmp_path, SECRET_KEY=value.strip().strip("'\""))
