"""Arithmetic of fair timing: contenders take turns, and are compared within a round.

A machine is never as quiet for an hour as for a minute. So each round measures every contender once, each round begins
with another one, and two contenders are compared by the median of their ratios within rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Measure = Callable[[], float]  # does some work, and says how many seconds one unit of it took
Times = dict[str, list[float]]  # seconds of a unit, by contender, round by round


class Spread(NamedTuple):
    """The median of n values, and the lowest and highest of them."""

    median: float
    low: float
    high: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ratios(slow: Sequence[float], fast: Sequence[float]) -> Spread:
    """How many times faster the second is: of the ratios of each round, not the ratio of two medians."""
    return spread([one / other for one, other in zip(slow, fast, strict=True)])


def rates(seconds: Sequence[float]) -> Spread:
    """Units per second."""
    return spread([1 / value for value in seconds])


def scaled(seconds: Sequence[float], factor: float) -> Spread:
    """In other units of time."""
    return spread([factor * value for value in seconds])


def interleaved(contenders: Mapping[str, Measure], repeats: int) -> Times:
    """Measure every contender once a round, for `repeats` rounds; round r begins with contender r, r + 1, ..."""
    names = list(contenders)
    times: Times = {name: [] for name in names}
    for start in range(repeats):
        for place in range(len(names)):
            name = names[(start + place) % len(names)]
            times[name].append(contenders[name]())
    return times
