"""Short runs of every method keep their bits, so that any code change that changes a number on a CPU is detected."""

import json

import pytest

from tests.golden.runs import RECORD, digests, made_with
from tests.test_methods import METHODS

RECORDED = json.loads(RECORD.read_text())


def test_every_method_is_recorded():
    assert list(RECORDED["runs"]) == METHODS, "rewrite the record: OMP_NUM_THREADS=1 python -m tests.golden.runs"


@pytest.mark.parametrize("method", RECORDED["runs"])
def test_short_run_has_the_recorded_bits(method):
    if made_with() != RECORDED["made_with"]:
        pytest.skip(f"recorded in {RECORDED['made_with']}; this process runs in {made_with()}")
    assert digests(method) == RECORDED["runs"][method], (
        f"{method}: bits differ from the record; if intended, add a line to CHANGELOG.md and "
        "rewrite the record: OMP_NUM_THREADS=1 python -m tests.golden.runs"
    )
