"""Sentences and tables of the verdict on unlabeled images, of classes and of fitted values."""

import pytest

from daso.report.results.collect import Cell, MeanStd
from daso.report.results.controls import PairedComparison, Recommendation, UnlabeledVerdict
from daso.report.results.intervals import ConfidenceInterval
from daso.report.tables.class_results import classes_table
from daso.report.tables.controls import recommended_sentence, unlabeled_table, verdict_sentence
from daso.report.tables.fit import fit_table
from tests.report.photo_suite import TITLES, photo_metrics

LEVEL = 1 - 0.05 / 3
BASE = MeanStd(70.0, 1.0, 3)


def comparison(method, low, high, seeds=(0, 1, 2), differing=50):
    interval = ConfidenceInterval((low + high) / 2, low, high, LEVEL, 1.0, 1.0, 9.0, differing)
    return PairedComparison(method, "supervised_la", seeds, BASE, BASE, interval, 1200, 400)


def verdict(*comparisons, recommended="supervised_la", reason=None, not_measured=()):
    model = Recommendation(recommended, ("s0", "s1", "s2"), BASE, reason)
    return UnlabeledVerdict("birds", "all", list(comparisons), model, "supervised_la", list(not_measured))


EVIDENCE = "98.3 % interval over test images and seeds, given these labels"


@pytest.mark.parametrize(
    ("comparisons", "sentence"),
    [
        (
            [comparison("self_training_la", 1.1, 4.3), comparison("fixmatch_la", -2.0, 1.0)],
            "The unlabeled images help: Self-training + LA is 2.7 points above Supervised + LA (+1.1 to +4.3, "
            f"{EVIDENCE})",
        ),
        (
            [comparison("self_training_la", -0.9, 1.5), comparison("fixmatch_la", -4.5, -1.5)],
            "No benefit of the unlabeled images is shown: Self-training + LA is 0.3 points above Supervised + LA (−0.9 "
            f"to +1.5, {EVIDENCE}); with FixMatch + LA they hurt: 3.0 points below Supervised + LA (−4.5 to −1.5)",
        ),
        (
            [comparison("fixmatch_la", -4.5, -1.5)],
            f"The unlabeled images hurt: FixMatch + LA is 3.0 points below Supervised + LA (−4.5 to −1.5, {EVIDENCE})",
        ),
        (
            [comparison("self_training_la", 0.02, 4.0, seeds=(0,))],
            "The unlabeled images help: Self-training + LA is 2.0 points above Supervised + LA (+0.02 to +4.0, 98.3 % "
            "interval over test images of one seed, without the variance of seeds, given these labels)",
        ),
    ],
)
def test_first_sentence_states_the_verdict(comparisons, sentence):
    assert verdict_sentence(verdict(*comparisons), TITLES) == sentence


def test_method_that_equals_its_control_is_neither_above_nor_below():
    sentence = verdict_sentence(verdict(comparison("self_training_la", 0.0, 0.0, differing=0)), TITLES)
    assert sentence == (
        "No benefit of the unlabeled images is shown: Self-training + LA is as accurate as Supervised + LA (they "
        "differ on 0 of 400 groups of test images, too few to show a difference)"
    )


def test_too_few_images_that_differ_stand_in_place_of_the_interval():
    """2^-5 = 0.031 is above 0.05 / 3 = 0.0167, 2^-6 = 0.0156 is not: seven groups have to differ."""
    few, enough = (comparison("self_training_la", 1.0, 3.0, differing=differing) for differing in (6, 7))
    assert verdict_sentence(verdict(few), TITLES) == (
        "No benefit of the unlabeled images is shown: Self-training + LA is 2.0 points above Supervised + LA (they "
        "differ on 6 of 400 groups of test images, too few to show a difference)"
    )
    shown = [row[6:8] for row in unlabeled_table([verdict(few, enough)], TITLES).rows]
    assert shown == [["–", "no difference shown, differ on 6 of 400 groups"], ["+1.0 to +3.0", "helps"]]


def test_sentence_names_the_recommended_model_of_those_that_help():
    """FixMatch has the larger lower bound over its own control, self-training is recommended."""
    both = [comparison("fixmatch_la", 2.0, 4.0), comparison("self_training_la", 1.0, 9.0)]
    sentence = verdict_sentence(verdict(*both, recommended="self_training_la"), TITLES)
    assert sentence.startswith("The unlabeled images help: Self-training + LA is 5.0 points above")


def test_recommended_model_is_marked_as_selected_if_there_was_a_choice():
    helps = comparison("self_training_la", 1.1, 4.3)
    assert recommended_sentence(verdict(helps), TITLES) == (
        "Supervised + LA, balanced accuracy 70.0 ± 1.00 % (mean of 3 seeds); no method with unlabeled images is shown "
        "to be better"
    )
    chosen = verdict(helps, recommended="self_training_la", reason=helps, not_measured=["wren", "dunnock"])
    assert recommended_sentence(chosen, TITLES) == (
        "Self-training + LA, balanced accuracy 70.0 ± 1.00 % (mean of 3 seeds; not measured: wren, dunnock); selected "
        "on these test images, so this accuracy is too high on average"
    )


def test_row_of_a_comparison():
    table = unlabeled_table([verdict(comparison("fixmatch_la", -4.5, -1.5, seeds=(0,)))], TITLES)
    assert [column.title for column in table.columns][5:8] == ["Difference", "98.3 % interval", "Verdict"]
    assert table.rows == [
        [
            *("all", "FixMatch + LA", "Supervised + LA", "70.0 ± 1.00", "70.0 ± 1.00"),
            *("−3.0", "−4.5 to −1.5", "hurts, one seed", "1", "1,200", "400"),
        ]
    ]


def cell(method, *runs):
    """Return a cell of these pairs of labels and predictions, one for each seed."""
    done = {seed: photo_metrics(method, seed, *run) for seed, run in enumerate(runs)}
    return Cell("birds", "all", method, f"birds/all/photos/{method}", tuple(done), done=done)


def test_classes_have_their_names_and_most_frequent_confusion():
    """Of class 0 two, then three of four images are right: 62.5 ± 17.68. Its errors: twice robin, once dunnock.

    Class 3 has no test image. Class 1 is predicted 3 and 2 times, 2 of them right: precision (66.7 + 100) / 2.
    """
    labels = [0, 0, 0, 0, 1, 1, 2, 2]
    model = cell("self_training_la", (labels, [0, 0, 1, 2, 1, 1, 2, 2]), (labels, [0, 0, 0, 2, 1, 1, 2, 2]))
    control = cell("supervised_la", (labels, [0, 0, 2, 2, 1, 1, 2, 2]), (labels, [0, 0, 2, 2, 1, 1, 2, 2]))
    chosen = verdict(comparison("self_training_la", 1, 2), recommended="self_training_la")
    table = classes_table([model, control], [chosen], TITLES)
    rows = [row[2:] for row in table.rows]
    assert table.rows[0][1] == "Self-training + LA, control Supervised + LA"
    assert rows[0] == [
        *(
            "barn owl",
            "50",
            "4",
            "62.5 ± 17.68",
            "100.0 ± 0.00",
            "robin, adult (25 %); dunnock (12 %)",
            "50.0 ± 0.00",
            "100.0 ± 0.00",
        )
    ]
    assert rows[1][3:6] == ["100.0 ± 0.00", "83.3 ± 23.57", "–"]
    assert rows[3] == ["wren", "5", "0", "not measured", "–", "–", "not measured", "–"]
    chosen = chosen._replace(not_measured=["dunnock"])  # all its test images are one group
    rows = [row[2:] for row in classes_table([model, control], [chosen], TITLES).rows]
    assert rows[1] == ["dunnock", "23", "2", "not measured", "–", "–", "not measured", "–"]


def test_classes_of_the_control_stand_once_if_it_is_recommended():
    labels = [0, 0, 1, 1]
    table = classes_table([cell("supervised_la", (labels, labels))], [verdict()], TITLES)
    assert [column.title for column in table.columns][-1] == "Taken for"
    assert table.rows[0] == ["all", "Supervised + LA", "barn owl", "50", "2", "100.0", "100.0", "–"]


def test_fitted_values_of_methods_with_the_same_fit_share_a_row():
    """Lists, such as curves, have no place in the table."""
    labels, fit = [0, 1], {"weight_decay": 0.0005, "tau": 1.0, "curve": [1, 2]}
    cells = []
    for method, own in (("supervised_la", {}), ("self_training_la", {}), ("supervised", {"tau": 0.5})):
        done = {seed: photo_metrics(method, seed, labels, labels, fit={**fit, **own}) for seed in (0, 1)}
        cells.append(Cell("birds", "all", method, f"birds/all/photos/{method}", (0, 1), done=done))
    table = fit_table(cells, TITLES)
    assert [column.title for column in table.columns] == ["Setting", "Seed", "Weight decay", "Tau", "Methods"]
    assert table.rows == [
        ["all", "0", "0.0005", "1", "Supervised + LA; Self-training + LA"],
        ["all", "0", "0.0005", "0.5", "Supervised"],
        ["all", "1", "0.0005", "1", "Supervised + LA; Self-training + LA"],
        ["all", "1", "0.0005", "0.5", "Supervised"],
    ]
    assert fit_table([cell("supervised_la", (labels, labels))], TITLES).rows == []


def test_values_that_were_not_fitted_have_a_note():
    run = photo_metrics("supervised_la", 0, [0, 1], [0, 1], fit={"temperature": 1.0, "grid": [], "note": "30 labels"})
    table = fit_table([Cell("birds", "all", "supervised_la", "r", (0,), done={0: run})], TITLES)
    assert table.rows == [["all", "0", "1", "30 labels", "Supervised + LA"]]
    assert [term for term, _ in table.definitions] == ["Temperature", "Note"]
