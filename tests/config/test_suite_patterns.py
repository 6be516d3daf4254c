"""Patterns in the tables of suites, in a params/ with the methods fixmatch, fixmatch_daso and supervised."""

import pytest

from daso.config.load import load_params
from daso.config.resolve import runs
from daso.errors import ParamsError


@pytest.fixture
def tables(params):
    """Return `tables(*methods, omit=...)`, which loads the suite smoke with a table for each list of methods."""

    def load(*methods, **keys):
        def edit(tree):
            table = tree["tables"][0]
            tree.update(keys, tables=[table | {"name": f"t{i}", "methods": each} for i, each in enumerate(methods)])

        params("suites/smoke.yaml", edit)
        return load_params()

    return load


def lists(loaded):
    return [table["methods"] for table in loaded.suites["smoke"]["tables"]]


def test_star_selects_every_method_in_alphabetical_order(tables):
    loaded = tables(["*"])
    assert lists(loaded) == [["fixmatch", "fixmatch_daso", "supervised"]]
    assert list(dict.fromkeys(run.method for run in runs(loaded, "smoke"))) == lists(loaded)[0]


def test_pattern_selects_only_methods_that_no_entry_before_it_lists(tables):
    assert lists(tables(["supervised"], ["fixmatch_*"], ["*", "fixmatch_daso"])) == [
        ["supervised"],
        ["fixmatch_daso"],
        ["fixmatch", "fixmatch_daso"],
    ]


def test_name_after_a_pattern_that_selects_it_is_listed_once(tables):
    assert lists(tables(["fix*", "fixmatch"])) == [["fixmatch", "fixmatch_daso"]]


def test_omitted_methods_are_selected_by_no_pattern(tables):
    assert lists(tables(["*"], ["fixmatch_daso"], omit=["fixmatch_daso"])) == [
        ["fixmatch", "supervised"],
        ["fixmatch_daso"],
    ]


def test_pattern_without_a_match_and_unknown_omitted_method_are_errors(tables):
    file = "params/suites/smoke.yaml"
    with pytest.raises(ParamsError) as raised:
        tables(["*"], ["fixmatch*"])
    assert str(raised.value) == f"{file}: table 't1': 'fixmatch*' matches no further method; remove it"
    with pytest.raises(ParamsError) as raised:
        tables(["*"], omit=["fixmtch"])
    assert str(raised.value) == f"{file}: omit: unknown method 'fixmtch'; did you mean 'fixmatch'?"
