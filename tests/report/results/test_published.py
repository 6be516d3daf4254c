"""Published number of a cell, against cells read in the paper."""

from pathlib import Path

import pytest

from daso.config.resolve import expand_suite, setting_config
from daso.errors import DataError
from daso.planning.cell import match
from daso.report.results.published import (
    PAPER_SOURCE,
    TABLE_PRECEDENCE,
    cell_key,
    look_up,
    look_up_cell,
    read_published,
    row_key,
)

FILE = Path(__file__).resolve().parents[3] / "reports" / "paper" / "results.csv"
C10 = {"n1": 500, "m1": 4000, "gamma_l": 100, "gamma_u": 100}
C100 = {"n1": 150, "m1": 300, "gamma_l": 20, "gamma_u": 20}
DASO, LA = {"base": "fixmatch", "addons": "daso"}, {"base": "fixmatch", "addons": "la"}


@pytest.fixture(scope="module")
def rows():
    return read_published(FILE)


def test_number_of_published_rows(rows):
    assert len(rows) == 2009 + 22 + 85 + 43  # read in publications, quoted from memory, two sets of later papers


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
def test_look_up_of_cells_read_in_the_paper(rows, dataset, setting, paper, mean, std, table):
    published = look_up(rows, dataset, setting, paper)
    assert (published.mean, published.std, published.source) == (mean, std, f"Oh et al. 2022, table {table}")


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
def test_look_up_with_settings_and_methods_of_params(rows, params, dataset, setting, paper, mean, std):
    """Cells of tables 1, 2 and 3, looked up as in a report: with the settings and methods of params/."""
    published = look_up(rows, dataset, setting_config(params, dataset, setting), params.methods[paper]["paper"])
    assert (published.mean, published.std) == (mean, std)


def test_look_up_returns_none_if_nothing_is_published(rows):
    assert look_up(rows, "cifar10-lt", C10, None) is None
    assert look_up(rows, "cifar10-lt", C10 | {"n1": 501}, DASO) is None
    assert look_up(rows, "digits", C10, DASO) is None
    assert look_up(rows, "cifar10-lt", C10, DASO, ["last_top1"]) is None
    assert look_up(rows, "cifar10-lt", C10, {"base": "fixmatch", "addons": "daso:tdist=0.7"}) is None


@pytest.mark.parametrize(
    ("method", "c10", "stl", "table"),
    [  # read in tables 5, 6, 7, 8, 15, 16 and 17
        ("fixmatch_daso_no_align", 70.98, 61.64, "5"),
        ("fixmatch_daso_no_blend", 73.15, 58.51, "5"),
        ("fixmatch_daso_v_1", 72.35, 62.60, "6"),
        ("fixmatch_daso_v_0_5", 72.96, 64.21, "6"),
        ("fixmatch_daso_bal_0_ema_0", 74.98, 68.54, "7"),
        ("fixmatch_daso_bal_1_ema_0", 74.54, 70.01, "7"),
        ("fixmatch_daso_bal_0_ema_1", 75.01, 69.49, "7"),
        ("fixmatch_daso_tdist_0_3", 73.97, 70.21, "8"),
        ("fixmatch_daso_tdist_0_5", 74.47, 68.35, "8"),
        ("fixmatch_daso_tdist_1_0", 74.82, 65.96, "8"),
        ("fixmatch_daso_tdist_1_5", 75.97, 64.54, "8"),
        ("fixmatch_daso_l_128", 73.77, 69.17, "15"),
        ("fixmatch_daso_l_512", 75.03, 69.96, "15"),
        ("fixmatch_daso_l_1024", 74.36, 69.64, "15"),
        ("fixmatch_daso_l_2048", 73.50, 69.99, "15"),
        ("fixmatch_daso_tproto_0_02", 73.84, 68.19, "16"),
        ("fixmatch_daso_tproto_0_2", 70.53, 66.62, "16"),
        ("fixmatch_daso_tproto_0_5", 52.36, 60.92, "16"),
        ("fixmatch_daso_tproto_1_0", 46.47, 57.40, "16"),
        ("fixmatch_daso_weight_0_5", 73.78, 69.01, "17"),
        ("fixmatch_daso_weight_1_5", 74.59, 71.51, "17"),
        ("fixmatch_daso_weight_2", 74.57, 71.12, "17"),
    ],
)
def test_look_up_of_ablations(rows, params, method, c10, stl, table):
    """Each method differs from DASO in the option of its name; its published number has no standard deviation."""
    paper = params.methods[method]["paper"]
    cells = (("cifar10-lt", "n500-m4000-l100-u100"), ("stl10-lt", "n150-l10"))
    numbers = [look_up(rows, dataset, setting_config(params, dataset, name), paper) for dataset, name in cells]
    assert [(number.mean, number.std, number.source) for number in numbers] == [
        (mean, None, f"Oh et al. 2022, table {table}") for mean in (c10, stl)
    ]


@pytest.mark.parametrize("table", ["1", "2", "3", "5", "6", "7", "8", "11", "12", "13", "14", "15", "16", "17"])
def test_every_row_matches_a_method_and_a_setting(rows, params, table):
    """All tables but table 4, whose dataset (photographs of birds) is not part of this project."""
    table_rows = [row for row in rows if row["source"] == PAPER_SOURCE and row["table"] == table]
    assert table_rows
    assert [row for row in table_rows if match(params, row).missing] == []


def test_row_matches_one_method_except_for_the_reference_implementation(rows, params):
    """Two methods for the same row would be two interpretations of the paper."""
    several = {
        tuple(matched.methods)
        for row in rows
        if row["source"] == PAPER_SOURCE
        and row["table"] in TABLE_PRECEDENCE
        and len((matched := match(params, row)).methods) > 1
    }
    assert several <= {("fixmatch_darp", "fixmatch_darp_shipped")}


def test_main_tables_take_precedence_over_ablations(rows, params):
    """DASO: 76.0 in table 1, 75.97 in tables 5 to 7 and 15 to 17 (equal if rounded). FixMatch: 67.8; 68.25 in four."""
    papers = [params.methods[name]["paper"] for name in ("fixmatch_daso", "fixmatch")]
    numbers = [look_up(rows, "cifar10-lt", C10, paper) for paper in papers]
    assert [(number.mean, number.std, number.source) for number in numbers] == [
        (76.0, 0.37, "Oh et al. 2022, table 1"),
        (67.8, 1.13, "Oh et al. 2022, table 1"),
    ]
    assert [number.note for number in numbers] == ["", "tables 5, 15, 16 and 17 print 68.25 for this cell"]
    stl = setting_config(params, "stl10-lt", "n150-l10")
    note = "tables 5, 6, 7, 15, 16 and 17 print 70.21 for this cell"
    assert look_up(rows, "stl10-lt", stl, params.methods["fixmatch_daso"]["paper"]).note == note


@pytest.mark.parametrize(
    ("table", "method", "mean", "std", "source", "note"),
    [  # read in tables 1, 5 and 8; table 5 lacks the row of T_dist
        (5, "fixmatch", 68.25, None, "5", "tables 1 and 11 print 67.8±1.13 for this cell"),
        (1, "fixmatch", 67.8, 1.13, "1", "tables 5, 15, 16 and 17 print 68.25 for this cell"),
        (5, "fixmatch_daso", 75.97, None, "5", ""),
        (5, "fixmatch_daso_tdist_0_5", 74.47, None, "8", ""),
        (11, "fixmatch_abc", 78.9, 0.82, "1", ""),
    ],
)
def test_number_of_the_reproduced_table_comes_first(rows, params, table, method, mean, std, source, note):
    """A cell that this table lacks has the number of another one."""
    published = look_up(rows, "cifar10-lt", C10, params.methods[method]["paper"], table=str(table))
    assert (published.mean, published.std, published.table, published.note) == (mean, std, source, note)


def test_every_cell_of_a_suite_of_a_table_has_its_number(rows, params):
    """Table 8 names the full method by its T_dist, which differs between datasets."""
    named = 0
    for suite in params.suites:
        for table in expand_suite(params, suite)["tables"]:
            for setting in table["settings"] if "paper" in table else ():
                numbers = [look_up_cell(rows, table, setting, method) for method in table["methods"]]
                if suite != "cifar10-lt-motivation":  # table 1 has no row for USADTM
                    assert {number.table for number in numbers} == {str(table["paper"]["table"])}, (
                        suite,
                        table["name"],
                    )
                named += len(numbers)
    assert named == 96 + 24 + 3 + 40 + 12 + 24 + 96 + 24 + 24 + 28 + 2 * (4 + 4 + 4 + 4 + 6 + 6 + 6)


def test_note_of_an_ablation_describes_it(rows):
    published = look_up(rows, "cifar10-lt", C10, {"base": "fixmatch", "addons": "align"})
    assert published.note == "alignment loss without blending"
    assert look_up(rows, "cifar10-lt", C10, {"base": "fixmatch", "addons": "daso:L=128"}).note == ""


def test_reversed_uniform_distribution_is_uniform(rows):
    setting = C10 | {"n1": 1500, "m1": 3000, "gamma_u": 1, "reversed": True}
    assert look_up(rows, "cifar10-lt", setting, DASO).mean == 88.8


def test_reversed_setting_does_not_match_a_row_that_is_not_reversed(rows):
    """Table 1 has an LA row with gamma_u = 100, table 2 has no LA row."""
    assert look_up(rows, "cifar10-lt", C10, LA) is not None
    assert look_up(rows, "cifar10-lt", C10 | {"reversed": True}, LA) is None


def test_contradicting_tables_are_noted_once(rows):
    setting = {"n1": 150, "m1": 300, "gamma_l": 10, "gamma_u": 10}
    published = look_up(rows, "cifar100-lt", setting, {"base": "fixmatch", "addons": "crest+"})
    assert (published.mean, published.note) == (57.4, "table 11 prints 57.1±0.65 for this cell")
    stl = {"n1": 150, "m1": "all", "gamma_l": 10, "gamma_u": None}
    assert look_up(rows, "stl10-lt", stl, LA).note == "Table 11 prints 63.4±2.99 for the same cell"
    assert look_up(rows, "cifar10-lt", C10, DASO).note == ""


DEBIASPL, SIMMATCH = {"base": "fixmatch", "addons": "debiaspl"}, {"base": "simmatch"}
RECALLED = "quoted from memory, not checked against the paper"
SPREAD = f"spread {RECALLED}"


@pytest.mark.parametrize(
    ("cell", "paper", "mean", "std", "source", "doubt"),
    [
        ("cifar10-lt/n5000-g100-p10", DEBIASPL, 79.2, 1.0, "Wang et al. 2022", RECALLED),
        ("cifar10-lt/n5000-g100-p30", DEBIASPL, 80.6, 0.5, "Wang et al. 2022", RECALLED),
        ("cifar10-lt/n5000-g200-p10", DEBIASPL, 71.4, 2.0, "Wang et al. 2022", RECALLED),
        ("cifar10-lt/n5000-g200-p30", {"base": "fixmatch"}, 67.7, 0.8, "Wang et al. 2022", RECALLED),
        ("cifar10/n8", DEBIASPL, 95.2, 0.1, "Wang et al. 2022", RECALLED),
        ("cifar10/n4", {"base": "fixmatch"}, 86.1, 3.5, "Wang et al. 2022", RECALLED),
        ("cifar10/n4", SIMMATCH, 94.4, 1.37, "Zheng et al. 2022", RECALLED),
        ("cifar10/n400", SIMMATCH, 96.04, 0.01, "Zheng et al. 2022", RECALLED),
        ("cifar100/n25", SIMMATCH, 74.93, 0.32, "Zheng et al. 2022", SPREAD),
    ],
)
def test_recalled_numbers_have_a_doubt(rows, params, cell, paper, mean, std, source, doubt):
    dataset, setting = cell.split("/")
    protocol = params.protocols["fixmatch-wide" if dataset == "cifar100" else "fixmatch"]
    config = setting_config(params, dataset, setting)
    published = look_up(rows, dataset, config, paper, ["top1"], sources=protocol["published"])
    assert (published.mean, published.std, published.doubt) == (mean, std, doubt)
    assert published.source == f"{source} ({doubt})"


def test_recalled_number_keeps_trailing_zeros(rows, params):
    config = setting_config(params, "cifar10", "n4")
    published = look_up(rows, "cifar10", config, SIMMATCH, ["top1"], sources=["simmatch_paper"])
    assert (published.printed, published.doubt) == ("94.40 ± 1.37", RECALLED)


def test_every_recalled_row_has_a_doubt_and_matches_one_setting(rows, params):
    recalled = [row for row in rows if row["doubt"]]
    assert len(recalled) == 22
    assert {row["doubt"] for row in recalled} == {RECALLED, SPREAD}
    assert {row["source"] for row in recalled} == {"simmatch_paper", "debiaspl_paper"}
    for row in recalled:
        dataset = row["dataset"]
        settings = (setting_config(params, dataset, name) for name in params.datasets[dataset]["settings"])
        keys = [cell_key(dataset, setting, row, "top1") for setting in settings]
        assert keys.count(row_key(row)) == 1, row


def test_confirmed_means_agree_with_other_publications(rows):
    """Means of CIFAR-100: Suave prints them with one digit; a leaderboard prints errors, 25.07 and 20.58."""
    recalled = {row["n1"]: float(row["mean"]) for row in rows if row["doubt"] == SPREAD}
    repeated = {row["n1"]: float(row["mean"]) for row in rows if row["source"] == "suave_paper" and row["n1"]}
    assert recalled == {"4": 62.19, "25": 74.93, "100": 79.42}
    assert {n: round(mean, 1) for n, mean in recalled.items()} == repeated
    errors = [float(row["mean"]) for row in rows if row["table"] == "paperswithcode"]
    assert sorted(errors) == pytest.approx(sorted(100 - recalled[n] for n in ("25", "100")))


def test_debiaspl_of_usb_is_never_looked_up(rows, params):
    """USB has results on these settings, but its running mean is one number for all classes and removes no bias."""
    usb = [row for row in rows if (row["source"], row["addons"]) == ("usb_results", "debiaspl")]
    sizes = {(row["n1"], row["m1"]) for row in usb if row["dataset"] == "cifar10-lt"}
    assert sizes == {("500", "4000"), ("1500", "3000")}
    for dataset in ("cifar10-lt", "cifar100-lt", "stl10-lt"):
        for name, setting in params.datasets[dataset]["settings"].items():
            if "share" not in setting:
                config = setting_config(params, dataset, name)
                assert look_up(rows, dataset, config, DEBIASPL, ["top1"], sources=["usb_results"]) is None, name


def test_first_source_of_a_protocol_takes_precedence(rows):
    recalled = {**next(row for row in rows if row["source"] == "debiaspl_paper"), "n1": "500", "m1": "4000"}
    assert (recalled["mean"], recalled["base"]) == ("67.3", "fixmatch")
    both = {"metrics": ["med20_top1", "top1"], "sources": ["daso_paper", "debiaspl_paper"]}
    assert look_up([recalled, *rows], "cifar10-lt", C10, {"base": "fixmatch"}, **both).mean == 67.8
    assert look_up([recalled], "cifar10-lt", C10, {"base": "fixmatch"}, **both).mean == 67.3


def test_missing_file_or_column_raises(tmp_path):
    with pytest.raises(DataError, match=r"results\.csv: cannot read the published numbers"):
        read_published(tmp_path / "results.csv")
    (tmp_path / "results.csv").write_text("source,table\n")
    with pytest.raises(DataError, match="missing column dataset"):
        read_published(tmp_path / "results.csv")
