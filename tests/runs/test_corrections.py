"""Logits of trained models that corrections start from; tests/workflow/test_corrections.py corrects finished runs."""

import numpy as np
import pytest
import torch
from torch import nn

from daso.errors import DataError
from daso.runs.corrections import bias_effect, correct_runs, model_logits
from tests.configs import CPU
from tests.engine.world import CONFIG, pool, trainer

LA = {"name": "logit_adjustment", "tau": 1.0, "roles": ["eval"]}
ABC = {"name": "abc", "threshold": 0.95, "epochs": 2, "targets": "refined"}
CDMAD = {"name": "cdmad", "colour": "ones", "mode": "evaluation", "warmup": 2}
BIAS = [0.25, -0.75]


def with_method(*addons, evaluated=None):
    """Return a trained model of two classes, 6 and 3 labeled images, the bias of whose evaluated head is BIAS."""
    run = trainer(method={**CONFIG["method"], "addons": list(addons)})
    network = run.models.teacher
    head = network.heads[evaluated] if evaluated else network.classifier
    with torch.no_grad():
        head.bias.copy_(torch.tensor(BIAS))
    return run


def test_logits_are_the_evaluated_ones_of_each_part():
    run = with_method()
    logits = model_logits(run)
    for part, expected in ((logits.test, run.data.test), (logits.held_out, run.data.validation)):
        np.testing.assert_array_equal(part, run.predict(expected)[1].numpy())
    assert (len(logits.test), len(logits.held_out), len(logits.unlabeled)) == (3, 2, 16)
    assert (logits.test_labels.tolist(), logits.held_out_labels.tolist()) == ([0, 0, 1], [0, 1])
    np.testing.assert_allclose(logits.labeled_shares, [2 / 3, 1 / 3])
    np.testing.assert_array_equal(logits.assumed_shares, logits.labeled_shares)
    np.testing.assert_allclose(logits.bias, BIAS, atol=1e-6)


def test_blank_image_is_evaluated_as_an_input_of_ones():
    run = with_method()
    blank = model_logits(run).blank
    expected = run.models.teacher.eval()(torch.ones(1, 3, 4, 4)).logits[0].detach().numpy()
    np.testing.assert_allclose(blank, expected, rtol=1e-6)


def test_bias_is_removed_from_the_head_that_is_evaluated():
    """ABC evaluates its own head; its logits without the bias are those of the head with a bias of zero."""
    run = with_method(ABC, evaluated="balanced")
    logits = model_logits(run)
    with torch.no_grad():
        run.models.teacher.heads["balanced"].bias.zero_()
    np.testing.assert_allclose(logits.test - logits.bias, run.predict(run.data.test)[1].numpy(), atol=1e-6)


def test_adjustment_in_evaluation_stays_and_predictions_assume_uniform_classes():
    """The logits of the classes are moved by -log(2 / 3) and -log(1 / 3)."""
    plain, adjusted = model_logits(with_method()), model_logits(with_method(LA))
    shift = np.tile(-np.log([2 / 3, 1 / 3]), (3, 1))
    np.testing.assert_allclose(adjusted.test - plain.test, shift, rtol=1e-5)
    np.testing.assert_allclose(adjusted.bias, BIAS, atol=1e-6)
    assert adjusted.assumed_shares.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(("tau", "roles"), [(2.0, ["eval"]), (2.0, ["supervised"]), (1.0, ["supervised", "eval"])])
def test_logit_adjustment_by_2_assumes_inverse_shares(tau, roles):
    """(2 / 3, 1 / 3) to the power of 1 - 2 is (3 / 2, 3)."""
    run = with_method({"name": "logit_adjustment", "tau": tau, "roles": roles})
    np.testing.assert_allclose(model_logits(run).assumed_shares, [1 / 3, 2 / 3])


def test_pseudo_labels_adjusted_alone_leave_the_shares():
    run = with_method({"name": "logit_adjustment", "tau": 1.0, "roles": ["pseudo_label"]})
    np.testing.assert_allclose(model_logits(run).assumed_shares, [2 / 3, 1 / 3])


def test_shares_that_predictions_assume_follow_from_the_method():
    """A balanced head assumes uniform classes, whatever balances it; class weights leave the shares unknown."""
    assert model_logits(with_method(ABC)).assumed_shares.tolist() == [0.5, 0.5]
    weighed = model_logits(with_method({"name": "class_balanced", "beta": 0.999, "start": 0.0})).assumed_shares
    assert weighed == "class weights in training: the class sizes that predictions assume are unknown"


def test_predictions_assume_the_shares_of_all_images_with_labels_or_pseudo_labels():
    """A plan has added the last three of the labeled images, those of class 1: 6 and 0 are drawn, 6 and 3 trained."""
    run = with_method()
    run.data.labeled.pseudo_labeled = 3
    logits = model_logits(run)
    np.testing.assert_allclose(logits.assumed_shares, [2 / 3, 1 / 3])
    np.testing.assert_allclose(logits.labeled_shares, [1, 0])


def test_parts_without_images_have_no_logits():
    run = with_method()
    run.data = run.data._replace(unlabeled=pool([], 0), validation=pool([], 0))
    logits = model_logits(run)
    assert (logits.unlabeled.shape, logits.held_out.shape, len(logits.test)) == ((0, 2), (0, 2), 3)


def test_bias_that_the_blank_image_removes_has_no_effect():
    """CDMAD subtracts the logits of a blank image, and with them the bias; those of this image become zero."""
    logits = model_logits(with_method(CDMAD))
    np.testing.assert_allclose(logits.bias, [0, 0], atol=1e-6)
    np.testing.assert_allclose(logits.blank, [0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), "the evaluated head has several layers"),
        (nn.Linear(4, 2, bias=False), "the evaluated head has no bias"),
    ],
)
def test_head_without_one_bias_has_a_reason(head, reason):
    run = with_method()
    run.models.teacher.classifier = head
    assert model_logits(run).bias == reason


def test_bias_with_an_effect_that_depends_on_the_image_has_a_reason():
    run = with_method()
    predict = run.learner.predict
    run.learner.predict = lambda images, models: [each**2 for each in predict(images, models)]
    assert bias_effect(run) == "the bias changes the logits of images in different ways"


def test_bias_of_the_model_stays():
    run = with_method()
    model_logits(run)
    assert run.models.teacher.classifier.bias.tolist() == BIAS


def test_missing_run_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = "digits/n20-m80-l20-u10r/smoke/fixmatch/s0"
    with pytest.raises(DataError, match=f"runs/{run}/train.json: missing result of a run; create it with `snakemake "):
        list(correct_runs([run], CPU))
