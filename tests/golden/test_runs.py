"""Short runs of every method keep their bits: a change of code that moves a number on a CPU shows here."""

import json

import pytest

from tests.golden.runs import RECORD, digests, made_with
from tests.test_methods import METHODS

RECORDED = json.loads(RECORD.read_text())


def test_every_method_is_recorded():
    assert list(RECORDED["runs"]) == METHODS, "write the record anew: OMP_NUM_THREADS=1 python -m tests.golden.runs"


@pytest.mark.parametrize("method", RECORDED["runs"])
def test_bits_of_a_short_run_stay(method):
    if made_with() != RECORDED["made_with"]:
        pytest.skip(f"recorded with {RECORDED['made_with']}, this process has {made_with()}")
    assert digests(method) == RECORDED["runs"][method], (
        f"{method}: other bits than recorded; if intended, add a line to CHANGELOG.md and "
        "write the record anew: OMP_NUM_THREADS=1 python -m tests.golden.runs"
    )
