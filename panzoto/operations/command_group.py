"""What all commands share: a failure is one sentence and status 1, a wrong word is told the right ones."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import click
from flask.cli import AppGroup

from panzoto.errors import PanzotoError, Unavailable
from panzoto.models.refusals import refusal_behind

NO_CREDENTIALS = (
    "There are no credentials for AWS here, and no `make run` with this data folder is running. Start one, or"
    " name the PANZOTO_DATA_DIR of one that runs, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
    " AWS_PROFILE, and for another AWS than Amazon's also AWS_ENDPOINT_URL."
)
# By these names botocore says so, and `aws_credentials` at the end of what it says.
MISSING = ("NoCredentialsError", "PartialCredentialsError")


class Commands(AppGroup):
    """A group of commands; the outermost one is the place that tells of every failure beneath it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was meant. Raises `click.ClickException` where the service fails."""
        try:
            return super().invoke(ctx)
        except PanzotoError as error:
            raise click.ClickException(told(error)) from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """List the commands where none was named; that is no failure."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that was named. Raises `click.UsageError`, which names those there are."""
        name, known = args[0], self.list_commands(ctx)
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            near = get_close_matches(name, known, 1)
            meant = f"Did you mean `{ctx.command_path} {near[0]}`? " if near else ""
            raise click.UsageError(
                f"There is no command {name!r} here. {meant}There are: {', '.join(known)}.", ctx
            )
        return super().resolve_command(ctx, args)


def told(error: PanzotoError) -> str:
    """Return what to tell an operator, who may have forgotten to say where AWS is."""
    return known_reason(error) or error.sentence


def known_reason(error: PanzotoError) -> str | None:
    """Return a sentence about AWS's credentials where they are to blame: missing, over, without a right."""
    if lacks_credentials(error):
        return NO_CREDENTIALS
    # Whatever says more than that one by itself knows better what it was about.
    return refusal_behind(error) if error.sentence == Unavailable.sentence else None


def lacks_credentials(error: PanzotoError) -> bool:
    """Whether it came to this since nobody has said which keys of AWS are to be used."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ in MISSING or str(cause).endswith(MISSING):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
