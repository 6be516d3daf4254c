"""Files of JSON that are none, or hold another tree."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daso.data.files import checksummed, pretty
from tests.endurance.bad_input.inputs import (
    CHECK,
    EVALUATE,
    JSONS,
    JUDGE,
    METRICS,
    REPORT,
    SPLIT,
    STORE,
    TRAINED,
    clear,
    damaged,
    fuzz,
    readers,
)
from tests.endurance.bad_input.judge import instead

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]


@pytest.mark.parametrize(
    ("path", "argv"), list(readers()), ids=lambda word: str(word[0]) if isinstance(word, tuple) else None
)
def test_json_that_is_none(path, argv):
    for content in JSONS.values():
        with instead(path, content):
            JUDGE.refused(
                "json", str(path).encode() + content, *argv, says="" if path.name == "way.json" else path.name
            )


@pytest.mark.parametrize(("path", "argv"), [row for row in readers() if row[0].name != "way.json"], ids=ascii)
def test_json_with_another_tree(path, argv):
    """Values of another type or no values in a file that is whole by its digest, if it has one."""
    whole = json.loads(path.read_text())
    seal = next((name for name in ("manifest_sha256", "sha256") if name in whole), None)
    keys, rng = sorted(set(whole) - {seal}), random.Random(0)
    others = [None, [], {}, "x", -1, 1.5, True, ["a"], {"a": 1}, 10**30, [[1]], "../../x", "a\nb"]
    for key in keys:
        for other in rng.sample(others, 1 if argv[0] == "report" else 3):  # a report takes long
            tree = {**whole, key: other}
            check_tree(path, argv, tree, seal)
        check_tree(path, argv, {name: part for name, part in whole.items() if name != key}, seal)


def check_tree(path, argv, tree, seal):
    tree = {name: part for name, part in tree.items() if name != seal}
    content = checksummed(tree, seal) if seal else pretty(tree)
    with instead(path, content):
        good = JUDGE.survived("trees", str(path).encode() + content, *argv)
    if good:  # what it made is that of a value that may be another
        for name in ("out", "out.json", "reports/measured", "s"):
            clear(name)


@pytest.mark.parametrize(
    ("path", "argv"),
    [(SPLIT, CHECK), (STORE / "manifest.json", CHECK), (TRAINED / "train.json", EVALUATE), (METRICS, REPORT)],
    ids=str,
)
def test_json_with_broken_bits(path, argv):
    """What is taken all the same says what the whole file says: a bit of a blank, or of the case of an exponent."""
    whole = path.read_bytes()

    @fuzz(25)
    @given(st.lists(st.integers(0, 8 * len(whole) - 1), min_size=1, max_size=3), st.integers(0, 3))
    def broken(places, way):
        content = damaged(whole, places, way)
        with instead(path, content):
            if content != whole and JUDGE.survived("broken json", content, *argv):
                assert json.loads(content) == json.loads(whole), f"taken for good: {path}"
                for name in ("out", "out.json"):
                    clear(name)

    broken()
