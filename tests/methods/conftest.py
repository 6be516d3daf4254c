"""Fixtures small enough for computations by hand: the "images" are two-dimensional features."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from daso.draw import Draw
from daso.methods.addons.daso import DASO
from daso.methods.base import AddOn
from daso.methods.learners.fixmatch import FixMatch
from daso.models.network import Encoder, Models, Network
from daso.records import Batch, Env, Role, Step

Forward = tuple[str, list[list[float]], bool]


class Identity(Encoder):
    """Return the first channel of images (n, 3, 1, 2) as features (n, 2)."""

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
    return Env(
        num_classes=3,
        feature_dim=2,
        counts=(7, 2, 1),
        labeled=10,
        unlabeled=50,
        batch_size=2,
        steps=1000,
        labels=(0,) * 7 + (1,) * 2 + (2,),
    )


@pytest.fixture
def batch() -> Batch:
    """Return labeled features (2, 0), (0, 1) of classes 0 and 1, and five unlabeled images."""
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


DASO_OPTIONS = {
    **{"proto_temperature": 0.05, "dist_temperature": 1.5, "queue_length": 1, "period": 10, "warmup": 100},
    **{"weight": 1.0, "blend": "distribution", "queue_encoder": "teacher", "queue_capacity": "equal"},
}


def fixmatch(env: Env, *addons: AddOn, **changes: Any) -> FixMatch:
    return FixMatch(env, addons, **({"threshold": 0.95, "weight": 1.0, "confidence": "refined"} | changes))


def daso(env: Env, **changes: Any) -> DASO:
    """Return DASO without alignment, with fixed prototypes and a published histogram of (6, 3, 1)."""
    addon = DASO(env, **(DASO_OPTIONS | {"weight": 0.0} | changes))
    addon.histogram.published.copy_(torch.tensor([6, 3, 1]))
    addon.queue.prototypes = lambda queue: torch.tensor([[1.0, 0], [0.6, 0.8], [0, -1]])
    return addon


class FixedDraw(Draw):
    """Fixed random numbers: the partners in mixup, the rotations of images."""

    def permutation(self, n: int) -> Tensor:
        return torch.tensor({9: [4, 2, 6, 0, 8, 3, 1, 5, 7], 12: [4, 9, 6, 0, 11, 3, 1, 5, 7, 10, 2, 8]}[n])

    def integers(self, high: int, *shape: int) -> Tensor:
        return torch.tensor([1, 0, 3])


class BatchNormEncoder(Encoder):
    """Return the top row of images (n, 3, H, 2) after batch norm as features (n, 2)."""

    feature_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(images)[:, 0, 0, :]


@pytest.fixture
def batch_norm_models(models: Models) -> Models:
    """Return the same networks with batch norm before the features, and with a rotation head."""
    networks = []
    for network in models:
        networks.append(Network(BatchNormEncoder(), 3, {"rotation": 4}))
        networks[-1].classifier.load_state_dict(network.classifier.state_dict())
    return Models(*networks)


@pytest.fixture
def mixed_batch() -> Batch:
    """Return three labeled images, one of each class, and three unlabeled ones; all have 2 x 2 pixels.

    The top row is the feature. `FixedDraw` gives partners in mixup, and rotations by 1, 0 and 3 right angles.
    """

    def squares(features: list[list[float]], below: list[list[float]] | None = None) -> Tensor:
        rows = torch.stack([torch.tensor(features), torch.tensor(below or [[0.0, 0]] * 3)], 1)
        return rows[:, None].expand(-1, 3, 2, 2)

    return Batch(
        t=torch.tensor(500),
        x={"weak": squares([[2.0, 0], [0, 1], [-1, -2]])},
        y=torch.arange(3),
        x_index=torch.arange(3),
        u={
            "weak": squares([[1.1, 0.9], [1, 3], [-1, -0.5]]),
            "weak2": squares([[1.5, 0.2], [0.5, 1], [0, -1]]),
            "strong": squares([[1, 0.5], [0.5, 2], [-1, 0.5]], [[2, -1], [1, 0], [0.5, 1]]),
            "strong2": squares([[1.5, 1], [0, 2], [-0.5, -2]]),
        },
        u_index=torch.arange(3),
        draw=FixedDraw(0, "step", torch.tensor(500)),
    )


@pytest.fixture
def forwards(models: Models) -> list[Forward]:
    """Record every forward pass of the networks: the network's name, the features, True if with gradient."""
    calls: list[Forward] = []
    for name, network in zip(models._fields, models, strict=True):

        def record(_: nn.Module, inputs: tuple[Tensor], name: str = name) -> None:
            calls.append((name, inputs[0][:, 0, 0].tolist(), torch.is_grad_enabled()))

        network.register_forward_pre_hook(record)
    return calls


class FirstImageOnly(AddOn):
    """Weight 1 for the first image of the labeled and of the unlabeled batch, 0 for all others."""

    def weigh(self, weights: Tensor, role: Role, step: Step) -> Tensor:
        return weights * (torch.arange(len(weights)) == 0)


@pytest.fixture
def first_image_only() -> AddOn:
    return FirstImageOnly()
