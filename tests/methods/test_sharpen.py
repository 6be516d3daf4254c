import pytest
import torch

from daso.methods.addons.sharpen import Sharpen


def test_sharpening_raises_probabilities_to_the_inverse_temperature(env):
    """Temperature 1/2 gives the squares .25 .09 .04 over their sum, .38; uniform rows stay uniform."""
    rows = torch.tensor([[0.5, 0.3, 0.2], [1 / 3] * 3])
    refined, memo = Sharpen(env, temperature=0.5).refine(rows, None)
    assert refined[0].tolist() == pytest.approx([0.657895, 0.236842, 0.105263], abs=1e-6)
    assert refined[1].tolist() == pytest.approx([1 / 3] * 3)
    assert memo == ()
