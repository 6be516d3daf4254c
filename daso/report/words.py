"""Numbers with their nouns."""

from __future__ import annotations

from collections.abc import Sequence


def with_noun(number: int, noun: str) -> str:
    """Return a number with its noun, as `1 cell` or `3 cells`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def numbered(noun: str, numbers: Sequence[object]) -> str:
    """Return a noun with the numbers of one or more things, as `table 1`, `tables 1 and 2` or `columns 1, 2 and 4`."""
    *others, last = map(str, numbers)
    return f"{noun}s {', '.join(others)} and {last}" if others else f"{noun} {last}"
