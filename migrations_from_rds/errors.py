"""What stops a run, each with the sentence that its operator reads and the exit status that says it."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """The exit status of every command; 130 and 143 are a stop by Ctrl-C or SIGTERM."""

    DONE = 0
    DIFFERENT = 1
    USAGE = 2
    REFUSED = 3
    STOPPED = 4


class MigrationError(Exception):
    """A run ends here; its text is a sentence for the operator and never holds a secret."""

    status = Status.REFUSED


class Refused(MigrationError):
    """The run must not begin as things are; nothing was written."""


class SourceBroken(MigrationError):
    """The database cannot be reached or read any more; running the same command again goes on."""

    status = Status.STOPPED


class Stopped(MigrationError):
    """The run was stopped before its end; running the same command again goes on."""

    status = Status.STOPPED
