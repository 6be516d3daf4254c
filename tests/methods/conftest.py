"""A world small enough to work out by hand: the "images" are two-dimensional features already."""

import pytest
import torch
from torch import Tensor

from daso.draw import Draw
from daso.models.network import Encoder, Models, Network
from daso.records import Batch, Env


class Identity(Encoder):
    """Images (n, 3, 1, 2) whose first channel is the feature vector."""

    feature_dim = 2

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :]


def as_images(features: list[list[float]]) -> Tensor:
    return torch.tensor(features)[:, None, None, :].expand(-1, 3, 1, 2)


@pytest.fixture
def models() -> Models:
    networks = []
    for _ in range(2):
        network = Network(Identity(), 3, {})
        with torch.no_grad():
            network.classifier.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [-1, -1]]))
            network.classifier.bias.zero_()
        networks.append(network)
    return Models(*networks)


@pytest.fixture
def env() -> Env:
    return Env(num_classes=3, feature_dim=2, counts=(7, 2, 1), labeled=10, unlabeled=50, batch_size=2, steps=1000)


@pytest.fixture
def batch() -> Batch:
    """Labeled features (2, 0), (0, 1) of classes 0 and 1, and five unlabeled images."""
    return Batch(
        t=torch.tensor(500),
        x={"weak": as_images([[2, 0], [0, 1]])},
        y=torch.tensor([0, 1]),
        x_index=torch.arange(2),
        u={
            "weak": as_images([[4, 0.5], [0.2, 3.5], [-2, -2.5], [1.1, 0.9], [1, 3]]),
            "strong": as_images([[2, 1], [0, 2], [-1, -2], [1, 0.5], [1, 1]]),
        },
        u_index=torch.arange(5),
        draw=Draw(0, "step", torch.tensor(500)),
    )
