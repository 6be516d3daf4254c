"""Interfaces of a method: a learner computes one training step, add-ons change it through hooks.

Rules: the hooks `adjust`, `weigh`, `refine` and `losses` write no state; only `commit` does, after the backward pass.
All state is in buffers. No shape and no branch depends on the value of a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from daso.aliases import Colour
from daso.draw import Draw
from daso.errors import ParamsError
from daso.methods.on_features import OnFeatures
from daso.models.groups import changed_momenta
from daso.models.network import Head, Models, Network
from daso.ops.losses import cross_entropy, masked_mean, soft_cross_entropy
from daso.records import NOTHING, Batch, Env, Losses, Output, Role, Step

Refine = Callable[[Tensor], Tensor]


class Views(NamedTuple):
    """Names of the views that a learner requires of labeled (x) and unlabeled (u) images.

    "plain" is the image itself, "weak", "strong" and "simclr" are random augmentations, "simclr" only on images;
    "weak2", "strong2" and "simclr2" are second random draws. Where images are resized, the operations of "strong" and
    its Cutout are applied before or after resizing. With `all_images` each step has every labeled and every unlabeled
    image once, instead of a batch.
    """

    x: tuple[str, ...]
    u: tuple[str, ...]
    operations: Literal["before", "after"] = "before"
    all_images: bool = False


class Blank(NamedTuple):
    """Image of one colour, whose outputs an add-on reads as `step.out["blank"]`.

    In predictions they are those of the evaluation model. In training steps they are those of the EMA model in
    `evaluation` mode, or of the student in `training` mode, where no other images are in its batch.
    """

    colour: Colour
    mode: Literal["evaluation", "training"]


class Trained(NamedTuple):
    """Results of a finished run from which the constant part of its predictions follows."""

    counts: Sequence[int]  # N_k, labeled images of each class as drawn
    state: Mapping[str, Tensor]  # state dict of the learner
    blank_logits: Callable[[Colour], Tensor]  # (K,) of the evaluated head for a blank image
    super_classes: Sequence[int] = ()  # super-class of each class (K,); empty if no add-on reads them


class SuperClassHead(NamedTuple):
    """Head of super-classes by which evaluation adjusts logits: minus its posterior (S,) times `delta`."""

    name: str
    shift: Tensor  # (S,) the posterior is the softmax of the head's logits plus `shift`
    delta: Tensor  # (S, K)


class AddOn(nn.Module):
    """Extension of a learner's step by hooks, which do nothing unless overridden; all state is in buffers."""

    needs: frozenset[str] = frozenset()  # keys of step.out that the hooks read
    blank: Blank | None = None  # set if it reads "blank"
    heads: Mapping[str, Head] = {}  # extra heads of the network by name
    evaluation_head: ClassVar[str | None] = None  # head whose logits are evaluated instead of the classifier's
    adjusts: frozenset[str] = frozenset()  # values of the roles whose logits it changes; no two add-ons may share one
    on_features: ClassVar[OnFeatures] = "supported"  # on features of a frozen network, see `methods.on_features`
    balanced_predictions: bool = False  # by an adjustment of logits, predictions assume classes of equal size
    assumed_tau: float | None = None  # with labeled shares pi, predictions assume shares proportional to pi^(1 - this)
    weighs_classes: ClassVar[bool] = (
        False  # by its labeled loss, so that the class sizes predictions assume are unknown
    )
    plan_options: Mapping[str, str] = {}  # options that a plan sets, by content; see `methods.plans`
    super_classes: ClassVar[bool] = False  # True if it reads `env.super_classes`
    current_phase: Hashable = None  # phase of the current step, set by Learner.set_phase

    @classmethod
    def evaluation_shift(cls, options: Mapping[str, Any], trained: Trained) -> Tensor | None:
        """Return what is added to the logits of every image in evaluation, (K,), with these options, or None."""
        return None

    @classmethod
    def evaluation_super_classes(cls, options: Mapping[str, Any], trained: Trained) -> SuperClassHead | None:
        """Return the head of super-classes by which logits are adjusted in evaluation with these options, or None."""
        return None

    def phase(self, t: int) -> Hashable:
        """Return the phase of step t, from its number alone; steps of one phase run the same operations (one graph)."""
        return None

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Return the logits (n, K) to use for `role`."""
        return logits

    def weigh(self, weights: Tensor, role: Role, step: Step) -> Tensor:
        """Return the weights (n,) of the images in the labeled loss (SUPERVISED) or the unlabeled one (CONSISTENCY)."""
        return weights

    def refine(self, probs: Tensor, step: Step) -> tuple[Tensor, Any]:
        """Return refined pseudo-labels (U, K) and a memo for the hooks that run later; no gradient."""
        return probs, ()

    def losses(self, step: Step, memo: Any, refine: Refine) -> Losses:
        """Return additional losses () by name; `refine` runs the `refine` hooks of all add-ons on other rows."""
        return {}

    def commit(self, step: Step, memo: Any) -> None:
        """Update the state in place after the backward pass."""

    def pseudo_labels(self, step: Step, memo: Any) -> dict[str, Tensor]:
        """Return intermediate pseudo-labels (U, K) by name, for analyses alone; writes no state."""
        return {}


class Learner(nn.Module):
    """Training step of a method: `step` computes the losses and runs the hooks of the add-ons in order."""

    views: Views
    provides: ClassVar[frozenset[str]]  # keys of step.out that add-ons may read, besides "labeled_teacher" and "blank"
    heads: Mapping[str, Head] = {}  # extra heads of the network by name
    evaluation_head: ClassVar[str | None] = None  # head whose logits are evaluated instead of the classifier's
    on_features: OnFeatures = "supported"  # on features of a frozen network, see `methods.on_features`
    balanced_predictions: bool = False  # by an adjustment of logits, predictions assume classes of equal size
    assumed_tau: float | None = None  # with labeled shares pi, predictions assume shares proportional to pi^(1 - this)
    evaluation_model: Literal["student", "teacher"] = "teacher"  # "teacher" is the EMA model; a protocol may set it
    blank_input: Tensor  # of the networks, for the blank image of an add-on

    def __init__(self, addons: Sequence[AddOn] = ()) -> None:
        super().__init__()
        self.addons = nn.ModuleList(addons)
        blanks = {addon.blank for addon in addons if addon.blank}
        if len(blanks) > 1:
            raise ParamsError("add-ons read different blank images; set the same colour and mode")
        self.blank = next(iter(blanks), None)
        self.register_buffer("blank_input", NOTHING, persistent=False)

    @classmethod
    def evaluation_shift(cls, options: Mapping[str, Any], trained: Trained) -> Tensor | None:
        """Return what the learner itself adds to the logits of every image in evaluation, (K,), or None."""
        return None

    @property
    def chain(self) -> list[AddOn]:
        """Return the add-ons in the order of the params file, which is part of the method's definition."""
        return list(self.addons)  # type: ignore[arg-type]

    def set_phase(self, t: int) -> Hashable:
        """Set every add-on's phase for step t; return all phases."""
        for addon in self.chain:
            addon.current_phase = addon.phase(t)
        return tuple(addon.current_phase for addon in self.chain)

    @property
    def needs(self) -> frozenset[str]:
        """Return all keys of step.out that the add-ons read."""
        return frozenset().union(*(addon.needs for addon in self.chain))

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Return the losses of one batch and the record of the step; every learner implements this."""
        raise NotImplementedError

    def predict(self, images: Tensor, models: Models) -> tuple[Tensor, Tensor]:
        """Return the logits (n, K) of the evaluation model, before and after the add-ons' `adjust`."""
        network: Network = getattr(models, self.evaluation_model)
        inputs = {"eval": images} | ({"blank": self.blank_input} if self.blank else {})
        out = {name: self._evaluated_head(network(each)) for name, each in inputs.items()}
        logits = out["eval"].logits
        return logits, self.adjust(logits, Role.EVAL, Step(_empty_batch(images), out))

    @property
    def evaluated_head_name(self) -> str | None:
        """Return the name of the head whose logits are evaluated, None for the classifier; the last add-on counts."""
        heads = [self.evaluation_head, *(addon.evaluation_head for addon in self.chain)]
        return next(filter(None, reversed(heads)), None)

    def _evaluated_head(self, out: Output) -> Output:
        """Return outputs whose logits are those of the evaluated head."""
        name = self.evaluated_head_name
        return out if name is None else out._replace(logits=out.heads[name])

    def embed(self, images: Tensor, models: Models) -> Tensor:
        """Return the features (n, D) of the evaluation model."""
        out: Output = getattr(models, self.evaluation_model)(images)
        return out.features

    @torch.no_grad()
    def begin(self, batch: Batch, models: Models, out: dict[str, Output]) -> Step:
        """Start the record of a step, with the outputs "labeled_teacher" and "blank" where an add-on reads them."""
        if "labeled_teacher" in self.needs - out.keys():
            out = out | {"labeled_teacher": models.teacher(batch.x["weak"])}
        if self.blank:
            out = out | {"blank": self.blank_output(models, self.blank.mode)}
        return Step(batch, out, memos=((),) * len(self.chain))  # empty memos, for learners that never call refine

    def blank_output(self, models: Models, mode: str) -> Output:
        """Return the outputs of a training step for the blank image; no running statistics change."""
        if mode == "evaluation":
            return models.teacher.evaluated(self.blank_input)
        twice = self.blank_input.expand(2, *self.blank_input.shape[1:])  # `BatchNorm1d` refuses a batch of one
        with changed_momenta(models.student, lambda m: 0.0):
            out: Output = models.student(twice)
        return Output(out.features[:1], out.logits[:1], {name: head[:1] for name, head in out.heads.items()})

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Apply every add-on's `adjust` in order."""
        for addon in self.chain:
            logits = addon.adjust(logits, role, step)
        return logits

    @torch.no_grad()
    def weigh(self, weights: Tensor, role: Role, step: Step) -> Tensor:
        """Apply every add-on's `weigh` in order."""
        for addon in self.chain:
            weights = addon.weigh(weights, role, step)
        return weights

    def supervised(self, logits: Tensor, step: Step, mixed: Tensor | None = None) -> Tensor:
        """Return the labeled loss () of logits (B, K), adjusted and weighed.

        It is the cross-entropy with the labels, or with the mixed labels `mixed` (B, K) if given.
        """
        logits, labels = self.adjust(logits, Role.SUPERVISED, step), step.batch.y
        losses = cross_entropy(logits, labels) if mixed is None else soft_cross_entropy(logits, mixed)
        return masked_mean(losses, self.weigh(torch.ones_like(losses), Role.SUPERVISED, step))

    @torch.no_grad()
    def refine(self, probs: Tensor, step: Step) -> Step:
        """Apply every add-on's `refine` to probabilities (U, K) in order; return the step with targets and memos."""
        memos = []
        for addon in self.chain:
            probs, memo = addon.refine(probs, step)
            memos.append(memo)
        return step._replace(targets=probs, memos=tuple(memos))

    def addon_losses(self, step: Step) -> Losses:
        """Return the additional losses of all add-ons by name."""

        def chain(probs: Tensor) -> Tensor:
            return self.refine(probs, step).targets

        pairs = zip(self.chain, step.memos, strict=True)
        return {name: loss for addon, memo in pairs for name, loss in addon.losses(step, memo, chain).items()}

    @torch.no_grad()
    def commit(self, step: Step) -> None:
        """Update the state of all add-ons."""
        for addon, memo in zip(self.chain, step.memos, strict=True):
            addon.commit(step, memo)

    @torch.no_grad()
    def pseudo_labels(self, step: Step) -> dict[str, Tensor]:
        """Return the pseudo-labels (U, K) of one step by origin, before `commit`, for analyses alone.

        "linear" are the classifier's predictions on the weak view, "final" the targets of the loss; the pseudo-labels
        of add-ons come between them. Empty if the method makes no pseudo-labels. All steps of a run have the same
        names.
        """
        if not step.targets.numel():
            return {}
        linear = {"linear": step.out["weak"].logits.softmax(-1)} if "weak" in step.out else {}
        pairs = zip(self.chain, step.memos, strict=True)
        named = {name: probs for addon, memo in pairs for name, probs in addon.pseudo_labels(step, memo).items()}
        return linear | named | {"final": step.targets}


def forward_jointly(network: Network, **images: Tensor) -> dict[str, Output]:
    """Run one forward pass of several views, so that they share their batch statistics; return the outputs by view."""
    sizes = [len(part) for part in images.values()]
    out = network(torch.cat(list(images.values())))
    features, logits = out.features.split(sizes), out.logits.split(sizes)
    heads = {name: head.split(sizes) for name, head in out.heads.items()}
    return {
        view: Output(features[i], logits[i], {name: parts[i] for name, parts in heads.items()})
        for i, view in enumerate(images)
    }


def labeled_copy_mask(env: Env) -> Tensor:
    """Return which images of the unlabeled set are labeled images too: (M,) bool, indexed by `Batch.u_index`."""
    mask = torch.zeros(env.unlabeled, dtype=torch.bool)
    mask[list(env.labeled_copies)] = True
    return mask


def _empty_batch(images: Tensor) -> Batch:
    """Return a placeholder for the batch in evaluation."""
    empty = torch.empty(0, dtype=torch.long, device=images.device)
    return Batch(empty, {}, empty, empty, {}, empty, Draw(0, "none", empty))
