"""Writers of one account take turns in a process, and those who wait meanwhile go together.

Writes to one account rest on the number of its latest change, so two at once refuse each other. Within a
process nobody competes: one of those who wait takes along what the others want, and writes it for all. Only
the processes are left to compete, each with everything that waits in it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from panzoto.errors import Unavailable


class Waiting(ABC):
    """Something that somebody wants to be written and waits for."""

    def __init__(self) -> None:
        self.is_over = False
        self._error: Exception | None = None

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows it may write."""

    def over(self, error: Exception | None = None) -> None:
        """Let whoever waits for it go on, with what went wrong, if anything. Only the first call counts."""
        if not self.is_over:
            self._error = error
            self.is_over = True

    def check(self) -> None:
        """Raise what went wrong."""
        if self._error is not None:
            raise self._error


W = TypeVar("W", bound=Waiting)


class _Line(Generic[W]):
    """Those who wait at one name. `people` counts who may still look at it."""

    def __init__(self, guard: threading.Lock) -> None:
        self.waiting: list[W] = []
        self.people = 0
        self.is_busy = False
        self.changed = threading.Condition(guard)


class Turns(Generic[W]):
    """The lines of those who wait, one for each name; about `most` rows are written at once."""

    def __init__(self, most: int, write: Callable[[str, Sequence[W]], None]) -> None:
        self._most = most
        self._write = write
        self._lines: dict[str, _Line[W]] = {}
        self._guard = threading.Lock()

    def take(self, name: str, wish: W) -> None:
        """Return once `wish` is over, be it by this thread or by one that took it along; raises its error."""
        with self._guard:
            line = self._lines.setdefault(name, _Line(self._guard))
            line.people += 1
            line.waiting.append(wish)
            try:
                while line.is_busy and not wish.is_over:
                    line.changed.wait()
                group = [] if wish.is_over else self._group(line, wish)
            finally:
                line.people -= 1
                if not line.people and not line.is_busy:
                    self._lines.pop(name, None)
        if group:
            self._lead(name, line, group)
        wish.check()

    def _group(self, line: _Line[W], wish: W) -> list[W]:
        """Take the turn: return `wish` and as many of the others as go with it, in their order."""
        group, rows = [wish], wish.rows
        for other in line.waiting:
            if other is not wish and rows + other.rows <= self._most:
                group.append(other)
                rows += other.rows
        line.waiting = [other for other in line.waiting if other not in group]
        line.is_busy = True
        return group

    def _lead(self, name: str, line: _Line[W], group: list[W]) -> None:
        failure: Exception = Unavailable()
        try:
            self._write(name, group)
        except Exception as error:  # noqa: BLE001 - everybody in the group is told, this thread too
            failure = error
        finally:
            for one in group:
                one.over(failure)
            with self._guard:
                line.is_busy = False
                line.changed.notify_all()
                if not line.people:
                    self._lines.pop(name, None)
