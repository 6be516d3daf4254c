"""Corrections after training in the workflow: their numbers, the report's table, and which runs are corrected again."""

import json
from collections import Counter

import numpy as np
import pytest

from daso.engine.checkpoint import load_checkpoint
from daso.ops.confusion import confusion, recall
from tests.workflow.project import METHODS, SETTING, jobs

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
OTHER, RUN = (f"digits/{SETTING}/tiny/{method}/s0" for method in METHODS)


def corrections(project, run):
    return json.loads(project.read(f"corrections/{run}.json"))


@pytest.mark.parametrize(("run", "model"), [(OTHER, "student"), (RUN, "teacher")])
def test_finished_run_is_corrected_without_training(built, run, model):
    """Uncorrected numbers are those of the metrics; those without bias follow from predictions and weights."""
    result, folder = corrections(built, run)["corrections"], built.path / "runs" / run
    metrics = json.loads(built.read(f"metrics/{run}.json"))
    assert result["uncorrected"]["balanced_accuracy"] == pytest.approx(metrics["balanced_accuracy"])
    assert result["uncorrected"]["accuracy"] == pytest.approx(metrics["top1"]["last"])
    with np.load(folder / "predictions.npz") as arrays:
        logits, labels = arrays["logits"].astype(np.float64), arrays["labels"]
    bias = load_checkpoint(folder / "final.pt", metrics["key"])[model]["classifier.bias"].numpy()
    counts = confusion(labels, (logits - bias).argmax(1), 10)
    assert result["without_bias"]["balanced_accuracy"] == pytest.approx(recall(counts).mean())
    assert not any("reason" in entry for entry in result.values())


def test_report_has_a_row_for_each_correction(built):
    lines = built.read("reports/tiny/report.md").splitlines()
    rows = [line for line in lines if "| shift to the unlabeled classes |" in line]
    assert [row.split(" | ")[1] for row in rows] == ["Supervised", "FixMatch + DASO"]
    assert "Table A.18" in built.read("reports/tiny/index.html")


def test_only_the_run_with_other_weights_is_corrected_again(project):
    files = [project.path / f"corrections/{run}.json" for run in (RUN, OTHER)]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    project.trained_elsewhere(RUN, "final.pt")
    expected = Counter([f"evaluate {METHODS[1]} 0", "correct tiny", "report tiny"])
    assert project.planned(agreed=True) == expected
    assert jobs(project.snakemake()) == expected
    after = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    assert (after[0][0] != before[0][0], after[1]) == (True, before[1])
    assert project.planned(agreed=True) == Counter()


def test_corrections_of_one_run_are_printed(built):
    first, heading, *lines = built.call("python", "-m", "daso", "corrections", RUN).splitlines()[-7:]
    accuracy = corrections(built, RUN)["corrections"]["uncorrected"]["accuracy"]
    assert (first, heading.split()) == (RUN, ["correction", "accuracy", "balanced", "ECE"])
    assert lines[0].split()[:2] == ["none", f"{100 * accuracy:.1f}"]
    assert lines[1].startswith("LA, τ from held-out labels")
    assert lines[1].split()[-2] == "τ"
