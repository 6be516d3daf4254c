"""Compare the contrastive losses of CCL with numbers computed independently, for two classes."""

import pytest
import torch
import torch.nn.functional as F

from daso.ops.contrast import propagate, reliable_logits, reliable_loss, smoothed_labels, smoothed_loss
from daso.ops.distributions import sharpen


def unit(rows):
    return F.normalize(torch.tensor(rows), dim=-1)


LABELED = [[1.0, 0], [0, 1], [0.8, 0.6], [0.6, 0.8]]  # of classes 0, 1, 0, 1
SUPPORT = unit([[1.0, 0.2], [0.2, 1], *LABELED])  # the first two are the centres
WEAK = unit([[0.9, 0.1], [0.3, 0.7], [1, 1]])
STRONG = unit([[0.8, 0.2], [0.4, 0.6], [1, 0.9]]), unit([[0.95, 0.05], [0.2, 0.8], [0.9, 1]])
RELIABLE, TARGETS = unit([[0.9, 0.2], [0.1, 0.9]]), [[0.9, 0.1], [0.2, 0.8]]
ONES, IDENTITY = [[1.0, 1], [1, 1]], [[1.0, 0], [0, 1]]


def labels(centres):
    return torch.tensor([*centres, *IDENTITY, *IDENTITY])


@pytest.mark.parametrize(
    ("centres", "rows"),
    [
        (ONES, [0.651734, 0.348266, 0.377378, 0.622622, 0.500609, 0.499391]),
        (IDENTITY, [0.902317, 0.097683, 0.192757, 0.807243, 0.502929, 0.497071]),
    ],
)
def test_smoothed_labels(centres, rows):
    result = smoothed_labels(WEAK, SUPPORT, labels(centres))
    assert result.flatten().tolist() == pytest.approx(rows, abs=1e-5)
    assert result.sum(-1).tolist() == pytest.approx([1.0] * 3, abs=1e-6)


def test_similarities_are_means_over_the_rows_of_a_class():
    """Three equal rows, two of class 0, one of class 1: the mean similarities are equal, their sums would be 2 to 1."""
    row = unit([[0.6, 0.8]])
    rows = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    assert smoothed_labels(row, row.expand(3, 2), rows)[0].tolist() == pytest.approx([0.5, 0.5], abs=1e-6)


def test_graph_of_similar_images():
    graph = (WEAK @ WEAK.T).softmax(-1)
    rows = [0.415710, 0.250385, 0.333905, 0.237758, 0.394745, 0.367497, 0.293767, 0.340494, 0.365739]
    assert graph.flatten().tolist() == pytest.approx(rows, abs=1e-5)


def test_neumann_series_equals_the_inverse_within_1e_8():
    """The error is close to the bound: a graph without off-diagonal entries has only the eigenvalue 1."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.rand(50, 7, generator=generator, dtype=torch.float64).softmax(-1)
    eye = torch.eye(50, dtype=torch.float64)
    for graph in (torch.rand(50, 50, generator=generator, dtype=torch.float64).softmax(-1), eye):
        exact = torch.linalg.inv(eye - 0.2 * graph) @ (0.8 * shares)
        error = float((propagate(shares, graph) - exact).abs().max())
        assert error < 1e-8
    assert error > 1e-10  # The bound is tight: fewer terms would exceed 1e-8 for a share of 1.


def test_smoothed_loss_has_three_terms():
    """Cross-entropies .411078 and .311900 with the sharpened weak view, and the entropy .521711 of the mean."""
    weak, first, second = (smoothed_labels(view, SUPPORT, labels(IDENTITY)) for view in (WEAK, *STRONG))
    target = sharpen(weak, 1 / 4)
    assert float(smoothed_loss(target, first, second)) == pytest.approx(0.414897, abs=1e-5)
    assert float(3 * smoothed_loss(target, first, first)) == pytest.approx(
        2 * 0.411078 - float((first * first.log()).sum(-1).mean()), abs=1e-5
    )


@pytest.mark.parametrize(
    ("centres", "loss", "logits"),
    [(ONES, 0.539535, [9.100923, 8.328580]), (IDENTITY, 0.420911, [9.380314, 6.312180])],
)
def test_reliable_loss_compares_each_row_with_all_others(centres, loss, logits):
    features, rows = torch.cat([SUPPORT, RELIABLE]), torch.cat([labels(centres), torch.tensor(TARGETS)])
    assert reliable_logits(features, rows, 2)[0].tolist() == pytest.approx(logits, abs=1e-5)
    assert float(reliable_loss(features, rows, torch.ones(8), 2)) == pytest.approx(loss, abs=1e-5)


def test_class_without_an_included_image_leaves_gradients_finite():
    """The centre of class 1 is then the only row of its class, so it has no density of its own."""
    features = torch.cat([SUPPORT[[0, 1, 2, 4]], RELIABLE]).requires_grad_()
    rows = torch.cat([labels(IDENTITY)[[0, 1, 2, 4]], torch.tensor(TARGETS)])
    loss = reliable_loss(features, rows, torch.tensor([1.0, 1, 1, 1, 0, 0]), 2)
    loss.backward()
    assert loss.isfinite() and features.grad.isfinite().all()
    assert features.grad[1].any()  # both images of class 0 are compared with it


def test_rows_that_are_not_included_change_nothing():
    """As if they were left out, whatever their features and labels are; their gradients are zero."""
    features = torch.cat([SUPPORT, RELIABLE, unit([[1.0, -1], [-1, 3]])]).requires_grad_()
    rows = torch.cat([labels(IDENTITY), torch.tensor([*TARGETS, [0.5, 0.5], [1.0, 0]])])
    loss = reliable_loss(features, rows, torch.tensor([1.0] * 8 + [0, 0]), 2)
    assert float(loss.detach()) == pytest.approx(0.420911, abs=1e-5)
    loss.backward()
    assert features.grad.isfinite().all()
    assert not features.grad[8:].any()
    assert features.grad[:2].any()  # the centres are trained
