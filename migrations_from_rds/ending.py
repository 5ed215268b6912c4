"""How a run ends that cannot go on: what was written by then is part of what its operator is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from migrations_from_rds.display import Display
from migrations_from_rds.errors import MigrationError, Stopped
from migrations_from_rds.pace import Pace
from panzoto.errors import PanzotoError

AGAIN = "run the same command again to go on"


@contextmanager
def telling_progress(pace: Pace, display: Display) -> Iterator[None]:
    """Let whatever ends the block say about how many rows were written or removed.

    Raises `Stopped` in the place of a refusal, which would say that nothing was.
    """
    try:
        yield
    except (MigrationError, PanzotoError) as error:
        if not pace.rows:
            raise
        sentence = error.sentence if isinstance(error, PanzotoError) else str(error)
        raise Stopped(_with_progress(sentence, pace.rows)) from error
    except Exception:
        if pace.rows:
            display.tell(f"About {pace.rows:,} rows had been written or removed by then.")
        raise


def _with_progress(sentence: str, rows: int) -> str:
    done = f"about {rows:,} rows had been written or removed by then"
    if AGAIN in sentence:
        return f"{sentence.rstrip('.')}; {done}."
    return f"{sentence.rstrip('.')}; {done}. Once it is mended, {AGAIN}."
