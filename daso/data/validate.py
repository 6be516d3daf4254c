"""What a JSON object must look like before anybody relies on it.

A form is a type (str, bool, dict, list), a Number, a text that must be this one, a list with the form of every element,
a mapping of needed keys to forms (others may be there too), or OneOf several.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

WORDS = {str: "text", bool: "true or false", dict: "an object", list: "a list"}


class Number(NamedTuple):
    """A finite number in a closed interval."""

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False

    def __str__(self) -> str:
        limits = f" from {self.low} to {self.high}" if self.high < math.inf else f" from {self.low}"
        return f"{'an integer' if self.whole else 'a number'}{limits if self.low > -math.inf else ''}"

    def accepts(self, value: object) -> bool:
        """Whether it is such a number."""
        fits = isinstance(value, int) or (isinstance(value, float) and not self.whole and math.isfinite(value))
        return fits and not isinstance(value, bool) and self.low <= value <= self.high  # type: ignore[operator]


class OneOf(NamedTuple):
    """Any of some forms; what is said of a value that fits none is said of the first."""

    forms: tuple[Any, ...]


NUMBER, COUNT = Number(), Number(0, whole=True)


def schema_error(tree: object, form: Any, key: str = "") -> str | None:
    """The first thing in a tree that is not of a form, as `protocol.steps is not an integer`; None: all is right."""
    if isinstance(form, OneOf):
        found = [schema_error(tree, each, key) for each in form.forms]
        return None if None in found else found[0]
    if isinstance(form, Mapping):
        return _inside(tree, form, key)
    if isinstance(form, list):
        if not isinstance(tree, list):
            return _says(key, WORDS[list])
        return next(filter(None, (schema_error(part, form[0], f"{key}[{i}]") for i, part in enumerate(tree))), None)
    if isinstance(form, Number):
        return None if form.accepts(tree) else _says(key, str(form))
    if isinstance(form, type):
        return None if isinstance(tree, form) else _says(key, WORDS[form])
    return None if tree == form else _says(key, f"'{form}'")


def _inside(tree: object, form: Mapping[str, Any], key: str) -> str | None:
    if not isinstance(tree, dict):
        return _says(key, WORDS[dict])
    for name, part in form.items():
        inner = f"{key}.{name}" if key else name
        if name not in tree:
            return f"{inner} is missing"
        if wrong := schema_error(tree[name], part, inner):
            return wrong
    return None


def _says(key: str, what: str) -> str:
    return f"{key or 'it'} is not {what}"
