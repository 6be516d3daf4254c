"""Corrections of logits after training, worked out by hand."""

import numpy as np
import pytest

from daso.ops.corrections import ModelLogits, correct_logits, estimate_shares, fit_tau

NONE = np.empty((0, 2))
LABELS = np.empty(0, np.int64)


def model(**changes):
    """Return a model of two classes with four test images; three are predicted as class 0.

    The logits of class 0 minus those of class 1 are 2, 1, .5 and -1; the true classes are 0, 0, 1 and 1.
    """
    test = np.array([[2, 0], [1, 0], [0.5, 0], [0, 1]])
    values = {
        **{"test": test, "test_labels": np.array([0, 0, 1, 1])},
        **{"held_out": NONE, "held_out_labels": LABELS, "unlabeled": NONE},
        **{"blank": np.array([0.7, 0]), "bias": np.array([1.5, 0])},
        **{"labeled_shares": np.array([0.8, 0.2]), "assumed_shares": np.array([0.8, 0.2])},
    }
    return ModelLogits(**{**values, **changes})


def accuracies(entry):
    return entry["accuracy"], entry["balanced_accuracy"]


@pytest.mark.parametrize(("assumed", "share"), [([0.5, 0.5], 0.58 / 0.96), ([0.75, 0.25], 13 / 44)])
def test_estimated_shares_have_the_largest_likelihood(assumed, share):
    """Predictions (.9, .1) and (.2, .8). With the share s of class 0 and equal assumed shares, the likelihood is
    proportional to (.1 + .8 s)(.8 - .6 s), whose largest value is at .8 (.8 - .6 s) = .6 (.1 + .8 s), s = .58 / .96.
    If (.75, .25) are assumed, it is (.4 + .8 s)(3.2 - 2.9333 s), and s = 1.386667 / 4.693333 = 13 / 44.
    """
    shares = estimate_shares(np.log([[0.9, 0.1], [0.2, 0.8]]), np.array(assumed))
    assert shares == pytest.approx([share, 1 - share], abs=1e-6)


def test_shares_of_certain_predictions_are_their_counts():
    log_probabilities = np.log(np.array([[1, 0], [1, 0], [1, 0], [0, 1]]) + 1e-30)
    assert estimate_shares(log_probabilities, np.array([0.5, 0.5])) == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("tau", [-0.5, 0, 1, 2.25])
@pytest.mark.parametrize("scale", [1, 3])
def test_fitted_tau_removes_the_offset_between_the_classes(tau, scale):
    """Logits favour class 0 by tau log(.8 / .2), around which the margins of both classes mirror each other, whatever
    their scale.
    """
    margins = np.array([1, 1, -0.5, -1, -1, 0.5]) * scale + tau * np.log(4)
    logits = np.stack([margins, np.zeros(6)], 1)
    assert fit_tau(logits, np.array([0, 0, 0, 1, 1, 1]), np.array([0.8, 0.2])) == tau


def test_tau_is_0_if_all_held_out_images_are_right_with_a_large_margin():
    """Margins of 12 leave a log loss of about 0 for each tau; a tau below 0 would favour the larger class."""
    logits = np.array([[12.0, 0], [12, 0], [0, 12], [0, 12]])
    assert fit_tau(logits, np.array([0, 0, 1, 1]), np.array([0.8, 0.2])) == 0


@pytest.mark.parametrize(("scale", "tau"), [(0.5, 0.5), (1, 1)])
def test_confidence_does_not_decide_tau(scale, tau):
    """Minimised over T, the log loss of (c z - c tau log pi) / T does not depend on c: tau grows with the logits.

    At T = 1, the confident error 5 of class 1 would make it 1.5.
    """
    margins = scale * np.array([7.0, 6, -1, 3, -6, 5, -6, 1])
    logits = np.stack([margins, np.zeros(8)], 1)
    assert fit_tau(logits, np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0.8, 0.2])) == tau


def test_classes_with_more_held_out_images_weigh_the_same():
    """The same images as above, those of class 0 four times."""
    margins = np.repeat([1, 1, -0.5, -1, -1, 0.5], [4, 4, 4, 1, 1, 1]) + np.log(4)
    logits = np.stack([margins, np.zeros(15)], 1)
    assert fit_tau(logits, np.repeat([0, 1], [12, 3]), np.array([0.8, 0.2])) == 1


def test_each_correction_shifts_the_logits_of_class_0():
    """Margins 2, 1, .5, -1 of the classes 0, 0, 1, 1. Uncorrected, the third image is wrong: 3 of 4. Minus .7 (blank)
    all are right. Minus 1.5 (bias) the second is wrong.
    """
    results = correct_logits(model())
    assert accuracies(results["uncorrected"]) == (0.75, 0.75)
    assert accuracies(results["blank"]) == (1, 1)
    assert accuracies(results["without_bias"]) == (0.75, 0.75)


def test_balanced_accuracy_is_the_mean_of_recalls():
    """With the labels 0, 0, 0, 1 the recalls are 1 and 1 before, 2 / 3 and 1 after the blank image: accuracy 3 / 4."""
    results = correct_logits(model(test_labels=np.array([0, 0, 0, 1])))
    assert accuracies(results["uncorrected"]) == (1, 1)
    assert accuracies(results["blank"]) == (0.75, pytest.approx(5 / 6))


def test_calibration_error_is_that_of_the_corrected_logits():
    """One bin: mean confidence minus accuracy. Sigmoids of 2, 1, .5, 1 have the mean .7414, of 1.3, .3, -.2, -1.7 the
    larger probabilities .7858, .5744, .5498, .8455 the mean .6889.
    """
    results = correct_logits(model())
    assert results["uncorrected"]["ece"] == pytest.approx(abs(0.7414 - 0.75), abs=1e-4)
    assert results["blank"]["ece"] == pytest.approx(1 - 0.6889, abs=1e-4)


def test_logit_adjustment_subtracts_the_log_of_the_labeled_shares():
    """Held-out margins as above with tau = .5: shifted by .5 log 4 = .693, the margins 1.307, .307, -.193, -1.693."""
    margins = np.array([1, 1, -0.5, -1, -1, 0.5]) + 0.5 * np.log(4)
    held_out = np.stack([margins, np.zeros(6)], 1)
    entry = correct_logits(model(held_out=held_out, held_out_labels=np.array([0, 0, 0, 1, 1, 1])))["logit_adjustment"]
    assert (entry["tau"], *accuracies(entry)) == (0.5, 1, 1)


def test_prior_shift_replaces_the_assumed_shares():
    """Unlabeled predictions (.9, .1) and (.2, .8) under the assumed shares (.75, .25) have the shares (13, 31) / 44.

    log(13 / 44 / .75) - log(31 / 44 / .25) = -1.968 makes the margins .032, -.968, -1.468, -2.968: 3 of 4 right.
    """
    unlabeled = np.log([[0.9, 0.1], [0.2, 0.8]])
    entry = correct_logits(model(unlabeled=unlabeled, assumed_shares=np.array([0.75, 0.25])))["prior_shift"]
    assert entry["shares"] == pytest.approx([13 / 44, 31 / 44], abs=1e-6)
    assert accuracies(entry) == (0.75, 0.75)
    margins = np.array([0.032, 0.968, 1.468, 2.968])
    assert entry["ece"] == pytest.approx(abs((1 / (1 + np.exp(-margins))).mean() - 0.75), abs=1e-3)


def test_class_without_unlabeled_images_keeps_finite_results():
    """All unlabeled images are of class 0: the shift is finite, and all test images are taken for class 0."""
    with np.errstate(divide="raise"):
        entry = correct_logits(model(unlabeled=np.array([[1000.0, 0], [1000, 0]])))["prior_shift"]
    assert (entry["shares"], *accuracies(entry)) == ([1, 0], 0.5, 0.5)
    assert np.isfinite(entry["ece"])


def test_impossible_corrections_have_a_reason():
    results = correct_logits(model(bias="the evaluated head has no bias"))
    assert {name: entry["reason"] for name, entry in results.items() if "reason" in entry} == {
        "logit_adjustment": "the split holds no labeled images out",
        "without_bias": "the evaluated head has no bias",
        "prior_shift": "the split has no unlabeled images",
    }
