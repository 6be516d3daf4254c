"""Training on features: their standardisation, and the network that begins with them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daso.models.network import Encoder
from daso.schema import PositiveInt

NORM = 5.0  # of standardised features
COSINE_SCALE = 25.0  # of the logits of a cosine classifier (Huang et al. 2025)
TYPICAL_DIM = 1280  # of the features before they are known


def standardise(features: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return features (..., D) with the statistics (D,) of the training images removed, scaled to the norm 5."""
    return NORM * F.normalize((features.float() - mean) / std, dim=-1)


class FeatureEncoder(Encoder):
    """Encoder of features (n, D) that a frozen network has computed: the features, or `neck` outputs of a layer on top.

    The neck is linear with LeakyReLU(0.1). Without it no weight is trained below the heads.
    """

    def __init__(self, dim: int, *, neck: PositiveInt | None = None) -> None:
        super().__init__()
        self.neck = nn.Identity() if neck is None else nn.Sequential(nn.Linear(dim, neck), nn.LeakyReLU(0.1))
        self.feature_dim = neck or dim

    def forward(self, features: Tensor) -> Tensor:
        """Compute features: (n, D) -> (n, neck)."""
        result: Tensor = self.neck(features)
        return result


class CosineClassifier(nn.Linear):
    """Classifier whose logits are 25 times the cosines of features and class weights; it has no biases."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(features, classes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Compute logits: (n, D) -> (n, K)."""
        return COSINE_SCALE * F.linear(F.normalize(features, dim=-1), F.normalize(self.weight, dim=-1))

    @torch.no_grad()
    def start_at_means(self, features: Tensor, labels: Tensor) -> None:
        """Set the weights to the mean unit feature of each class, of length one; a class without images keeps its own.

        Features (n, D) and labels (n,) are on the CPU.
        """
        units = F.normalize(features.double(), dim=-1)
        sums = torch.zeros(self.weight.shape, dtype=torch.float64).index_add_(0, labels, units)
        empty = torch.bincount(labels, minlength=self.out_features) == 0
        means = F.normalize(sums, dim=-1).to(self.weight)
        self.weight.copy_(torch.where(empty.to(self.weight.device)[:, None], self.weight, means))
