"""At least 500 distinct bad inputs to every reader: each is refused in one line, or handled as is documented.

Most are built by hand after what has broken other programs; Hypothesis adds broken bits and trees of values. The verbs
are called in this process, a few in one of their own. This file comes last in its folder, and counts.
"""

import ast
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.endurance.bad_input.cases import FILES, BAD_JSONS, CHECKER, LIST, TESTED, BAD_YAMLS, readers
from tests.endurance.bad_input.checker import assert_readable, replaced_file
from tests.workflow.project import ROOT

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]
REQUIRED = 500


def test_in_processes_of_their_own():
    """What a user sees, the lines of the interpreter included."""
    cases = [(path, content, argv) for path, argv in readers() for content in list(BAD_JSONS.values())[1:4]]
    cases += [(Path(file), BAD_YAMLS[name], LIST) for file in FILES.values() for name in ("a bomb", "no text")]
    for path, content, argv in random.Random(0).sample(cases, 8):
        with replaced_file(path, content):
            done = subprocess.run(
                [sys.executable, "-m", "daso", *map(str, argv)],
                **{"capture_output": True, "text": True, "timeout": 120, "check": False},
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        assert done.returncode == 1, done
        assert_readable(done.stderr, 1)
        CHECKER.count("processes", str(path).encode() + content)


def test_there_were_enough_of_them():
    """By their digests; the same bytes for another reader are another input."""
    trees = (ast.parse(path.read_text()) for path in Path(__file__).parent.glob("test_*.py"))
    mine = {node.name for tree in trees for node in tree.body if getattr(node, "name", "").startswith("test_")}
    missing = mine - TESTED - {"test_there_were_enough_of_them"}
    if missing:
        pytest.skip(f"not all tests of this folder have run here: {len(missing)} are missing")
    assert CHECKER.total >= REQUIRED, {family: len(seen) for family, seen in CHECKER.seen.items()}
