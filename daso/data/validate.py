"""Schemas of JSON objects.

A schema is a type (str, bool, dict, list), a Number, a string (exactly that value), a list with the schema of every
element, a mapping of required keys to schemas (further keys are allowed), or OneOf several schemas.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any, NamedTuple

TYPE_NAMES = {str: "text", bool: "true or false", dict: "an object", list: "a list"}


class Number(NamedTuple):
    """Schema of a finite number in a closed interval."""

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False

    def __str__(self) -> str:
        limits = f" from {self.low} to {self.high}" if self.high < math.inf else f" from {self.low}"
        return f"{'an integer' if self.whole else 'a number'}{limits if self.low > -math.inf else ''}"

    def accepts(self, value: object) -> bool:
        """Return True if the value is such a number."""
        numeric = isinstance(value, int) or (isinstance(value, float) and not self.whole and math.isfinite(value))
        return numeric and not isinstance(value, bool) and self.low <= value <= self.high  # type: ignore[operator]

    def accepts_integers(self, values: list[Any]) -> bool:
        """Return True if all values are integers in the interval: a quick check of long lists."""
        return set(map(type, values)) == {int} and self.low <= min(values) and max(values) <= self.high


class OneOf(NamedTuple):
    """Schema of a value that matches any of several; if it matches none, the first schema gives the error."""

    schemas: tuple[Any, ...]


NUMBER, COUNT = Number(), Number(0, whole=True)


def schema_error(tree: object, schema: Any, key: str = "") -> str | None:
    """Return the first mismatch, such as `protocol.steps: expected an integer, got 'x'`; None if the tree is valid."""
    if isinstance(schema, OneOf):
        errors = [schema_error(tree, each, key) for each in schema.schemas]
        return None if None in errors else errors[0]
    if isinstance(schema, Mapping):
        return _mapping_error(tree, schema, key)
    if isinstance(schema, list):
        if not isinstance(tree, list):
            return _message(key, TYPE_NAMES[list], tree)
        if isinstance(schema[0], Number) and schema[0].accepts_integers(tree):
            return None
        return next(filter(None, (schema_error(item, schema[0], f"{key}[{i}]") for i, item in enumerate(tree))), None)
    if isinstance(schema, Number):
        return None if schema.accepts(tree) else _message(key, str(schema), tree)
    if isinstance(schema, type):
        return None if isinstance(tree, schema) else _message(key, TYPE_NAMES[schema], tree)
    return None if tree == schema else _message(key, f"'{schema}'", tree)


def _mapping_error(tree: object, schema: Mapping[str, Any], key: str) -> str | None:
    if not isinstance(tree, dict):
        return _message(key, TYPE_NAMES[dict], tree)
    for name, inner_schema in schema.items():
        inner_key = f"{key}.{name}" if key else name
        if name not in tree:
            return f"{inner_key} is missing"
        if error := schema_error(tree[name], inner_schema, inner_key):
            return error
    return None


def _message(key: str, expected: str, value: object) -> str:
    return f"{key or 'content'}: expected {expected}, got {reprlib.repr(value)}"
