"""Passwords that a command needs: out of a file, or asked for at the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import click

NO_TERMINAL = "There is no terminal to ask on. Give the password in the first line of --password-file FILE."

PASSWORD_FILE = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Where the account's password is, in its first line; without it, it is asked for.",
)


def password_of(file: Path | None, prompt: str) -> str:
    """Return the password. Raises `click.ClickException` where nobody can be asked."""
    if file is not None:
        return file.read_text("utf-8").split("\n", 1)[0]
    if not _can_ask():
        raise click.ClickException(NO_TERMINAL)
    password: str = click.prompt(prompt, hide_input=True, err=True)
    return password


def _can_ask() -> bool:
    """Whether there is a terminal, which is asked even where standard input is something else."""
    try:
        with Path("/dev/tty").open("rb"):
            return True
    except OSError:
        return sys.stdin.isatty()
