"""Files of JSON that are none, or hold another tree."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daso.data.files import checksummed, pretty
from tests.endurance.bad_input.cases import (
    CHECK,
    EVALUATE,
    BAD_JSONS,
    CHECKER,
    METRICS,
    REPORT,
    SPLIT,
    STORE,
    TRAINED,
    remove,
    damaged,
    fuzz,
    readers,
)
from tests.endurance.bad_input.checker import replaced_file

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]


@pytest.mark.parametrize(
    ("path", "argv"), list(readers()), ids=lambda word: str(word[0]) if isinstance(word, tuple) else None
)
def test_json_that_is_none(path, argv):
    for content in BAD_JSONS.values():
        with replaced_file(path, content):
            CHECKER.refuses(
                "json", str(path).encode() + content, *argv, says="" if path.name == "way.json" else path.name
            )


@pytest.mark.parametrize(("path", "argv"), [row for row in readers() if row[0].name != "way.json"], ids=ascii)
def test_json_with_another_tree(path, argv):
    """Values of another type or no values in a file that is whole by its digest, if it has one."""
    whole = json.loads(path.read_text())
    checksum = next((name for name in ("manifest_sha256", "sha256") if name in whole), None)
    keys, rng = sorted(set(whole) - {checksum}), random.Random(0)
    others = [None, [], {}, "x", -1, 1.5, True, ["a"], {"a": 1}, 10**30, [[1]], "../../x", "a\nb"]
    for key in keys:
        for other in rng.sample(others, 1 if argv[0] == "report" else 3):  # a report takes long
            tree = {**whole, key: other}
            check_tree(path, argv, tree, checksum)
        check_tree(path, argv, {name: part for name, part in whole.items() if name != key}, checksum)


def check_tree(path, argv, tree, checksum):
    tree = {name: part for name, part in tree.items() if name != checksum}
    content = checksummed(tree, checksum) if checksum else pretty(tree)
    with replaced_file(path, content):
        good = CHECKER.accepts("trees", str(path).encode() + content, *argv)
    if good:  # what it made is that of a value that may be another
        for name in ("out", "out.json", "reports/measured", "s"):
            remove(name)


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
    def broken(positions, damage):
        content = damaged(whole, positions, damage)
        with replaced_file(path, content):
            if content != whole and CHECKER.accepts("broken json", content, *argv):
                assert json.loads(content) == json.loads(whole), f"taken for good: {path}"
                for name in ("out", "out.json"):
                    remove(name)

    broken()
