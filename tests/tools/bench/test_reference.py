"""The engine against the reference of FixMatch, LA and DASO, which shares only the network with it."""

import pytest
import torch

from daso.errors import ParamsError
from daso.planning.synthetic import trainer
from tests.configs import CPU, DASO, SMALL, WIDE, config
from tools.bench.reference import FeatureQueue, Reference

LA = {"name": "logit_adjustment", "tau": 1.0, "roles": ["supervised"]}
FEATURES = {"name": "timm", "train": "head", "neck": 8}  # a network that is never built


def train_both(network, addons, steps):
    """Train the engine and the reference on the same batches; return both, and their losses by step."""
    run = trainer(config(*addons, network=network), CPU, "eager")
    reference = Reference(config(*addons, network=network), CPU, run.data.labeled.counts(4))
    engine_losses, reference_losses = [], []
    for t in range(steps):
        (chunk,) = run.loader.chunks(t, t + 1)
        batch = run.loader.batch(chunk, torch.zeros(1, dtype=torch.long))
        reference.step(batch.x["weak"], batch.y, batch.u["weak"], batch.u["strong"])
        run.advance(t + 1)
        engine_losses.append({name.removeprefix("loss_"): value for name, value in run.monitor.drain().items()})
        reference_losses.append(reference.log)
    return run, reference, engine_losses, reference_losses


@pytest.mark.parametrize("addons", [(), (DASO,), (LA, DASO)], ids=["fixmatch", "fixmatch_daso", "fixmatch_la_daso"])
@pytest.mark.parametrize(
    ("network", "steps", "rel"),
    [(SMALL, 8, 1e-6), (WIDE, 5, 1e-4), (FEATURES, 8, 1e-5)],
    ids=["small_convnet", "wide_resnet", "features"],
)
def test_losses_and_weights_equal_the_engine(network, steps, rel, addons):
    """Both start from the seed. DASO blends from the third step on and restarts its count of pseudo-labels after every
    second; its queues of 12 are full after some steps of 16 labels of four classes. The wide network has another memory
    format than the reference's, so rounding differs. If it changes the sign of a LeakyReLU's input, a gradient changes,
    and such differences grow with every step."""
    run, reference, engine_losses, reference_losses = train_both(network, addons, steps)
    for one, other in zip(engine_losses, reference_losses, strict=True):
        assert {name: one[name] for name in other} == pytest.approx(other, rel=rel)
        assert one.get("alignment", 0) == pytest.approx(other.get("alignment", 0), rel=rel)
    for network, expected in ((run.models.student, reference.model), (run.models.teacher, reference.ema)):
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                assert torch.allclose(tensor, expected.state_dict()[name], rtol=0, atol=10 * rel), name


def test_comparison_covers_every_part_of_the_method():
    """Some pseudo-labels are above the threshold and some below, queues are full, shares of classes differ."""
    _, reference, _, reference_losses = train_both(SMALL, (DASO,), 8)
    masks = [row["mask_rate"] for row in reference_losses]
    assert sum(0 < mask < 1 for mask in masks[2:]) >= 3
    assert reference_losses[-1]["consistency"] > 0
    assert reference_losses[-1]["alignment"] > 0
    assert [len(features) for features in reference.queue.features] == [12] * 4
    assert len(reference.distribution.unique()) > 1
    assert float(reference.distribution.sum()) == pytest.approx(1)


def test_queue_keeps_the_newest_features_of_a_class():
    """Class 0 with capacity 2 gets 1, 3, then 5: it keeps 3 and 5, with mean 4. Class 1 gets nothing."""
    queue = FeatureQueue(2, 1, 2, CPU)
    queue.enqueue(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0]))
    assert queue.prototypes.tolist() == [[2.0], [0.0]]
    queue.enqueue(torch.tensor([[5.0]]), torch.tensor([0]))
    assert queue.features[0].tolist() == [[3.0], [5.0]]
    assert queue.prototypes.tolist() == [[4.0], [0.0]]


def test_other_methods_are_refused():
    with pytest.raises(ParamsError, match="the reference implements fixmatch"):
        Reference(config({"name": "boss"}), CPU)
