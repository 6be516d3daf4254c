import pytest
import torch

from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.methods.base import AddOn
from daso.methods.learners.usadtm import USADTM
from daso.ops.similarity import cosine

OPTIONS = {"cosine_threshold": 0.85, "weight": 1.0, "clustering_weight": 0.1, "queue_factor": 5, "warmup": 500}
PLAIN = torch.tensor([[3.0, 1], [0.5, 2], [-1, -1], [1, 1], [0.5, 1.5]])


def usadtm(env, *addons, **changes):
    """Return a learner whose queues hold one feature of each class, (4, 2), (2, 3) and (-1, -1)."""
    learner = USADTM(env, addons, **(OPTIONS | changes))
    features = torch.tensor([[4.0, 2], [2, 3], [-1, -1]])
    learner.queue.commit(learner.queue.after_push(features, torch.arange(3)))
    return learner


@pytest.fixture
def batch(batch):
    return batch._replace(u=batch.u | {"plain": PLAIN[:, None, None, :].expand(-1, 3, 1, 2)})


@pytest.mark.parametrize(
    ("changes", "t", "mask", "consistency"),
    [
        ({}, 500, [1, 1, 1, 0, 1], 0.240718),
        ({"cosine_threshold": 0.97}, 500, [1, 0, 1, 0, 1], 0.212131),
        ({"cosine_threshold": 1.0}, 500, [0, 0, 0, 0, 0], 0.0),
        ({"weight": 2.0}, 999, [1, 1, 1, 0, 1], 0.481436),
        ({}, 499, [0, 0, 0, 0, 0], 0.0),
        ({"warmup": 499}, 499, [1, 1, 1, 0, 1], 0.240718),
    ],
)
def test_losses_of_a_step(env, batch, models, changes, t, mask, consistency):
    """With (2, 0) and (0, 1) of this batch, the prototypes are (3, 1), (1, 2) and (-1, -1).

    Largest cosines .980581 .918484 .993884 .934488 .989949, of classes 0 1 2 0 1. The fourth image, (1.1, .9), is at a
    distance of 1.902630 from its prototype and of 1.104536 from class 1's. Without this batch the first cosine would be
    .942990 and the fifth .964764. Strong cross-entropies with the pseudo-labels .318175 .142932 .024745 - .717736.

    Mutual informations of plain and weak view .424460, plain and strong .332201, weak and strong .421972: a tenth of
    their mean is .039288, at every step.
    """
    losses, step = usadtm(env, **changes).step(batch._replace(t=torch.tensor(t)), models)
    assert step.targets.tolist() == torch.eye(3)[[0, 1, 2, 0, 1]].tolist()
    assert step.mask.int().tolist() == mask
    assert losses.keys() == {"supervised", "clustering", "consistency"}
    assert losses["supervised"].item() == pytest.approx(0.275269, abs=1e-6)
    assert losses["clustering"].item() == pytest.approx(-0.039288, abs=1e-6)
    assert losses["consistency"].item() == pytest.approx(consistency, abs=1e-6)


def test_cosine_equal_to_the_threshold_counts(env, batch, models):
    """The second image's cosine, .918484, is the smallest whose prototype is also the nearest."""
    learner = usadtm(env)
    _, step = learner.step(batch, models)
    cosines = cosine(step.out["weak"].features, learner.queue.prototypes(learner.after_push(step))).amax(-1)
    assert cosines[1].item() == pytest.approx(0.918484, abs=1e-6)
    _, step = usadtm(env, cosine_threshold=cosines[1].item()).step(batch, models)
    assert step.mask.int().tolist() == [1, 1, 1, 0, 1]


def test_clustering_weight_scales_the_clustering_loss(env, batch, models):
    losses, _ = usadtm(env, clustering_weight=0.4).step(batch._replace(t=torch.tensor(0)), models)
    assert losses["clustering"].item() == pytest.approx(-0.157151, abs=1e-6)


def test_queues_change_only_by_commit(env, batch, models):
    """The queues hold five features for each labeled image."""
    learner = usadtm(env)
    assert learner.queue.capacity.tolist() == [35, 10, 5]
    before = {name: buffer.clone() for name, buffer in learner.named_buffers()}
    assert {"queue.bank", "queue.head", "queue.size"} <= learner.state_dict().keys()
    _, step = learner.step(batch, models)
    assert all(torch.equal(buffer, before[name]) for name, buffer in learner.named_buffers())
    learner.commit(step)
    assert learner.queue.size.tolist() == [2, 2, 1]
    assert learner.queue.bank[[0, 1, 35, 36, 70]].tolist() == [[4, 2], [2, 0], [2, 3], [0, 1], [-1, -1]]


def test_queues_fill_during_warmup(env, batch, models):
    learner = usadtm(env)
    learner.commit(learner.step(batch._replace(t=torch.tensor(0)), models)[1])
    assert learner.queue.size.tolist() == [2, 2, 1]


def test_all_views_share_one_forward_pass(env, batch, models, forwards):
    """The features in the queues are the student's, from the same pass."""
    usadtm(env).step(batch, models)
    parts = (batch.x["weak"], batch.u["plain"], batch.u["weak"], batch.u["strong"])
    assert forwards == [("student", torch.cat(parts)[:, 0, 0].tolist(), True)]


def test_gradient_of_each_loss_by_view(env, batch, models):
    """The consistency loss has a gradient for the strong view alone, the clustering loss for all unlabeled views."""
    x = batch.x["weak"].float().requires_grad_(True)
    views = [x, *(batch.u[view].requires_grad_(True) for view in USADTM.views.u)]
    losses, step = usadtm(env).step(batch._replace(x={"weak": x}), models)
    assert not step.targets.requires_grad
    has_gradient = {
        name: [grad is not None and bool(grad.any()) for grad in grads]
        for name, loss in losses.items()
        for grads in [torch.autograd.grad(loss, views, retain_graph=True, allow_unused=True)]
    }
    assert has_gradient == {
        "supervised": [True, False, False, False],
        "clustering": [False, True, True, True],
        "consistency": [False, False, False, True],
    }


def test_losses_use_weights_of_addons(env, batch, models, first_image_only):
    """With the first images alone: log(1 + e^-2 + e^-4) / 2 and .318175 / 5."""
    losses, step = usadtm(env, first_image_only).step(batch, models)
    assert losses["supervised"].item() == pytest.approx(0.142932 / 2, abs=1e-6)
    assert losses["consistency"].item() == pytest.approx(0.063635, abs=1e-6)
    assert step.mask.int().tolist() == [1, 0, 0, 0, 0]


class Class1(AddOn):
    """Add-on that refines every pseudo-label to class 1 and counts its commits."""

    commits = 0

    def refine(self, probs, step):
        return torch.eye(3)[[1] * len(probs)], ()

    def commit(self, step, memo):
        self.commits += 1


def test_refined_pseudo_labels_must_be_the_nearest_prototype(env, batch, models):
    """Class 1 is nearest for the second, fourth and fifth image: losses .142932, 1.023909 and .717736."""
    addon = Class1()
    learner = usadtm(env, addon)
    losses, step = learner.step(batch, models)
    learner.commit(step)
    assert step.mask.int().tolist() == [0, 1, 0, 1, 1]
    assert losses["consistency"].item() == pytest.approx(1.884577 / 5, abs=1e-6)
    assert addon.commits == 1
    assert learner.queue.size.tolist() == [2, 2, 1]


def test_logits_are_adjusted_by_role(env, batch, models):
    losses, _ = usadtm(env).step(batch, models)
    for role in ("supervised", "consistency"):
        adjusted, _ = usadtm(env, LogitAdjustment(env, tau=1.0, roles=[role])).step(batch, models)
        assert [name for name in losses if adjusted[name] != losses[name]] == [role]
