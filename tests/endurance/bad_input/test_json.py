"""Invalid JSON files, and valid ones with an unexpected tree."""

import json
import os
import random
import subprocess
import sys

import pytest

from daso.data.files import checksummed, format_json
from tests.endurance.bad_input.cases import (
    BAD_JSONS,
    readers,
    readers_of_given_files,
    remove,
)
from tests.endurance.bad_input.checker import accepts, assert_readable, expect_error, replaced_file
from tests.repository import ROOT

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]


@pytest.mark.parametrize(
    ("path", "argv"), list(readers()), ids=lambda value: str(value[0]) if isinstance(value, tuple) else None
)
def test_invalid_json_is_refused(path, argv):
    for content in BAD_JSONS.values():
        with replaced_file(path, content):
            expect_error(*argv, message="" if path.name == "recipe.json" else path.name)


@pytest.mark.parametrize(("path", "argv"), list(readers_of_given_files()), ids=ascii)
def test_json_with_unexpected_or_missing_values(path, argv):
    """The file's checksum is valid, if it has one."""
    original = json.loads(path.read_text())
    has_checksum = original.pop("sha256", None) is not None
    others, rng = (
        [None, [], {}, "x", -1, 1.5, True, ["a"], {"a": 1}, 10**30, [[1]], "../../x", "a\nb"],
        random.Random(0),
    )
    for key in sorted(original):
        for other in rng.sample(others, 3):
            check_tree(path, argv, {**original, key: other}, has_checksum)
        check_tree(path, argv, {name: part for name, part in original.items() if name != key}, has_checksum)


def check_tree(path, argv, tree, has_checksum):
    content = checksummed(tree) if has_checksum else format_json(tree)
    with replaced_file(path, content):
        accepted = accepts(*argv)
    if accepted:  # the value is valid
        for name in ("out", "out.json", "s"):
            remove(name)


def test_commands_in_separate_processes_print_one_line():
    """The output is complete, including anything that the interpreter prints."""
    for path, argv in random.Random(0).sample(list(readers()), 3):
        with replaced_file(path, BAD_JSONS["a brace"]):
            command = [sys.executable, "-m", "daso", *map(str, argv)]
            process = subprocess.run(
                command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
            )
        assert process.returncode == 1, process
        assert_readable(process.stderr)
