"""Examples of errors of the recommended model: their order, number and confidence."""

import pytest

from daso.report.results import errors
from daso.report.results.collect import Cell
from daso.report.results.errors import ErrorExample, error_examples
from tests.report.photo_suite import photo_metrics, verdict_on

OWL, DUNNOCK, ROBIN, WREN = 0, 1, 2, 3


def cell(*runs):
    """Return a cell with a run for each seed of (labels, predictions, confidences, images)."""
    done = {}
    for seed, (labels, predicted, confidence, images) in enumerate(runs):
        metrics = photo_metrics("supervised_la", seed, labels, predicted, images=images)
        metrics["test_predictions"]["confidence"] = confidence
        done[seed] = metrics
    return Cell("birds", "all", "supervised_la", "birds/all/photos/supervised_la", tuple(done), done=done)


def examples(*runs):
    (of_setting,) = error_examples([cell(*runs)], [verdict_on("supervised_la")])
    return {name: found for name, _, found in of_setting.classes}


def test_images_wrong_for_most_seeds_come_first_then_by_confidence():
    """Image 1 is wrong for both seeds, 2 and 3 for one; 3 with the higher confidence. Image 4 is right."""
    found = examples(
        ([OWL] * 4, [ROBIN, ROBIN, OWL, OWL], [0.4, 0.5, 0.9, 0.9], [1, 2, 3, 4]),
        ([OWL] * 4, [ROBIN, OWL, WREN, OWL], [0.5, 0.9, 0.7, 0.9], [1, 2, 3, 4]),
    )
    assert found["barn owl"] == [
        ErrorExample(1, "barn owl", "robin, adult", pytest.approx(0.45), 2, 2),
        ErrorExample(3, "barn owl", "wren", pytest.approx(0.7), 1, 2),
        ErrorExample(2, "barn owl", "robin, adult", pytest.approx(0.5), 1, 2),
    ]
    assert found["wren"] == []


def test_prediction_is_the_most_frequent_one_with_the_mean_of_its_confidence():
    """Two seeds predict robin, (.3 + .5) / 2, one wren with .9; a tie goes to the higher confidence."""
    images = [5]
    found = examples(([OWL], [ROBIN], [0.3], images), ([OWL], [WREN], [0.9], images), ([OWL], [ROBIN], [0.5], images))
    assert found["barn owl"] == [ErrorExample(5, "barn owl", "robin, adult", pytest.approx(0.4), 3, 3)]
    tie = examples(([OWL], [ROBIN], [0.3], images), ([OWL], [WREN], [0.9], images))
    assert tie["barn owl"] == [ErrorExample(5, "barn owl", "wren", 0.9, 2, 2)]


def test_seeds_that_do_not_test_an_image_do_not_count():
    """Each seed holds out other images: 1 is tested by the first one alone."""
    found = examples(([OWL, OWL], [WREN, OWL], [0.6, 0.9], [1, 2]), ([OWL], [OWL], [0.9], [2]))
    assert found["barn owl"] == [ErrorExample(1, "barn owl", "wren", 0.6, 1, 1)]


def test_classes_with_the_lowest_recall_come_first():
    """Wren 0, owl 1/2, dunnock 1; robin has no test image."""
    run = ([OWL, OWL, DUNNOCK, WREN], [OWL, WREN, DUNNOCK, OWL], [0.5] * 4, [1, 2, 3, 4])
    (of_setting,) = error_examples([cell(run)], [verdict_on("supervised_la")])
    assert [(name, recall and recall.mean) for name, recall, _ in of_setting.classes] == [
        *(("wren", 0), ("barn owl", 50), ("dunnock", 100), ("robin, adult", None))
    ]
    (of_setting,) = error_examples([cell(run)], [verdict_on("supervised_la", not_measured=["wren"])])
    assert of_setting.classes[-1].name == "wren"
    assert of_setting.classes[-1].recall is None
    assert of_setting.images_sha256 == cell(run).done[0]["provenance"]["data_sha256"]


def test_number_of_examples_is_bounded(monkeypatch):
    """Six of a class; with room for eight in all, two of each of four classes; with room for one, one class."""
    labels = [OWL] * 9 + [WREN] * 9
    run = (labels, [DUNNOCK] * 18, [0.5] * 18, list(range(18)))

    def numbers():
        return {name: len(found) for name, found in examples(run).items()}

    assert numbers() == {"barn owl": 6, "wren": 6, "dunnock": 0, "robin, adult": 0}
    assert [found.image for found in examples(run)["wren"]] == list(range(9, 15))
    monkeypatch.setattr(errors, "ERRORS_IN_ALL", 8)
    assert numbers() == {"barn owl": 2, "wren": 2, "dunnock": 0, "robin, adult": 0}
    monkeypatch.setattr(errors, "ERRORS_IN_ALL", 1)
    assert numbers() == {"barn owl": 1}
