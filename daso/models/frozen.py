"""An encoder that learned elsewhere and learns no more (Kang et al. 2020, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from daso.errors import CheckpointError
from daso.models.network import Network

PREFIX = "encoder."


def take_encoder(network: Network, weights: Mapping[str, Tensor]) -> None:
    """Copy the encoder of a network's state dict and stop its gradients; classifier and heads stay as they are.

    Raises CheckpointError when it is the encoder of another architecture.
    """
    encoder = {name.removeprefix(PREFIX): tensor for name, tensor in weights.items() if name.startswith(PREFIX)}
    try:
        network.encoder.load_state_dict(encoder)
    except RuntimeError as error:
        raise CheckpointError(f"the encoder to be kept is of another network: {error}") from error
    network.encoder.requires_grad_(False)


def hold_statistics(network: Network, bn: Literal["eval", "train"]) -> None:
    """Say what a training forward does with the batch norms of a frozen encoder; to be called after `train()`.

    `eval`: they use and keep their running statistics. `train`: they use those of the batch and follow them, as in the
    code of Oh et al. 2022, where nobody had told them not to.
    """
    for module in network.encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(bn == "train")
