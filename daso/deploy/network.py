"""Network of a model: from pixels to calibrated probabilities, and how unlike the labeled images an image is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from daso.models.features import standardise
from daso.models.network import Encoder, Preprocessing
from daso.ops.similarity import cosine


class Classifier(nn.Module):
    """Model that averages the logits of its members, one for each seed: uint8 (n, 3, T, T) -> (n, K), (n,).

    On features of a frozen network the members share `encoder`, and their own encoders are what was trained on top;
    otherwise `encoder` is None and each member encodes the pixels. Both outputs are float32: probabilities, and 1 - the
    largest cosine of the features to those of the labeled images. These are the features of the frozen network before
    they are standardised, which hides what is unlike all images, or of the first member.
    """

    pixel_mean: Tensor
    pixel_std: Tensor
    mean: Tensor
    std: Tensor
    labeled: Tensor

    def __init__(
        self,
        encoder: Encoder | None,
        members: Sequence[tuple[Encoder, nn.Module]],
        preprocessing: Preprocessing,
        statistics: tuple[Tensor, Tensor] | None,  # mean and deviation (D,) by which features are standardised
        labeled: Tensor,  # features float16 (N, D) of the labeled images
        temperature: float,
    ) -> None:
        super().__init__()
        self.encoder, self.temperature = encoder, temperature
        self.encoders = nn.ModuleList(member for member, _ in members)
        self.classifiers = nn.ModuleList(classifier for _, classifier in members)
        for name in ("mean", "std"):
            channels = torch.tensor(getattr(preprocessing, name), dtype=torch.float32).view(3, 1, 1)
            self.register_buffer(f"pixel_{name}", channels)
        for name, values in zip(("mean", "std"), statistics or (torch.zeros(1), torch.ones(1)), strict=True):
            self.register_buffer(name, values)
        self.register_buffer("labeled", labeled)
        first = encoder or members[0][0]
        layout, self.license = first.layout, first.license  # of the pretrained weights
        self.eval().requires_grad_(False).to(memory_format=layout)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (n, K) and `unlike` (n,) of RGB images."""
        pixels = (images.float() / 255 - self.pixel_mean) / self.pixel_std
        if self.encoder is None:
            features = [encoder(pixels) for encoder in self.encoders]
            compared = features[0]
        else:  # rounded to 16 bits before and after, as features are for training
            compared = self.encoder(pixels).half().float()
            inputs = standardise(compared, self.mean, self.std).half().float()
            features = [encoder(inputs) for encoder in self.encoders]
        pairs = zip(self.classifiers, features, strict=True)
        logits = torch.stack([classifier(each) for classifier, each in pairs]).mean(0)
        probabilities = (logits / self.temperature).softmax(-1)
        return probabilities, (1 - cosine(compared, self.labeled.float()).amax(1)).clamp(min=0)
