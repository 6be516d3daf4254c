"""Heads that are projections of features or of the weights of another head."""

import pytest
import torch

from daso.models.network import Network, Projection
from tests.methods.conftest import Identity, as_images

HEADS = {"balanced": 3, "projection": Projection(1, 1), "centres": Projection(1, 1, "balanced")}


def network():
    """Return a network of two features, whose projections have the hidden unit x + y and the output 2 relu + 1/2."""
    result = Network(Identity(), 3, HEADS)
    with torch.no_grad():
        for name in ("projection", "centres"):
            first, _, _, last = result.heads[name]
            first.weight.fill_(1.0)
            last.weight.fill_(2.0)
            last.bias.fill_(0.5)
        result.heads["balanced"].weight.copy_(torch.tensor([[1.0, 1], [2, 2], [3, 3]]))
    return result


def test_projection_has_batch_norm_before_relu():
    """1 + 0 and 1 + 2 are -1 and 1 after batch norm, 0 and 1 after ReLU: .5 and 2.5.

    The running mean is .1 x 2, the running variance .9 + .1 x 2; in evaluation 3 gives 2 (3 - .2) / sqrt(1.1) + .5.
    """
    model = network()
    out = model(as_images([[1.0, 0], [1, 2]])).heads["projection"]
    assert out.flatten().tolist() == pytest.approx([0.5, 2.5], abs=1e-4)
    norm = model.heads["projection"][1]
    assert [float(norm.running_mean), float(norm.running_var)] == pytest.approx([0.2, 1.1])
    assert int(norm.num_batches_tracked) == 0
    evaluated = model.eval()(as_images([[1.0, 2]])).heads["projection"]
    assert evaluated.flatten().tolist() == pytest.approx([5.839394], abs=1e-4)


def test_projection_of_classes_maps_the_weights_of_a_head():
    """Rows 2, 4 and 6 of mean 4 and variance 8/3: the last is 2 / sqrt(8/3) = 1.224745, so 2.949490."""
    model = network()
    assert model(as_images([[1.0, 0], [1, 2]])).heads.keys() == {"balanced", "projection"}
    centres = model.project_classes("centres")
    assert centres.flatten().tolist() == pytest.approx([0.5, 0.5, 2.949490], abs=1e-4)
    centres[2].square().sum().backward()
    assert model.heads["balanced"].weight.grad.abs().sum() > 0
    assert model.heads["projection"][0].weight.grad is None
