"""What new labels brought: two rounds are compared on the test images that both have, matched by content."""

import pytest

from daso.report.results.collect import Cell
from daso.report.results.controls import unlabeled_verdicts
from daso.report.results.round_records import RoundRecords
from daso.report.results.rounds import ImageDigests, round_content, round_differences
from daso.report.tables.rounds import rounds_sentences, rounds_table
from tests.report.photo_suite import CLASSES, photo_metrics, photo_suite

TITLES = {"supervised_la": "Supervised + LA", "self_training_la": "Self-training + LA"}


def images(count, start=0):
    return [f"image{start + i:04}" for i in range(count)]


def predictions(names, labels, predicted, groups=None):
    groups = list(range(len(names))) if groups is None else groups
    numbers = {"labels": labels, "predicted": predicted, "groups": groups}
    return {"images": " ".join(names), **{name: " ".join(map(str, values)) for name, values in numbers.items()}}


def record(order, by_seed, accuracy, labeled=30, classes=("a", "b"), **model):
    """Return a record whose labels are those of the first photos; `accuracy` is that of each seed."""
    return {
        "suite": "birds",
        "order": order,
        "labeled": {"birds": {"a": " ".join(f"photo{i}" for i in range(labeled))}},
        "models": [
            {
                **{"table": "birds", "setting": "all", "dataset": "birds", "method": "supervised_la"},
                **{"classes": list(classes), "configuration": "c", "options": "o"},
                "balanced_accuracy": {
                    "supervised_la": dict.fromkeys(by_seed, accuracy),
                    "self_training_la": {"0": 99.0},
                },
                "predictions": by_seed,
                **model,
            }
        ],
    }


LABELS = [0] * 100 + [1] * 100
BEFORE = [1] * 40 + [0] * 60 + [1] * 100  # 60 % of a, all of b: 80 %
AFTER = [1] * 20 + [0] * 80 + [1] * 100  # 20 of 100 images of a more: 90 %


def compared(first, second):
    return round_differences(RoundRecords(second, [first, second]))


def test_difference_has_the_interval_of_paired_images():
    """Gains of class a have the variance 0.2 * 0.8 / 99 of their mean, those of b none: with half the weight of two
    classes, 10 points +- 1.984 * sqrt(0.001616) / 2, Student's t with 99 degrees of freedom, is 6.0 to 14.0. The
    bootstrap's variance has a standard error of 3 %."""
    first = record(1, {"0": predictions(images(200), LABELS, BEFORE)}, 80.0)
    second = record(2, {"0": predictions(images(200), LABELS, AFTER)}, 90.0, labeled=40)
    start, last = compared(first, second)
    assert (start.difference, start.interval, start.labels) == (None, None, (30, 0, 0, 0))
    assert last.labels == (40, 10, 0, 0)
    assert (last.accuracy.mean, last.before.mean, last.images) == (90.0, 80.0, 200)
    assert last.difference == pytest.approx(10)
    assert last.interval.low == pytest.approx(6.0, abs=0.15)
    assert last.interval.high == pytest.approx(14.0, abs=0.15)
    (sentence,) = rounds_sentences([start, last])
    assert sentence.startswith("10 more labels: +10.0 points (+")
    table = rounds_table([start, last], TITLES)
    assert table.caption == f"{sentence}. Each round against the one before."
    assert [row[1:7] for row in table.rows] == [
        ["1", "30", "–", "Supervised + LA", "80.0", "–"],
        ["2 (this report)", "40", "10 more labels", "Supervised + LA", "90.0", "+10.0"],
    ]


def test_classes_are_matched_by_name_and_other_labels_of_an_image_are_left_out():
    """A new class sorts first. Image 0 has become one of b, image 199 is new: 198 images of both rounds remain, on
    which 20 of 99 images of a are gained: (20 / 99 + 0) / 2 is 10.1 points."""
    names = images(200)
    first = record(1, {"0": predictions(names[:199], LABELS[:199], BEFORE[:199])}, 80.0)
    labels, predicted = [2, *(k + 1 for k in LABELS[1:])], [k + 1 for k in AFTER]
    second = record(2, {"0": predictions(names, labels, predicted)}, 90.0, classes=("0", "a", "b"))
    _, last = compared(first, second)
    assert last.images == 198
    assert last.difference == pytest.approx(100 * 20 / 99 / 2)


def test_other_test_images_have_no_interval():
    """Each seed holds other images out: 99 images of a are common and none of b."""
    first = record(1, {"0": predictions(images(200), LABELS, BEFORE)}, 80.0)
    names = [*images(100, 1), *images(100, 500)]
    second = record(2, {"0": predictions(names, LABELS, AFTER)}, 90.0, labeled=31)
    _, last = compared(first, second)
    assert (last.interval, last.note, last.difference, last.images) == (None, "other test images", 10.0, 99)
    assert rounds_sentences([last]) == ["1 more label: +10.0 points, without an interval (other test images)"]


def test_seeds_are_compared_with_themselves():
    """Seed 0 gains 20 images of a and seed 1 none; seed 2 has no earlier run: (10 + 0) / 2 is 5 points."""
    old = {seed: predictions(images(200), LABELS, BEFORE) for seed in ("0", "1")}
    new = {seed: predictions(images(200), LABELS, AFTER if seed == "0" else BEFORE) for seed in ("0", "1", "2")}
    _, last = compared(record(1, old, 80.0), record(2, new, 85.0))
    assert last.difference == pytest.approx(5)
    assert last.interval.seed_variance == pytest.approx(25)  # of 10 and 0 points: 50, divided by two seeds
    assert rounds_sentences([last])[0].startswith("no other labels: +5.0 points (−")
    assert rounds_sentences([last])[0].endswith("), no difference shown")


def test_other_protocol_is_not_taken_for_an_effect_of_labels():
    first = record(1, {"0": predictions(images(200), LABELS, BEFORE)}, 80.0)
    for other in ({"configuration": "d"}, {"options": "p"}):
        _, last = compared(first, record(2, {"0": predictions(images(200), LABELS, AFTER)}, 90.0, 40, **other))
        assert (last.difference, last.interval, last.note, last.images) == (None, None, "other configuration", 0)
        text = "10 more labels; no difference is stated, since protocol, dataset or method differ"
        assert rounds_sentences([last]) == [text]
        cells = rounds_table([last], TITLES).rows[0][5:]
        assert cells == ["90.0", "–", "–", "–", "other configuration"]
    chosen = record(2, {"0": predictions(images(200), LABELS, AFTER)}, 90.0, options="p", method="self_training_la")
    assert compared(first, chosen)[1].interval is not None  # another recommended model is a result of the labels


def test_few_differing_images_show_no_difference():
    few = [1] * 39 + BEFORE[39:]
    few[39] = 0
    _, last = compared(
        record(1, {"0": predictions(images(200), LABELS, BEFORE)}, 80.0),
        record(2, {"0": predictions(images(200), LABELS, few)}, 80.5),
    )
    text = "the two models differ on 1 group of test images, too few to show a difference"
    assert rounds_sentences([last]) == [f"no other labels: +0.5 points ({text})"]


def test_changed_and_removed_labels_are_counted():
    first = record(1, {"0": predictions(images(200), LABELS, BEFORE)}, 80.0)
    second = record(2, {"0": predictions(images(200), LABELS, AFTER)}, 90.0)
    first["labeled"]["birds"] = {"a": "p1 p2 p3", "b": "p4"}
    second["labeled"]["birds"] = {"a": "p1 p4 p5", "b": "p2 p6 p7"}
    _, last = compared(first, second)
    assert last.labels == (6, 3, 2, 1)  # p5, p6, p7; p2, p4; p3
    assert rounds_sentences([last])[0].startswith("3 more labels, 2 labels changed, 1 label removed: +10.0 points (")


def test_earlier_labels_that_come_back_are_their_own_round():
    """The record of the first round is the present one again; the second one stays in the table."""
    first = record(1, {"0": predictions(images(200), LABELS, BEFORE)}, 80.0)
    second = record(2, {"0": predictions(images(200), LABELS, AFTER)}, 90.0, labeled=40)
    differences = round_differences(RoundRecords(first, [first, second]))
    assert [row[1] for row in rounds_table(differences, TITLES).rows] == ["1 (this report)", "2"]
    assert rounds_sentences(differences) == []
    assert round_differences(RoundRecords(first, [first])) == []
    assert round_differences(RoundRecords(None, [first, second])) == []


def test_record_has_labels_accuracies_and_the_recommended_predictions():
    """Of eight test images, two of each class, supervised + LA predicts six correctly: 75 % in each seed."""
    labels = [0, 0, 1, 1, 2, 2, 3, 3]
    predicted = {"supervised_la": [0, 0, 1, 1, 2, 2, 0, 0], "self_training_la": [0, 1, 0, 1, 0, 2, 0, 3]}
    suite = photo_suite(tuple(predicted), {"self_training_la": "supervised_la"}, seeds=(0, 1))
    cells = [
        Cell(
            *("birds", "all", method, f"birds/all/photos/{method}", (0, 1)),
            done={seed: photo_metrics(method, seed, labels, predicted[method]) for seed in (0, 1)},
        )
        for method in predicted
    ]
    digests = ImageDigests({"test": {i: f"d{i}" for i in range(8)}}, {"wren": ["x2", "x1"], "dunnock": ["y"]})
    content = round_content(suite, cells, unlabeled_verdicts(suite, cells), {"birds": digests})
    (model,) = content.pop("models")
    assert content == {"suite": "birds", "labeled": {"birds": {"dunnock": "y", "wren": "x1 x2"}}}
    assert model["balanced_accuracy"] == {
        "supervised_la": {"0": 75.0, "1": 75.0},
        "self_training_la": {"0": 50.0, "1": 50.0},
    }
    assert (model["method"], model["classes"]) == ("supervised_la", list(CLASSES))
    assert model["predictions"]["1"] == predictions(
        [f"d{i}" for i in range(8)], labels, predicted["supervised_la"], list(range(8))
    )
