"""Logit adjustment (Menon et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from daso.methods.base import AddOn
from daso.records import Env, Role, Step


class LogitAdjustment(AddOn):
    """Training roles add the log prior of the labeled set, answering roles take it away (Menon et al. 2021, Eq. 9, 10).

    With `roles: [supervised]` the network is trained to give balanced logits as they are; with `roles: [eval]` those of
    an ordinary network are balanced after the fact.
    """

    log_prior: Tensor

    def __init__(
        self, env: Env, *, tau: float, roles: Sequence[Literal["supervised", "guess", "consistency", "eval"]]
    ) -> None:
        super().__init__()
        self.tau, self.roles = tau, frozenset(Role(role) for role in roles)
        counts = torch.tensor(env.counts, dtype=torch.float64)
        self.register_buffer("log_prior", (counts / counts.sum()).log().float(), persistent=False)

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Logits (n, K) + tau log pi for training roles, - tau log pi for answering ones."""
        sign = 1 if role in (Role.SUPERVISED, Role.CONSISTENCY) else -1
        return logits + sign * self.tau * self.log_prior if role in self.roles else logits
