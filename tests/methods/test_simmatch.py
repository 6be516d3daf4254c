"""SimMatch by numbers worked out apart from it; the network's answers are written down beforehand."""

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
from tests.methods.conftest import Identity

OPTIONS = {
    **{"threshold": 0.7, "weight": 1.0, "instance_weight": 1.0, "temperature": 1.0, "alpha": 0.9, "momentum": 0.7},
    **{"dim": 2, "instance_start": 500},
}
BANK = [[1.0, 0], [0.8, 0.6], [0, 1], [-1, 0]]
WEAK, STRONG = [[1.0, 2, 0], [3, 0, 0]], [[0.5, 1, 0], [1, 0, 0]]
NEAR_WEAK, NEAR_STRONG = [[0.6, 0.8], [1, 0]], [[0.8, 0.6], [0.6, 0.8]]


class Answers(nn.Module):
    """A network that answers with logits and embeddings written down beforehand."""

    def __init__(self, logits, embeddings):
        super().__init__()
        self.logits, self.embeddings = logits, embeddings

    def forward(self, images):
        return Output(torch.zeros(len(images), 2), self.logits, {"projection": self.embeddings})


def simmatch(env, *addons, bank=BANK, labels=(0, 0, 1, 2), **changes):
    """Whose bank holds these rows, of images with these labels."""
    counts = tuple(labels.count(k) for k in range(3))
    env = env._replace(labels=labels, counts=counts, labeled=len(labels))
    learner = SimMatch(env, addons, **(OPTIONS | changes))
    learner.bank.rows.copy_(torch.tensor(bank))
    return learner


def stepped(learner, batch, models, weak=WEAK, strong=STRONG, near_weak=NEAR_WEAK, near_strong=NEAR_STRONG, t=500):
    """The step of a network that answers so to unlabeled images; to the two labeled ones evenly."""
    views = [torch.zeros(2, 3), torch.as_tensor(weak), torch.as_tensor(strong)]
    near = [torch.eye(2), torch.as_tensor(near_weak), torch.as_tensor(near_strong)]
    n = len(views[1])
    u = {view: images[:n] for view, images in batch.u.items()}
    batch = batch._replace(t=torch.tensor(t), u=u, u_index=torch.arange(n))
    return learner.step(batch, models._replace(student=Answers(torch.cat(views), torch.cat(near))))


@pytest.mark.parametrize(
    ("alpha", "targets"), [(0.9, [0.185, 0.755, 0.06]), (0.5, [0.325, 0.575, 0.1]), (1.0, [0.15, 0.8, 0.05])]
)
def test_unfold_calibrate_aggregate_and_smooth(env, batch, models, alpha, targets):
    """Cosines log(.1, .2, .3, .15, .25) + 1.75 make similarities .1 .2 .3 .15 .25, of classes 1 0 0 2 1.

    Unfolded, (.15, .8, .05) is (.8, .15, .15, .05, .8); the products sum to .3625. Classes sum to .5 .35 .15.
    """
    cosines = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25]).log() + 1.75
    bank = torch.stack([cosines, (1 - cosines**2).sqrt()], 1).tolist()
    learner, p = simmatch(env, bank=bank, labels=(1, 0, 0, 2, 1), alpha=alpha), torch.tensor([[0.15, 0.8, 0.05]])
    _, step = stepped(learner, batch, models, p.log(), STRONG[:1], [[1.0, 0]], [[1.0, 0]])
    assert step.targets[0].tolist() == pytest.approx(targets, abs=1e-5)
    near = learner.similarity(step.out["weak"])
    assert near.softmax(-1)[0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.15, 0.25], abs=1e-5)
    assert learner.aggregated(near)[0].tolist() == pytest.approx([0.5, 0.35, 0.15], abs=1e-5)
    calibrated = [0.220690, 0.082759, 0.124138, 0.020690, 0.551724]
    assert learner.calibrated(near, p)[0].tolist() == pytest.approx(calibrated, abs=1e-5)


@pytest.mark.parametrize(
    ("temperature", "targets", "consistency", "instance"),
    [
        (1.0, [[0.281767, 0.629592, 0.088641], [0.896827, 0.056594, 0.046579]], 0.327309, 1.244268),
        (0.1, [[0.303831, 0.615142, 0.081028], [0.918495, 0.040755, 0.040751]], 0.316475, 2.473827),
    ],
)
def test_a_step(env, batch, models, temperature, targets, consistency, instance):
    """Guesses (.244728, .665241, .090031), (.909443, .045279, .045279).

    At temperature 1 the classes of similar images are (.615110, .308753, .076137), (.783279, .158436, .058285), at .1
    (.835752, .164248, 0), (.999960, .000040, 0). Soft cross-entropies .909794 .654618, and .913213 .632950.
    """
    losses, step = stepped(simmatch(env, temperature=temperature), batch, models)
    assert step.targets.tolist() == [pytest.approx(row, abs=1e-5) for row in targets]
    assert step.mask.int().tolist() == [0, 1]
    assert losses.keys() == {"supervised", "consistency", "instance"}
    assert losses["supervised"].item() == pytest.approx(1.098612, abs=1e-5)
    assert losses["consistency"].item() == pytest.approx(consistency, abs=1e-5)
    assert losses["instance"].item() == pytest.approx(instance, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "t", "consistency", "instance"),
    [
        ({"threshold": 0.95}, 500, 0.0, 1.244268),  # similarities are learned, confident or not
        ({"threshold": 0.5}, 500, 0.782206, 1.244268),
        ({"weight": 2.0, "instance_weight": 5.0}, 500, 0.654618, 6.221339),
        ({}, 499, 0.321001, 0.0),  # the guess alone
        ({"threshold": 0.9}, 500, 0.0, 1.244268),  # .909443 is smoothed to .896827
        ({"threshold": 0.9, "confidence": "refined"}, 500, 0.327309, 1.244268),
        ({"threshold": 0.9}, 499, 0.321001, 0.0),
        ({"alpha": 1.0, "instance_weight": 0.0, "threshold": 0.5}, 500, 0.767333, 0.0),  # FixMatch, its guesses soft
    ],
)
def test_options(env, batch, models, changes, t, consistency, instance):
    """Soft cross-entropies are .909794 .654618 with the smoothed guesses, .892665 .642002 with those as they are."""
    losses, _ = stepped(simmatch(env, **changes), batch, models, t=t)
    assert losses["consistency"].item() == pytest.approx(consistency, abs=1e-5)
    assert losses["instance"].item() == pytest.approx(instance, abs=1e-5)


def test_alignment_comes_before_the_similarities(env, batch, models):
    """Over their mean the guesses are (.116910, .516228, .366861), (.664208, .053717, .282075).

    These are smoothed, and similarities count by them; what alignment remembers is the mean of the guesses themselves.
    """
    addon = DistributionAlignment(env, window=4, temperature=1.0, prior="uniform")
    learner = simmatch(env, addon)
    losses, step = stepped(learner, batch, models)
    targets = [[0.166730, 0.495481, 0.337789], [0.676115, 0.064189, 0.259696]]
    assert step.targets.tolist() == [pytest.approx(row, abs=1e-5) for row in targets]
    assert losses["instance"].item() == pytest.approx(1.346261, abs=1e-5)
    learner.commit(step)
    assert addon.recent.rows[0].tolist() == pytest.approx([0.577086, 0.355260, 0.067655], abs=1e-5)


def test_gradients(env, batch, models):
    """Similarities teach the strong embedding alone, the guess the strong logits alone.

    At temperature .1 the gradient of the first image's loss is (2.858546, -1.929145) at (.8, .6), of length one; along
    the circle it is less 1.129350 (.8, .6), and half of that in the mean of two images.
    """
    weak, near_weak, strong, near_strong = (
        torch.tensor(rows, requires_grad=True) for rows in (WEAK, NEAR_WEAK, STRONG, NEAR_STRONG)
    )
    learner = simmatch(env, temperature=0.1)
    losses, step = stepped(learner, batch, models, weak, strong, near_weak, near_strong)
    leaves = [weak, near_weak, strong, near_strong]
    assert not step.targets.requires_grad
    learner.commit(step)
    assert not learner.bank.rows.requires_grad
    flows = {
        name: torch.autograd.grad(losses[name], leaves, retain_graph=True, allow_unused=True)
        for name in ("consistency", "instance")
    }
    found = {name: [grad is not None and bool(grad.any()) for grad in grads] for name, grads in flows.items()}
    assert found == {"consistency": [False, False, True, False], "instance": [False, False, False, True]}
    assert flows["instance"][-1][0].tolist() == pytest.approx([0.977533, -1.303377], abs=1e-5)


def tail(env, **changes):
    """Eight, two and one image; all as similar to (0, 1), but to (1, 0) by .3, the last one's image by .5."""
    bank = [[0.3, 0.91**0.5]] * 10 + [[0.5, 0.75**0.5]]
    return simmatch(env, bank=bank, labels=(0,) * 8 + (1,) * 2 + (2,), temperature=0.1, **changes)


@pytest.mark.parametrize(
    ("balance", "even", "last", "mass", "instance"),
    [
        ("none", [8 / 11, 2 / 11, 1 / 11], [0.460059, 0.115015, 0.424926], [0.685714, 0.228571, 0.085714], 2.397895),
        ("logit", [1 / 3] * 3, [0.106507, 0.106507, 0.786986], [0.3, 0.4, 0.3], 1.999704),
    ],
)
def test_a_bank_with_a_long_tail(env, batch, models, balance, even, last, mass, instance):
    """Where nothing is known, all images are as similar: classes as large as they are, or, balanced, alike.

    The student knows nothing either: log 11; or, balanced, log 3 + .3 log 8 + .4 log 2.
    """
    pseudo_label, learner = torch.tensor([[0.3, 0.4, 0.3]]), tail(env, buffer_balance=balance)
    near = learner.similarity(Output(None, None, {"projection": torch.tensor([[1.0, 0]])}))
    assert learner.aggregated(near)[0].tolist() == pytest.approx(last, abs=1e-5)
    learner.bank.rows.copy_(torch.tensor([0.0, 1]).expand(11, 2))
    losses, step = stepped(learner, batch, models, pseudo_label.log(), STRONG[:1], [[1.0, 0]], [[1.0, 0]])
    near = learner.similarity(step.out["weak"])
    calibrated = learner.calibrated(near, pseudo_label)[0]
    assert [part.sum().item() for part in calibrated.split([8, 2, 1])] == pytest.approx(mass, abs=1e-5)
    assert learner.aggregated(near)[0].tolist() == pytest.approx(even, abs=1e-6)
    assert losses["instance"].item() == pytest.approx(instance, abs=1e-5)


def test_invariances(env, batch, models):
    """The order of images in the bank means nothing, nor does a number added to all of a row's similarities."""
    order = torch.tensor([2, 0, 3, 1])
    shuffled = simmatch(env, bank=torch.tensor(BANK)[order].tolist(), labels=(1, 0, 2, 0))
    shifted = simmatch(env)
    shifted.log_sizes.sub_(7.0)
    (losses, step), *others = (stepped(learner, batch, models) for learner in (simmatch(env), shuffled, shifted))
    for theirs, other in others:
        assert torch.allclose(other.targets, step.targets, atol=1e-6)
        assert theirs["instance"].item() == pytest.approx(losses["instance"].item(), abs=1e-5)


def test_a_guess_of_zero(env, batch, models):
    """Only class 1 is possible: its one image is what counts, however much more another one is alike."""
    learner, p = simmatch(env, temperature=0.01), torch.tensor([[0.0, 1.0, 0.0]])
    near = learner.similarity(Output(None, None, {"projection": torch.tensor([[-1.0, 0]])}))
    assert learner.calibrated(near, p)[0].tolist() == pytest.approx([0, 0, 1, 0])
    learner.labels.copy_(torch.tensor([0, 0, 0, 2]))  # and where it has none, that other one, not NaN
    assert learner.calibrated(near, p)[0].tolist() == pytest.approx([0, 0, 0, 1])


@pytest.fixture
def models(models):
    """The same networks with a head that turns features round, the teacher's by a quarter."""
    networks = []
    for network, rows in zip(models, ([[-1.0, 0], [0, -1]], [[0.0, -1], [1, 0]]), strict=True):
        networks.append(Network(Identity(), 3, {"projection": 2}))
        networks[-1].classifier.load_state_dict(network.classifier.state_dict())
        with torch.no_grad():
            networks[-1].heads["projection"].weight.copy_(torch.tensor(rows))
            networks[-1].heads["projection"].bias.zero_()
    return Models(*networks)


def test_keys_of_the_student(env, batch, models, forwards):
    """One forward; the keys of (2, 0) and (0, 1) are (-1, 0) and (0, -1), in the rows of these two images."""
    learner, index = simmatch(env, momentum=0.0), torch.tensor([3, 1])
    _, step = learner.step(batch._replace(x_index=index), models)
    images = torch.cat([batch.x["weak"], batch.u["weak"], batch.u["strong"]])
    assert forwards == [("student", images[:, 0, 0].tolist(), True)]
    assert learner.bank.rows.tolist() == torch.tensor(BANK).tolist()
    learner.commit(step)
    assert learner.bank.rows.tolist() == torch.tensor([[1.0, 0], [0, -1], [0, 1], [-1, 0]]).tolist()


def test_keys_of_the_teacher(env, batch, models, forwards):
    """It makes the guesses too, in a forward with the labeled images; its keys are (0, 1) and (-1, 0)."""
    models.teacher.classifier.weight.data.mul_(2)
    learner = simmatch(env, momentum=0.0, keys="teacher")
    _, step = learner.step(batch._replace(x_index=torch.tensor([3, 1]), t=torch.tensor(0)), models)
    taught, learned = (torch.cat(pair)[:, 0, 0] for pair in ([batch.x["weak"], u] for u in batch.u.values()))
    assert forwards == [("teacher", taught.tolist(), False), ("student", learned.tolist(), True)]
    assert step.targets[0].tolist() == torch.tensor([8.0, 1, -9]).softmax(0).tolist()
    learner.commit(step)
    assert learner.bank.rows.tolist() == torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, 1]]).tolist()


@pytest.mark.parametrize("keys", ["student", "teacher"])
def test_the_teachers_view_is_made_once(env, batch, models, forwards, keys):
    """DASO's queue takes the teacher's features; where the teacher guesses, of the same forward."""
    options = {"proto_temperature": 0.05, "dist_temperature": 1.5, "queue_length": 4, "period": 1, "warmup": 1}
    addon = DASO(env, **options, weight=1.0)
    learner = simmatch(env, addon, keys=keys)
    losses, step = learner.step(batch, models)
    assert sorted(name for name, *_ in forwards) == ["student", "teacher"]
    assert losses.keys() == {"supervised", "consistency", "instance", "alignment"}
    learner.commit(step)
    assert addon.queue.size.tolist() == [1, 1, 0]
    assert addon.histogram.published.tolist() == step.targets.argmax(1).bincount(minlength=3).tolist()


def test_logits_are_adjusted_by_role(env, batch, models):
    """The guess changes all that follows from it."""
    losses, _ = simmatch(env).step(batch, models)
    changed = {"supervised": ["supervised"], "consistency": ["consistency"], "guess": ["consistency", "instance"]}
    for role, names in changed.items():
        adjusted, _ = simmatch(env, LogitAdjustment(env, tau=1.0, roles=[role])).step(batch, models)
        assert [name for name in losses if adjusted[name] != losses[name]] == names


def test_images_are_weighed(env, batch, models, first):
    """The first of two accepted: its .909794 over two images; similarities are learned of all."""
    losses, step = stepped(simmatch(env, first, threshold=0.5), batch, models)
    assert losses["consistency"].item() == pytest.approx(0.454897, abs=1e-5)
    assert losses["supervised"].item() == pytest.approx(1.098612 / 2, abs=1e-5)
    assert losses["instance"].item() == pytest.approx(1.244268, abs=1e-5)
    assert step.mask.int().tolist() == [1, 0]


def test_guesses(env, batch, models):
    """At temperature 1, as in `test_a_step`; none is bent by what comes after it, and add-ons tell theirs."""
    options = {"proto_temperature": 0.05, "dist_temperature": 1.5, "queue_length": 4, "period": 1, "warmup": 501}
    learner = simmatch(env, DASO(env, **options, weight=1.0))
    _, step = stepped(learner, batch, models)
    pseudo_labels = learner.pseudo_labels(step)
    assert pseudo_labels.keys() == {"linear", "semantic", "instance", "final"}
    assert pseudo_labels["linear"][0].tolist() == pytest.approx([0.244728, 0.665241, 0.090031], abs=1e-5)
    assert pseudo_labels["instance"][0].tolist() == pytest.approx([0.615110, 0.308753, 0.076137], abs=1e-5)
    assert torch.equal(pseudo_labels["final"], step.targets)


def test_the_banks_rows_are_those_of_the_labeled_images():
    """In a run a label of the bank is that of the image which writes its row; its head has two layers."""
    options = OPTIONS | {"name": "simmatch", "instance_start": 3}
    run = trainer(method={**CONFIG["method"], "learner": options})
    assert run.learner.labels.tolist() == [0] * 6 + [1] * 3
    assert len(run.learner.bank.rows) == 9
    (batch,) = batches(run, 0, 1)
    assert run.learner.labels[batch.x_index].tolist() == batch.y.tolist()
    head = run.models.student.heads["projection"]
    assert [type(layer).__name__ for layer in head] == ["Linear", "ReLU", "Linear"]
    assert [tuple(weight.shape) for name, weight in head.named_parameters() if "weight" in name] == [(4, 4), (2, 4)]


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 0.0},
        {"weight": -1.0},
        {"instance_weight": -1.0},
        {"temperature": 0.0},
        {"alpha": 1.1},
        {"alpha": -0.1},
        {"momentum": 1.0},
        {"dim": 0},
        {"instance_start": 1},  # two of four labeled images have come by then
    ],
)
def test_options_out_of_bounds(env, changes):
    with pytest.raises(ParamsError, match=f"learner 'simmatch': .*{next(iter(changes))}"):
        simmatch(env, **changes)


def test_the_bank_must_be_full_to_the_last_row(env):
    """Two a step: two steps bring four of five labeled images, three bring all."""
    rows = [*BANK, [0.0, 1]]
    with pytest.raises(ParamsError, match="instance_start 2 comes before the bank is full: 5 labeled images, 2 a step"):
        simmatch(env, bank=rows, labels=(0, 0, 1, 2, 1), instance_start=2)
    simmatch(env, bank=rows, labels=(0, 0, 1, 2, 1), instance_start=3)
