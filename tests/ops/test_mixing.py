import pytest
import torch

from daso.draw import Draw
from daso.ops.mixing import interleave, mixing_weights, mixup, rotate

DRAW = Draw(0, "step", torch.tensor(7))


class FixedDraw(Draw):
    """Draw whose permutation is 2 0 1."""

    def permutation(self, n):
        return torch.tensor([2, 0, 1])


@pytest.mark.parametrize(
    ("alpha", "share"),
    [
        (0.5, lambda w: 2 / torch.pi * w.sqrt().asin()),  # the arcsine law
        (1.0, lambda w: w),
        (2.0, lambda w: 3 * w**2 - 2 * w**3),
    ],
)
def test_mixing_weights_by_their_distribution_function(alpha, share):
    """F(weight) is max(u, 1 - u) for the uniform random number u."""
    draw = Draw(0, "mix", torch.arange(1000))
    drawn = draw.uniform(1)[:, 0].double()
    weights = mixing_weights(alpha, draw)
    assert weights.shape == (1000,)
    assert share(weights.double()).tolist() == pytest.approx(torch.maximum(drawn, 1 - drawn).tolist(), abs=1e-3)
    assert weights.min() >= 0.5
    assert weights.max() <= 1


def test_mixing_weights_of_remixmatch():
    """Beta(3/4, 3/4) has the variance 1 / (4 (2 alpha + 1)) = .1, so the mean of (2 w - 1)^2 is .4, folded or not."""
    weights = mixing_weights(0.75, Draw(0, "mix", torch.arange(100_000)))
    assert (2 * weights - 1).square().mean().item() == pytest.approx(0.4, abs=5e-3)


def test_mixing_weights_depend_on_seed_and_step():
    table = mixing_weights(0.75, Draw(0, "mix", torch.arange(50)))
    assert torch.equal(mixing_weights(0.75, Draw(0, "mix", torch.arange(20, 30))), table[20:30])
    assert not torch.equal(mixing_weights(0.75, Draw(1, "mix", torch.arange(50))), table)


def test_mixup_weights_image_and_partner():
    """3/4 of a row and 1/4 of its partner: .75 * 0 + .25 * 8 = 2, .75 * 4 + .25 * 0 = 3, .75 * 8 + .25 * 4 = 7."""
    images = torch.tensor([0.0, 4, 8])[:, None, None, None].expand(3, 3, 2, 2)
    mixed, labels = mixup(images, torch.eye(3), torch.tensor(0.75), FixedDraw(*DRAW))
    assert mixed[:, 1, 1, 0].tolist() == [2, 3, 7]
    assert mixed.shape == (3, 3, 2, 2)
    assert labels.tolist() == [[0.75, 0, 0.25], [0.25, 0.75, 0], [0, 0.25, 0.75]]


def test_interleave_exchanges_groups_with_the_first_chunk():
    """Chunks of 8 in groups bounded by 0 2 5 8; group i of the first is exchanged with group i of chunk i."""
    rows = torch.arange(24)
    mixed = interleave(rows, 8)
    assert mixed.view(3, 8).tolist() == [
        [0, 1, 10, 11, 12, 21, 22, 23],
        [8, 9, 2, 3, 4, 13, 14, 15],
        [16, 17, 18, 19, 20, 5, 6, 7],
    ]
    assert torch.equal(interleave(mixed, 8), rows)


@pytest.mark.parametrize(("n", "bounds"), [(3, [0, 21, 42, 64]), (4, [0, 16, 32, 48, 64])])
def test_interleave_groups_of_the_papers_batches(n, bounds):
    """In the first interleaved chunk, the source chunk of the rows changes at the bounds alone."""
    source = interleave(torch.arange(n * 64), 64)[:64] // 64
    assert source.bincount().tolist() == [high - low for low, high in zip(bounds, bounds[1:], strict=False)]
    assert source.diff().ge(0).all()


def test_rotation_turns_counterclockwise():
    """The top row is the right column after one turn, the reversed lower row after two, the left column after three."""
    images = torch.tensor([[1.0, 2], [3, 4]]).expand(64, 3, 2, 2)
    rotated, turns = rotate(images, DRAW)
    expected = torch.tensor([[[1, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]])
    assert torch.equal(rotated[:, 2], expected[turns].float())
    assert torch.equal(rotated[:, 0], rotated[:, 2])
    assert turns.bincount(minlength=4).min() > 5  # the number of turns differs between images
    assert turns.dtype == torch.long


def test_rotation_equals_rot90_of_each_image():
    images = torch.arange(5 * 3 * 3 * 3).view(5, 3, 3, 3).float()
    rotated, turns = rotate(images, DRAW)
    for image, result, k in zip(images, rotated, turns.tolist(), strict=True):
        assert torch.equal(result, torch.rot90(image, k, (1, 2)))
