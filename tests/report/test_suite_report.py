"""Report of a suite of params/, as the command line writes it."""

import csv
import re
from pathlib import Path

import pytest

from daso.cli import main
from daso.config.checks import PAGE_IDS
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import runs
from daso.data.files import checksummed
from daso.report.render import TEMPLATES
from daso.report.suite_report import write_report

PARAMS = Path(__file__).resolve().parents[2] / "params"


def statuses(out):
    with (out / "cells.csv").open(newline="") as file:
        return [row["status"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("suite", sorted(path.stem for path in (PARAMS / "suites").glob("*.yaml")))
def test_every_suite_has_a_report_without_runs(workspace, suite):
    write_report(suite, workspace / "out")
    assert set(statuses(workspace / "out")) == {"missing"}
    assert "<h1>" in (workspace / "out" / "index.html").read_text()


def test_only_metrics_of_the_current_params_count(workspace, project, make_metrics, capsys):
    params = load_params()
    first, second, *_ = runs(params, "smoke")
    setting = params.datasets[first.dataset]["settings"][first.setting]
    current, stale = (make_metrics(run.id, 0.5, run.seed, setting=setting) for run in (first, second))
    current["key"] = Keys(params).train(first)
    project.write_metrics(current)
    project.write_metrics(stale)
    assert main(["report", "--suite", "smoke", "--out", "out"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1:5] == [
        "Method           n20-m80-l20-u10r",
        "Supervised       50.0 (n = 1 of 2)",
        "FixMatch         not run",
        "FixMatch + DASO  not run",
    ]
    assert "0 of 3 cells complete, 1 of 6 runs finished" in printed
    assert printed[-1].startswith("written: out/index.html; ")
    assert statuses(workspace / "out")[0] == "partial"
    html = (workspace / "out" / "index.html").read_text()
    assert "1 stale, not counted" in html
    assert f'<a href="../metrics/{first.id}.json">' in html  # from out/ to the working copy


def test_archived_runs_are_shown_with_any_key(workspace, make_metrics):
    first, *_ = runs(load_params(), "smoke")
    path = workspace / "reports/measured" / first.id / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(checksummed(make_metrics(first.id, 0.5, device="cuda: Tensor Wonder")))
    write_report("smoke", workspace / "out")
    assert set(statuses(workspace / "out")) == {"missing"}
    assert "measured on cuda: Tensor Wonder at commit" in (workspace / "out" / "index.html").read_text()


def test_fixed_ids_of_the_page_are_not_allowed_as_names_of_tables():
    texts = [path.read_text() for path in TEMPLATES.glob("*.html.j2") if path.name != "contradictions.html.j2"]
    assert set(re.findall(r' id="([^"{]+)"', "".join(texts))) == set(PAGE_IDS)
