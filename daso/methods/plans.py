"""Plans: the runs that come before a method's own, such as generations, a pretrained encoder or an estimate.

A plan lists stages, and what a stage loads from other runs becomes an edge of the workflow's DAG. Each stage is a run
with its own key, its own checkpoint and steps counted from 0; the last stage is the method itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple

from daso.constraints import Interval
from daso.errors import ParamsError
from daso.methods.on_features import OnFeatures
from daso.schema import NonNegative, NonNegativeSteps, Positive, PositiveInt, PositiveShare, Steps

# Contents of options that plans set; an add-on names its options in `AddOn.plan_options`.
CLASS_SIZES, ALIGNMENT_TEMPERATURE = "class_sizes", "alignment_temperature"
CONSTANT_RATE = {"warmup": 0, "milestones": [], "factor": 1.0}  # options of an optimizer


class Expanded(NamedTuple):
    """Split enlarged by pseudo-labels of an earlier stage, used as labels: `data.derive.expand`."""

    by: str
    exponent: float


class PseudoLabeled(NamedTuple):
    """Split enlarged by all pseudo-labels of a different method's run, used as labels: `data.derive.expand`."""

    by: str


class HeldOut(NamedTuple):
    """Split without `per_class` labeled images of each class, which are held out: `data.derive.hold_out`."""

    per_class: int


class FrozenEncoder(NamedTuple):
    """Frozen encoder, loaded from a different method's run: `models.network`."""

    of: str
    statistics: Literal["frozen", "batch"]  # statistics that its batch norms use in training


class TrainedNetwork(NamedTuple):
    """Network with which training starts: the evaluation model of a different method's run."""

    of: str


class Estimate(NamedTuple):
    """Sizes of the unlabeled classes, estimated by a different method's run."""

    of: str
    into: str  # option that receives them, as "component.option"


class Stage(NamedTuple):
    """One run of a plan. Other stages of the plan refer to it by its name; the last stage has the name ""."""

    name: str
    steps: int
    changes: Mapping[str, object] = {}  # "component.option" -> value, in place of the params file's
    split: Expanded | PseudoLabeled | HeldOut | None = None  # None: the drawn split
    encoder: FrozenEncoder | None = None  # None: a new encoder
    network: TrainedNetwork | None = None  # None: a new network
    estimate: Estimate | None = None
    survey: bool = False  # True: every evaluation estimates the sizes of the unlabeled classes
    optimizer: Mapping[str, object] = {}  # all its options except weight decay; {}: those of the method


class Plan:
    """Stages of a method; by default only the method's own run."""

    on_features: ClassVar[OnFeatures] = "supported"
    reads_unlabeled = False  # True if unlabeled images change results even of a method that does not train on them

    def stages(self, steps: int, options: Mapping[str, str]) -> tuple[Stage, ...]:
        """Return the stages in order, for a protocol's `steps`.

        `options` are the method's options that a plan may set, "component.option" by content (`AddOn.plan_options`).
        Raises ParamsError if the stages are impossible with these steps or options.
        """
        return (Stage("", steps),)

    def upstream(self) -> tuple[str, ...]:
        """Return the upstream methods: a stage loads results of their runs in the same setting."""
        return ()


class Crest(Plan):
    """CReST: the most confident pseudo-labels of a generation become labels of the next (Wei et al. 2021, section 3.3).

    The generations share the protocol's steps equally, and repeat its warm-up. `milestones` are the steps of a
    generation at which its learning rate drops; None: those of the protocol. `exponent` is alpha of
    `data.expansion.sampling_rates`.
    With `last_temperature` below 1 this is CReST+: distribution alignment changes from one generation to the next by
    t_g = 1 - f + f * last_temperature with f = g / (G - 1) (Eq. 4); with 1 no option of the method changes.
    """

    def __init__(
        self,
        *,
        generations: Annotated[int, Interval(ge=2)],
        exponent: NonNegative,
        last_temperature: PositiveShare = 1.0,
        milestones: list[NonNegativeSteps] | None = None,
    ) -> None:
        self.generations, self.exponent, self.last_temperature = generations, exponent, last_temperature
        self.milestones = milestones

    def stages(self, steps: int, options: Mapping[str, str]) -> tuple[Stage, ...]:
        """Return the generations "g1", "g2", ..., "".

        Raises ParamsError if `steps` is not divisible by their number, or alignment is missing with last_temperature.
        """
        if self.last_temperature < 1 and ALIGNMENT_TEMPERATURE not in options:
            raise ParamsError(
                f"plan 'crest': last_temperature {self.last_temperature} requires distribution alignment, which this "
                "method lacks or disables; add it, or remove last_temperature"
            )
        if steps % self.generations:
            raise ParamsError(
                f"plan 'crest': the protocol's {steps} steps are not divisible by {self.generations} generations; "
                "change steps or crest.generations"
            )
        names = [*(f"g{g + 1}" for g in range(self.generations - 1)), ""]
        splits = [None, *(Expanded(name, self.exponent) for name in names[:-1])]
        return tuple(
            Stage(name, steps // self.generations, self._changes(g, options), split)
            for g, (name, split) in enumerate(zip(names, splits, strict=True))
        )

    def _changes(self, g: int, options: Mapping[str, str]) -> dict[str, object]:
        changes: dict[str, object] = {} if self.milestones is None else {"optimizer.milestones": self.milestones}
        if self.last_temperature == 1:
            return changes
        f = g / (self.generations - 1)
        return changes | {options[ALIGNMENT_TEMPERATURE]: 1 - f + f * self.last_temperature}


class Crt(Plan):
    """cRT: a new classifier, trained for `steps` on a frozen trained encoder (Kang et al. 2020, section 4.1).

    The encoder is loaded from the run of the method `base`, which trains for the protocol's steps; that run also fills
    the row of `base` in a table, so it is trained once.
    """

    on_features = "refused"  # the encoder is frozen anyway, so a second stage would be another method

    def __init__(self, *, base: str, steps: Steps, statistics: Literal["frozen", "batch"]) -> None:
        self.base, self.steps, self.statistics = base, steps, statistics

    def stages(self, steps: int, options: Mapping[str, str]) -> tuple[Stage, ...]:
        """Return the method's own run with the frozen encoder; raises ParamsError if it is longer than the protocol."""
        if self.steps > steps:
            raise ParamsError(
                f"plan 'crt': steps: {self.steps} is above the {steps} steps of the protocol; lower crt.steps"
            )
        return (Stage("", self.steps, encoder=FrozenEncoder(self.base, self.statistics)),)  # fidelity: crt-statistics

    def upstream(self) -> tuple[str, ...]:
        """Return the method whose encoder is loaded."""
        return (self.base,)


class FineTuning(Plan):
    """Fine-tuning: the trained network of a different method is trained further, by Adam at a constant rate.

    It starts as the evaluation model of the finished run of the method `base`, which fills its own row of a table. The
    weight decay is that of the other methods.
    """

    def __init__(self, *, base: str, steps: PositiveInt, rate: Positive) -> None:
        self.base, self.steps, self.rate = base, steps, rate

    def stages(self, steps: int, options: Mapping[str, str]) -> tuple[Stage, ...]:
        """Return the method's own run, whose steps do not depend on those of the protocol."""
        optimizer = {"algorithm": "adam", "lr": self.rate, "betas": [0.9, 0.999], "eps": 1e-8, **CONSTANT_RATE}
        return (Stage("", self.steps, optimizer=optimizer, network=TrainedNetwork(self.base)),)

    def upstream(self) -> tuple[str, ...]:
        """Return the method whose network is loaded."""
        return (self.base,)


class SelfTraining(Plan):
    """Self-training: a new network is trained on labels and on the pseudo-labels of a trained one (Scudder 1965).

    The finished run of the method `by`, which fills its own row of a table, gives every unlabeled image one hard
    pseudo-label, whatever its confidence. The prior of logit adjustment counts labels and pseudo-labels together.
    """

    reads_unlabeled = True

    def __init__(self, *, by: str) -> None:
        self.by = by

    def stages(self, steps: int, options: Mapping[str, str]) -> tuple[Stage, ...]:
        """Return the method's own run, on labels and pseudo-labels."""
        return (Stage("", steps, split=PseudoLabeled(self.by)),)

    def upstream(self) -> tuple[str, ...]:
        """Return the method whose pseudo-labels are labels."""
        return (self.by,)


class Survey(Plan):
    """Estimate of the unlabeled class sizes by this method's network (Kim et al. 2020, supplement).

    `held_out` labeled images of each class are left out of training and give the network's confusion matrix.
    """

    reads_unlabeled = True

    def __init__(self, *, held_out: PositiveInt) -> None:
        self.held_out = held_out

    def stages(self, steps: int, options: Mapping[str, str]) -> tuple[Stage, ...]:
        """Return the method's own run, on the split without the held-out images."""
        return (Stage("", steps, split=HeldOut(self.held_out), survey=True),)


class Prior(Plan):
    """Class sizes that an add-on requires are loaded from a survey, as DARP's (Kim et al. 2020).

    `by` is the method of the survey; one run of it serves all methods of its setting and seed.
    """

    def __init__(self, *, by: str) -> None:
        self.by = by

    def stages(self, steps: int, options: Mapping[str, str]) -> tuple[Stage, ...]:
        """Return the method's own run, with an estimate if an add-on requires class sizes."""
        estimate = Estimate(self.by, options[CLASS_SIZES]) if CLASS_SIZES in options else None
        return (Stage("", steps, estimate=estimate),)

    def upstream(self) -> tuple[str, ...]:
        """Return the method of the survey."""
        return (self.by,)
