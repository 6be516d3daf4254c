"""DVC with the workflow: which jobs it starts, what it records, and what a clone gets."""

import json
import re
from collections import Counter

import pytest

from daso.data.files import checksummed
from tests.endurance.faults import assert_cache_is_intact
from tests.workflow.conftest import set_weight
from tests.workflow.project import METHODS, SETTING, Project, jobs, runs, with_own_images

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
NOTHING = Counter()
DASO = METHODS[1]
METRICS = f"metrics/digits/{SETTING}/tiny/{DASO}/s0.json"
CONFIG = f"runs/digits/{SETTING}/tiny/{DASO}/s0/config.json"


def trained_weight(project):
    """Return the weight in the configuration of the trained run, after a check that its metrics have the same key."""
    config = json.loads(project.read(CONFIG))
    assert json.loads(project.read(METRICS))["key"] == config["key"]
    return config["method"]["learner"]["weight"]


@pytest.fixture(scope="module")
def clone(changed, tmp_path_factory):
    """Make a fresh clone of the second revision with its results pulled from a remote."""
    folder = tmp_path_factory.mktemp("clone")
    changed.dvc("remote", "add", "--force", "--default", "--local", "store", str(folder / "remote"))
    changed.dvc("push")
    changed.git("clone", "-q", ".", str(folder / "project"))
    clone = Project(folder / "project")
    clone.dvc("remote", "add", "--default", "--local", "store", str(folder / "remote"))
    clone.dvc("pull")
    return clone


def test_results_of_snakemake_are_recorded_without_running(built):
    assert jobs(built.repro) == NOTHING
    assert "up to date" in built.dvc("status")
    assert "Running stage" not in built.dvc("repro")


def test_repro_runs_only_affected_jobs(changed):
    assert jobs(changed.repro) == runs(DASO)
    assert trained_weight(changed) == 0.5
    after = changed.results()
    assert [name for name in after if after[name] != changed.before[name]] == [METRICS]
    assert changed.planned() == NOTHING


def test_checkout_restores_an_old_revision(changed, tmp_path):
    project = changed.copy(tmp_path / "project")
    project.git("checkout", "-q", "HEAD~1")
    project.dvc("checkout")
    assert project.results() == changed.before
    assert project.planned() == NOTHING
    assert "up to date" in project.dvc("status")
    project.git("checkout", "-q", "main")
    project.dvc("checkout")
    assert project.results() == changed.results()
    assert project.planned() == NOTHING


def test_params_diff_and_metrics_diff_show_a_change(changed):
    output = changed.dvc("params", "diff", "HEAD~1")
    assert f"params/methods/{DASO}.yaml" in output
    assert "0.5" in output
    difference = json.loads(changed.dvc("metrics", "diff", "--all", "--json", "HEAD~1"))["reports/tiny/metrics.json"]
    assert set(difference) == {f"digits.{SETTING}.{method}.{what}" for method in METHODS for what in ("mean", "n")}
    for revision, results in (("old", changed.before), ("new", changed.results())):
        top1 = json.loads(results[METRICS])["top1"]["median"]
        assert difference[f"digits.{SETTING}.{DASO}.mean"][revision] == pytest.approx(100 * top1, abs=1e-4)


def test_plots_diff_shows_curves_and_cells_of_both_revisions(changed):
    plots = json.loads(changed.dvc("plots", "diff", "HEAD~1", "--json"))["data"]
    assert set(plots) == {"reports/tiny/history.csv", "reports/tiny/cells.csv"}
    (curves,), (cells,) = plots["reports/tiny/history.csv"], plots["reports/tiny/cells.csv"]
    points = curves["content"]["data"]["values"]
    seen = {(point["rev"], point["method"], point["step"]) for point in points}
    assert seen == {(rev, method, step) for rev in ("HEAD~1", "workspace") for method in METHODS for step in "36"}
    band, line = curves["content"]["spec"]["layer"]
    assert [line["encoding"]["y"]["field"], band["encoding"]["y"]["field"]] == ["mean", "low"]
    bars = cells["content"]["data"]["values"]
    named = {(bar["rev"], bar["run"]) for bar in bars}
    assert named == {(rev, f"digits/{SETTING}/tiny/{m}") for rev in ("HEAD~1", "workspace") for m in METHODS}
    assert cells["content"]["spec"]["layer"][1]["encoding"]["x"]["field"] == "mean"
    assert cells["content"]["spec"]["encoding"]["y"]["field"] == "method"
    assert "index.html" in changed.dvc("plots", "show", "-o", "dvc_plots")
    page = changed.read("dvc_plots/index.html")
    assert DASO in page
    assert re.findall(r"<(?:script|link)[^>]+(?:src|href)=", page) == []  # it opens without a network


def test_fresh_clone_has_all_results_and_runs_nothing(changed, clone):
    assert clone.results() == changed.results()
    assert clone.planned() == NOTHING
    assert "up to date" in clone.dvc("status")
    assert_cache_is_intact(clone.path / ".dvc/cache")


@pytest.mark.parametrize("how", ["snakemake", "dvc repro", "dvc exp run --temp"])
def test_fresh_clone_does_not_record_old_results_for_new_params(clone, tmp_path, how):
    project = clone.copy(tmp_path / "project")
    before = project.results()
    if how.startswith("dvc exp run"):
        name = f"params/methods/{DASO}.yaml:learner.weight=0.00001"
        output = project.call(*how.split(), "--name", "lighter", "--set-param", name)
        assert project.results() == before  # it runs in a copy
        project.dvc("exp", "apply", "lighter")
        weight = 0.00001  # DVC writes 1e-05, which YAML 1.1 reads as a string
    else:
        project.edit(f"methods/{DASO}.yaml", set_weight(0.25))
        output = project.snakemake() if how == "snakemake" else project.dvc("repro")
        weight = 0.25
    assert jobs(output) == runs(DASO)
    assert trained_weight(project) == weight
    after = project.results()
    assert [name for name in after if after[name] != before[name]] == [METRICS]
    assert jobs(project.dvc("repro") if how == "snakemake" else project.snakemake("-n")) == NOTHING
    assert "up to date" in project.dvc("status")


def test_repro_evaluates_again_with_oracle_labels(project):
    """Only their record counts here: the classes of all digits are known, so that no metric changes."""
    path = project.path / "data/store/digits/oracle.json"
    evaluated = Counter([f"evaluate {method} 0" for method in METHODS] + ["report tiny"])
    path.write_bytes(checksummed({"labels_sha256": "0" * 64, "store_sha256": "1" * 64, "lists": {}}))
    assert project.planned() == evaluated
    assert "data/store" in project.dvc("status", "evaluate")
    assert jobs(project.dvc("repro")) == evaluated
    assert "up to date" in project.dvc("status")
    assert project.planned() == NOTHING
    path.unlink()
    assert jobs(project.dvc("repro")) == evaluated


def test_dvc_detects_changes_of_an_image_folder(project):
    with_own_images(project)
    project.replace("dvc.yaml", "params/suites]", "params/suites, images]")
    assert jobs(project.dvc("repro", "data")) == Counter(["download own"])
    assert "up to date" in project.dvc("status", "data")
    (project.path / "images/train/cat/0.png").rename(project.path / "images/train/dog/8.png")
    assert "images" in project.dvc("status", "data")
    assert jobs(project.dvc("repro", "data")) == Counter(["download own"])
