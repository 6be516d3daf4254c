"""The published number of a cell, against cells read in the paper."""

from pathlib import Path

import pytest

from daso.config.params import load
from daso.config.resolve import setting_config
from daso.errors import DataError
from daso.report.published import look_up, read_published

FILE = Path(__file__).resolve().parents[2] / "reports" / "paper" / "results.csv"
C10 = {"n1": 500, "m1": 4000, "gamma_l": 100, "gamma_u": 100}
C100 = {"n1": 150, "m1": 300, "gamma_l": 20, "gamma_u": 20}
DASO, LA = {"base": "fixmatch", "addons": "daso"}, {"base": "fixmatch", "addons": "la"}


@pytest.fixture(scope="module")
def rows():
    return read_published(FILE)


def test_every_row_is_there(rows):
    assert len(rows) == 2009


@pytest.mark.parametrize(
    ("dataset", "setting", "paper", "mean", "std", "table"),
    [
        ("cifar10-lt", C10, DASO, 76.0, 0.37, "1"),
        ("cifar10-lt", C10, LA, 75.3, 2.45, "1"),
        ("cifar10-lt", C10, {"base": "supervised", "addons": ""}, 47.3, 0.95, "1"),
        ("cifar10-lt", C10, {"base": "supervised"}, 47.3, 0.95, "1"),
        ("cifar10-lt", C10 | {"n1": 1500, "m1": 3000, "reversed": True}, DASO, 80.3, 0.65, "2"),
        ("cifar10-lt", C10 | {"n1": 1500, "m1": 3000, "gamma_u": 1}, DASO, 88.8, 0.59, "2"),
        ("cifar10-lt", C10 | {"n1": 1500, "m1": 3000, "gamma_l": 100.0}, {"base": "remixmatch"}, 77.0, 0.55, "3"),
        ("cifar100-lt", C100, {"base": "fixmatch", "addons": "la;daso"}, 55.1, 0.72, "1"),
        ("cifar10-lt", C10 | {"n1": 1500, "m1": 3000}, {"base": "fixmatch", "addons": "la-inf"}, 82.8, 1.43, "14"),
        ("stl10-lt", {"n1": 150, "m1": "all", "gamma_l": 10, "gamma_u": None}, LA, 64.4, 1.35, "12"),
    ],
)
def test_known_cells(rows, dataset, setting, paper, mean, std, table):
    found = look_up(rows, dataset, setting, paper)
    assert (found.mean, found.std, found.source) == (mean, std, f"Oh et al. 2022, table {table}")


@pytest.mark.parametrize(
    ("dataset", "setting", "paper", "mean", "std"),
    [
        ("stl10-lt", "n150-l10", "fixmatch_daso", 70.0, 1.19),
        ("stl10-lt", "n450-l10", "fixmatch_daso", 78.4, 0.80),
        ("stl10-lt", "n150-l20", "fixmatch_darp", 59.9, 2.17),
        ("stl10-lt", "n450-l20", "fixmatch", 64.0, 2.27),
        ("cifar100-lt", "n50-m400-l10-u10", "supervised", 29.6, 0.57),
        ("cifar100-lt", "n150-m300-l20-u20", "fixmatch_la_daso", 55.1, 0.72),
        ("cifar100-lt", "n50-m400-l20-u20", "fixmatch_darp", 43.4, 0.87),
        ("cifar100-lt", "n150-m300-l10-u10", "remixmatch_daso", 62.1, 0.69),
    ],
)
def test_settings_of_the_project(rows, dataset, setting, paper, mean, std):
    """Cells of tables 1, 2 and 3, as a report asks for them: by the settings and methods of params/."""
    params = load(FILE.parents[2] / "params")
    found = look_up(rows, dataset, setting_config(params, dataset, setting), params.methods[paper]["paper"])
    assert (found.mean, found.std) == (mean, std)


def test_nothing_published(rows):
    assert look_up(rows, "cifar10-lt", C10, None) is None
    assert look_up(rows, "cifar10-lt", C10 | {"n1": 501}, DASO) is None
    assert look_up(rows, "digits", C10, DASO) is None
    assert look_up(rows, "cifar10-lt", C10, DASO, metric="last_top1") is None
    assert (
        look_up(rows, "cifar10-lt", C10, {"base": "fixmatch", "addons": "daso:tdist=0.5"}) is None
    )  # table 8: ablation


def test_reversed_uniform_is_uniform(rows):
    setting = C10 | {"n1": 1500, "m1": 3000, "gamma_u": 1, "reversed": True}
    assert look_up(rows, "cifar10-lt", setting, DASO).mean == 88.8


def test_a_reversed_setting_is_never_the_matched_one(rows):
    """Table 2 has no LA row, table 1 has one with gamma_u = 100."""
    assert look_up(rows, "cifar10-lt", C10, LA) is not None
    assert look_up(rows, "cifar10-lt", C10 | {"reversed": True}, LA) is None


def test_contradictions_are_noted_once(rows):
    setting = {"n1": 150, "m1": 300, "gamma_l": 10, "gamma_u": 10}
    found = look_up(rows, "cifar100-lt", setting, {"base": "fixmatch", "addons": "crest+"})
    assert (found.mean, found.note) == (57.4, "table 11 prints 57.1±0.65 for this cell")
    stl = {"n1": 150, "m1": "all", "gamma_l": 10, "gamma_u": None}
    assert look_up(rows, "stl10-lt", stl, LA).note == "Table 11 prints 63.4±2.99 for the same cell"
    assert look_up(rows, "cifar10-lt", C10, DASO).note == ""


def test_missing_file_and_column(tmp_path):
    with pytest.raises(DataError, match=r"results\.csv: cannot read the published numbers"):
        read_published(tmp_path / "results.csv")
    (tmp_path / "results.csv").write_text("source,table\n")
    with pytest.raises(DataError, match="no column dataset"):
        read_published(tmp_path / "results.csv")
