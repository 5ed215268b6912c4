"""What a run was asked for, and the parts that every command needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from migrations_from_rds.layout import Layout
from migrations_from_rds.pace import Pace
from migrations_from_rds.transform import Policy
from panzoto import config
from panzoto.config import Settings

THREADS = 8
PATIENCE_SECONDS = 300.0
# Stands for --old-token without a value: it is asked for.
ASK = ""
# On-demand writes, us-east-1, US dollars for a million units.
PRICE_PER_MILLION = 0.625


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, read. `database_url` may hold a password and is never shown."""

    command: str
    state_dir: Path = Path(".migration")
    database_url: str = field(default="", repr=False)
    on_collision: Policy | None = None
    max_write_units: float | None = None
    threads: int = THREADS
    patience: float = PATIENCE_SECONDS
    layout: Layout = field(default_factory=Layout)
    since_last: bool = False
    remove_at_most: int | None = None
    from_rejects: Path | None = None
    check_bucket: bool = False
    price_per_million: float = PRICE_PER_MILLION
    accounts: tuple[str, ...] = ()
    service_url: str | None = None
    # A token that the earlier service gave, or `ASK`.
    old_token: str | None = field(default=None, repr=False)
    yes: bool = False
    strict: bool = False

    def database(self) -> str:
        """Return the database's address: the option, DATABASE_URL, or nothing where the PG* variables are."""
        if self.database_url:
            return self.database_url
        return config.child_environment({}, inherit=("DATABASE_URL",)).get("DATABASE_URL", "")

    def pace(self) -> Pace:
        return Pace(self.threads, self.max_write_units, self.patience)


def settings() -> Settings:
    """Return the service's own settings, which name the tables and the bucket. Raises `SettingsError`."""
    return Settings.from_environment()
