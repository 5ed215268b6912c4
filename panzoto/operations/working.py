"""What all workers that a command starts have in common: what they say, and that they end when told to."""

from __future__ import annotations

import sys

import click

from panzoto.errors import PanzotoError
from panzoto.operations.command_group import known_reason
from panzoto.queues.consumer import Consumer, Rules
from panzoto.queues.trouble import Trouble, in_worker_words

at_once_option = click.option(
    "--at-once",
    type=click.IntRange(1, 64),
    default=Rules().at_once,
    show_default=True,
    help="How many are worked on at once.",
)


def trouble_for_operators() -> Trouble:
    """Return what tells whoever has started a worker what keeps it from its work."""
    return Trouble(_tell, _words)


def work_until_signalled(consumer: Consumer, trouble: Trouble | None = None) -> None:
    """Work on the queue until told to stop."""
    # Under a supervisor nobody reads it, and nobody has a Ctrl-C.
    if sys.stdin.isatty():
        _tell(f"Working on queue {consumer.queue_name}; Ctrl-C stops")
    consumer.run_until_signalled(trouble or trouble_for_operators())


def _tell(sentence: str) -> None:
    click.echo(sentence, err=True)


def _words(error: PanzotoError) -> str:
    return known_reason(error) or in_worker_words(error)
