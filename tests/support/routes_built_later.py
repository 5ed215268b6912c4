"""Once this is loaded, werkzeug writes the code that builds a route's addresses when one is first built.

Every application has it written twice for each of its routes, and hardly a process ever builds an address.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from werkzeug.routing import Rule

Build = Callable[..., tuple[str, str]]

_write = Rule._compile_builder


def _written_later(rule: Rule, append_unknown: bool = True) -> Build:
    written = cache(lambda: _write(rule, append_unknown))

    def build(self: Rule, /, **values: Any) -> tuple[str, str]:
        return written()(self, **values)

    return build


Rule._compile_builder = _written_later
