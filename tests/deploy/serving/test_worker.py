"""gunicorn is the one that `deploy/serving/worker.py` was written beside, and calls what is replaced there.

What the replacements bring is tested over the wire in `test_gunicorn.py`.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from importlib.metadata import version

import pytest
from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.http import errors, get_parser, wsgi
from gunicorn.http.body import Body
from gunicorn.workers.gthread import PollableMethodQueue, ThreadWorker

from deploy.serving import worker

REPLACED = [
    (worker.Worker, ThreadWorker, "accept"),
    (worker.Worker, ThreadWorker, "enqueue_req"),
    (worker.Worker, ThreadWorker, "handle"),
    (worker.Worker, ThreadWorker, "set_accept_enabled"),
    (worker.Worker, ThreadWorker, "handle_request"),
    (worker.Worker, ThreadWorker, "finish_request"),
    (worker.Worker, ThreadWorker, "murder_pending"),
    (worker.Worker, ThreadWorker, "handle_error"),
    (worker.JsonLogger, Logger, "setup"),
    (worker.JsonLogger, Logger, "exception"),
]
# What gunicorn has, our methods use, and nothing of ours replaces.
USED = {"alive", "cfg", "log", "method_queue", "nr", "nr_conns", "poller", "sockets", "tpool", "wsgi"}
# What we add; it must hide nothing.
ADDED = {
    name
    for name in vars(worker.Worker)
    if not name.startswith("__") and name not in {replaced for _, _, replaced in REPLACED}
} | {"receiving", "taking", "lingering", "streaming", "next_look"}


def test_gunicorn_is_the_release_that_was_looked_at() -> None:
    assert {name: version(name) for name in worker.SEEN_WITH} == worker.SEEN_WITH, (
        "compare gunicorn/workers/gthread.py with deploy/serving/worker.py, then raise the version there"
    )


@pytest.mark.parametrize(("ours", "theirs", "name"), REPLACED, ids=[name for *_, name in REPLACED])
def test_what_is_replaced_is_there_and_takes_as_much(ours: type, theirs: type, name: str) -> None:
    mine, original = (inspect.signature(getattr(kind, name)).parameters for kind in (ours, theirs))
    if name != "exception":
        assert list(mine) == list(original)
    assert [one.kind for one in mine.values()] == [one.kind for one in original.values()]


def test_every_replacement_is_looked_at() -> None:
    for ours, theirs in ((worker.Worker, ThreadWorker), (worker.JsonLogger, Logger)):
        replaced = {name for name in vars(ours) if name in dir(theirs) and not name.startswith("__")}
        assert replaced == {name for kind, _, name in REPLACED if kind is ours}


def test_gunicorn_itself_asks_for_what_is_replaced_and_has_what_is_used() -> None:
    named = names(ThreadWorker)
    assert named >= {name for kind, _, name in REPLACED if kind is worker.Worker}
    assert named >= USED
    assert "reader" in names(Body)
    assert not ADDED & set(dir(ThreadWorker))
    # `close` is also the name of what others have.
    assert named.isdisjoint(ADDED - {"close"})


def test_what_is_called_takes_what_it_took() -> None:
    assert list(inspect.signature(get_parser).parameters)[:3] == ["cfg", "source", "source_addr"]
    assert list(inspect.signature(wsgi.create).parameters)[:5] == ["req", "sock", "client", "server", "cfg"]
    assert list(inspect.signature(PollableMethodQueue.defer).parameters)[:2] == ["self", "callback"]
    assert list(inspect.signature(util.write_nonblock).parameters)[:2] == ["sock", "data"]
    assert issubclass(errors.LimitRequestLine, errors.ParseException)


def names(kind: type) -> set[str]:
    """The attributes that the source of a class of gunicorn's names."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
