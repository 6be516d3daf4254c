"""Verdicts on unlabeled images and recommended models, from invented predictions of test images."""

import numpy as np
import pytest

from daso.report.results.collect import collect
from daso.report.results.controls import base_model, compare, recommended_content, unlabeled_verdicts
from daso.report.results.intervals import HELPS, HURTS, NO_DIFFERENCE
from tests.report.photo_suite import CONTROLS, invented_predictions, photo_metrics, photo_suite

LABELS = np.repeat([0, 1, 2], 100)
EQUAL = dict.fromkeys(("supervised", "supervised_la", "self_training_la", "supervised_la_neck"), 0.7)
ACCURACIES = {**EQUAL, "fixmatch_la": 0.7, "fixmatch_la_daso_neck": 0.7}


@pytest.fixture
def judged(project):
    """Write the runs of a suite with these accuracies; return its suite and verdicts."""

    def write(accuracies, seeds=(0, 1, 2), **others):
        suite = photo_suite(seeds=seeds)
        for method, accuracy in {**ACCURACIES, **accuracies}.items():
            for seed in seeds:
                predicted = invented_predictions(LABELS, accuracy, seed)
                project.write_metrics(photo_metrics(method, seed, LABELS, predicted, **others))
        return suite, unlabeled_verdicts(suite, collect(suite, project.metrics, project.scratch))

    return write


def compared(verdict):
    return {each.method: each.verdict for each in verdict.comparisons}


def test_equal_methods_show_no_difference_and_the_control_is_recommended(judged):
    """Three methods have controls, so each interval has 1 - 0.05 / 3 = 98.3 % confidence."""
    suite, (verdict,) = judged({})
    assert compared(verdict) == dict.fromkeys(CONTROLS, NO_DIFFERENCE)
    assert verdict.comparisons[0].interval.level == pytest.approx(0.98333, abs=1e-5)
    assert (verdict.comparisons[0].images, verdict.comparisons[0].groups) == (300, 300)
    assert verdict.not_measured == ["wren"]
    method, runs, accuracy, reason = verdict.recommendation
    assert (method, verdict.control, reason) == ("supervised_la", "supervised_la", None)
    assert runs == tuple(f"birds/all/photos/supervised_la/s{seed}" for seed in range(3))
    assert accuracy == verdict.comparisons[0].control_accuracy
    (model,) = recommended_content(suite, [verdict])["models"]
    assert (model["method"], model["selected_on_test_images"]) == ("supervised_la", False)
    assert [each["verdict"] for each in model["comparisons"]] == [NO_DIFFERENCE] * 3


def test_method_that_helps_most_is_recommended(judged):
    suite, (verdict,) = judged({"self_training_la": 0.78, "fixmatch_la": 0.6, "fixmatch_la_daso_neck": 0.85})
    assert list(compared(verdict).values()) == [HELPS, HURTS, HELPS]
    method, _, accuracy, reason = verdict.recommendation
    assert (method, verdict.control) == ("fixmatch_la_daso_neck", "supervised_la_neck")
    assert (reason.method, reason.control) == ("fixmatch_la_daso_neck", "supervised_la")
    predicted = [invented_predictions(LABELS, 0.85, seed) for seed in range(3)]
    assert accuracy.mean == pytest.approx(100 * np.mean([(each == LABELS).mean() for each in predicted]))
    (model,) = recommended_content(suite, [verdict])["models"]
    assert (model["base_model"], model["selected_on_test_images"]) == ("supervised_la", True)
    pairs = [(each["method"], each["control"]) for each in model["comparisons"]]
    assert pairs == [*CONTROLS.items(), ("fixmatch_la_daso_neck", "supervised_la")]


def test_method_that_helps_but_is_worse_than_the_base_model_is_not_recommended(judged):
    _, (verdict,) = judged({"supervised_la_neck": 0.4, "fixmatch_la_daso_neck": 0.6})
    assert compared(verdict)["fixmatch_la_daso_neck"] == HELPS
    assert verdict.recommendation.method == "supervised_la"


def test_base_model_is_the_control_of_most_methods():
    (table,) = photo_suite()["tables"]
    assert base_model(table) == "supervised_la"
    pair = {"fixmatch_la_daso_neck": "supervised_la_neck", "self_training_la": "supervised_la"}
    (table,) = photo_suite(controls=pair)["tables"]
    assert base_model(table) == "supervised_la"  # the first in the table


def test_only_seeds_with_the_same_test_images_are_compared(project, judged):
    """Seed 2 of the method has other images; seed 3 has no predictions."""
    suite, _ = judged({"self_training_la": 0.9}, seeds=(0, 1, 2, 3))
    predicted = invented_predictions(LABELS, 0.9, 2)
    images = np.arange(300) + 7
    project.write_metrics(photo_metrics("self_training_la", 2, LABELS, predicted, images=images))
    metrics = photo_metrics("self_training_la", 3, LABELS, predicted)
    del metrics["test_predictions"]
    project.write_metrics(metrics)
    cells = {cell.method: cell for cell in collect(suite, project.metrics, project.scratch)}
    comparison = compare(cells["self_training_la"], cells["supervised_la"], 0.95)
    assert (comparison.seeds, comparison.accuracy.n, comparison.verdict) == ((0, 1), 2, HELPS)


@pytest.mark.parametrize(("classes", "verdicts"), [((0, 1), 1), ((0,), 0)])
def test_verdict_requires_two_measured_classes(project, classes, verdicts):
    """The recall of one class alone says nothing: a method that always predicts it is right on each of its images."""
    suite, labels = photo_suite(seeds=(0,)), np.repeat(classes, 100)
    for method, accuracy in {**ACCURACIES, "self_training_la": 1.0}.items():
        project.write_metrics(photo_metrics(method, 0, labels, invented_predictions(labels, accuracy, 0)))
    assert len(unlabeled_verdicts(suite, collect(suite, project.metrics, project.scratch))) == verdicts


def test_suites_without_controls_or_predictions_have_no_verdict(project, judged):
    suite, _ = judged({})
    cells = collect(suite, project.metrics, project.scratch)
    for table in suite["tables"]:
        del table["controls"]
    assert unlabeled_verdicts(suite, cells) == []
    suite, verdicts = judged({}, test_predictions=None)
    assert verdicts == []
