import numpy as np
import pytest

from daso.report.results.collect import Cell
from daso.report.results.pseudo_labels import (
    by_frequency,
    by_rank,
    class_distributions,
    common_kinds,
    group_recall,
    indices,
    kind_title,
    nearest_cosines,
    nearest_names,
    pseudo_label_confusion,
    run_analyses,
    true_indices,
    true_shares,
)


def analysis(counts, recall, few=(0.1, 0.2), **indices):
    """Return the analysis of a run with three classes and two points of training, after 10 and 20 steps."""
    source = {
        "counts": counts,
        "indices": {"imbalance": 2.0, "unpredicted": 0, "divergence": 0.5, "evenness": 0.25, **indices},
        "recall": recall,
        "precision": [None if count == 0 else 0.5 for count in counts],
        "histogram": [[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]],
        "groups": {"many": [0.9, 0.8], "medium": [None, None], "few": list(few)},
    }
    return {
        "steps": [10, 20],
        "sources": {"final": source, "linear": source, "model": {**source, "histogram": None, "groups": None}},
        "of": "final",
        "confusion": [[4, 0, 0], [1, 3, 0], [0, 2, 2]],
        "errors": {"top1": [None, 1.0, 0.5], "top2": [None, 1.0, 1.0]},
        "similarity": {"most": {"cosine": [[0.5, None]]}, "least": {"cosine": [[0.9, 0.1]]}},
    }


def cell(*analyses, order=(2, 0, 1)):
    """Return a cell of runs whose classes 0, 1, 2 have ranks 2, 3, 1."""
    done = {
        seed: {
            "class_order": list(order),
            "classes": list("abc"),
            "counts": {"unlabeled": [10, 20, 70]},
            "analysis": analysis,
        }
        for seed, analysis in enumerate(analyses)
    }
    return Cell("t", "s", "m", "d/s/p/m", tuple(done), done)


RUNS = run_analyses(cell(analysis([6, 0, 3], [0.2, 0.4, 0.6]), analysis([3, 9, 0], [0.4, 0.4, 1.0], imbalance=None)))


def test_runs_without_analysis_are_left_out():
    assert len(run_analyses(cell(None, analysis([1, 1, 1], [1, 1, 1])))) == 1
    assert common_kinds([]) == []
    assert common_kinds(RUNS) == ["linear", "final", "model"]


def test_final_pseudo_labels_are_titled_blended_beside_semantic_ones():
    assert kind_title("final", ["linear", "final"]) == "final"
    assert kind_title("final", ["linear", "semantic", "final"]) == "blended"
    assert kind_title("above_threshold", ["linear", "semantic", "final"]) == "blended, above the threshold"
    kinds = ["linear", "debiased", "final"]
    assert [kind_title(kind, kinds) for kind in kinds[1:]] == ["debiased", "final"]


def test_values_by_class_rank():
    """Class 2 first, then 0 and 1: means of 60 and 100, 20 and 40, 40 and 40."""
    curve = by_rank(RUNS, "final", "recall")
    assert curve.x.tolist() == [1, 2, 3]
    assert curve.mean.tolist() == pytest.approx([80, 30, 40])
    assert curve.std.tolist() == pytest.approx([800**0.5, 200**0.5, 0])
    assert by_rank(RUNS, "final", "precision").mean.tolist() == [50, 50, 50]
    assert by_rank(RUNS, "semantic", "recall") is None
    assert true_shares(RUNS).tolist() == [70, 10, 20]
    assert pseudo_label_confusion(RUNS)[0].tolist() == [0.5, 0, 0.5]


def test_values_by_frequency_of_pseudo_labels():
    """Orders 0, 2, 1 and 1, 0, 2: recall 20 and 40, 60 and 40, 40 and 100; shares 6/9 and 9/12, 3/9 and 3/12, 0."""
    recall, shares, names = by_frequency(RUNS, "final", "recall")
    assert recall.mean.tolist() == pytest.approx([30, 50, 70])
    assert shares.mean.tolist() == pytest.approx([50 * (6 / 9 + 9 / 12), 50 * (3 / 9 + 3 / 12), 0])
    assert names == ["a, b", "c, a", "b, c"]


def test_distributions_and_group_recall_over_training():
    steps, shares = class_distributions(RUNS, "final")
    assert steps == [10, 20]
    assert shares[1].tolist() == pytest.approx([60, 20, 20])
    assert class_distributions(RUNS, "model") is None
    few = group_recall(RUNS, "few")
    assert (few.x.tolist(), few.mean.tolist()) == ([10, 20], pytest.approx([10, 20]))
    assert group_recall(RUNS, "medium") is None


def test_indices_are_means_over_seeds():
    """Class means of recall: .4 and .6. Errors belong to the final kind only. One seed has no imbalance ratio."""
    row = indices(RUNS, "final", "final")
    assert (row["recall"], row["precision"], row["imbalance"]) == ("50.0", "50.0", "∞")
    assert (row["divergence"], row["evenness"]) == ("0.50", "0.25")
    assert (row["top1"], row["top2"]) == ("75.0", "100.0")
    assert indices(RUNS, "linear", "final")["top1"] == "–"
    assert indices(RUNS[:1], "final", "final")["imbalance"] == "2.0"


def test_kl_divergence_from_the_true_classes():
    """True shares .1, .2, .7: 2/3 log 6.667 + 1/3 log .476 = 1.0174 and .25 log 2.5 + .75 log 3.75 = 1.2204."""
    assert indices(RUNS[:1], "final", "final")["truth"] == "1.02"
    assert indices(RUNS, "model", "final")["truth"] == "1.12"
    absent = [run._replace(counts={"unlabeled": [10, 0, 90]}) for run in RUNS]
    assert indices(absent[:1], "final", "final")["truth"] == "0.93"  # 2/3 log 6.667 + 1/3 log .370
    assert indices(absent, "final", "final")["truth"] == "∞"
    unknown = RUNS[0]._replace(counts={"unlabeled": None})
    assert indices([unknown], "final", "final")["truth"] == "–"
    assert indices(run_analyses(cell(analysis([0, 0, 0], None))), "final", "final")["truth"] == "–"


def test_indices_of_the_true_classes():
    """Entropy .8018 of log 3 = 1.0986; the largest class has 70 images, the smallest 10."""
    row = true_indices(RUNS)
    assert (row["imbalance"], row["unpredicted"], row["truth"]) == ("7.0", "0.0", "0.00")
    assert (row["divergence"], row["evenness"]) == ("0.30", "0.73")
    assert row.keys() == indices(RUNS, "final", "final").keys()
    absent = true_indices([run._replace(counts={"unlabeled": [10, 0, 90]}) for run in RUNS])
    assert (absent["imbalance"], absent["unpredicted"]) == ("∞", "1.0")
    assert true_indices([run._replace(counts={"unlabeled": [0, 0, 0]}) for run in RUNS]) is None


def test_names_of_nearest_classes_are_merged_by_position():
    """Seeds share the first class and one of its nearest; a cosine that no seed has is left out."""
    nearest = [{"most": {"classes": [0, k], "nearest": [[1, 2], [0, 1]]}} for k in (1, 2)]
    seeds = [run._replace(analysis={"similarity": each}) for run, each in zip(RUNS, nearest, strict=True)]
    classes, texts = nearest_names(seeds, "most", np.array([[0.5, np.nan], [0.75, 0.5]]))
    assert (classes, texts) == (["a", "b, c"], ["b: 0.50", "a: 0.75; b: 0.50"])


def test_cosines_are_averaged_by_position():
    assert nearest_cosines(RUNS, "least").tolist() == [[0.9, 0.1]]
    most = nearest_cosines(RUNS, "most")
    assert most[0, 0] == 0.5
    assert np.isnan(most[0, 1])
