"""ADELLO: flexible distribution alignment and complementary distillation (Sanchez Aimar et al. 2024); UDAL."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from daso.methods.base import AddOn, Refine, labeled_copy_mask
from daso.methods.memory import RunningPrior
from daso.ops.distributions import shares
from daso.ops.losses import masked_mean, soft_cross_entropy
from daso.records import Env, Losses, Role, Step
from daso.schema import NonNegative, NonNegativeSteps, Positive, Probability, ShareBelowOne

LOG_OFFSET = 1e-9  # added to shares before the logarithm, as in the authors' code


class ADELLO(AddOn):
    """ADELLO: flexible distribution alignment, and distillation below the threshold (Sanchez Aimar et al. 2024).

    Q is the running mean of the network's predictions on weak views; copies of labeled images do not count. The target
    of step t is Q to the power alpha = 1 - (1 - `alpha_min`) (t / steps)^2, scaled to sum to one: it slides from Q to a
    nearly uniform distribution. The log of prior over target is added to the logits of both losses (FlexDA); the prior
    is that of the labeled images, pi, in the labeled loss and Q in the unlabeled one. All use Q before the step.

    From step `warmup` on, the strong view of an image below the threshold is trained on the soft prediction of its weak
    view (CCR), with factor `weight`. Both have the same `temperature`: a number, or exp KL(uniform || Q), `estimated`
    once, in step `warmup`, with Q after its batch. If the learner has two strong views, the first one is trained.

    With `prior: labeled` the target is a power of pi instead of Q, which is right if labeled and unlabeled classes have
    the same distribution: UDAL (Lazarow et al. 2023). Q remains the prior of the unlabeled loss, as in the code of
    Sanchez Aimar et al. 2024; that of Lazarow et al. 2023 has not been compared.
    """

    adjusts = frozenset({"supervised", "consistency"})
    balanced_predictions = True
    labeled: Tensor
    copies: Tensor
    temperature: Tensor

    def __init__(
        self,
        env: Env,
        *,
        prior: Literal["unlabeled", "labeled"],
        momentum: ShareBelowOne,
        alpha_min: Probability,
        weight: NonNegative,
        warmup: NonNegativeSteps,
        temperature: Literal["estimated"] | Positive,
    ) -> None:
        super().__init__()
        self.prior, self.alpha_min, self.steps = prior, alpha_min, env.steps
        self.weight, self.warmup, self.estimated = weight, warmup, temperature == "estimated"
        # Only learners that provide "labeled" and "strong" have a threshold.
        self.needs = frozenset({"labeled", "weak", "strong"} if weight else {"weak"})
        self.mean = RunningPrior(env.num_classes, momentum)  # Q
        self.register_buffer("temperature", torch.tensor(1.0 if temperature == "estimated" else float(temperature)))
        self.register_buffer("labeled", shares(env.counts), persistent=False)  # pi, (K,)
        self.register_buffer("copies", labeled_copy_mask(env), persistent=False)  # (M,)

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Return logits (n, K) + log pi / target for the labeled loss, + log Q / target for the unlabeled one."""
        if role is Role.SUPERVISED:
            return logits + self.shift(self.labeled, step.batch.t)
        if role is Role.CONSISTENCY:
            return logits + self.shift(self.mean.shares, step.batch.t)
        return logits

    def shift(self, prior: Tensor, t: Tensor) -> Tensor:
        """Return the log (K,) of a prior (K,) over the target of step t ()."""
        alpha = 1 - (1 - self.alpha_min) * (t / self.steps) ** 2  # fidelity: adello-alpha
        powers = (self.labeled if self.prior == "labeled" else self.mean.shares) ** alpha
        return ((prior + LOG_OFFSET) / (powers / powers.sum() + LOG_OFFSET)).log()

    def losses(self, step: Step, memo: Any, refine: Refine) -> Losses:
        """Return the cross-entropy of strong views with the predictions on weak views below the threshold."""
        if not self.weight:
            return {}
        temperature = self.updated_temperature(step)
        strong = self.adjust(step.out["strong"].logits, Role.CONSISTENCY, step) / temperature
        target = (step.out["weak"].logits.detach() / temperature).softmax(-1)
        loss = masked_mean(soft_cross_entropy(strong, target), ~step.mask)
        return {"distillation": self.weight * (step.batch.t >= self.warmup) * loss}

    def commit(self, step: Step, memo: Any) -> None:
        """Write Q with this batch, and the temperature."""
        self.temperature.copy_(self.updated_temperature(step))
        self.mean.commit(self.updated_mean(step))

    @torch.no_grad()
    def updated_mean(self, step: Step) -> Tensor:
        """Return Q (K,) after this batch; writes no state."""
        counted = ~self.copies[step.batch.u_index]
        return self.mean.updated((step.out["weak"].logits.softmax(-1) * counted[:, None]).sum(0))

    @torch.no_grad()
    def updated_temperature(self, step: Step) -> Tensor:
        """Return the temperature () of this step: the measured one in step `warmup`, else that of the step before."""
        if not self.estimated:
            return self.temperature
        due = step.batch.t == self.warmup  # fidelity: adello-temperature
        return torch.where(due, estimate_temperature(self.updated_mean(step)), self.temperature)


def estimate_temperature(shares: Tensor) -> Tensor:
    """Return exp KL(uniform || shares (K,)): 1 for a uniform distribution, more for any other."""
    return (-(len(shares) * shares).log().mean()).exp()
