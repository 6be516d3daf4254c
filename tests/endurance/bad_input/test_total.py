"""At least 500 distinct bad inputs: each is refused with one line of error, or handled as documented.

Most are written by hand after inputs that have broken other programs; Hypothesis adds flipped bits and trees of values.
Commands are called in this process, a few in separate ones. This file comes last in its folder and counts the inputs.
"""

import ast
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.endurance.bad_input.cases import BAD_JSONS, BAD_YAMLS, CHECKER, FILES, LIST, TESTED, readers
from tests.endurance.bad_input.checker import assert_readable, replaced_file
from tests.workflow.project import ROOT

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]
REQUIRED = 500


def test_commands_in_separate_processes_print_one_line():
    """The output is complete, including anything that the interpreter prints."""
    cases = [(path, content, argv) for path, argv in readers() for content in list(BAD_JSONS.values())[1:4]]
    cases += [(Path(file), BAD_YAMLS[name], LIST) for file in FILES.values() for name in ("a bomb", "not UTF-8")]
    for path, content, argv in random.Random(0).sample(cases, 8):
        with replaced_file(path, content):
            process = subprocess.run(
                [sys.executable, "-m", "daso", *map(str, argv)],
                **{"capture_output": True, "text": True, "timeout": 120, "check": False},
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        assert process.returncode == 1, process
        assert_readable(process.stderr, 1)
        CHECKER.count("processes", str(path).encode() + content)


def test_number_of_distinct_inputs():
    """Inputs are distinct by digest; the same bytes given to a different command count as a different input."""
    trees = (ast.parse(path.read_text()) for path in Path(__file__).parent.glob("test_*.py"))
    tests = {node.name for tree in trees for node in tree.body if getattr(node, "name", "").startswith("test_")}
    missing = tests - TESTED - {"test_number_of_distinct_inputs"}
    if missing:
        pytest.skip(f"not all tests of this folder have run in this process: {len(missing)} are missing")
    assert CHECKER.total >= REQUIRED, {family: len(seen) for family, seen in CHECKER.seen.items()}
