"""Short texts of numbers, names, digests and provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SHOWN_DIGITS = 12  # characters shown of a digest


def with_noun(number: int, noun: str) -> str:
    """Return a number with its noun, as `1 cell` or `3 cells`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def numbered(noun: str, numbers: Sequence[object]) -> str:
    """Return a noun with the numbers of one or more things, as `table 1`, `tables 1 and 2` or `columns 1, 2 and 4`."""
    *others, last = map(str, numbers)
    return f"{noun}s {', '.join(others)} and {last}" if others else f"{noun} {last}"


def merge_names(lists: Iterable[Sequence[str]]) -> list[str]:
    """Return the names at each position of the seeds' lists, joined; a name that seeds share appears once."""
    return [", ".join(dict.fromkeys(names)) for names in zip(*lists, strict=True)]


def format_provenance(value: Any) -> str:
    """Return a value as text: a mapping as its names and values in order, `unknown` for None or an empty string."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {format_provenance(part)}" for name, part in value.items())
    if isinstance(value, list):
        return " ".join(format_provenance(part) for part in value)
    return "unknown" if value in (None, "") else str(value)


def short_digest(digest: Any) -> str:
    """Return the first SHOWN_DIGITS characters of a digest."""
    return str(digest)[:SHOWN_DIGITS] if digest else "unknown"
