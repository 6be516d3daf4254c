"""Entries `<dataset>/matched` of `where`: settings whose labeled and unlabeled classes have the same distribution."""

import pytest

from daso.config.explain import explain
from daso.config.load import load_params
from daso.config.protocol_where import Place, selects
from daso.config.resolve import Run, trace_options
from daso.errors import ParamsError

SETTINGS = {
    "equal": {"n1": 20, "m1": 80, "gamma_l": 20, "gamma_u": 20},
    "uniform": {"n1": 20, "m1": 80, "gamma_l": 20, "gamma_u": 1},
    "opposite": {"n1": 20, "m1": 80, "gamma_l": 20, "gamma_u": 20, "reversed": True},
    "part": {"n": 100, "gamma": 20, "share": 0.1},
}


@pytest.fixture
def matched(params):
    """Write digits with four more settings; return `change(file, edit)`, which edits one file."""
    params("datasets/digits.yaml", lambda tree: tree["settings"].update(SETTINGS))
    return params


def weights(loaded, method="fixmatch_daso"):
    """Return the weight of DASO in every setting, and without one as the last."""
    names = [*SETTINGS, "n20-m80-l20-u10"]
    runs = [*(Run("digits", name, "smoke", method, 0) for name in names), Run("", "", "smoke", method, 0)]
    return [trace_options(loaded, run).method["addons"][0]["weight"] for run in runs]


@pytest.mark.parametrize("pattern", ["digits/matched", "dig*/matched", "*/matched"])
def test_matched_selects_by_the_distributions_of_the_classes(matched, pattern):
    """The last two are settings with gamma_l 20 and gamma_u 10, and none."""
    matched("methods/fixmatch_daso.yaml", lambda tree: tree.update(where={pattern: {"daso.weight": 2.0}}))
    assert weights(load_params()) == [2.0, 1.0, 1.0, 2.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("pattern", "place", "selected"),
    [
        ("cifar*-lt/matched", Place("cifar10-lt", "a", matched=True), True),
        ("cifar*-lt/matched", Place("cifar10-lt", "a", matched=False), False),
        ("cifar*-lt/matched", Place("digits", "a", matched=True), False),
        ("*/matched", Place("", "", matched=False), False),
        ("digits/*", Place("digits", "a", matched=True), True),
        ("digits/*ed", Place("digits", "a", matched=True), False),  # only the word itself has the meaning
        ("digits/*ed", Place("digits", "red", matched=False), True),
    ],
)
def test_pattern_selects_place(pattern, place, selected):
    assert selects(pattern, place) is selected


def test_matched_entry_is_a_source(matched):
    matched("methods/fixmatch_daso.yaml", lambda tree: tree.update(where={"digits/matched": {"daso.weight": 2.0}}))
    for setting in ("", "digits/equal"):
        text = explain(load_params(), "fixmatch_daso", "smoke", setting)
        (line,) = (line for line in text.splitlines() if "where digits/matched" in line)
        assert line.split()[:3] == ["daso.weight", "2.0", "params/methods/fixmatch_daso.yaml,"]


def test_protocols_select_matched_settings_too(matched):
    where = {"digits/matched": {"optimizer.momentum": 0.5}}
    matched("protocols/smoke.yaml", lambda tree: tree.update(where=where))
    loaded = load_params()
    traced = [trace_options(loaded, Run("digits", name, "smoke", "fixmatch", 0)) for name in ("equal", "opposite")]
    assert [each.optimizer["momentum"] for each in traced] == [0.5, 0.9]


@pytest.mark.parametrize("pattern", ["digits/matched", "digit/matched", "*/matchd"])
def test_entry_that_selects_nothing_is_one_error(params, pattern):
    """Both settings of these digits have gamma_l 20 and gamma_u 10."""
    params("methods/fixmatch_daso.yaml", lambda tree: tree.update(where={pattern: {"daso.weight": 2.0}}))
    with pytest.raises(ParamsError) as error:
        load_params()
    line = f"params/methods/fixmatch_daso.yaml: where: '{pattern}' matches no <dataset>/<setting>"
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_setting_named_matched_is_one_error(params):
    params("datasets/digits.yaml", lambda tree: tree["settings"].update(matched=SETTINGS["equal"]))
    with pytest.raises(ParamsError) as error:
        load_params()
    assert str(error.value) == (
        "params/datasets/digits.yaml: settings.matched: not allowed as a name, since `where` gives it a meaning; "
        "rename the setting"
    )
