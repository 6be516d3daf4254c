"""Logit adjustment (Menon et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from daso.methods.base import AddOn, Trained
from daso.records import Env, Role, Step


class LogitAdjustment(AddOn):
    """Logit adjustment by the log prior: added in losses, subtracted in predictions (Menon et al. 2021, Eq. 9, 10).

    The prior is the class distribution of the labeled set. With `roles: [supervised]` the network is trained to give
    balanced logits; with `roles: [eval]` the logits of an ordinary network are balanced after training. If a plan has
    enlarged the labeled set, the roles of training use the prior of the enlarged set and evaluation uses the prior of
    the drawn set.
    """

    log_prior: Tensor
    drawn_log_prior: Tensor

    def __init__(
        self, env: Env, *, tau: float, roles: Sequence[Literal["supervised", "pseudo_label", "consistency", "eval"]]
    ) -> None:
        super().__init__()
        self.tau = tau
        self.adjusts = frozenset(roles)
        self.assumed_tau = tau * (("supervised" in roles) + ("eval" in roles)) or None
        self.balanced_predictions = "supervised" in roles or "eval" in roles
        self.register_buffer("log_prior", log_shares(env.counts), persistent=False)  # (K,)
        self.register_buffer("drawn_log_prior", log_shares(env.drawn_counts or env.counts), persistent=False)  # (K,)

    @classmethod
    def evaluation_shift(cls, options: Mapping[str, Any], trained: Trained) -> Tensor | None:
        """Return - tau log pi (K,) of the drawn labeled images with the role `eval`."""
        return -options["tau"] * log_shares(trained.counts) if "eval" in options["roles"] else None

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Return logits (n, K) + tau log pi for losses (supervised, consistency), - tau log pi for predictions."""
        sign = 1 if role in (Role.SUPERVISED, Role.CONSISTENCY) else -1
        prior = self.drawn_log_prior if role is Role.EVAL else self.log_prior
        return logits + sign * self.tau * prior if role.value in self.adjusts else logits


def log_shares(counts: Sequence[int]) -> Tensor:
    """Return the logarithm (K,) of the share of each class."""
    sizes = torch.tensor(counts, dtype=torch.float64)
    return (sizes / sizes.sum()).log().float()
