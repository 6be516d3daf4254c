"""SCAD: super-class-aware debiasing (Jang et al. 2026)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from daso.errors import ParamsError
from daso.methods.base import AddOn, Learner, Refine, SuperClassHead, Trained
from daso.models.network import Models, Network
from daso.ops.distributions import logit_shift, shares
from daso.ops.super_classes import local_shares, super_class_sizes
from daso.records import Env, Losses, Output, Role, Step
from daso.schema import NonNegative

SUPER_HEAD = "super_class"  # name of the classifier of super-classes
PREFIX = "super_class_"  # of the names of other heads and of losses


class Adjustment(nn.Module):
    """Adjustment of logits by the images of each class: (n, K) and those of the super-classes (n, S) -> (n, K)."""

    shift: Tensor  # (K,) tau log pi
    super_shift: Tensor  # (S,) super_tau log pi_S
    delta: Tensor  # (S, K) strength Delta

    def __init__(
        self, counts: Sequence[int], super_classes: Sequence[int], *, tau: float, strength: float, super_tau: float
    ) -> None:
        super().__init__()
        super_prior = shares(super_class_sizes(counts, super_classes))
        self.register_buffer("shift", logit_shift(shares(counts), tau), persistent=False)
        self.register_buffer("super_shift", logit_shift(super_prior, super_tau), persistent=False)
        self.register_buffer("delta", strength * local_shares(counts, super_classes), persistent=False)

    def forward(self, logits: Tensor, super_logits: Tensor) -> Tensor:
        """Return the adjusted logits."""
        return logits - self.shift - self.posterior(super_logits) @ self.delta

    def posterior(self, super_logits: Tensor) -> Tensor:
        """Return the probabilities (n, S) of the super-classes; no gradient."""
        return (super_logits.detach() - self.super_shift).softmax(-1)


class SCAD(AddOn):
    """SCAD: a super-class classifier, and logits adjusted by class sizes within super-classes (Jang et al. 2026).

    The super-classes are trained as the learner trains the classes: by a second FixMatch or ACR on heads of their own,
    with the same options, whose labels are the super-classes of the labels, and with its own priors, distances and
    tau. Its losses are added.

    Delta (S, K) is the size of a class over the largest of its super-class, and 1 outside of it. With p the posterior
    of an image's super-classes, the softmax of their logits - `super_tau` log pi_S, the adjusted logits are the logits
    - `tau` log pi - `strength` p Delta; pi and pi_S are the priors of classes and super-classes. All sizes are those
    of the labeled images; if a plan has enlarged the labeled set, evaluation uses those of the drawn set. `roles`
    selects which logits are adjusted: those of pseudo-labels, of evaluations, or both.
    """

    needs = frozenset({"labeled", "weak", "strong"})
    super_classes = True
    numbers: Tensor

    def __init__(
        self,
        env: Env,
        *,
        tau: NonNegative,
        strength: NonNegative,
        super_tau: NonNegative,
        roles: Sequence[Literal["pseudo_label", "eval"]],
    ) -> None:
        super().__init__()
        if env.learner not in ("fixmatch", "acr"):
            raise ParamsError(
                f"add-on 'scad': not allowed with learner '{env.learner}'; use fixmatch or acr, which can train "
                "super-classes too"
            )
        if not env.super_classes:
            raise ParamsError(
                "add-on 'scad': the dataset has no super_classes; list them in its file, or use a different dataset"
            )
        self.adjusts = frozenset(roles)
        self.balanced_predictions = "eval" in roles
        sizes = super_class_sizes(env.counts, env.super_classes)  # fidelity: scad-super-classes
        labels = tuple(env.super_classes[label] for label in env.labels)
        assert env.make_learner is not None
        # fidelity: scad-anchor
        self.learner: Learner = env.make_learner(env._replace(num_classes=len(sizes), counts=sizes, labels=labels))
        self.heads = {SUPER_HEAD: len(sizes), **{PREFIX + name: head for name, head in self.learner.heads.items()}}
        self.register_buffer("numbers", torch.tensor(env.super_classes), persistent=False)  # (K,)
        self.adjustment, self.drawn_adjustment = (  # fidelity: scad-counts
            Adjustment(counts, env.super_classes, tau=tau, strength=strength, super_tau=super_tau)
            for counts in (env.counts, env.drawn_counts or env.counts)
        )

    @classmethod
    def evaluation_shift(cls, options: Mapping[str, Any], trained: Trained) -> Tensor | None:
        """Return - tau log pi (K,) with the role `eval`; the rest of the adjustment depends on the image."""
        return -_adjustment(options, trained).shift if "eval" in options["roles"] else None

    @classmethod
    def evaluation_super_classes(cls, options: Mapping[str, Any], trained: Trained) -> SuperClassHead | None:
        """Return the head of super-classes with the role `eval`, with - super_tau log pi_S and strength Delta."""
        if "eval" not in options["roles"]:
            return None
        adjustment = _adjustment(options, trained)
        return SuperClassHead(SUPER_HEAD, -adjustment.super_shift, adjustment.delta)

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Return logits (n, K) - tau log pi - strength p Delta for the selected roles."""
        if role.value not in self.adjusts:  # fidelity: scad-roles
            return logits
        adjustment, view = (self.drawn_adjustment, "eval") if role is Role.EVAL else (self.adjustment, "weak")
        adjusted: Tensor = adjustment(logits, step.out[view].heads[SUPER_HEAD])
        return adjusted

    def losses(self, step: Step, memo: Any, refine: Refine) -> Losses:
        """Return the losses of the super-classes."""
        own = self.step_of_super_classes(step)
        network = fixed_network(own.out)
        losses, _ = self.learner.step(own.batch, Models(network, network))
        return {PREFIX + name: loss for name, loss in losses.items()}

    def commit(self, step: Step, memo: Any) -> None:
        """Update the state of the learner of the super-classes."""
        self.learner.commit(self.step_of_super_classes(step))

    def step_of_super_classes(self, step: Step) -> Step:
        """Return the step of the super-classes: their labels, the outputs of their heads, and features as images."""
        views = ("labeled", *self.learner.views.u)
        heads = {view: step.out[view].heads for view in views}
        extra = {view: {name: heads[view][PREFIX + name] for name in self.learner.heads} for view in views}
        out = {view: Output(step.out[view].features, heads[view][SUPER_HEAD], extra[view]) for view in views}
        x, u = {"weak": out["labeled"].features}, {view: out[view].features for view in self.learner.views.u}
        return Step(step.batch._replace(x=x, y=self.numbers[step.batch.y], u=u), out)


def _adjustment(options: Mapping[str, Any], trained: Trained) -> Adjustment:
    """Return the adjustment of evaluations of a finished run."""
    strengths = {name: options[name] for name in ("tau", "strength", "super_tau")}
    return Adjustment(trained.counts, trained.super_classes, **strengths)


def fixed_network(out: Mapping[str, Output]) -> Network:
    """Return a network whose joint forward pass of these views gives these outputs, which are computed already."""
    features, logits, heads = zip(*out.values(), strict=True)
    joined = {name: torch.cat([each[name] for each in heads]) for name in heads[0]}
    return cast(Network, lambda images: Output(torch.cat(features), torch.cat(logits), joined))
