"""Suites whose tables have protocols of their own."""

from dataclasses import replace

import pytest

from daso.config.checks import check
from daso.config.controls import control_errors
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run, expand_suite, runs
from daso.errors import DasoError
from tests.repository import PARAMS
from tools.bench.parity import with_precision

SETTING = "n20-m80-l20-u10r"
TABLE = {"title": "T", "dataset": "digits", "settings": [SETTING], "methods": ["supervised", "fixmatch"]}


def with_suite(*protocols, **keys):
    """Return params with a suite `s` under `smoke`, and a table for each protocol; None has the suite's."""
    tables = [
        TABLE | keys | {"name": f"t{i}"} | ({"protocol": name} if name else {}) for i, name in enumerate(protocols)
    ]
    suite = {"title": "S", "protocol": "smoke", "seeds": [0], "tables": tables}
    return replace(PARAMS, suites={**PARAMS.suites, "s": suite})


def test_runs_of_a_table_have_its_protocol():
    params = with_suite(None, "zoo", "smoke")
    assert runs(params, "s") == [
        Run("digits", SETTING, protocol, method, 0)
        for protocol in ("smoke", "zoo")  # the third table shares the runs of the first
        for method in ("supervised", "fixmatch")
    ]


def test_expanded_tables_have_the_content_of_their_protocols():
    first, second, third = expand_suite(with_suite(None, "zoo", "smoke"), "s")["tables"]
    assert [table["protocol"]["name"] for table in (first, second, third)] == ["smoke", "zoo", "smoke"]
    assert [table["protocol"]["steps"] for table in (first, second)] == [60, 600]
    assert first["protocol"] == third["protocol"]


def test_errors_of_a_protocol_name_the_table():
    (error,) = check(with_suite(None, "zooo"))
    assert error.endswith("params/suites/s.yaml: table 't1': unknown protocol 'zooo'; did you mean 'zoo'?")


def test_table_prints_the_statistic_of_its_protocol():
    """`paper` has the median; with `statistic: mean` it is the mean that must be among the metrics."""
    params = with_suite(None, metrics=["mean"])
    text = "table 't0': metrics: missing '{}', which gains and ranks use under protocol 'smoke'; add it"
    assert [error.partition("s.yaml: ")[2] for error in check(params)] == [text.format("median")]
    smoke = {**PARAMS.protocols["smoke"], "statistic": "mean"}
    assert check(replace(params, protocols={**PARAMS.protocols, "smoke": smoke})) == []
    last = {**smoke, "statistic": "last"}
    errors = check(replace(params, protocols={**PARAMS.protocols, "smoke": last}))
    assert [error.partition("s.yaml: ")[2] for error in errors] == [text.format("last")]


def test_controls_need_predictions_of_the_tables_protocol():
    """The protocol `zoo` keeps them, `smoke` does not."""
    controls = {"controls": {"fixmatch": "supervised"}}

    def missing(*protocols):
        return [line for line in control_errors(with_suite(*protocols, **controls)) if "evaluation.predictions" in line]

    assert missing("zoo") == []
    (line,) = missing("zoo", None, "smoke")
    assert "params/protocols/smoke.yaml: evaluation.predictions: missing, and controls of suite 's'" in line


def test_statistic_and_sources_of_published_numbers_change_no_key(params):
    run = Run("digits", SETTING, "smoke", "fixmatch", 0)
    before = Keys(load_params()).train(run)
    params("protocols/smoke.yaml", lambda tree: tree.update(statistic="mean", published=["acr_paper"]))
    assert Keys(load_params()).train(run) == before


def test_precision_is_compared_under_one_protocol():
    with pytest.raises(DasoError, match="suite 's': several protocols, smoke, zoo; choose a suite with one"):
        with_precision(with_suite(None, "zoo"), "s", "bf16", 1)
    own = with_precision(with_suite("zoo"), "s", "bf16", 1)
    assert (own.protocols["zoo"]["precision"], own.protocols["smoke"]["precision"]) == ("bf16", "fp32")
