"""A suite of params/ as the command line asks for it."""

import csv
import shutil
from pathlib import Path

import pytest

from daso.config.keys import Keys
from daso.config.load import load
from daso.config.resolve import runs
from daso.data.files import checksummed
from daso.errors import ParamsError
from daso.report.suite_report import write_report

PARAMS = Path(__file__).resolve().parents[2] / "params"


@pytest.fixture
def here(read_params, tmp_path, monkeypatch):
    shutil.copytree(read_params, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def states(out):
    with (out / "cells.csv").open(newline="") as file:
        return [row["state"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("suite", sorted(path.stem for path in (PARAMS / "suites").glob("*.yaml")))
def test_every_suite_has_a_page_before_anything_has_run(here, suite):
    write_report(suite, here / "out")
    assert set(states(here / "out")) == {"missing"}
    assert "<h1>" in (here / "out" / "index.html").read_text()


def test_only_metrics_of_the_current_params_count(here, project, make_metrics):
    params = load()
    first, second, *_ = runs(params, "smoke")
    setting = params.datasets[first.dataset]["settings"][first.setting]
    right, stale = (make_metrics(run.id, 0.5, run.seed, setting=setting) for run in (first, second))
    right["key"] = Keys(params).train(first)
    project.write_metrics(right)
    project.write_metrics(stale)
    write_report("smoke", here / "out")
    assert states(here / "out")[0] == "partial"
    assert "1 out of date, left out" in (here / "out" / "index.html").read_text()


def test_kept_runs_are_shown_whatever_their_key(here, make_metrics):
    first, *_ = runs(load(), "smoke")
    path = here / "reports/measured" / first.id / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(checksummed(make_metrics(first.id, 0.5, device="cuda: Tensor Wonder")))
    write_report("smoke", here / "out")
    assert set(states(here / "out")) == {"missing"}
    assert "measured on cuda: Tensor Wonder, commit" in (here / "out" / "index.html").read_text()


def test_an_unknown_suite(here):
    with pytest.raises(ParamsError, match="unknown suite 'smokee'; did you mean 'smoke'"):
        write_report("smokee", here / "out")
