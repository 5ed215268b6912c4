"""Figures from samples, and tables of them.

Ratios are taken within a round, so that what else the machine is doing cancels out.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


def percentile(samples: Iterable[float], share: float) -> float:
    """The sample below which `share` (0 to 1) of all lie, by the nearest rank."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, max(0, int(share * len(ordered) + 0.5) - 1))]


def interleaved(rounds: int, measures: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Run every measure once a round, in turn; the first round warms up and is thrown away."""
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if number:
                samples[name].append(value)
    return samples


def ratio(samples: dict[str, list[float]], measured: str, reference: str) -> float:
    """The median over the rounds of `measured` by `reference` of the same round."""
    pairs = zip(samples[measured], samples[reference], strict=True)
    return statistics.median(above / below for above, below in pairs)


@dataclass(frozen=True)
class Target:
    """A figure with the bound it is held to; `at_most` says on which side of it the figure should be."""

    name: str
    value: float
    bound: float
    at_most: bool = True
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def row(self) -> tuple[str, str, str, str]:
        sign = "<=" if self.at_most else ">="
        return (
            self.name,
            f"{self.value:.3g}{self.unit}",
            f"{sign} {self.bound:g}{self.unit}",
            "ok" if self.met else "MISSED",
        )


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns, the first to the left and the others to the right."""
    lines = [tuple(columns), *(tuple(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    print(f"\n{title}")
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0]), *(line[at].rjust(widths[at]) for at in range(1, len(line)))]
        print("  " + "  ".join(cells).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


def print_targets(targets: Sequence[Target]) -> bool:
    """Print the figures that have a bound; whether all of them are met."""
    print_table("Targets", ("figure", "measured", "bound", ""), [target.row() for target in targets])
    return all(target.met for target in targets)
