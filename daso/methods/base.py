"""The joints of a method: a learner is what one step does, add-ons bend it.

Laws: `adjust`, `weigh`, `refine` and `losses` write nothing; `commit` is the only verb that does, and runs after
backward. All state is in buffers. No shape and no branch depends on the value of a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from daso.draw import Draw
from daso.models.network import Head, Models, Network
from daso.ops.losses import cross_entropy, masked_mean, soft_cross_entropy
from daso.records import Batch, Losses, Output, Role, Step

Refine = Callable[[Tensor], Tensor]


class Views(NamedTuple):
    """The views a learner asks for of labeled and of unlabeled images.

    "plain" is the image itself, "weak" and "strong" are drawn; "weak2" and "strong2" are second draws of these. Where
    images are resized, the operations of "strong" and its Cutout come before or after.
    """

    x: tuple[str, ...]
    u: tuple[str, ...]
    operations: Literal["before", "after"] = "before"  # fidelity: resize


class AddOn(nn.Module):
    """Bends a step. Every verb does nothing until overridden; all state is in buffers."""

    needs: frozenset[str] = frozenset()  # keys of step.out it reads
    heads: Mapping[str, Head] = {}  # heads to hang on the network, by name: how many outputs, or the widths
    evaluation_head: ClassVar[str | None] = None  # the head that answers at test time
    adjusts: frozenset[str] = frozenset()  # values of the roles whose logits it bends, which no other add-on may
    now: Hashable = None  # the phase of the step under way

    def phase(self, t: int) -> Hashable:
        """What the host may know of step t beforehand; steps of one phase are the same computation, captured once."""
        return None

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Logits (n, K) as the reader `role` should see them."""
        return logits

    def weigh(self, weights: Tensor, role: Role, step: Step) -> Tensor:
        """How much each image (n,) counts, in the labeled loss (SUPERVISED) or the unlabeled one (CONSISTENCY)."""
        return weights

    def refine(self, probs: Tensor, step: Step) -> tuple[Tensor, Any]:
        """Pseudo-labels (U, K) -> better ones, and a memo for the verbs that follow; no gradient."""
        return probs, ()

    def losses(self, step: Step, memo: Any, refine: Refine) -> Losses:
        """Further named losses (); `refine` applies the whole chain of add-ons once more."""
        return {}

    def commit(self, step: Step, memo: Any) -> None:
        """Write what this step leaves behind."""

    def pseudo_labels(self, step: Step, memo: Any) -> dict[str, Tensor]:
        """Pseudo-labels (U, K) that it made on the way, by name, for analyses alone; writes nothing."""
        return {}


class Learner(nn.Module):
    """What one step is. `step` reads straight down; the add-ons enter at adjust, weigh, refine, extras and commit."""

    views: ClassVar[Views]
    makes: ClassVar[frozenset[str]]  # what add-ons may read in step.out, besides "key"
    heads: Mapping[str, Head] = {}  # heads of its own, by name: how many outputs, or the widths
    evaluates: ClassVar[Literal["student", "teacher"]] = "teacher"

    def __init__(self, addons: Sequence[AddOn] = ()) -> None:
        super().__init__()
        self.addons = nn.ModuleList(addons)

    @property
    def chain(self) -> list[AddOn]:
        """The add-ons in the order of the params file, which is part of the method's definition."""
        return list(self.addons)  # type: ignore[arg-type]

    def set_phase(self, t: int) -> Hashable:
        """Tell every add-on the phase of step t; returns the phases of all."""
        for addon in self.chain:
            addon.now = addon.phase(t)
        return tuple(addon.now for addon in self.chain)

    @property
    def needs(self) -> frozenset[str]:
        """Everything that add-ons read in step.out."""
        return frozenset().union(*(addon.needs for addon in self.chain))

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """The losses of one batch, and what was worked out on the way."""
        raise NotImplementedError

    def predict(self, images: Tensor, models: Models) -> tuple[Tensor, Tensor]:
        """Logits (n, K) of the network that answers at test time: as they are, and as the add-ons want them read."""
        network: Network = getattr(models, self.evaluates)
        out = network(images)
        logits = out.logits
        for addon in self.chain:
            logits = out.heads[addon.evaluation_head] if addon.evaluation_head else logits
        return logits, self.adjust(logits, Role.EVAL, Step(_no_batch(images), {"eval": out}))

    def embed(self, images: Tensor, models: Models) -> Tensor:
        """Features (n, D) of the network that answers at test time."""
        out: Output = getattr(models, self.evaluates)(images)
        return out.features

    @torch.no_grad()
    def begin(self, batch: Batch, models: Models, out: dict[str, Output]) -> Step:
        """Start a step; forwards that only add-ons ask for are made here."""
        if "key" in self.needs - out.keys():  # the teacher's view of the labeled images
            out = out | {"key": models.teacher(batch.x["weak"])}
        return Step(batch, out, memos=((),) * len(self.chain))  # for learners that refine nothing

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Every add-on's `adjust`, in order."""
        for addon in self.chain:
            logits = addon.adjust(logits, role, step)
        return logits

    @torch.no_grad()
    def weigh(self, weights: Tensor, role: Role, step: Step) -> Tensor:
        """Every add-on's `weigh`, in order."""
        for addon in self.chain:
            weights = addon.weigh(weights, role, step)
        return weights

    def supervised(self, logits: Tensor, step: Step, mixed: Tensor | None = None) -> Tensor:
        """The labeled loss () of logits (B, K): cross-entropy with the labels, or `mixed` (B, K), adjusted, weighed."""
        logits, labels = self.adjust(logits, Role.SUPERVISED, step), step.batch.y
        losses = cross_entropy(logits, labels) if mixed is None else soft_cross_entropy(logits, mixed)
        return masked_mean(losses, self.weigh(torch.ones_like(losses), Role.SUPERVISED, step))

    @torch.no_grad()
    def refine(self, probs: Tensor, step: Step) -> Step:
        """Every add-on's `refine`, in order: the step with its targets."""
        memos = []
        for addon in self.chain:
            probs, memo = addon.refine(probs, step)
            memos.append(memo)
        return step._replace(targets=probs, memos=tuple(memos))

    def addon_losses(self, step: Step) -> Losses:
        """Every add-on's `losses`."""

        def chain(probs: Tensor) -> Tensor:
            return self.refine(probs, step).targets

        pairs = zip(self.chain, step.memos, strict=True)
        return {name: loss for addon, memo in pairs for name, loss in addon.losses(step, memo, chain).items()}

    @torch.no_grad()
    def commit(self, step: Step) -> None:
        """Every add-on's `commit`."""
        for addon, memo in zip(self.chain, step.memos, strict=True):
            addon.commit(step, memo)

    @torch.no_grad()
    def pseudo_labels(self, step: Step) -> dict[str, Tensor]:
        """Pseudo-labels (U, K) of one step by where they come from, before `commit`, for analyses alone.

        "linear": the classifier's own on the weak view; those of the add-ons; "final": what was learned from. Empty
        where nothing is guessed. Every step of a run has the same names.
        """
        if not step.targets.numel():
            return {}
        linear = {"linear": step.out["weak"].logits.softmax(-1)} if "weak" in step.out else {}
        pairs = zip(self.chain, step.memos, strict=True)
        named = {name: probs for addon, memo in pairs for name, probs in addon.pseudo_labels(step, memo).items()}
        return linear | named | {"final": step.targets}


def forward_jointly(network: Network, **images: Tensor) -> dict[str, Output]:
    """One forward of several views, so that they share their batch statistics."""
    sizes = [len(part) for part in images.values()]
    out = network(torch.cat(list(images.values())))
    features, logits = out.features.split(sizes), out.logits.split(sizes)
    heads = {name: head.split(sizes) for name, head in out.heads.items()}
    return {
        view: Output(features[i], logits[i], {name: parts[i] for name, parts in heads.items()})
        for i, view in enumerate(images)
    }


def _no_batch(images: Tensor) -> Batch:
    """What stands for the batch where there is none: at test time."""
    none = torch.empty(0, dtype=torch.long, device=images.device)
    return Batch(none, {}, none, none, {}, none, Draw(0, "none", none))
