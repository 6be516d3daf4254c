"""Fair timing: contenders are measured in rounds and compared within a round.

The load of a machine drifts over an hour but less over a minute. So each round measures every contender once, each
round begins with a different contender, and two contenders are compared by the median of their ratios within rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Measure = Callable[[], float]  # does some work and returns the seconds of one unit of it
Times = dict[str, list[float]]  # contender -> seconds per unit in each round


class Spread(NamedTuple):
    """Median, minimum and maximum of n values."""

    median: float
    low: float
    high: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of at least one value."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ratios(slow: Sequence[float], fast: Sequence[float]) -> Spread:
    """Return the speedup of `fast` over `slow`: the spread of the ratios within rounds."""
    return spread([slower / faster for slower, faster in zip(slow, fast, strict=True)])


def rates(seconds: Sequence[float]) -> Spread:
    """Return units per second."""
    return spread([1 / value for value in seconds])


def scaled(seconds: Sequence[float], factor: float) -> Spread:
    """Convert times to a different unit."""
    return spread([factor * value for value in seconds])


def interleaved(contenders: Mapping[str, Measure], repeats: int) -> Times:
    """Measure every contender once in each of `repeats` rounds; round r starts with contender r and wraps around."""
    names = list(contenders)
    times: Times = {name: [] for name in names}
    for start in range(repeats):
        for offset in range(len(names)):
            name = names[(start + offset) % len(names)]
            times[name].append(contenders[name]())
    return times
