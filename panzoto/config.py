"""Settings, a frozen value built from the environment once, at the start.

This is the only module that reads `os.environ` (botocore, gunicorn and
OpenTelemetry read the variables that are theirs).  A value that cannot be read raises
`SettingsError` with a sentence that names the setting and never shows a secret.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

from dotenv import load_dotenv

from panzoto.errors import SettingsError
from panzoto.host import stand_in_address
from panzoto.host.sizing import Size, size_for, this_machine

SECRET_KEY_MIN_BYTES = 32
# Fragments of the values that templates and tutorials ship; letters only, lower case.
KNOWN_DEFAULT_FRAGMENTS = (
    "changeme",
    "changethis",
    "changeinproduction",
    "changeitinproduction",
    "yoursecretkey",
    "yoursecret",
    "devsecret",
    "developmentsecret",
    "defaultsecret",
    "insecure",
    "replaceme",
    "replacethis",
    "supersecret",
)

DOTENV = ".env"
FEWEST_STREAMS = 128
DEVELOPMENT_SENDER = "Panzoto <panzoto@localhost>"
MAIL_SENDER = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
# RFC 6454, 6.2: scheme, host and perhaps a port, as browsers write it; no path, not even a slash.
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]{0,20}://(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
# Where a report lies: `s3://bucket/prefix`, without the prefix too (S3 User Guide, "Bucket naming rules").
INVENTORY_LOCATION = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[ -~]*))?")
# What AWS takes for names: S3 User Guide, "Bucket naming rules"; DynamoDB, "Naming rules"; SQS, "Quotas".
BUCKET_NAME = re.compile(r"(?!.*\.\.)(?![0-9]+(\.[0-9]+){3}$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
TABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
BUCKET_RULE = "a name that S3 takes: 3 to 63 of a-z, 0-9, . and -, such as my-recordings"
# What ends the name of the queue of what has failed, which has to be as short as any: 80 characters.
DEAD_LETTERS = "-dead"
QUEUE_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{80 - len(DEAD_LETTERS)}}}")
# botocore makes host names of it.
REGION_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
# What no path can be added to, or what no address holds.
NO_PATH_BEHIND = re.compile(r"[?#\s\x00-\x1f\x7f]")
# RFC 5646 as far as engines use it: ISO 639's two letters, or three, and perhaps script and region.
LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}")

ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_S3")
ENDPOINT_OF_QUEUES = "AWS_ENDPOINT_URL_SQS"
# Whoever has set one of these has an AWS of their own.
OWN_AWS = (
    *ENDPOINTS,
    ENDPOINT_OF_QUEUES,
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)

# OWASP Password Storage Cheat Sheet: for each time cost, the least memory in KiB.
OWASP_MINIMUM_MEMORY_KIB = {1: 47104, 2: 19456, 3: 12288, 4: 9216}
OWASP_MINIMUM_MEMORY_KIB_ABOVE = 7168
ARGON2_MAX_TIME_COST = 20
ARGON2_MAX_MEMORY_KIB = 1024 * 1024
ARGON2_MAX_PARALLELISM = 16


@dataclass(frozen=True, slots=True)
class Argon2Parameters:
    """Argon2id cost: passes, KiB of memory and lanes. The default is RFC 9106's second choice."""

    time_cost: int = 3
    memory_cost_kib: int = 65536
    parallelism: int = 4

    def within_ceiling(self) -> bool:
        """Whether computing with these costs is bearable for a server."""
        return (
            1 <= self.time_cost <= ARGON2_MAX_TIME_COST
            and 1 <= self.memory_cost_kib <= ARGON2_MAX_MEMORY_KIB
            and 1 <= self.parallelism <= ARGON2_MAX_PARALLELISM
        )

    def above_floor(self) -> bool:
        """Whether these costs reach OWASP's minimum."""
        floor = OWASP_MINIMUM_MEMORY_KIB.get(self.time_cost, OWASP_MINIMUM_MEMORY_KIB_ABOVE)
        return self.time_cost >= 1 and self.memory_cost_kib >= floor and self.parallelism >= 1

    def reasonable(self) -> bool:
        return self.within_ceiling() and self.above_floor()


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in a window of so many seconds."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True)
class TranscriptionSettings:
    """The engine that turns sound into words, none without an address, and the workers that ask it."""

    url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    model: str = "whisper-1"
    max_bytes: int = 25_000_000
    timeout_seconds: int = 600
    attempts: int = 3
    at_once: int = 1
    per_user: int = 2
    queue: str = "panzoto-transcriptions"
    allow_languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything an operator can choose; see the table in README.md for what each does."""

    environment: str = "development"
    region: str = "us-east-1"
    users_table: str = "panzoto-users"
    audio_files_table: str = "panzoto-audio-files"
    claims_table: str = "panzoto-claims"
    sessions_table: str = "panzoto-sessions"
    throttle_table: str = "panzoto-throttle"
    events_table: str = "panzoto-events"
    changes_table: str = "panzoto-changes"
    erasures_table: str = "panzoto-erasures"
    sweeps_table: str = "panzoto-sweeps"
    transcripts_table: str = "panzoto-transcripts"
    transcriptions_table: str = "panzoto-transcriptions"
    bucket: str = "panzoto-audio-dev"
    inventory: str | None = None
    secret_key: str = field(default="", repr=False)
    secret_key_fallbacks: tuple[str, ...] = field(default=(), repr=False)
    token_ttl: int = 2_592_000
    refresh_ttl: int = 7_776_000
    ticket_ttl: int = 900
    quota_recordings: int = 100_000
    quota_bytes: int = 50 * 1024**3
    events_queue: str = "panzoto-bucket-events"
    mail_queue: str = "panzoto-mail"
    chores_queue: str = "panzoto-chores"
    trash_days: int = 30
    single_upload_max: int = 64 * 1024**2
    limit_register: Rate = Rate(5, 60)
    limit_login: Rate = Rate(10, 60)
    limit_decrypt: Rate = Rate(30, 60)
    limit_session: Rate = Rate(20, 60)
    limit_letters: Rate = Rate(5, 3600)
    limit_transcribe: Rate = Rate(60, 3600)
    limit_failures: int = 5
    mail: str = "off"
    mail_from: str = DEVELOPMENT_SENDER
    oidc_issuer: str | None = None
    oidc_audiences: tuple[str, ...] = ()
    oidc_jwks_url: str | None = None
    oidc_token_types: tuple[str, ...] = ("at+jwt", "jwt")
    oidc_accept_id_tokens: bool = False
    public_url: str | None = None
    otlp_endpoint: str | None = None
    transcription: TranscriptionSettings = TranscriptionSettings()
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: int = 0
    auto_create_resources: bool = False
    argon2: Argon2Parameters = Argon2Parameters()
    hashes_at_once: int = 2
    hash_wait_seconds: float = 2.0
    custom_aws_endpoint: bool = False
    data_dir: Path = Path(".panzoto")
    port: int = 5000
    aws_port: int = 5566
    aws_port_chosen: bool = False
    metrics_port: int = 9464
    metrics_port_chosen: bool = False
    speech: bool = True
    console: bool = True
    speech_model: Path | None = None
    workers: int = 1
    threads: int = 128
    log_level: str = "INFO"

    @property
    def streams(self) -> int:
        """How many may be listening to a worker at one time; who waits for a listener holds no thread."""
        return max(FEWEST_STREAMS, 2 * self.threads)

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @property
    def public_origin(self) -> str | None:
        """The origin of `PUBLIC_URL` as browsers write it (RFC 6454, section 6.2); None without one.

        The console has it, so its pages reach the bucket from there.
        """
        if self.public_url is None:
            return None
        parts = urlsplit(self.public_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        usual = {"http": 80, "https": 443}[parts.scheme]
        return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, usual) else "")

    @property
    def bucket_origins(self) -> list[tuple[str, ...]]:
        """Origins whose pages may use what is signed for the bucket, a tuple for each rule.

        Who develops beside a stand-in for AWS opens the console at any address of the machine.
        """
        beside_a_stand_in = self.custom_aws_endpoint and not self.production
        if "*" in self.cors_origins or (self.public_url is None and beside_a_stand_in):
            return [("*",)]
        public = self.public_origin
        return [origins for origins in (self.cors_origins, (public,) if public else ()) if origins]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read every setting from `environ`, by default the process's own and its `.env`.

        Raises `SettingsError` for the first value that cannot be used.
        """
        if environ is None:
            _load_dotenv()
            environ = os.environ
        read = _Reader(environ)
        environment = read.choice("FLASK_ENV", "development", ("development", "production"))
        production = environment == "production"
        data_dir = Path(read.text("PANZOTO_DATA_DIR", ".panzoto"))
        argon2 = Argon2Parameters(
            read.integer("ARGON2_TIME_COST", 3, 1, ARGON2_MAX_TIME_COST),
            read.integer("ARGON2_MEMORY_KIB", 65536, 1, ARGON2_MAX_MEMORY_KIB),
            read.integer("ARGON2_PARALLELISM", 4, 1, ARGON2_MAX_PARALLELISM),
        )
        if not argon2.above_floor():
            raise SettingsError("ARGON2_MEMORY_KIB is below OWASP's minimum for this ARGON2_TIME_COST")
        hashes_at_once = read.integer("HASHES_AT_ONCE", 2, 1, 256)
        size = _size(read, production, argon2, hashes_at_once)
        return cls(
            environment=environment,
            region=read.name("AWS_REGION", "us-east-1", REGION_NAME, "such as eu-central-1"),
            users_table=read.table("USERS_TABLE", "panzoto-users"),
            audio_files_table=read.table("AUDIO_FILES_TABLE", "panzoto-audio-files"),
            claims_table=read.table("CLAIMS_TABLE", "panzoto-claims"),
            sessions_table=read.table("SESSIONS_TABLE", "panzoto-sessions"),
            throttle_table=read.table("THROTTLE_TABLE", "panzoto-throttle"),
            events_table=read.table("EVENTS_TABLE", "panzoto-events"),
            changes_table=read.table("CHANGES_TABLE", "panzoto-changes"),
            erasures_table=read.table("ERASURES_TABLE", "panzoto-erasures"),
            sweeps_table=read.table("SWEEPS_TABLE", "panzoto-sweeps"),
            transcripts_table=read.table("TRANSCRIPTS_TABLE", "panzoto-transcripts"),
            transcriptions_table=read.table("TRANSCRIPTIONS_TABLE", "panzoto-transcriptions"),
            bucket=read.name("S3_BUCKET", "panzoto-audio-dev", BUCKET_NAME, BUCKET_RULE),
            inventory=read.inventory("INVENTORY"),
            secret_key=_secret_key(read, production, data_dir),
            secret_key_fallbacks=_fallbacks(read, production),
            token_ttl=read.integer("TOKEN_TTL", 2_592_000, 1, 10 * 365 * 86400),
            refresh_ttl=read.integer("REFRESH_TTL", 7_776_000, 1, 10 * 365 * 86400),
            quota_recordings=read.integer("QUOTA_RECORDINGS", 100_000, 0, 10**12),
            quota_bytes=read.integer("QUOTA_BYTES", 50 * 1024**3, 0, 10**17),
            events_queue=read.queue("EVENTS_QUEUE", "panzoto-bucket-events"),
            mail_queue=read.queue("MAIL_QUEUE", "panzoto-mail"),
            chores_queue=read.queue("CHORES_QUEUE", "panzoto-chores"),
            trash_days=read.integer("TRASH_DAYS", 30, 0, 3650),
            single_upload_max=read.integer("SINGLE_UPLOAD_MAX", 64 * 1024**2, 0, 5 * 1024**3),
            limit_register=read.rate("LIMIT_REGISTER", Rate(5, 60)),
            limit_login=read.rate("LIMIT_LOGIN", Rate(10, 60)),
            limit_decrypt=read.rate("LIMIT_DECRYPT", Rate(30, 60)),
            limit_session=read.rate("LIMIT_SESSION", Rate(20, 60)),
            limit_letters=read.rate("LIMIT_LETTERS", Rate(5, 3600)),
            limit_transcribe=read.rate("LIMIT_TRANSCRIBE", Rate(60, 3600)),
            transcription=_transcription(read),
            limit_failures=read.integer("LIMIT_FAILURES", 5, 1, 1_000_000),
            mail=(mail := read.choice("MAIL", "off" if production else "files", ("off", "files", "ses"))),
            mail_from=_mail_from(read, needed=mail == "ses"),
            ticket_ttl=read.integer("TICKET_TTL", 900, 1, 86400),
            **_openid(read, production),
            public_url=_public_url(read),
            otlp_endpoint=read.url("OTEL_EXPORTER_OTLP_ENDPOINT"),
            cors_origins=read.origins("CORS_ORIGINS", () if production else ("*",)),
            trusted_proxies=read.integer("TRUSTED_PROXIES", 0, 0, 10),
            auto_create_resources=read.flag("AUTO_CREATE_RESOURCES", False),
            argon2=argon2,
            hashes_at_once=hashes_at_once,
            hash_wait_seconds=read.number("HASH_WAIT_SECONDS", 2.0, 0.0, 30.0),
            custom_aws_endpoint=_has_own_endpoint(read),
            data_dir=data_dir,
            port=read.port("PORT", 5000),
            aws_port=read.port("PANZOTO_AWS_PORT", 5566),
            aws_port_chosen=read.present("PANZOTO_AWS_PORT"),
            metrics_port=read.port("METRICS_PORT", 9464, 0),
            metrics_port_chosen=read.present("METRICS_PORT"),
            speech=read.flag("SPEECH", True),
            console=read.flag("CONSOLE", True),
            speech_model=Path(model) if (model := read.text("SPEECH_MODEL", "")) else None,
            workers=size.workers,
            threads=size.threads,
            log_level=read.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
        )


def _load_dotenv() -> None:
    """Take what `.env` has and the environment has not. A line that cannot be read is told, and left out."""
    log = logging.getLogger("dotenv.main")
    log.addFilter(_name_the_file)
    try:
        load_dotenv(DOTENV)
    finally:
        log.removeFilter(_name_the_file)


def _name_the_file(record: logging.LogRecord) -> bool:
    file = str(Path(DOTENV).absolute()).replace("%", "%%")
    record.msg = f"panzoto: {file}: {record.msg}"
    return True


def find_running_stand_in() -> None:
    """Let a `flask` command find the stand-in of a `make run` of this folder, unless AWS is set otherwise.

    botocore then reads its variables from this process's environment, as from any other.
    """
    _load_dotenv()
    read = _Reader(os.environ)
    if not read.flag("FLASK_RUN_FROM_CLI", False) or any(map(read.present, OWN_AWS)):
        return
    if read.text("FLASK_ENV", "development") == "production":
        return
    found = stand_in_address.read(Path(read.text("PANZOTO_DATA_DIR", ".panzoto"))) or {}
    # Beside it is the engine of this machine, which is nothing to who has another.
    has_engine = read.present("TRANSCRIPTION_URL")
    os.environ.update({n: v for n, v in found.items() if not (has_engine and n.startswith("TRANSCRIPTION_"))})


class _OpenIdSettings(TypedDict):
    oidc_issuer: str | None
    oidc_audiences: tuple[str, ...]
    oidc_jwks_url: str | None
    oidc_token_types: tuple[str, ...]
    oidc_accept_id_tokens: bool


def child_environment(
    changes: Mapping[str, str | None],
    inherit: Collection[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return a child process's environment: this process's own, or its names in `inherit`, with `changes`.

    A change to None takes the name away.
    """
    environ = os.environ if environ is None else environ
    kept = {name: value for name, value in environ.items() if inherit is None or name in inherit}
    return {name: value for name, value in {**kept, **changes}.items() if value is not None}


class _Reader:
    """Reads one typed value at a time; an empty variable counts as absent."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        # Which setting has each name, since what two of them share would be mixed up.
        self._tables: dict[str, str] = {}
        self._queues: dict[str, str] = {}

    def present(self, name: str) -> bool:
        return bool(self._environ.get(name, "").strip())

    def text(self, name: str, default: str) -> str:
        return self._environ.get(name, "").strip() or default

    def name(self, name: str, default: str, form: re.Pattern[str], rule: str) -> str:
        value = self.text(name, default)
        if not form.fullmatch(value):
            raise SettingsError(f"{name} must be {rule}")
        return value

    def table(self, name: str, default: str) -> str:
        rule = "a name that DynamoDB takes: 3 to 255 of A-Z, a-z, 0-9, _, . and -"
        value = self.name(name, default, TABLE_NAME, rule)
        other = self._tables.setdefault(value, name)
        if other != name:
            raise SettingsError(f"{name} names the table of {other}; each needs one of its own")
        return value

    def queue(self, name: str, default: str) -> str:
        """Read a queue's name, which is not another's, nor that of what has failed of another."""
        rule = (
            f"a name that SQS takes with {DEAD_LETTERS} behind it, for what fails: "
            f"1 to {80 - len(DEAD_LETTERS)} of A-Z, a-z, 0-9, _ and -"
        )
        value = self.name(name, default, QUEUE_NAME, rule)
        for taken in (value, value + DEAD_LETTERS):
            other = self._queues.setdefault(taken, name)
            if other != name:
                raise SettingsError(
                    f"{name} and {other} share a queue: each needs one of its own, and one that ends "
                    f"in {DEAD_LETTERS} for what fails"
                )
        return value

    def words(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        if not self.present(name):
            return default
        return tuple(word.strip() for word in self._environ[name].split(",") if word.strip())

    def origins(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Read origins of pages, or `*`; a pattern is none, since readers differ on what it stands for."""
        values = tuple(value.lower() for value in self.words(name, default))
        if not all(value == "*" or ORIGIN.fullmatch(value) for value in values):
            raise SettingsError(f"{name} must be * or origins such as https://voice.example.com")
        return values

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise SettingsError(f"{name} must be one of {', '.join(choices)}")
        return value

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        value = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]{1,18}", value) or not least <= int(value) <= most:
            raise SettingsError(f"{name} must be a whole number from {least} to {most}")
        return int(value)

    def port(self, name: str, default: int, least: int = 1) -> int:
        try:
            return self.integer(name, default, least, 65535)
        except SettingsError as error:
            raise SettingsError(f"{error}, such as {name}={default + 1}") from error

    def number(self, name: str, default: float, least: float, most: float) -> float:
        value = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) or not least <= float(value) <= most:
            raise SettingsError(f"{name} must be a number from {least:g} to {most:g}")
        return float(value)

    def rate(self, name: str, default: Rate) -> Rate:
        if not self.present(name):
            return default
        units = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
        found = re.fullmatch(r"([0-9]{1,9})\s*(?:per|/)\s*(second|minute|hour|day)s?", self.text(name, ""))
        if found is None or int(found[1]) < 1:
            raise SettingsError(f"{name} must be like `10 per minute`; per second, minute, hour or day")
        return Rate(int(found[1]), units[found[2]])

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, "1" if default else "0").lower()
        if value not in ("0", "1", "true", "false", "yes", "no"):
            raise SettingsError(f"{name} must be 1, true or yes, or else 0, false or no")
        return value in ("1", "true", "yes")

    def inventory(self, name: str) -> str | None:
        value = self.text(name, "")
        if value and not INVENTORY_LOCATION.fullmatch(value):
            raise SettingsError(f"{name} must be a place in S3 such as s3://my-inventories/panzoto")
        return value or None

    def url(self, name: str) -> str | None:
        value = self.exact_url(name)
        return None if value is None else value.rstrip("/")

    def exact_url(self, name: str) -> str | None:
        """Read an address that is compared letter by letter, so that a slash at its end counts."""
        if not self.present(name):
            return None
        value = self._environ[name].strip()
        try:
            parts = urlsplit(value)
            # A port beyond 65535 is found when it is asked for.
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            usable = usable and not NO_PATH_BEHIND.search(value)
        except ValueError:
            usable = False
        if not usable:
            raise SettingsError(f"{name} must be an http or https address")
        return value


def _size(read: _Reader, production: bool, argon2: Argon2Parameters, hashes_at_once: int) -> Size:
    """Read the number of workers and threads; production takes what the machine bears where none is given."""
    workers = read.integer("WEB_CONCURRENCY", 1, 1, 64)
    threads = read.integer("THREADS", 128, 2, 1024)
    if not production:
        return Size(workers, threads)
    chosen = workers if read.present("WEB_CONCURRENCY") else None
    sized = size_for(this_machine(), argon2.memory_cost_kib / 1024, hashes_at_once, chosen)
    return Size(sized.workers, threads if read.present("THREADS") else sized.threads)


def _public_url(read: _Reader) -> str | None:
    url = read.url("PUBLIC_URL")
    if url and urlsplit(url).username is not None:
        raise SettingsError("PUBLIC_URL is shown to everybody, so it must hold no user and no password")
    return url


def _has_own_endpoint(read: _Reader) -> bool:
    """Whether AWS is elsewhere than at AWS. Each address is looked at, also where another tells already."""
    named = {name for name in (*ENDPOINTS, ENDPOINT_OF_QUEUES) if read.url(name)}
    return not named.isdisjoint(ENDPOINTS)


def _mail_from(read: _Reader, needed: bool) -> str:
    if needed and not read.present("MAIL_FROM"):
        raise SettingsError("MAIL_FROM is missing: MAIL=ses needs the address that the mails come from")
    value = read.text("MAIL_FROM", DEVELOPMENT_SENDER)
    if not MAIL_SENDER.fullmatch(parseaddr(value)[1]) or not value.isprintable():
        raise SettingsError("MAIL_FROM must be an address, such as Panzoto <no-reply@example.com>")
    return value


def _openid(read: _Reader, production: bool) -> _OpenIdSettings:
    issuer, jwks_url = read.exact_url("OIDC_ISSUER"), read.exact_url("OIDC_JWKS_URL")
    audiences = read.words("OIDC_AUDIENCE")
    if bool(issuer) != bool(audiences):
        raise SettingsError("OIDC_ISSUER and OIDC_AUDIENCE belong together: set both or neither")
    if jwks_url and not issuer:
        raise SettingsError("OIDC_JWKS_URL is of no use without OIDC_ISSUER and OIDC_AUDIENCE")
    for name, value in (("OIDC_ISSUER", issuer), ("OIDC_JWKS_URL", jwks_url)):
        # Whoever can change the keys on their way can be anybody; nobody stands between us and loopback.
        if production and value and urlsplit(value).scheme != "https" and not _is_loopback(value):
            raise SettingsError(f"{name} must be an https address in production")
    return {
        "oidc_issuer": issuer,
        "oidc_audiences": audiences,
        "oidc_jwks_url": jwks_url,
        "oidc_token_types": _token_types(read),
        "oidc_accept_id_tokens": read.flag("OIDC_ACCEPT_ID_TOKENS", default=False),
    }


def _transcription(read: _Reader) -> TranscriptionSettings:
    url = read.url("TRANSCRIPTION_URL")
    return TranscriptionSettings(
        url=url,
        api_key=read.text("TRANSCRIPTION_API_KEY", "") or None,
        model=read.text("TRANSCRIPTION_MODEL", "whisper-1"),
        max_bytes=read.integer("TRANSCRIPTION_MAX_BYTES", 25_000_000, 10_000, 10**9),
        timeout_seconds=read.integer("TRANSCRIPTION_TIMEOUT", 600, 1, 86_400),
        attempts=read.integer("TRANSCRIPTION_ATTEMPTS", 3, 1, 100),
        at_once=read.integer("TRANSCRIPTIONS_AT_ONCE", 1, 1, 64),
        per_user=read.integer("TRANSCRIPTIONS_PER_USER", 2, 1, 1000),
        queue=read.queue("TRANSCRIPTIONS_QUEUE", "panzoto-transcriptions"),
        allow_languages=_languages(read, "TRANSCRIPTION_ALLOW_LANGUAGES"),
    )


def _languages(read: _Reader, name: str) -> tuple[str, ...]:
    """Read codes of languages: those of ISO 639-1, and whatever else of this form the engine knows."""
    codes = tuple(word.lower() for word in read.words(name))
    if not all(LANGUAGE.fullmatch(code) for code in codes):
        raise SettingsError(f"{name} must be codes of languages, as in ISO 639-1, such as en,de")
    return codes


def _token_types(read: _Reader) -> tuple[str, ...]:
    """Read what the `typ` of an access token may be; RFC 7515, 4.1.9 lets `application/` be left out."""
    types = tuple(
        name.lower().removeprefix("application/")
        for name in read.words("OIDC_TOKEN_TYPES", ("at+jwt", "jwt"))
    )
    if not types or not all(re.fullmatch(r"[a-z0-9!#$&^_.+-]{1,64}", name) for name in types):
        raise SettingsError("OIDC_TOKEN_TYPES must be names such as at+jwt,jwt")
    return types


def _is_loopback(address: str) -> bool:
    return urlsplit(address).hostname in ("127.0.0.1", "::1", "localhost")


def _secret_key(read: _Reader, production: bool, data_dir: Path) -> str:
    value = read.text("SECRET_KEY", "")
    if production:
        _check_production_secret("SECRET_KEY", value)
    return value or _development_secret(data_dir)


def _fallbacks(read: _Reader, production: bool) -> tuple[str, ...]:
    values = read.words("SECRET_KEY_FALLBACKS")
    if production:
        for value in values:
            _check_production_secret("SECRET_KEY_FALLBACKS", value)
    return values


def _check_production_secret(name: str, value: str) -> None:
    if not value:
        raise SettingsError(
            f"{name} is missing: production needs a random secret of at least {SECRET_KEY_MIN_BYTES} bytes, "
            "for example what `openssl rand -base64 48` prints"
        )
    if len(value.encode("utf-8", "surrogateescape")) < SECRET_KEY_MIN_BYTES:
        raise SettingsError(f"{name} is shorter than {SECRET_KEY_MIN_BYTES} bytes, which production refuses")
    letters = re.sub(r"[^a-z]", "", value.lower())
    if any(fragment in letters for fragment in KNOWN_DEFAULT_FRAGMENTS):
        raise SettingsError(f"{name} is a known default value, which production refuses; make a random one")


def _development_secret(data_dir: Path) -> str:
    """Return the data folder's own random secret, made at the first start and kept.

    The file is linked into place whole, so that two workers starting at once agree on one secret.
    """
    path = data_dir / "secret_key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            draft = data_dir / f".secret_key.{secrets.token_hex(8)}"
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(48))
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise SettingsError(
            f"SECRET_KEY is missing and none can be kept in PANZOTO_DATA_DIR: {error.strerror}"
        ) from error
