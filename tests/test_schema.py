from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from daso import schema
from daso.constraints import Interval, Length, Pattern, Unique
from daso.schema import describe, mismatches, schema_error


class Inner(TypedDict):
    name: str
    size: NotRequired[schema.PositiveInt]


class Outer(TypedDict):
    steps: schema.PositiveInt
    parts: list[Inner]
    free: NotRequired[Annotated[Inner, schema.OTHER_KEYS_ALLOWED]]


class Folder(TypedDict):
    kind: Literal["folder"]
    path: str


class Archive(TypedDict):
    kind: Literal["zip", "tar"]
    urls: list[str]


class Labeled(TypedDict):
    labeled: schema.PositiveShareBelowOne


class Tail(TypedDict):
    n: schema.PositiveInt
    gamma: float


def lines(value, annotation, closed=True):
    return [str(each) for each in mismatches(value, annotation, closed=closed)]


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, [0, -3, 2**53 - 1], [1.0, True, "1", None, 2**53, -(2**53), 10**400]),
        (float, [1, 0.5], [True, "0.5", float("nan"), float("inf"), None, 1e30]),
        (bool, [True, False], [0, 1, "no"]),
        (str, ["", "x"], [1, None]),
        (Literal["a", 1], ["a", 1], ["b", True, 1.0]),
        (Literal["distribution"] | float, ["distribution", 0.5, 1], ["other", True]),
        (Sequence[int], [[], [1, 2]], [[1.0], [True, 1], 1, "12"]),
        (list[Literal["a", "b"]], [["a"]], [["c"], "a"]),
        (tuple[float, ...], [[1, 0.5]], [["x"]]),
        (int | None, [1, None], ["1"]),
        (dict[str, int], [{}, {"a": 1}], [{"a": "1"}, {1: 1}, []]),
        (Any, [1, None, [], True, 1e30], []),
        (schema.Probability, [0, 1, 0.5], [-1e-9, 1 + 1e-9]),
        (schema.PositiveShare, [1, 1e-9], [0, 1 + 1e-9]),
        (schema.ShareBelowOne, [0, 1 - 1e-9], [-1e-9, 1]),
        (schema.PositiveShareBelowOne, [0.5], [0, 1]),
        (schema.Positive, [1e-9, 1e9], [0, -1]),
        (schema.NonNegative, [0, 1e9], [-1e-9]),
        (schema.PositiveInt, [1], [0, 1.0]),
        (schema.NonNegativeInt, [0], [-1, 0.0]),
        (list[schema.NonNegativeInt], [list(range(1000))], [[*range(1000), -1], [*range(1000), 2**60]]),
    ],
)
def test_values_that_an_annotation_accepts(annotation, good, bad):
    assert [value for value in good if lines(value, annotation)] == []
    assert [value for value in bad if not lines(value, annotation)] == []


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("x", int, "expected an integer, got 'x'"),
        (None, str, "expected text, got null"),
        (1e30, float, "1e+30 is too large; set it between -2^53 and 2^53"),
        (float("nan"), float, "expected a number, got NaN"),
        (0, schema.PositiveInt, "0 is below the minimum 1; set it to 1 or more"),
        (2, schema.Probability, "2 is above the maximum 1; set it to 1 or less"),
        (0, schema.PositiveShare, "0 is too small; set it above 0"),
        (1, schema.ShareBelowOne, "1 is too large; set it below 1"),
        ("autors", Literal["authors", "pure"], "expected one of authors, pure, got 'autors'; did you mean 'authors'?"),
        (1.5, Literal["none"] | schema.Probability, "expected 'none' or a number in [0, 1], got 1.5"),
        ([1, "x"], list[int] | None, "[1]: expected an integer, got 'x'"),
        ([3, 4, 3], Annotated[list[int], Unique()], "duplicate 3; list it once"),
        ([], Annotated[list[int], Length(1)], "empty; fill it in"),
        ([1], Annotated[list[int], Length(3, 3)], "expected at least 3 entries, got 1"),
        ([1] * 4, Annotated[list[int], Length(3, 3)], "expected at most 3 entries, got 4"),
        ("g0", Annotated[str, Pattern("[0-9a-f]+")], "expected text of the form [0-9a-f]+, got 'g0'"),
        ({"a": {"b": "x"}}, dict[str, dict[str, int]], "a.b: expected an integer, got 'x'"),
        ("x" * 99, int, f"expected an integer, got '{'x' * 56}..."),
    ],
)
def test_mismatch_is_one_line_with_a_fix(value, annotation, expected):
    assert lines(value, annotation) == [expected]


def test_records_report_unknown_and_missing_keys():
    value = {"steps": 0, "parts": [{"name": "a", "sise": 2}], "free": {"name": 1, "more": 2}, "stesp": 1}
    assert lines(value, Outer) == [
        "unknown key 'stesp'; did you mean 'steps'?",
        "steps: 0 is below the minimum 1; set it to 1 or more",
        "parts[0]: unknown key 'sise'; did you mean 'size'?",
        "free.name: expected text, got 1",
    ]
    assert lines({"parts": []}, Outer) == ["missing key 'steps'; add it"]
    assert lines({"parts": [], "stesp": 1}, Outer) == ["unknown key 'stesp'; did you mean 'steps'?"]
    assert lines({"steps": 1, "parts": [], "other": 1}, Outer, closed=False) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"kind": "zip", "path": "x"}, ["unknown key 'path'; choose one of kind, urls", "missing key 'urls'; add it"]),
        ({"kind": "foldr"}, ["kind: expected one of folder, zip, tar, got 'foldr'; did you mean 'folder'?"]),
        ({"path": "x"}, ["missing key 'kind'; add it"]),
        ([], ["expected a mapping of keys to values, got []"]),
    ],
)
def test_kind_selects_the_record_of_a_union(value, expected):
    assert lines(value, Folder | Archive) == expected


def test_record_of_a_union_without_kind_is_the_one_with_fewest_mismatches():
    assert lines({"labeled": 1.5}, Tail | Labeled) == ["labeled: 1.5 is too large; set it below 1"]
    assert lines({"n": 3}, Tail | Labeled) == ["missing key 'gamma'; add it"]


def test_first_error_of_a_file_that_no_one_edits_has_no_fix():
    assert schema_error({"steps": 0, "parts": []}, Outer) == "steps: 0 is below the minimum 1"
    assert schema_error([], Outer) == "content: expected a mapping of keys to values, got []"
    assert schema_error({"steps": 1, "parts": []}, Outer) is None


def test_description_of_values():
    assert describe(list[schema.PositiveInt]) == "a list of integers of at least 1"
    assert describe(Annotated[float, Interval(le=3)]) == "a number of at most 3"
    assert describe(Annotated[float, Interval(lt=3)]) == "a number below 3"
    assert describe(Outer) == "a mapping of keys to values"
    for unsupported in (complex, "int", 1):
        with pytest.raises(TypeError, match="unsupported annotation"):
            describe(unsupported)
