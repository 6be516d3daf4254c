"""Lines of `snakemake` on the terminal; tests/planning/test_messages.py has their numbers."""

import re
import zipfile

import pytest

from tests.workflow.conftest import set_weight
from tests.workflow.project import METHODS, SETTING

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
OURS = {"DASO_MESSAGES": ""}
RUNS = [f"digits/{SETTING}/tiny/{method}/s0" for method in METHODS]
# Snakemake prints these before it reads the rules.
SNAKEMAKE = ("Using workflow specific profile", "Assuming unrestricted shared filesystem")


def lines(output):
    return [line for line in output.splitlines() if line and not line.startswith(SNAKEMAKE)]


def test_dry_run_names_each_job_and_its_reason(project):
    project.edit(f"methods/{METHODS[1]}.yaml", set_weight(0.5))
    printed = lines(project.snakemake("-n", **OURS))
    assert re.fullmatch(r"1 run to train, 1 at once: about [\d.]+ \w+ of training", printed[0])
    assert re.match(r"disk: [\d.]+ MB needed \(results", printed[1])
    assert sorted(printed[2:6]) == [
        "correct   corrections/tiny.done  (its inputs will change)",
        f"evaluate  metrics/{RUNS[1]}.json  (its inputs will change)",
        "report    reports/tiny/index.html  (its inputs will change)",
        f"train     {RUNS[1]}  (stale: params/, code or inputs have changed)",
    ]
    assert printed[6] == "Job stats:"
    assert printed[-1].split() == ["total", "5"]


def test_call_without_jobs_shows_the_results(built):
    printed = lines(built.snakemake(**OURS))
    assert printed[0].startswith("Nothing to be done")
    assert printed[1:] == [*lines(built.read("reports/tiny/summary.txt")), "reports/tiny/index.html"]


def test_report_of_snakemake_holds_the_tables_and_figures(built, tmp_path):
    built.snakemake("--report", tmp_path / "report.zip")
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        held = {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}
    for name in ("index.html", "cells.csv"):
        assert held[name] == (built.path / "reports/tiny" / name).read_bytes()


def test_failed_run_is_shown_with_its_log_and_does_not_stop_the_others(project):
    for method, rate in zip(METHODS, (0.02, 1e15), strict=True):
        project.edit(f"methods/{method}.yaml", lambda tree, rate=rate: tree.update(optimizer={"lr": rate}))
    before = project.results()
    printed = lines(project.snakemake(fails=True, **OURS))
    assert printed[0].startswith("2 runs to train, 2 at once: about ")
    (finished,) = (line for line in printed if re.match(rf"1/2  {RUNS[0]} +[\d.]+ %", line))
    start = printed.index(f"FAILED train {RUNS[1]}")
    assert printed[start + 1] == f"  logs/train/{RUNS[1]}.log:"
    assert "lower optimizer.lr" in " ".join(printed[start:])
    assert printed[-1] == f"1 of 2 runs finished; failed: train {RUNS[1]}; run the same command again to continue"
    assert len(printed) < 12
    changed = {path for path, content in project.results().items() if content != before[path]}
    assert changed == {f"metrics/{RUNS[0]}.json"}
