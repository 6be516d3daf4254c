"""Constraints of values, parts of the annotations that `daso.schema` checks."""

from __future__ import annotations

import json
import math
import operator
import re
import reprlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from daso.errors import close_match


class Interval(NamedTuple):
    """Constraint of a number by bounds; `gt` and `lt` are exclusive."""

    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    lt: float | None = None

    def __str__(self) -> str:
        low, high = self.ge if self.gt is None else self.gt, self.le if self.lt is None else self.lt
        if low is not None and high is not None:
            return f" in {'[' if self.gt is None else '('}{low}, {high}{']' if self.lt is None else ')'}"
        if low is not None:
            return f" above {low}" if self.ge is None else f" of at least {low}"
        return f" below {high}" if self.le is None else f" of at most {high}"

    def problem(self, value: float) -> tuple[str, str] | None:
        """Return the error and the fix of a number outside the bounds."""
        for limit, violates, text, fix in (
            (self.ge, operator.lt, "is below the minimum {}", "; set it to {} or more"),
            (self.gt, operator.le, "is too small", "; set it above {}"),
            (self.le, operator.gt, "is above the maximum {}", "; set it to {} or less"),
            (self.lt, operator.ge, "is too large", "; set it below {}"),
        ):
            if limit is not None and violates(value, limit):
                return f"{format_value(value)} {text.format(limit)}", fix.format(limit)
        return None


class Length(NamedTuple):
    """Constraint of the number of entries of a text, a list or a mapping."""

    low: int = 0
    high: float = math.inf

    def problem(self, value: Sequence[Any] | Mapping[Any, Any]) -> tuple[str, str] | None:
        """Return the error and the fix of a value with too few or too many entries."""
        if self.low <= len(value) <= self.high:
            return None
        if not value and self.low == 1:
            return "empty", "; fill it in"
        limit = f"at least {self.low}" if len(value) < self.low else f"at most {self.high}"
        return f"expected {limit} entries, got {len(value)}", ""


class Pattern(NamedTuple):
    """Constraint of a text by a regular expression, which the whole text has to match."""

    expression: str
    fix: str = ""

    def __str__(self) -> str:
        return f" of the form {self.expression}"

    def problem(self, value: str) -> tuple[str, str] | None:
        """Return the error and the fix of a text that does not match."""
        if re.fullmatch(self.expression, value):
            return None
        return f"expected text{self}, got {format_value(value)}", self.fix


class Unique(NamedTuple):
    """Constraint of a list whose items differ from each other."""

    def problem(self, value: Sequence[Any]) -> tuple[str, str] | None:
        """Return the error and the fix of a list with a duplicate."""
        duplicate = next((item for item in value if value.count(item) > 1), None)
        return None if duplicate is None else (f"duplicate {format_value(duplicate)}", "; list it once")


class Ascending(NamedTuple):
    """Constraint of a list of numbers of which each is larger than the one before."""

    def problem(self, value: Sequence[Any]) -> tuple[str, str] | None:
        """Return the error and the fix of a list in another order, or with a duplicate."""
        numbers = [item for item in value if isinstance(item, int | float)]  # others are errors of their own
        if all(first < second for first, second in pairwise(numbers)):
            return None
        return f"{format_value(value)} is not in ascending order", "; sort the numbers, and list each once"


class InEpochs(NamedTuple):
    """Constraint of a number of steps that may also be text in epochs, which `config.epochs` converts to steps."""

    expression: str
    forms: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.forms[:-1])} or {self.forms[-1]}"

    def number(self, value: object) -> object:
        """Return the number in text in epochs; any other value is unchanged."""
        match = re.fullmatch(self.expression, value) if isinstance(value, str) else None
        return int(match["number"]) if match else value

    def problem(self, value: object) -> tuple[str, str] | None:
        """Return the error and the fix of a value that is not an integer."""
        if isinstance(value, int) and not isinstance(value, bool):
            return None
        number = re.search(r"[1-9]\d*", str(value))
        similar = close_match(value, [form.replace("<n>", number[0]) for form in self.forms]) if number else ""
        return f"expected an integer, {self}, got {format_value(value)}", similar or "; write one of these"


EPOCHS = InEpochs(
    r"(?P<number>[1-9]\d{0,5}) (?P<images>labeled |unlabeled )?epochs?",
    ("<n> epochs", "<n> labeled epochs", "<n> unlabeled epochs"),
)


def format_value(value: object) -> str:
    """Format a value for an error: text in quotes, other scalars as JSON, cut at 60 characters."""
    if isinstance(value, str):
        text = f"'{value}'"
    else:
        text = reprlib.repr(value) if isinstance(value, list | dict) else json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
