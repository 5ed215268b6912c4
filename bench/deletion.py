"""An account with hundreds of recordings, whose deletion is killed at random points and then gone on with.

Shown is how much was left after each kill, and that nothing is left in any table or in the bucket at the end.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

from bench.support.report import Target, print_table, print_targets
from bench.support.stand_in import default_kind, stand_in
from tests.support.accounts import fill, interrupted, remains
from tests.support.service import run_service

EMAIL = "somebody-who-leaves@example.com"


def main() -> None:
    arguments = _arguments()
    with stand_in(arguments.stand_in) as aws, run_service(aws) as service:
        account = service.register(EMAIL)
        user_id = account["user_id"]
        fill(service, account, arguments.recordings)
        rows: list[tuple[str, ...]] = []

        def look() -> None:
            found = Counter(remains(service, user_id, EMAIL))
            in_tables = sum(count for name, count in found.items() if name.startswith("panzoto-"))
            rows.append((f"kill {len(rows)}", str(in_tables), str(found.total() - in_tables)))

        look()
        started = time.monotonic()
        interrupted(
            service,
            user_id,
            kills=arguments.kills,
            apart=arguments.recordings,
            seed=arguments.seed,
            killed=look,
        )
        left = remains(service, user_id, EMAIL)
        print_table(
            f"{arguments.recordings} recordings, deleted with {arguments.kills} kills"
            f" in {time.monotonic() - started:.0f} s",
            ("left after", "rows", "versions and uploads"),
            rows,
        )
    print_targets([Target("left of the account at the end", len(left), 0)])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=500)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=11, help="of the moments of the kills")
    parser.add_argument("--stand-in", default=default_kind(), help="moto, ministack or a URL")
    return parser.parse_args()


if __name__ == "__main__":
    main()
