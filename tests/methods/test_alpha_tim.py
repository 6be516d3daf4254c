"""alpha-TIM: its losses by hand, all images in each step, and a start with the finished classifier."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from daso.config.build import UpstreamResults, build
from daso.config.checks import check_run
from daso.config.controls import control_errors
from daso.config.fit import fitted_options
from daso.config.resolve import Run, resolve, upstream_runs
from daso.data.features import VIEW_KINDS
from daso.engine.feature_pool import FeaturePool
from daso.engine.resident import Resident
from daso.errors import CheckpointError, ParamsError
from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.methods.learners.alpha_tim import AlphaTIM, alpha_entropy
from tests.configs import CPU
from tests.engine.world import batches
from tests.methods.conftest import as_images
from tests.repository import PARAMS

RUN = Run("digits", "n20-m80-l20-u10r", "photos", "alpha_tim", 0)
LABELED, UNLABELED, DIM = 30, 70, 4
LN2 = math.log(2)


def losses(env, batch, models, addons=(), **options):
    """Return the losses by name; logits are (x, y, 0) for features (x, y).

    Labeled: (ln 2, 0) of class 0, (0, 0) of class 2. Unlabeled: (ln 2, 0) and (-ln 2, -ln 2), with the predictions
    (1/2, 1/4, 1/4) and (1/4, 1/4, 1/2), whose mean is (3/8, 1/4, 3/8).
    """
    with torch.no_grad():
        models.student.classifier.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [0, 0]]))
    x, u = as_images([[LN2, 0], [0, 0]]), as_images([[LN2, 0], [-LN2, -LN2]])
    both = batch._replace(x={"plain": x}, y=torch.tensor([0, 2]), u={"plain": u}, u_index=torch.arange(2))
    learner = AlphaTIM(env, addons, **{"alpha": 2.0, "conditional": 1.0, "marginal": 1.0} | options)
    return {name: loss.item() for name, loss in learner.step(both, models)[0].items()}


def test_losses(env, batch, models):
    """Supervised (ln 2 + ln 3) / 2. Entropies 1 - 1/4 - 2/16 = 5/8 of both images, 1 - 2 * 9/64 - 1/16 = 21/32."""
    assert losses(env, batch, models) == pytest.approx(
        {"supervised": math.log(6) / 2, "conditional": 5 / 8, "marginal": -21 / 32}
    )


def test_alpha_and_weights(env, batch, models):
    """For alpha 3: (1 - 1/8 - 2/64) / 2 = 27/64, times 1/2; (1 - 2 * 27/512 - 1/64) / 2 = 225/512, times 2."""
    result = losses(env, batch, models, alpha=3.0, conditional=0.5, marginal=2.0)
    assert (result["conditional"], result["marginal"]) == pytest.approx((27 / 128, -225 / 256))


def test_labeled_loss_alone_is_adjusted(env, batch, models):
    """The prior .7, .2, .1 makes odds 1.4, .2, .1 of class 0 and .7, .2, .1 of class 2: ln(1.7 / 1.4), ln 10."""
    adjusted = losses(env, batch, models, [LogitAdjustment(env, tau=1.0, roles=["supervised"])])
    assert adjusted.pop("supervised") == pytest.approx((math.log(1.7 / 1.4) + math.log(10)) / 2)
    assert adjusted == pytest.approx({"conditional": 5 / 8, "marginal": -21 / 32})


@pytest.mark.parametrize("alpha", [1.5, 2.0, 5.0])
def test_entropy_is_zero_if_certain_and_largest_if_uniform(alpha):
    certain, uniform = torch.eye(3), torch.full((3,), 1 / 3)
    assert alpha_entropy(certain, alpha).tolist() == [0, 0, 0]
    assert alpha_entropy(uniform, alpha).item() == pytest.approx((1 - 3 ** (1 - alpha)) / (alpha - 1), rel=1e-5)


def pool(images):
    """Return features of which the first is the number of the image and the second that of the view."""
    features = torch.randn(images, len(VIEW_KINDS), DIM, generator=torch.Generator().manual_seed(images))
    features[..., 0] = torch.arange(images)[:, None] / images
    features[..., 1] = torch.arange(len(VIEW_KINDS))
    return FeaturePool(features.half(), torch.arange(images) % 10)


def trained_network():
    """Return a state dict of the network, with values that no initialisation draws."""
    weight = torch.arange(10.0 * DIM).view(10, DIM) / 100
    return {"classifier.weight": weight, "classifier.bias": torch.arange(10.0) / 10}


def trainer(network=None, **changes):
    config = {**resolve(PARAMS, RUN), "key": "k", **changes}
    data = Resident(*map(pool, (LABELED, UNLABELED, 0, 20)))
    return build(config, data, CPU, upstream=UpstreamResults(network=network or trained_network()))


def test_each_step_has_the_plain_views_of_all_images():
    run = trainer()
    assert run.loader.views_per_step == LABELED + UNLABELED
    for batch in batches(run, 0, 10):
        for part, index, size in ((batch.x, batch.x_index, LABELED), (batch.u, batch.u_index, UNLABELED)):
            assert sorted(index.tolist()) == list(range(size))
            assert torch.allclose(part["plain"][:, 0], index / size, atol=1e-3)
            assert not part["plain"][:, 1].any()
        assert torch.equal(batch.y, batch.x_index % 10)


def test_student_and_evaluation_model_start_with_the_finished_network():
    run = trainer()
    for network in run.models:
        state = network.state_dict()
        assert all(torch.equal(state[name], value) for name, value in trained_network().items())


def test_network_of_another_size_is_refused():
    with pytest.raises(CheckpointError, match="the network to train further differs from this one"):
        trainer({**trained_network(), "classifier.weight": torch.zeros(10, DIM + 1)})


def test_first_step_is_that_of_adam_at_the_rate_of_the_plan():
    """Adam's first step is lr * sign(gradient), here .001, up to eps over the size of the gradient."""
    run = trainer()
    before = run.models.student.classifier.weight.detach().clone()
    run.advance(1)
    change = run.models.student.classifier.weight - before
    assert change.abs().min().item() == pytest.approx(0.001, rel=1e-2)
    assert change.abs().max().item() == pytest.approx(0.001, rel=1e-2)


def test_entropies_raise_the_information():
    """That is the entropy of the mean prediction minus the mean entropy, in 100 steps with and without both losses."""
    information = []
    for weight in (0.0, 1.0):
        run = trainer()
        run.learner.conditional = run.learner.marginal = weight
        run.rates.fill_(0.05)
        run.advance(100)
        probs = run.predict(run.data.unlabeled)[0].softmax(-1)
        information.append(float(alpha_entropy(probs.mean(0), 2.0) - alpha_entropy(probs, 2.0).mean()))
    assert information[1] > 1.5 * information[0]


def test_run_has_steps_and_optimizer_of_the_plan_and_the_weight_decay_of_the_protocol():
    config = resolve(PARAMS, RUN)
    assert config["protocol"]["steps"] == 300
    expected = {"algorithm": "adam", "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8}
    expected |= {"weight_decay": 0.002, "decay_biases": False, "warmup": 0, "milestones": [], "factor": 1.0}
    assert config["optimizer"] == expected
    assert config["plan"]["network"] == {"of": RUN._replace(method="supervised_la").id}
    assert [run.method for run in upstream_runs(PARAMS, RUN)] == ["supervised_la"]
    into = fitted_options(PARAMS.methods["alpha_tim"], {})
    assert into == {"weight_decay": "optimizer.weight_decay", "tau": "logit_adjustment.tau"}


def test_images_are_refused_in_one_line():
    with pytest.raises(ParamsError) as raised:
        check_run(replace(PARAMS, root=Path("params")), RUN._replace(protocol="zoo", setting="n40-m60-l10-u5r"))
    assert str(raised.value) == (
        "params/methods/alpha_tim.yaml: learner 'alpha_tim': trains only on features of a frozen network; set train: "
        "head in the network of params/protocols/zoo.yaml, or leave the method out"
    )


def test_method_that_starts_with_it_is_no_fair_comparison():
    """Further training alone changes the accuracy, so a control must have the same steps and optimizer."""
    table = {"name": "t", "dataset": "digits", "settings": [RUN.setting], "controls": {"alpha_tim": "supervised_la"}}
    (line,) = control_errors(replace(PARAMS, suites={"s": {"protocol": "photos", "tables": [table]}}))
    assert line.split(f"{RUN.setting}', ")[1] == (
        "steps: 300 and 1000; optimizer.algorithm: adam and none; optimizer.lr: 0.001 and 0.3; optimizer.betas: "
        "0.9, 0.999 and none; optimizer.eps: 1e-08 and none; optimizer.momentum: none and 0.9; optimizer.nesterov: "
        "none and True; set the same values, or name a different control"
    )
