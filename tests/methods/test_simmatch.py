"""Compare SimMatch with numbers computed independently, for fixed outputs of the network."""

import pytest
import torch
from torch import nn

from daso.errors import ParamsError
from daso.methods.addons.daso import DASO
from daso.methods.addons.distribution_alignment import DistributionAlignment
from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.methods.learners.simmatch import SimMatch
from daso.models.network import Models, Network
from daso.records import Output
from tests.engine.world import CONFIG, batches, trainer
from tests.methods.conftest import DASO_OPTIONS, Identity

OPTIONS = {
    **{"threshold": 0.7, "weight": 1.0, "instance_weight": 1.0, "temperature": 1.0, "alpha": 0.9, "momentum": 0.7},
    **{"dim": 2, "instance_start": 500, "keys": "student", "confidence": "smoothed", "buffer_balance": "none"},
}
BANK = [[1.0, 0], [0.8, 0.6], [0, 1], [-1, 0]]
WEAK, STRONG = [[1.0, 2, 0], [3, 0, 0]], [[0.5, 1, 0], [1, 0, 0]]
WEAK_EMBEDDINGS, STRONG_EMBEDDINGS = [[0.6, 0.8], [1, 0]], [[0.8, 0.6], [0.6, 0.8]]


class FixedOutputs(nn.Module):
    """Network with fixed logits and embeddings."""

    def __init__(self, logits, embeddings):
        super().__init__()
        self.logits, self.embeddings = logits, embeddings

    def forward(self, images):
        return Output(torch.zeros(len(images), 2), self.logits, {"projection": self.embeddings})


def simmatch(env, *addons, bank=BANK, labels=(0, 0, 1, 2), **changes):
    """Return a learner whose bank holds the rows `bank`, of images with these labels."""
    counts = tuple(labels.count(k) for k in range(3))
    env = env._replace(labels=labels, counts=counts, labeled=len(labels))
    learner = SimMatch(env, addons, **(OPTIONS | changes))
    learner.bank.rows.copy_(torch.tensor(bank))
    return learner


def run_step(
    learner,
    batch,
    models,
    weak=WEAK,
    strong=STRONG,
    weak_embeddings=WEAK_EMBEDDINGS,
    strong_embeddings=STRONG_EMBEDDINGS,
    t=500,
):
    """Run a step with these logits and embeddings of unlabeled images, and uniform predictions on labeled ones."""
    views = [torch.zeros(2, 3), torch.as_tensor(weak), torch.as_tensor(strong)]
    embeddings = [torch.eye(2), torch.as_tensor(weak_embeddings), torch.as_tensor(strong_embeddings)]
    n = len(views[1])
    u = {view: images[:n] for view, images in batch.u.items()}
    batch = batch._replace(t=torch.tensor(t), u=u, u_index=torch.arange(n))
    return learner.step(batch, models._replace(student=FixedOutputs(torch.cat(views), torch.cat(embeddings))))


@pytest.mark.parametrize(
    ("alpha", "targets"), [(0.9, [0.185, 0.755, 0.06]), (0.5, [0.325, 0.575, 0.1]), (1.0, [0.15, 0.8, 0.05])]
)
def test_unfold_calibrate_aggregate_and_smooth(env, batch, models, alpha, targets):
    """Cosines log(.1, .2, .3, .15, .25) + 1.75 give similarities .1 .2 .3 .15 .25, of classes 1 0 0 2 1.

    Unfolded, (.15, .8, .05) is (.8, .15, .15, .05, .8); the products sum to .3625. Classes sum to .5 .35 .15.
    """
    cosines = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25]).log() + 1.75
    bank = torch.stack([cosines, (1 - cosines**2).sqrt()], 1).tolist()
    learner, p = simmatch(env, bank=bank, labels=(1, 0, 0, 2, 1), alpha=alpha), torch.tensor([[0.15, 0.8, 0.05]])
    _, step = run_step(learner, batch, models, p.log(), STRONG[:1], [[1.0, 0]], [[1.0, 0]])
    assert step.targets[0].tolist() == pytest.approx(targets, abs=1e-5)
    similarities = learner.similarity(step.out["weak"])
    assert similarities.softmax(-1)[0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.15, 0.25], abs=1e-5)
    assert learner.aggregated(similarities)[0].tolist() == pytest.approx([0.5, 0.35, 0.15], abs=1e-5)
    calibrated = [0.220690, 0.082759, 0.124138, 0.020690, 0.551724]
    assert learner.calibrated(similarities, p)[0].tolist() == pytest.approx(calibrated, abs=1e-5)


@pytest.mark.parametrize(
    ("temperature", "targets", "consistency", "instance"),
    [
        (1.0, [[0.281767, 0.629592, 0.088641], [0.896827, 0.056594, 0.046579]], 0.327309, 1.244268),
        (0.1, [[0.303831, 0.615142, 0.081028], [0.918495, 0.040755, 0.040751]], 0.316475, 2.473827),
    ],
)
def test_losses_of_a_step(env, batch, models, temperature, targets, consistency, instance):
    """Predictions (.244728, .665241, .090031), (.909443, .045279, .045279).

    At temperature 1 the classes of similar images are (.615110, .308753, .076137), (.783279, .158436, .058285), at .1
    (.835752, .164248, 0), (.999960, .000040, 0). Soft cross-entropies .909794 .654618, and .913213 .632950.
    """
    losses, step = run_step(simmatch(env, temperature=temperature), batch, models)
    assert step.targets.tolist() == [pytest.approx(row, abs=1e-5) for row in targets]
    assert step.mask.int().tolist() == [0, 1]
    assert losses.keys() == {"supervised", "consistency", "instance"}
    assert losses["supervised"].item() == pytest.approx(1.098612, abs=1e-5)
    assert losses["consistency"].item() == pytest.approx(consistency, abs=1e-5)
    assert losses["instance"].item() == pytest.approx(instance, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "t", "consistency", "instance"),
    [
        ({"threshold": 0.95}, 500, 0.0, 1.244268),  # the instance loss ignores the threshold
        ({"threshold": 0.5}, 500, 0.782206, 1.244268),
        ({"weight": 2.0, "instance_weight": 5.0}, 500, 0.654618, 6.221339),
        ({}, 499, 0.321001, 0.0),  # the prediction alone
        ({"threshold": 0.9}, 500, 0.0, 1.244268),  # .909443 is smoothed to .896827
        ({"threshold": 0.9, "confidence": "refined"}, 500, 0.327309, 1.244268),
        ({"threshold": 0.9}, 499, 0.321001, 0.0),
        ({"alpha": 1.0, "instance_weight": 0.0, "threshold": 0.5}, 500, 0.767333, 0.0),  # FixMatch with soft targets
    ],
)
def test_confidence_and_weight_options_change_the_losses(env, batch, models, changes, t, consistency, instance):
    """Soft cross-entropies are .909794 .654618 with smoothed pseudo-labels, .892665 .642002 with unsmoothed ones."""
    losses, _ = run_step(simmatch(env, **changes), batch, models, t=t)
    assert losses["consistency"].item() == pytest.approx(consistency, abs=1e-5)
    assert losses["instance"].item() == pytest.approx(instance, abs=1e-5)


def test_alignment_is_applied_before_smoothing_and_calibration(env, batch, models):
    """The predictions over their mean are (.116910, .516228, .366861), (.664208, .053717, .282075).

    Smoothing and calibration use these; the recent mean of alignment is over the predictions.
    """
    addon = DistributionAlignment(env, window=4, temperature=1.0, prior="uniform")
    learner = simmatch(env, addon)
    losses, step = run_step(learner, batch, models)
    targets = [[0.166730, 0.495481, 0.337789], [0.676115, 0.064189, 0.259696]]
    assert step.targets.tolist() == [pytest.approx(row, abs=1e-5) for row in targets]
    assert losses["instance"].item() == pytest.approx(1.346261, abs=1e-5)
    learner.commit(step)
    assert addon.recent.rows[0].tolist() == pytest.approx([0.577086, 0.355260, 0.067655], abs=1e-5)


def test_gradient_of_each_loss_by_output(env, batch, models):
    """The instance loss has a gradient for strong embeddings alone, the consistency loss for strong logits alone.

    At temperature .1 the gradient of the first image's loss is (2.858546, -1.929145) at (.8, .6), of length one; its
    tangential part is that minus 1.129350 (.8, .6), half of which is the gradient of the mean over two images.
    """
    weak, weak_embeddings, strong, strong_embeddings = (
        torch.tensor(rows, requires_grad=True) for rows in (WEAK, WEAK_EMBEDDINGS, STRONG, STRONG_EMBEDDINGS)
    )
    learner = simmatch(env, temperature=0.1)
    losses, step = run_step(learner, batch, models, weak, strong, weak_embeddings, strong_embeddings)
    leaves = [weak, weak_embeddings, strong, strong_embeddings]
    assert not step.targets.requires_grad
    learner.commit(step)
    assert not learner.bank.rows.requires_grad
    gradients = {
        name: torch.autograd.grad(losses[name], leaves, retain_graph=True, allow_unused=True)
        for name in ("consistency", "instance")
    }
    nonzero = {name: [grad is not None and bool(grad.any()) for grad in grads] for name, grads in gradients.items()}
    assert nonzero == {"consistency": [False, False, True, False], "instance": [False, False, False, True]}
    assert gradients["instance"][-1][0].tolist() == pytest.approx([0.977533, -1.303377], abs=1e-5)


def simmatch_long_tail(env, **changes):
    """Return a learner with 8, 2 and 1 labeled images, whose cosines with (1, 0) are .3 and, for the last, .5."""
    bank = [[0.3, 0.91**0.5]] * 10 + [[0.5, 0.75**0.5]]
    return simmatch(env, bank=bank, labels=(0,) * 8 + (1,) * 2 + (2,), temperature=0.1, **changes)


@pytest.mark.parametrize(
    ("balance", "uninformed", "informed", "mass", "instance"),
    [
        ("none", [8 / 11, 2 / 11, 1 / 11], [0.460059, 0.115015, 0.424926], [0.685714, 0.228571, 0.085714], 2.397895),
        ("logit", [1 / 3] * 3, [0.106507, 0.106507, 0.786986], [0.3, 0.4, 0.3], 1.999704),
    ],
)
def test_bank_with_a_long_tail(env, batch, models, balance, uninformed, informed, mass, instance):
    """If all images are equally similar, classes count by their number of images or, balanced, equally.

    The strong view's similarities are equal as well: the loss is log 11 or, balanced, log 3 + .3 log 8 + .4 log 2.
    """
    pseudo_label, learner = torch.tensor([[0.3, 0.4, 0.3]]), simmatch_long_tail(env, buffer_balance=balance)
    similarities = learner.similarity(Output(None, None, {"projection": torch.tensor([[1.0, 0]])}))
    assert learner.aggregated(similarities)[0].tolist() == pytest.approx(informed, abs=1e-5)
    learner.bank.rows.copy_(torch.tensor([0.0, 1]).expand(11, 2))
    losses, step = run_step(learner, batch, models, pseudo_label.log(), STRONG[:1], [[1.0, 0]], [[1.0, 0]])
    similarities = learner.similarity(step.out["weak"])
    calibrated = learner.calibrated(similarities, pseudo_label)[0]
    assert [part.sum().item() for part in calibrated.split([8, 2, 1])] == pytest.approx(mass, abs=1e-5)
    assert learner.aggregated(similarities)[0].tolist() == pytest.approx(uninformed, abs=1e-6)
    assert losses["instance"].item() == pytest.approx(instance, abs=1e-5)


def test_order_of_the_bank_and_constants_have_no_effect(env, batch, models):
    """A constant is added to all similarities of a row."""
    order = torch.tensor([2, 0, 3, 1])
    shuffled = simmatch(env, bank=torch.tensor(BANK)[order].tolist(), labels=(1, 0, 2, 0))
    shifted = simmatch(env)
    shifted.log_sizes.sub_(7.0)
    (losses, step), *others = (run_step(learner, batch, models) for learner in (simmatch(env), shuffled, shifted))
    for other_losses, other_step in others:
        assert torch.allclose(other_step.targets, step.targets, atol=1e-6)
        assert other_losses["instance"].item() == pytest.approx(losses["instance"].item(), abs=1e-5)


def test_prediction_of_zero_excludes_a_class(env, batch, models):
    """Only class 1 has a probability above zero: its one image has all weight, though it is not the most similar."""
    learner, p = simmatch(env, temperature=0.01), torch.tensor([[0.0, 1.0, 0.0]])
    similarities = learner.similarity(Output(None, None, {"projection": torch.tensor([[-1.0, 0]])}))
    assert learner.calibrated(similarities, p)[0].tolist() == pytest.approx([0, 0, 1, 0])
    learner.labels.copy_(torch.tensor([0, 0, 0, 2]))  # without an image of class 1, the more similar image, not NaN
    assert learner.calibrated(similarities, p)[0].tolist() == pytest.approx([0, 0, 0, 1])


@pytest.fixture
def models(models):
    """Return the same networks with a head that rotates features, by 180 degrees, or 90 degrees for the teacher."""
    networks = []
    for network, rows in zip(models, ([[-1.0, 0], [0, -1]], [[0.0, -1], [1, 0]]), strict=True):
        networks.append(Network(Identity(), 3, {"projection": 2}))
        networks[-1].classifier.load_state_dict(network.classifier.state_dict())
        with torch.no_grad():
            networks[-1].heads["projection"].weight.copy_(torch.tensor(rows))
            networks[-1].heads["projection"].bias.zero_()
    return Models(*networks)


def test_student_keys_are_written_to_the_bank(env, batch, models, forwards):
    """One forward pass; the keys of (2, 0) and (0, 1) are (-1, 0) and (0, -1)."""
    learner, index = simmatch(env, momentum=0.0), torch.tensor([3, 1])
    _, step = learner.step(batch._replace(x_index=index), models)
    images = torch.cat([batch.x["weak"], batch.u["weak"], batch.u["strong"]])
    assert forwards == [("student", images[:, 0, 0].tolist(), True)]
    assert learner.bank.rows.tolist() == torch.tensor(BANK).tolist()
    learner.commit(step)
    assert learner.bank.rows.tolist() == torch.tensor([[1.0, 0], [0, -1], [0, 1], [-1, 0]]).tolist()


def test_teacher_keys_are_written_to_the_bank(env, batch, models, forwards):
    """The teacher makes the pseudo-labels too, in one pass with the labeled images; its keys are (0, 1) and (-1, 0)."""
    models.teacher.classifier.weight.data.mul_(2)
    learner = simmatch(env, momentum=0.0, keys="teacher")
    _, step = learner.step(batch._replace(x_index=torch.tensor([3, 1]), t=torch.tensor(0)), models)
    teacher, student = (torch.cat(pair)[:, 0, 0] for pair in ([batch.x["weak"], u] for u in batch.u.values()))
    assert forwards == [("teacher", teacher.tolist(), False), ("student", student.tolist(), True)]
    assert step.targets[0].tolist() == torch.tensor([8.0, 1, -9]).softmax(0).tolist()
    learner.commit(step)
    assert learner.bank.rows.tolist() == torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, 1]]).tolist()


@pytest.mark.parametrize("keys", ["student", "teacher"])
def test_one_forward_pass_of_the_teacher(env, batch, models, forwards, keys):
    """DASO's queue stores the teacher's features; with `keys: teacher` they are from the pass of the pseudo-labels."""
    options = DASO_OPTIONS | {"queue_length": 4, "period": 1, "warmup": 1}
    addon = DASO(env, **options)
    learner = simmatch(env, addon, keys=keys)
    losses, step = learner.step(batch, models)
    assert sorted(name for name, *_ in forwards) == ["student", "teacher"]
    assert losses.keys() == {"supervised", "consistency", "instance", "alignment"}
    learner.commit(step)
    assert addon.queue.size.tolist() == [1, 1, 0]
    assert addon.histogram.published.tolist() == step.targets.argmax(1).bincount(minlength=3).tolist()


def test_logits_are_adjusted_by_role(env, batch, models):
    """Adjusted pseudo-labels change the consistency and the instance loss."""
    losses, _ = simmatch(env).step(batch, models)
    changed = {
        "supervised": ["supervised"],
        "consistency": ["consistency"],
        "pseudo_label": ["consistency", "instance"],
    }
    for role, names in changed.items():
        adjusted, _ = simmatch(env, LogitAdjustment(env, tau=1.0, roles=[role])).step(batch, models)
        assert [name for name in losses if adjusted[name] != losses[name]] == names


def test_losses_use_weights_of_addons(env, batch, models, first_image_only):
    """With the first image alone: .909794 over two images; the instance loss is not weighed."""
    losses, step = run_step(simmatch(env, first_image_only, threshold=0.5), batch, models)
    assert losses["consistency"].item() == pytest.approx(0.454897, abs=1e-5)
    assert losses["supervised"].item() == pytest.approx(1.098612 / 2, abs=1e-5)
    assert losses["instance"].item() == pytest.approx(1.244268, abs=1e-5)
    assert step.mask.int().tolist() == [1, 0]


def test_pseudo_labels_of_every_origin_are_returned_by_name(env, batch, models):
    """The numbers equal `test_losses_of_a_step` at temperature 1; DASO adds its own losses."""
    options = DASO_OPTIONS | {"queue_length": 4, "period": 1, "warmup": 501}
    learner = simmatch(env, DASO(env, **options))
    _, step = run_step(learner, batch, models)
    pseudo_labels = learner.pseudo_labels(step)
    assert pseudo_labels.keys() == {"linear", "semantic", "instance", "final"}
    assert pseudo_labels["linear"][0].tolist() == pytest.approx([0.244728, 0.665241, 0.090031], abs=1e-5)
    assert pseudo_labels["instance"][0].tolist() == pytest.approx([0.615110, 0.308753, 0.076137], abs=1e-5)
    assert torch.equal(pseudo_labels["final"], step.targets)


def test_labels_of_the_bank_are_those_of_the_images_that_write_its_rows():
    """A training run checks this; the projection head has two layers."""
    options = OPTIONS | {"name": "simmatch", "instance_start": 3}
    run = trainer(method={**CONFIG["method"], "learner": options})
    assert run.learner.labels.tolist() == [0] * 6 + [1] * 3
    assert len(run.learner.bank.rows) == 9
    (batch,) = batches(run, 0, 1)
    assert run.learner.labels[batch.x_index].tolist() == batch.y.tolist()
    head = run.models.student.heads["projection"]
    assert [type(layer).__name__ for layer in head] == ["Linear", "ReLU", "Linear"]
    assert [tuple(weight.shape) for name, weight in head.named_parameters() if "weight" in name] == [(4, 4), (2, 4)]


def test_instance_start_before_the_bank_is_full_raises(env):
    """Two images per step: two steps write four of five rows, three write all."""
    rows = [*BANK, [0.0, 1]]
    message = r"step 2 comes before the memory bank is full \(5 labeled images, 2 per step\)"
    with pytest.raises(ParamsError, match=message):
        simmatch(env, bank=rows, labels=(0, 0, 1, 2, 1), instance_start=2)
    simmatch(env, bank=rows, labels=(0, 0, 1, 2, 1), instance_start=3)
