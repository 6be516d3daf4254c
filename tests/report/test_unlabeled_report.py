"""Report of a suite with controls: the verdict comes first on the page and last in the terminal."""

import json

import numpy as np
import pytest

from tests.report.photo_suite import invented_predictions, photo_metrics, photo_suite
from tests.report.test_render import page

LABELS = np.repeat([0, 1, 2], 100)
ACCURACIES = {"supervised": 0.6, "supervised_la": 0.7, "self_training_la": 0.78, "fixmatch_la": 0.6}
METHODS = tuple(ACCURACIES)
CONTROLS = {"self_training_la": "supervised_la", "fixmatch_la": "supervised_la"}
HELPS = "The unlabeled images help: Self-training + LA is "


@pytest.fixture
def suite(project):
    """Write the runs of three methods with unlabeled images or their control; return the suite."""
    for method, accuracy in ACCURACIES.items():
        for seed in range(3):
            predicted = invented_predictions(LABELS, accuracy, seed)
            project.write_metrics(photo_metrics(method, seed, LABELS, predicted))
    return photo_suite(METHODS, CONTROLS)


def test_verdict_is_the_first_sentence_and_the_end_of_the_summary(project, suite):
    out = project.build(suite)
    *_, verdict, recommended = (out / "summary.txt").read_text().splitlines()
    assert verdict.startswith(HELPS)
    assert recommended.startswith("Recommended model: Self-training + LA, balanced accuracy ")
    text = page(out).text
    assert text.index(verdict) < text.index(recommended) < text.index("A. Birds Images of birds")
    markdown = (out / "report.md").read_text()
    assert f"## Summary\n\n**{verdict}.**\n" in markdown
    assert "\n**Recommended model:** Self-training + LA" in markdown
    names = {path.stem for path in (out / "tables").glob("*.csv")}
    assert {"table-A-unlabeled-images", "table-A-classes"} <= names
    assert "table-A-fit" not in names


def test_gains_leave_out_methods_with_a_control(project, suite):
    """Their difference is in the table of unlabeled images, with an interval of its own."""
    out = project.build(suite)
    gains = (out / "tables/table-A-gains.csv").read_text()
    assert "Supervised + LA,Supervised," in gains.replace("all,", "")
    assert "Self-training" not in gains
    assert "FixMatch" not in gains
    (line,) = (line for line in (out / "report.md").read_text().splitlines() if line.startswith("- Other gains: "))
    assert line.startswith("- Other gains: 1 of 1 have a 95 % interval above zero, 0 below zero: Supervised + LA over ")


def test_file_of_the_recommended_model_goes_with_the_controls(project, suite):
    out = project.build(suite)
    content = json.loads((out / "tables/recommended.json").read_text())
    (model,) = content["models"]
    assert (content["suite"], model["setting"], model["method"]) == ("birds", "all", "self_training_la")
    assert model["runs"] == [f"birds/all/photos/self_training_la/s{seed}" for seed in range(3)]
    project.build({**suite, "tables": [{k: v for k, v in suite["tables"][0].items() if k != "controls"}]})
    assert not (out / "tables/recommended.json").exists()
    assert not (out / "tables/table-A-unlabeled-images.csv").exists()


def test_report_without_a_common_seed_states_it(project):
    project.write_metrics(photo_metrics("supervised_la", 0, LABELS, LABELS))
    out = project.build(photo_suite(METHODS, CONTROLS))
    line = "No verdict on the unlabeled images: it requires a method, its control and the control of most methods, "
    assert any(text.startswith(line) for text in (out / "summary.txt").read_text().splitlines())


def test_further_settings_are_facts_of_the_summary(project, suite):
    (table,) = suite["tables"]
    table["settings"] = [*table["settings"], {**table["settings"][0], "name": "few"}]
    for method, accuracy in {**ACCURACIES, "self_training_la": 0.7}.items():
        for seed in range(3):
            metrics = photo_metrics(method, seed, LABELS, invented_predictions(LABELS, accuracy, seed))
            project.write_metrics({**metrics, "run": metrics["run"].replace("/all/", "/few/"), "setting": "few"})
    out = project.build(suite)
    markdown, terminal = (out / "report.md").read_text(), (out / "summary.txt").read_text()
    further = "Setting few: No benefit of the unlabeled images is shown: Self-training + LA is "
    assert terminal.index(further) < terminal.index(f"Setting all: {HELPS}")
    assert f"## Summary\n\n**Setting all: {HELPS}" in markdown
    assert f"\n- {further}" in markdown
    assert "\n- Recommended model: Supervised + LA, balanced accuracy " in markdown
