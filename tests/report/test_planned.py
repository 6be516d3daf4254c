"""Planned beside measured: sums and ratios by hand, and who is left out."""

import json

import pytest

from daso.config.keys import Keys
from daso.config.load import load
from daso.errors import DataError
from daso.report import planned
from daso.report.collect import Cell
from daso.report.planned import Expected, compared

CPU = {"device": "cpu: made up", "threads": 1}
TITLES = {"fixmatch": "FixMatch"}


def cell(*seconds, key="k", origin=CPU):
    """A cell of FixMatch whose seeds took so many seconds."""
    done = {seed: {"key": key, "speed": {"seconds": took}, "provenance": origin} for seed, took in enumerate(seconds)}
    return Cell("t", "s", "fixmatch", "d/s/p/fixmatch", tuple(done), done)


def plan(*seconds, key="k", device="cpu: made up, 1 thread"):
    return {f"d/s/p/fixmatch/s{seed}": {"key": key, "device": device, "seconds": s} for seed, s in enumerate(seconds)}


def test_sums_and_their_ratio():
    """40 + 80 s planned, 30 + 60 s measured: 0.75. In minutes from two on."""
    assert compared([cell(30.0, 60.0)], plan(40.0, 80.0), TITLES) == [
        Expected("FixMatch", "cpu: made up, 1 thread", "", "2", "2.0 min", "90.0 s", "0.750")
    ]


def test_settings_of_a_method_are_summed():
    other = Cell("t", "r", "fixmatch", "d/r/p/fixmatch", (0,), cell(10.0).done)
    both = plan(40.0) | {"d/r/p/fixmatch/s0": plan(20.0)["d/s/p/fixmatch/s0"]}
    (row,) = compared([cell(50.0), other], both, TITLES)
    assert (row.n, row.planned, row.measured, row.ratio) == ("2", "60.0 s", "60.0 s", "1.00")


def test_another_device_has_no_ratio():
    (row,) = compared([cell(30.0)], plan(40.0, device="cuda: H"), TITLES)
    assert (row.device, row.planned_on, row.ratio) == ("cpu: made up, 1 thread", "cuda: H", "–")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([cell(30.0)], {}),
        ([cell()], plan(40.0)),
        ([cell(30.0)], plan(40.0, key="another configuration")),
        ([cell(None)], plan(40.0)),
    ],
    ids=["not planned", "not run", "changed since", "no time"],
)
def test_what_was_not_planned_or_not_run_is_left_out(cells, expected):
    assert compared(cells, expected, TITLES) == []


def test_a_plan_is_read_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert planned.read("demo") == {}
    planned.write("demo", plan(40.0))
    assert planned.read("demo") == plan(40.0)
    (tmp_path / "journal/plans/demo.json").write_text("{")
    with pytest.raises(DataError, match=r"journal/plans/demo.json: not a readable plan of a suite"):
        planned.read("demo")


def test_a_report_shows_it_where_there_is_one(project, make_suite, run_ids):
    """Six runs of three seeds, 60 s each by the fixture, of which 50 s were expected: 3.0 of 2.5 min, 1.20."""
    suite = make_suite(methods=("supervised", "fixmatch"), settings=("n500-m4000-l100-u100",))
    project.fill(suite)
    without = project.build(suite)
    assert "Planned and measured" not in (without / "index.html").read_text() + (without / "report.md").read_text()
    expected = {
        run: {"key": "k" * 16, "device": "cpu: made up, 1 thread", "seconds": 50.0} for *_, run in run_ids(suite)
    }
    out = project.build(suite, plan=expected)
    row = "| cpu: made up, 1 thread | FixMatch | 3 | 2.5 min | 3.0 min | 1.20 |"
    assert row in (out / "report.md").read_text()
    page = (out / "index.html").read_text()
    assert page.count("<td>3</td><td>2.5 min</td><td>3.0 min</td><td>1.20</td>") == 2


def test_a_plan_changes_the_key_of_its_report_alone(read_params, tmp_path, monkeypatch):
    from shutil import copytree

    copytree(read_params, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    params = load()
    keys = [Keys(params).report(suite) for suite in ("smoke", "quickstart")]
    planned.write("smoke", plan(40.0))
    smoke, quickstart = (Keys(params).report(suite) for suite in ("smoke", "quickstart"))
    assert (smoke != keys[0], quickstart == keys[1]) == (True, True)
    assert json.loads((tmp_path / "journal/plans/smoke.json").read_text())["suite"] == "smoke"
