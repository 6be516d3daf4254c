"""Differences from the paper that touch a method."""

from daso.config import fidelity
from tests.repository import PARAMS

METHODS = PARAMS.methods
BY_RUN = {"precision", "resize"}  # of the device and the dataset, whatever the method


def test_rows_that_touch_a_method():
    """DASO and SimMatch both import daso/methods/memory.py; the mark `bank-axis` is in the class that DASO lacks."""
    assert fidelity.method_tags(METHODS["supervised"]) == []
    assert fidelity.method_tags(METHODS["fixmatch_daso"]) == ["teacher-bn", "confidence", "proportional-queue"]
    assert "bank-axis" in fidelity.method_tags(METHODS["simmatch"])
    assert fidelity.method_tags(METHODS["supervised_crt"]) == ["cb-start", "crt-statistics"]
    assert "crt-statistics" not in fidelity.method_tags(METHODS["fixmatch_crest"])


def test_every_row_of_a_method_touches_one():
    tags = {tag for method in METHODS.values() for tag in fidelity.method_tags(method)}
    assert tags == set(fidelity.read_ledger()) - BY_RUN


def test_rows_are_read_by_column():
    row = fidelity.read_ledger()["cb-start"]
    assert row.paper.startswith("reports class-balanced weights")
    assert row.here == "as the authors' code: `class_balanced.start: 0.8` of the run"
    assert (row.switch, row.effect) == ("`class_balanced.start: 0.0`: from the first step on", "not measured")
