"""The command: python -m migrations_from_rds plan | copy | verify | rollback | done."""

from __future__ import annotations

import argparse
import gc
import logging
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from migrations_from_rds import holding
from migrations_from_rds.commands import copy as copying
from migrations_from_rds.commands import plan as planning
from migrations_from_rds.commands import rollback as rolling_back
from migrations_from_rds.commands import verify as verifying
from migrations_from_rds.display import Display
from migrations_from_rds.errors import MigrationError, Status
from migrations_from_rds.layout import COLUMNS, LAST_SIGN_IN, Layout, Misnamed
from migrations_from_rds.options import ASK, PATIENCE_SECONDS, PRICE_PER_MILLION, THREADS, Options, settings
from migrations_from_rds.report import REJECTS
from migrations_from_rds.transform import Policy
from migrations_from_rds.vanished_rows import UNASKED_PERCENT
from panzoto.config import Settings
from panzoto.errors import PanzotoError, SettingsError, Unavailable
from panzoto.models import bind_models
from panzoto.telemetry.logs import exception_chain

# Stands for --from-rejects without a name.
IN_STATE_DIR = Path()
INTERRUPTED = 130
TERMINATED = 143
MOST_THREADS = 64
AGAIN = "run the same command again to go on"
OBJECTS_BEFORE_COLLECTION = 100_000
EPILOG = """\
exit status:
  0  done: plan and copy saw every row, verify found no difference, rollback went through
  1  verify found differences or an account could not be proved;
     with --strict also: rows were rejected, or left by rollback
  2  the command line cannot be understood
  3  refused as things are; the sentence says why, and nothing was written
  4  stopped before the end (database or AWS out of reach, or something was refused when rows had
     been written already); the same command goes on
  130, 143  stopped by Ctrl-C or SIGTERM; the same command goes on
"""

ABOUT = {
    "plan": "say what copy would do and what it takes; writes nothing but the hold on the sweeps",
    "copy": "write everything that is not there yet; may be killed and run again",
    "verify": "compare every row, claim and index; writes nothing to either side",
    "rollback": "remove what this migration wrote and nobody has changed since; the sweeps stay held back",
    "done": "the move is over: let the sweeps go on, which plan and copy have held back",
}
Command = Callable[[Options, Settings, Display], Status]
COMMANDS: dict[str, Command] = {
    "plan": planning.run,
    "copy": lambda options, _, display: copying.run(options, display),
    "verify": verifying.run,
    "rollback": lambda options, _, display: rolling_back.run(options, display),
    "done": lambda _, __, display: holding.done(display),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _read(arguments)
    display = Display()
    try:
        found = settings()
        bind_models(found)
        if options.command in ("plan", "copy"):
            holding.begin(display)
        return COMMANDS[options.command](options, found, display)
    except (KeyboardInterrupt, EOFError):
        # The latter is Ctrl-D at a question.
        display.tell(f"Stopped; {AGAIN}")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, its own text may hold a secret
        return _tell(error, display, options.state_dir)


def _tell(error: Exception, display: Display, state_dir: Path) -> Status:
    """Say what ended the run, and return the exit status that says the same."""
    if isinstance(error, MigrationError):
        display.tell(str(error))
        return error.status
    if isinstance(error, SettingsError):
        display.tell(str(error))
        return Status.REFUSED
    if isinstance(error, PanzotoError):
        passing = isinstance(error, Unavailable)
        display.tell(f"{error.sentence}; {AGAIN}" if passing else error.sentence)
        return Status.STOPPED if passing else Status.REFUSED
    if isinstance(error, sqlite3.Error):
        display.tell(f"The manifest in {state_dir} cannot be used: {error}; once it can, {AGAIN}")
        return Status.STOPPED
    if isinstance(error, OSError) and error.strerror:
        where = error.filename or state_dir
        display.tell(f"{where} cannot be used: {error.strerror}; once it can, {AGAIN}")
        return Status.STOPPED
    for link in exception_chain(error):
        display.tell(f"{link['type']} at {'; '.join(link['frames'][-3:])}")
    return Status.STOPPED


def _terminate(_: int, __: FrameType | None) -> NoReturn:
    # As Ctrl-C, so that what is under way is noted; `SystemExit` carries the status.
    raise SystemExit(TERMINATED)


def _read(arguments: Sequence[str] | None) -> Options:
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    given["accounts"] = tuple(given.get("accounts") or ())
    schema, tables, columns = (given.pop(name, None) for name in ("schema", "tables", "columns"))
    try:
        given["layout"] = Layout.of(schema, tables or (), columns or ())
    except Misnamed as error:
        parser.error(str(error))
    options = Options(**{name: value for name, value in given.items() if value is not None})
    if options.from_rejects is not None and options.since_last:
        parser.error("--from-rejects and --since-last are two different runs")
    if options.remove_at_most is not None and not options.since_last:
        parser.error("--remove-at-most goes with --since-last, which alone removes anything")
    if options.service_url is not None and not options.accounts:
        parser.error("--service-url goes with --account, which says whom to sign in as")
    if options.from_rejects == IN_STATE_DIR:
        return replace(options, from_rejects=options.state_dir / REJECTS)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m migrations_from_rds",
        description="Move the legacy PostgreSQL database into DynamoDB, once, and prove that it arrived.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    plan, copy, verify, rollback, _ = (_command(commands, name, what) for name, what in ABOUT.items())
    for command in (plan, copy, verify, rollback):
        _layout_options(command)
    for reader in (plan, copy, verify):
        _source_options(reader)
    for writer in (plan, copy, rollback):
        writer.add_argument(
            "--max-write-units",
            type=_positive,
            metavar="N",
            help="use at most N write units a second, all tables together",
        )
    plan.add_argument("--check-bucket", action="store_true", help="name recordings whose object is missing")
    plan.add_argument(
        "--price-per-million",
        type=_positive,
        metavar="USD",
        help=f"what a million write units cost (default {PRICE_PER_MILLION:g})",
    )
    copy.add_argument(
        "--since-last", action="store_true", help="take only what changed since the last copy, deletions too"
    )
    copy.add_argument(
        "--remove-at-most",
        type=_rows,
        metavar="N",
        help="with --since-last: remove up to N rows in all that the database no longer holds, "
        f"beyond the {UNASKED_PERCENT} %% of each table that go unasked",
    )
    copy.add_argument(
        "--from-rejects",
        nargs="?",
        const=IN_STATE_DIR,
        type=Path,
        metavar="FILE",
        help="feed back a mended reject file (default: rejects.jsonl in --state-dir)",
    )
    verify.add_argument(
        "--account",
        action="append",
        dest="accounts",
        metavar="EMAIL",
        help="ask for this account's password, sign in and open its newest recording; may be repeated",
    )
    verify.add_argument(
        "--service-url", metavar="URL", help="do the same with --account over HTTP at the running service"
    )
    verify.add_argument(
        "--old-token",
        nargs="?",
        const=ASK,
        metavar="TOKEN",
        help="see whether a token that the legacy service gave is accepted; without TOKEN it is asked for, "
        "or read from standard input, where other users cannot see it",
    )
    rollback.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _command(commands: Any, name: str, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=what, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="where reports, checkpoint and manifest lie (default .migration)",
    )
    parser.add_argument(
        "--threads", type=_threads, metavar="N", help=f"requests to DynamoDB at once (default {THREADS})"
    )
    parser.add_argument(
        "--patience",
        type=_positive,
        metavar="SECONDS",
        help=f"give up when DynamoDB has taken nothing for so long (default {PATIENCE_SECONDS:g})",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit status 1 also when rows were rejected or left"
    )
    return parser


def _source_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database-url",
        metavar="URL",
        help="postgresql://user:password@host/name; default: DATABASE_URL, else the PG* variables. "
        "Other users of this machine can see a command line, so rather use the variables",
    )
    parser.add_argument(
        "--on-collision",
        type=_policy,
        metavar="|".join(Policy),
        help="what to do with accounts whose addresses become one (default fail)",
    )


def _layout_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--schema", metavar="NAME", help="where the legacy tables are (default: the search path)"
    )
    parser.add_argument(
        "--table",
        action="append",
        dest="tables",
        metavar="OURS=THEIRS",
        help=f"what a table is called there; ours are {' and '.join(COLUMNS)}; may be repeated",
    )
    parser.add_argument(
        "--column",
        action="append",
        dest="columns",
        metavar="[TABLE.]OURS=THEIRS",
        help="what a column is called there, such as created_at=made_at; may be repeated; "
        f"{LAST_SIGN_IN}=… names one that helps to decide about collisions",
    )


def _policy(value: str) -> Policy:
    try:
        return Policy(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(Policy)}") from None


def _positive(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be a number, more than 0")
    return number


def _rows(value: str) -> int:
    if not value.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number")
    return int(value)


def _threads(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MOST_THREADS}")
    return int(value)


def prepare_process() -> None:
    """Do what is for a process of its own only: where logs go, how a signal ends it, how it uses memory."""
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _terminate)
    # Rows come and go by the million and form no circles, so looking for circles less often costs no memory.
    gc.freeze()
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)


if __name__ == "__main__":
    prepare_process()
    sys.exit(main())
