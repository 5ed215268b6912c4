"""Does a service keep the contract that Panzoto's clients rely on? One command asks it everything.

    python examples/conformance http://127.0.0.1:5000

It makes accounts of its own (`conformance-…@example.com`), uploads small recordings, and deletes the accounts
at the end. It prints what it tried and what fell short, and ends with 0 when nothing did, with 1 when
something did, and with 2 when nobody answers or it is called wrongly. Where the service says 429, it waits
as it is told.

It needs Python 3.11 and `cryptography`, as examples/python does, whose encryption it uses.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]

import accounts  # noqa: E402 - the folders of above
import basics  # noqa: E402
import playback  # noqa: E402
import recordings  # noqa: E402
import sessions  # noqa: E402
import uploads  # noqa: E402
from asking import FellShort, Service, Unreachable, complain  # noqa: E402
from world import World  # noqa: E402

GROUPS = (basics, sessions, recordings, uploads, playback, accounts)


def main() -> int:
    """Run every check that was asked for."""
    parser = argparse.ArgumentParser(prog="conformance", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("address", nargs="?", help="where the service is, such as http://127.0.0.1:5000")
    parser.add_argument("--only", default="", metavar="WORDS", help="only checks about these words")
    parser.add_argument("--list", action="store_true", help="print what would be tried, and stop")
    options = parser.parse_args()
    checks = [(group, check) for group in GROUPS for check in group.CHECKS]
    wanted = [(group, check) for group, check in checks if options.only in sentence_of(check)]
    if options.list and wanted:
        print("\n".join(sentence_of(check) for _, check in wanted))
        return 0
    if not wanted:
        parser.error(f"no check speaks of {options.only!r}; --list prints them all")
    if urlsplit(options.address or "").scheme not in ("http", "https"):
        parser.error("the address of the service is missing, such as http://127.0.0.1:5000")
    world = World(Service(options.address, lambda text: print(f"        ({text})", flush=True)))
    short = 0
    try:
        world.service.ask("GET", "/api/health")
        for _, check in wanted:
            short += not _holds(check, world)
    except Unreachable as error:
        complain(f"{options.address}: {error}")
        return 2
    finally:
        world.close()
    print(f"\n{len(wanted) - short} of {len(wanted)} hold" + ("." if not short else f"; {short} fell short."))
    return 1 if short else 0


def sentence_of(check: object) -> str:
    """Return what a check is about: the first line of its docstring."""
    return (check.__doc__ or "").split("\n", 1)[0]


def _holds(check: object, world: World) -> bool:
    try:
        check(world)  # type: ignore[operator]
    except FellShort as short:
        print(f"  SHORT {sentence_of(check)}\n        {short}", flush=True)
        return False
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        # An answer of another shape than any check expects.
        print(f"  SHORT {sentence_of(check)}\n        unexpected answer: {error!r}", flush=True)
        return False
    print(f"  ok    {sentence_of(check)}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
