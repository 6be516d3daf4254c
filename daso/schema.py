"""Check values read from YAML and JSON against type annotations.

A schema is an ordinary annotation: int, float, bool, str, None, Any, dict, list, Literal, a list, Sequence or tuple of
items, dict[str, X], a TypedDict, a union of these, or Annotated[X, ...] with constraints of `daso.constraints`. An int
is a float, but neither 100.0 nor true is an int, and a number is finite and within +-2^53, which every reader of JSON
and YAML represents exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from daso.constraints import EPOCHS, Interval, Pattern, format_value
from daso.errors import close_match, closest, did_you_mean

NUMBER_LIMIT = 2**53
OTHER_KEYS_ALLOWED = object()  # constraint of a record inside of records whose unknown keys are errors
UNIONS = (Union, UnionType)
_LIST, _MAPPING = ("a list", list), ("a mapping of keys to values", dict)
_KINDS: dict[Any, tuple[str, Any]] = {  # words for a kind of values, and their class
    **{int: ("an integer", int), float: ("a number", (int, float)), str: ("text", str), bool: ("true or false", bool)},
    **{NoneType: ("null", NoneType), Any: ("any value", object), dict: _MAPPING, Mapping: _MAPPING},
    **{list: _LIST, tuple: _LIST, Sequence: _LIST},
}


class Mismatch(NamedTuple):
    """Part of a value that does not match its schema; `str` gives `key: text; fix`."""

    key: str  # such as `tables[0].name`; empty for the whole value
    text: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.text}{self.fix}" if self.key else f"{self.text}{self.fix}"


Positive = Annotated[float, Interval(gt=0)]
NonNegative = Annotated[float, Interval(ge=0)]
PositiveInt = Annotated[int, Interval(ge=1)]
NonNegativeInt = Annotated[int, Interval(ge=0)]
Probability = Annotated[float, Interval(ge=0, le=1)]
PositiveShare = Annotated[float, Interval(gt=0, le=1)]
ShareBelowOne = Annotated[float, Interval(ge=0, lt=1)]
PositiveShareBelowOne = Annotated[float, Interval(gt=0, lt=1)]
TrainedLayers = Annotated[
    str, Pattern(r"head|adapter|norm|all|last:[1-9]\d*", "; <n> of last:<n> is a number of groups")
]
Steps = Annotated[PositiveInt, EPOCHS]
NonNegativeSteps = Annotated[NonNegativeInt, EPOCHS]


def mismatches(value: object, schema: Any, key: str = "", closed: bool = False) -> Iterator[Mismatch]:
    """Yield the mismatches of a value; `closed` refuses unknown keys of records.

    Raises TypeError for an annotation that is not supported.
    """
    base, constraints = _split_constraints(schema)
    value = EPOCHS.number(value) if EPOCHS in constraints else value
    if get_origin(base) in UNIONS:
        yield from _union_mismatches(value, get_args(base), key, closed)
    elif EPOCHS in constraints and (problem := EPOCHS.problem(value)) or (problem := _type_problem(value, base)):
        yield Mismatch(key, *problem)
    else:
        checks = [each for each in constraints if each is not OTHER_KEYS_ALLOWED]
        yield from (Mismatch(key, *problem) for each in checks if (problem := each.problem(value)))
        yield from _inner_mismatches(value, base, key, closed and OTHER_KEYS_ALLOWED not in constraints)


def schema_error(value: object, schema: Any, key: str = "") -> str | None:
    """Return the first mismatch in the content of a file that no one edits, as `key: text`; None if it is valid."""
    first = next(mismatches(value, schema, key), None)
    return first and f"{first.key or 'content'}: {first.text}"


def describe(schema: Any) -> str:
    """Return the values that a schema accepts, as in `expected a number in [0, 1]`.

    Raises TypeError for an annotation that is not supported.
    """
    base, constraints = _split_constraints(schema)
    bounds = "".join(str(each) for each in constraints if isinstance(each, Interval | Pattern))
    if get_origin(base) in UNIONS:
        return " or ".join(describe(each) for each in get_args(base))
    if get_origin(base) is Literal:
        choices = get_args(base)
        return f"one of {', '.join(map(str, choices))}" if len(choices) > 1 else format_value(choices[0])
    name, kind = _kind(base)
    if kind is list and get_args(base):
        return f"a list of {describe(get_args(base)[0])}".replace("an integer", "integers").replace(
            "a number", "numbers"
        )
    return f"{name}{bounds}, {EPOCHS}" if EPOCHS in constraints else name + bounds


def _split_constraints(schema: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return an annotation without its constraints, and these."""
    if get_origin(schema) is Annotated:
        base, *constraints = get_args(schema)
        return base, tuple(constraints)
    return schema, ()


def _kind(base: Any) -> tuple[str, Any]:
    kind = dict if is_typeddict(base) else get_origin(base) or base
    if kind not in _KINDS:
        raise TypeError(f"{base}: unsupported annotation")
    return _KINDS[kind]


def _type_problem(value: object, base: Any) -> tuple[str, str] | None:
    """Return the error and the fix of a value of another type, or of a number that is too large."""
    if get_origin(base) is Literal:
        choices = get_args(base)
        if any(value == choice and type(value) is type(choice) for choice in choices):
            return None
        return f"expected {describe(base)}, got {format_value(value)}", close_match(value, choices)
    if base is Any:
        return None
    name, kind = _kind(base)
    matches = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not matches or (isinstance(value, float) and not math.isfinite(value)):
        return f"expected {name}, got {format_value(value)}", _entry_fix(value, base) if kind is list else ""
    if isinstance(value, int | float) and abs(value) >= NUMBER_LIMIT:
        return f"{format_value(value)} is too large", "; set it between -2^53 and 2^53"
    return None


def _entry_fix(value: object, base: Any) -> str:
    """Return the fix of a value that is not the list of records it should be: an entry with its first key."""
    item = _split_constraints(get_args(base)[0])[0] if get_args(base) else None
    if not is_typeddict(item):
        return ""
    first = next(iter(record_fields(item)))
    given = value.get(first) if isinstance(value, dict) else value
    return f"; write each entry as `- {{{first}: {given if isinstance(given, str) else '...'}}}`"


def _inner_mismatches(value: Any, base: Any, key: str, closed: bool) -> Iterator[Mismatch]:
    """Yield the mismatches of the entries of a record, list or mapping."""
    if is_typeddict(base):
        yield from _record_mismatches(value, base, key, closed)
    elif isinstance(value, list) and get_args(base):
        item = get_args(base)[0]
        for i, each in enumerate(value):
            yield from mismatches(each, item, f"{key}[{i}]", closed)
    elif isinstance(value, dict) and get_args(base):
        name_schema, item = get_args(base)
        for name, each in value.items():
            yield from mismatches(name, name_schema, _join(key, name))
            yield from mismatches(each, item, _join(key, name), closed)


def _record_mismatches(value: dict[Any, Any], record: Any, key: str, closed: bool) -> Iterator[Mismatch]:
    fields = record_fields(record)
    unknown = [name for name in value if name not in fields] if closed else []
    for name in unknown:
        yield Mismatch(key, f"unknown key '{name}'", did_you_mean(name, fields))
    misspelt = {closest(name, fields) for name in unknown}
    for name, (schema, required) in fields.items():
        if name in value:
            yield from mismatches(value[name], schema, _join(key, name), closed)
        elif required and name not in misspelt:
            yield _missing(name, key)


@cache
def record_fields(record: Any) -> dict[str, tuple[Any, bool]]:
    """Return the schema of every key of a TypedDict, and True if the key is required."""
    hints = get_type_hints(record, include_extras=True)
    optional = {name: get_args(hint)[0] for name, hint in hints.items() if get_origin(hint) is NotRequired}
    return {name: (optional.get(name, hint), name not in optional) for name, hint in hints.items()}


def _union_mismatches(value: object, members: tuple[Any, ...], key: str, closed: bool) -> Iterator[Mismatch]:
    """Yield the mismatches with the member of a union that a value is meant as, or one for all members."""
    if isinstance(value, dict) and (records := [each for each in members if is_typeddict(each)]):
        yield from _variant_mismatches(value, records, key, closed)
        return
    results = {each: list(mismatches(value, each, key, closed)) for each in members}
    if [] not in results.values():
        bases = {each: _split_constraints(each)[0] for each in members}
        same_type = [result for each, result in results.items() if not _type_problem(value, bases[each])]
        union = " or ".join(dict.fromkeys(map(describe, members)))  # with the bounds of a number
        choices = [choice for each in members if get_origin(each) is Literal for choice in get_args(each)]
        text = f"expected {union}, got {format_value(value)}"
        one = same_type and isinstance(value, str | list)
        yield from same_type[0] if one else [Mismatch(key, text, close_match(value, choices))]


def _variant_mismatches(value: dict[Any, Any], records: list[Any], key: str, closed: bool) -> Iterator[Mismatch]:
    """Yield the mismatches with the record of a union that a mapping is meant as.

    If all records have a key with fixed values, such as `kind`, its value selects the record, and without the key it is
    the record that does not require it; otherwise it is the first record with the fewest mismatches. A word that no
    record has at its key is the only mismatch.
    """
    fields = [{name: schema for name, (schema, _) in record_fields(each).items()} for each in records]
    for tag in fields[0]:
        if all(get_origin(each.get(tag)) is Literal for each in fields):
            choices = [
                (kind, record) for record, each in zip(records, fields, strict=True) for kind in get_args(each[tag])
            ]
            kinds = dict(choices)
            if len(kinds) < len(choices):  # records share a value, which does not tell them apart
                continue
            default = next((each for each in records if not record_fields(each)[tag][1]), None)
            if tag in value and (problem := _type_problem(value[tag], Literal[tuple(kinds)])):
                yield Mismatch(_join(key, tag), *problem)
            elif record := kinds[value[tag]] if tag in value else default:
                yield from mismatches(value, record, key, closed)
            else:
                yield _missing(tag, key)
            return
    for name, word in value.items():
        schemas = tuple(each[name] for each in fields if name in each)
        words = isinstance(word, str) and any(get_origin(each) is Literal for each in schemas)
        if words and all(any(mismatches(word, each)) for each in schemas):
            literals = [each for each in schemas if get_origin(each) is Literal]
            allowed = tuple(dict.fromkeys(each for literal in literals for each in get_args(literal)))
            others = [each for each in schemas if each not in literals]
            yield from _union_mismatches(word, (*others, Literal[allowed]), _join(key, name), closed)
            return
    yield from min((list(mismatches(value, each, key, closed)) for each in records), key=len)


def _missing(name: str, key: str) -> Mismatch:
    return Mismatch(key, f"missing key '{name}'", "; add it")


def _join(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)
