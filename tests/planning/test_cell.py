"""Runs of published cells, against cells looked up by eye in the paper and in params/."""

from copy import deepcopy
from pathlib import Path

import pytest

from daso.config.keys import Keys
from daso.config.resolve import runs, setting_config
from daso.data.run_files import RUN_FILES
from daso.errors import DasoError, ParamsError
from daso.planning.cell import cell, match
from daso.planning.status import format_list
from daso.report.results.published import PAPER_SOURCE, PUBLISHED, TABLE_PRECEDENCE, look_up, read_published
from tests.finished import finish
from tests.repository import PARAMS

pytestmark = pytest.mark.usefixtures("nowhere")


def text(params, *words, **options):
    return "".join(cell(params, *words, **options)).splitlines()


@pytest.mark.parametrize(
    ("words", "run"),
    [
        ("table 1, row 6, column 3", "cifar10-lt/n500-m4000-l150-u150/paper/fixmatch_daso"),
        ("t1 r2 c8", "cifar100-lt/n150-m300-l20-u20/paper/supervised_la"),
        ("t2 r1 c4", "cifar10-lt/n1500-m3000-l100-u100r/paper/fixmatch"),
        ("t2 r5 c2", "cifar10-lt/n1500-m3000-l100-u1/paper/fixmatch_daso"),
        ("t2 r5 c7", "stl10-lt/n150-l20/paper/fixmatch_daso"),
        ("t3 r2 c4", "stl10-lt/n450-l10/paper/mean_teacher_daso"),
        ("t5 r1 c2", "stl10-lt/n150-l10/paper/fixmatch"),
        ("t8 r1 c1", "cifar10-lt/n500-m4000-l100-u100/paper/fixmatch_daso_tdist_0_3"),
        ("t8 r4 c1", "cifar10-lt/n500-m4000-l100-u100/paper/fixmatch_daso"),  # its T_dist is 1.5 there
        ("t11 r5 c3", "cifar100-lt/n50-m400-l10-u10/paper/pseudo_label"),
        ("t13 r3 c2", "cifar10-lt/n500-m4000-l150-u150/paper/remixmatch_crest_plus"),
    ],
)
def test_address_selects_the_runs_of_a_cell(params, words, run):
    lines = text(params, words)
    own = [line.split() for line in lines if line.startswith("run ") and "upstream run" not in line]
    assert own == [["run", f"{run}/s{seed}", "missing"] for seed in range(3)]
    assert f"command: snakemake metrics/{run}/s{{0,1,2}}.json" in lines


def test_cell_prints_published_number_suites_and_cost(params):
    lines = text(params, "table 1, row 6, column 2")
    assert lines[:2] == [
        "table 1, row 6, column 2 of Oh et al. 2022: fixmatch+daso on cifar10-lt, N1 1500, M1 3000, gamma_l 100, "
        "gamma_u 100",
        "published: 79.1 ± 0.75, median of the last 20 evaluations of 3 runs",
    ]
    (suites,) = (line for line in lines if line.startswith("suites: "))
    assert {"cifar10-lt-main", "paper-table-1"} <= set(suites.removeprefix("suites: ").split(", "))
    assert "cost: 3 runs, 750,000 steps, 240,000,000 images" in lines


def test_notes_name_tables_that_print_a_different_number(params):
    lines = text(params, "t11 r9 c5")  # FixMatch + LA, STL10-LT
    assert lines[1].startswith("published: 63.4 ± 2.99")
    assert lines[2] == "note: Table 12 prints 64.4±1.35 for the same cell"
    assert text(params, "t5 r1 c1")[1:3] == [
        "published: 68.25, median of the last 20 evaluations",
        "note: tables 1 and 11 print 67.8±1.13 for this cell",
    ]
    assert "note: default" in text(params, "t15 r3 c1")  # L = 256: 75.97, which table 1 rounds to 76.0
    assert text(params, "t5 r4 c1")[1] == "published: 75.97, median of the last 20 evaluations"


def test_status_of_runs_and_upstream_runs(params):
    """CReST has four generations before the last, for each seed."""
    lines = [line.split()[1:] for line in text(params, "t2 r3 c1") if line.startswith("run ")]
    place = "cifar10-lt/n500-m4000-l100-u1/paper/fixmatch_crest"
    assert [words[0] for words in lines[:5]] == [f"{place}{part}/s0" for part in (".g1", ".g2", ".g3", ".g4", "")]
    assert len(lines) == 15
    assert [words[1:] for words in lines[3:5]] == [["missing", "upstream", "run"], ["missing"]]


def test_cell_may_be_addressed_by_names(params):
    first = text(params, "table 1, row 6, column 3")
    place = "cifar10-lt/n500-m4000-l150-u150"
    assert text(params, "table 1", row="FixMatch+DASO", column=place) == first
    assert text(params, "table 1", row="fixmatch_daso", column="3") == first
    assert text(params, "table 1, row 6", column=place) == first
    blend = text(params, "table 6, row 1, column 1")  # daso:v=0; table 5 names it align
    assert text(params, "table 6", row="fixmatch_daso_no_blend", column="cifar10-lt/n500-m4000-l100-u100") == blend
    with pytest.raises(DasoError, match=r"table 1: unknown row 'fixmatch\+dasso'; did you mean 'fixmatch\+daso'"):
        text(params, "table 1", row="fixmatch+dasso", column=place)
    with pytest.raises(DasoError, match="table 1: unknown column 'cifar10-lt/n500-m4000-l100-u1';"):
        text(params, "table 1", row="6", column="cifar10-lt/n500-m4000-l100-u1")
    with pytest.raises(ParamsError, match="unknown <dataset>/<setting> 'cifar10-lt/n5'"):
        text(params, "table 1", row="6", column="cifar10-lt/n5")


def test_address_without_a_cell_prints_the_table(params):
    assert text(params, "table 1") == text(params, "table 1, row 6")
    assert text(params, "table 1")[0] == "table 1 of Oh et al. 2022"


def test_dataset_missing_in_params_is_reported_after_the_published_number():
    lines, few = [], deepcopy(PARAMS)
    del few.datasets["semi-aves"]
    with pytest.raises(
        DasoError, match=r"table 4, row 2, column 1: missing dataset 'semi-aves' \(.*/semi-aves.yaml\)$"
    ):
        lines.extend(cell(few, "t4 r2 c1"))
    assert "published: 53.8 ± 0.17, last evaluation of 3 runs\n" in lines[0]


def test_method_and_setting_missing_in_params_are_reported(params):
    few = deepcopy(PARAMS)
    del few.methods["fixmatch_daso"], few.datasets["cifar10-lt"]["settings"]["n500-m4000-l150-u150"]
    message = (
        r"missing setting of .*datasets/cifar10-lt.yaml with cifar10-lt, N1 500, M1 4000, gamma_l 150, gamma_u 150; "
        r"missing file of .*methods with `paper: \{base: fixmatch, addons: \"daso\"\}`"
    )
    with pytest.raises(DasoError, match=message):
        text(few, "table 1, row 6, column 3")


def test_cell_and_report_look_up_the_same_number(params):
    """For every cell whose dataset, setting and method are in params/, a report looks up the same number."""
    rows = read_published(PUBLISHED)
    matched = 0
    for row in rows:
        if row["source"] != PAPER_SOURCE or row["table"] not in TABLE_PRECEDENCE:
            continue
        place = match(params, row)
        if place.missing:
            continue
        (setting,), method = place.settings, place.methods[0]
        paper = params.methods[method]["paper"]
        back = look_up([row], row["dataset"], setting_config(params, place.dataset, setting), paper, [row["metric"]])
        assert back.mean == float(row["mean"])
        matched += 1
    assert matched > 200


def test_list_prints_the_status_of_each_run(params, caplog):
    """The files of a done, a stale, a running and a damaged run are made up."""
    own = runs(params, "smoke")[:5]
    keys = Keys(params)
    for run, key in ((own[0], keys.train(own[0])), (own[1], "another")):
        finish(Path("runs", run.id), dict.fromkeys(RUN_FILES, ""), run=run.id, key=key)
    state = Path("scratch", own[2].id, f"{keys.train(own[2])}.pt")
    state.parent.mkdir(parents=True)
    state.write_bytes(b"")
    damaged = Path("runs", own[4].id, "train.json")
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    states = ("done", "stale", "running", "missing", "damaged")
    expected = [f"{run.id}\t{state}" for run, state in zip(own, states, strict=True)]
    assert format_list(params, "smoke").splitlines()[:5] == expected
    (line,) = {record.getMessage() for record in caplog.records}
    assert line.startswith(f"{damaged}: not a readable result of a run ")
    assert line.endswith(f"; delete it and run `snakemake {damaged}` again")
    assert format_list(params, "runs", "smoke") == format_list(params, "smoke")
    assert format_list(params, "runs").startswith("digits/n20-m80-l20-u10r/quickstart/")
    assert format_list(params, "methods").startswith("acr ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("method",), "list: unknown kind or suite 'method'; did you mean 'methods'?"),
        (("smok",), "list: unknown kind or suite 'smok'; did you mean 'smoke'?"),
        (("methods", "smoke"), "list: 'smoke' is not allowed with 'methods'; give a suite only after `runs`"),
        (("smoke", "smoke"), "list: 'smoke' is not allowed with 'smoke'; give a suite only after `runs`"),
        (("runs", "smok"), "unknown suite 'smok'; did you mean 'smoke'?"),
    ],
)
def test_unknown_arguments_of_list_are_refused(params, words, message):
    with pytest.raises(ParamsError) as raised:
        format_list(params, *words)
    assert message in str(raised.value)
