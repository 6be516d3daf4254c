"""Comparison of a suite with its reference, with numbers worked out by hand.

The reference of each cell is 74 and 76 % over two seeds: mean 75, deviation sqrt(2). Runs that are 2.8 or 3 points
better have the same deviation, so the band is 2 sqrt(2 / 2 + 2 / 2) = 2 sqrt(2) = 2.83: 2.8 is inside, 3 is outside.
"""

import json
import shutil
from pathlib import Path

import pytest

from daso.cli import main
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import expand_suite, runs
from daso.report.results.collect import collect
from daso.report.results.reference import compare_with_reference, read_reference
from daso.report.suite_report import write_report

FILE = Path("reports/reference/smoke.json")
SHIFTED = ("fixmatch", "fixmatch_daso")


@pytest.fixture
def measure(workspace, project, make_metrics):
    """Return `measure(points, ...)`, which writes the metrics of the suite smoke; 0 points are the reference's."""
    params = load_params()
    keys = Keys(params)

    def measure(points=None, key=keys.train, only=None, **provenance):
        for run in runs(params, "smoke"):
            if only is not None and run.method not in only:
                continue
            level = (74 + 2 * run.seed + (points or {}).get(run.method, 0)) / 100
            setting = params.datasets[run.dataset]["settings"][run.setting]
            project.write_metrics(
                {**make_metrics(run.id, level, run.seed, setting=setting, **provenance), "key": key(run)}
            )

    return measure


def result():
    cells = collect(expand_suite(load_params(), "smoke"), Path("metrics"), Path("scratch"))
    return compare_with_reference(read_reference("smoke"), cells)


def test_same_numbers_have_the_same_bytes(measure):
    measure()
    assert main(["reference", "smoke"]) == 0
    steps = json.loads(FILE.read_text())["seconds_per_step"]
    assert steps == dict.fromkeys(("supervised", *SHIFTED), 0.0599)  # of 16.7 steps per second
    measure(device="cpu: a different one")
    assert result().summary == "same bytes as the reference in all 3 cells"
    write_report("smoke", Path("out"))
    page = Path("out/index.html").read_text()
    assert "Reference:</strong> same bytes as the reference in all 3 cells." in page
    assert "**Reference:** same bytes as the reference in all 3 cells." in Path("out/report.md").read_text()
    assert Path("out/summary.txt").read_text().endswith("\nReference: same bytes as the reference in all 3 cells\n")
    assert json.loads(FILE.read_text())["numbers_sha256"] in page
    assert not Path("out/tables/table-A-reference.csv").exists()


def test_different_numbers_are_compared_by_the_band(measure):
    measure()
    main(["reference", "smoke"])
    measure({"fixmatch": 2.8, "fixmatch_daso": -3}, versions={"python": "3.11.9", "torch": "2.12.0"})
    compared = result()
    assert not compared.same_bytes
    assert {cell.method: round(cell.difference, 6) for cell in compared.cells} == {
        **{"supervised": 0, "fixmatch": 2.8, "fixmatch_daso": -3}
    }
    assert [round(cell.band, 3) for cell in compared.cells] == [2.828] * 3
    assert compared.summary == (
        "2 of 3 cells inside the band of the reference; outside: smoke, n20-m80-l20-u10r, fixmatch_daso −3.0 (band "
        "±2.8); different bytes: torch 2.12.0 (reference: 2.11.0)"
    )
    write_report("smoke", Path("out"))
    assert Path("out/tables/table-A-reference.csv").read_text().splitlines() == [
        "Setting,Method,Ours,Reference,Difference,Band,Inside",
        "n20-m80-l20-u10r,Supervised,75.0 ± 1.41,75.0 ± 1.41,0.0,±2.8,yes",
        "n20-m80-l20-u10r,FixMatch,77.8 ± 1.41,75.0 ± 1.41,+2.8,±2.8,yes",
        "n20-m80-l20-u10r,FixMatch + DASO,72.0 ± 1.41,75.0 ± 1.41,−3.0,±2.8,no",
    ]


def test_change_of_code_is_named_with_both_commits(measure):
    measure()
    main(["reference", "smoke"])
    measure({"fixmatch": 1}, key=lambda run: "another", commit="fedcba")
    assert result().summary.endswith("different bytes: code or parameters of commit fedcba (reference: abcdef123456)")
    measure({"fixmatch": 1})
    assert result().summary.endswith("different bytes: same device, versions, code and parameters")


def test_unfinished_cells_are_not_compared(measure):
    measure()
    main(["reference", "smoke"])
    shutil.rmtree("metrics")
    assert result().summary == "none of the 3 cells of the reference is complete"
    measure(only=["supervised"], key=lambda run: "another")
    assert result().summary.startswith("1 of 1 complete cells inside the band of the reference")
    write_report("smoke", Path("out"))  # these runs are stale
    assert "none of the 3 cells of the reference is complete" in Path("out/report.md").read_text()


def test_reference_needs_all_runs_of_one_machine(measure, capsys):
    measure(only=["supervised", "fixmatch"])
    assert main(["reference", "smoke"]) == 1
    assert "fixmatch_daso/s0: not finished; run `snakemake --config suite=smoke`" in capsys.readouterr().err
    measure(only=["fixmatch_daso"], device="cpu: B")
    assert main(["reference", "smoke"]) == 1
    assert "device: cpu: made up or cpu: B; train all runs on one machine" in capsys.readouterr().err
    assert not FILE.exists()


def test_damaged_reference_is_an_error(measure, capsys):
    measure()
    main(["reference", "smoke"])
    tree = json.loads(FILE.read_text())
    tree["numbers"]["smoke"]["n20-m80-l20-u10r"]["fixmatch"]["mean"] = 99
    FILE.write_text(json.dumps(tree))
    assert main(["report", "--suite", "smoke"]) == 1
    error = f"{FILE}: checksum mismatch, the file is damaged or was edited; restore it with git, or write it again"
    assert error in capsys.readouterr().err


def test_reference_is_part_of_the_key_of_its_report_only(measure):
    measure()
    before = [Keys(load_params()).report(suite) for suite in ("smoke", "quickstart")]
    main(["reference", "smoke"])
    after = [Keys(load_params()).report(suite) for suite in ("smoke", "quickstart")]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True]


def test_incomplete_suite_is_unfinished_and_not_different(measure):
    """The runs of the reference, without those of one of three methods."""
    measure()
    assert main(["reference", "smoke"]) == 0
    for path in Path("metrics").rglob("supervised/*.json"):
        path.unlink()
    cells = "2 of 2 complete cells inside the band of the reference"
    assert result().summary == f"{cells}; not all runs of the reference are finished"


def test_report_without_runs_has_the_time_at_the_pace_of_the_reference(measure):
    """Six runs of 60 steps at 16.7 steps per second, 0.0599 s each: 21.6 s."""
    measure()
    assert main(["reference", "smoke"]) == 0
    shutil.rmtree("metrics")
    write_report("smoke", Path("out"))
    assert "6 of 6 runs, about 21.6 s of device time on cpu: made up" in Path("out/report.md").read_text()
