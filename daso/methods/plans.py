"""What comes before a training: generations, an encoder to keep, an estimate. A plan lists stages, edges of the DAG.

Each stage is a run of its own, with its own key, its own resume state and steps counted from 0; the last one is the
method itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from daso.errors import ParamsError

ALIGNMENT = "distribution_alignment.temperature"


def needs_estimate(options: Mapping[str, object]) -> bool:
    """Whether a method with these options waits for an estimate of the unlabeled classes' sizes."""
    return options.get("darp.prior") == "estimated"


class Expanded(NamedTuple):
    """The split with the guesses of an earlier stage as further labels: `data.derive.expand`."""

    by: str
    exponent: float


class HeldOut(NamedTuple):
    """The split with that many labeled images of each class held out: `data.derive.hold_out`."""

    per_class: int


class Encoder(NamedTuple):
    """The encoder of a method's run, frozen, and what its batch norms do in training: `models.network`."""

    of: str
    statistics: Literal["kept", "batch"]


class Estimate(NamedTuple):
    """The sizes of the unlabeled classes by a method's run, and the option that takes them."""

    of: str
    into: str


class Stage(NamedTuple):
    """One run of a plan. A stage is named by others within its plan; the last has no name."""

    name: str
    steps: int
    changes: Mapping[str, object] = {}  # "component.option" -> value, beside the params file's
    split: Expanded | HeldOut | None = None  # else as drawn
    encoder: Encoder | None = None  # else a fresh one
    estimate: Estimate | None = None
    survey: bool = False  # whether every evaluation estimates the sizes of the unlabeled classes


class Plan:
    """Which stages a method takes."""

    def stages(self, steps: int, options: Mapping[str, object]) -> tuple[Stage, ...]:
        """The stages in their order, of a protocol's `steps` and the method's options, by "component.option".

        Raises ParamsError when the steps cannot be shared out.
        """
        return (Stage("", steps),)

    def upstream(self) -> tuple[str, ...]:
        """Methods whose ordinary runs, in the same setting, lend a stage something."""
        return ()


class Crest(Plan):
    """Each generation's most trusted guesses become labels of the next (Wei et al. 2021, section 3.3).

    All generations together take the protocol's steps. `exponent` is the paper's alpha: `data.expansion.shares`. With
    `last_temperature` below 1 this is CReST+: distribution alignment gets sharper from one generation to the next,
    t_g = 1 - f + f * last_temperature with f = g / (G - 1) (Eq. 4); with 1 no option of the method is changed.
    """

    def __init__(self, *, generations: int, exponent: float, last_temperature: float = 1.0) -> None:
        if generations < 2:
            raise ParamsError(f"plan 'crest': generations are at least 2, not {generations}")
        if exponent < 0:
            raise ParamsError(f"plan 'crest': exponent is at least 0, not {exponent}")
        if not 0 < last_temperature <= 1:
            raise ParamsError(f"plan 'crest': last_temperature is above 0 and at most 1, not {last_temperature}")
        self.generations, self.exponent, self.last_temperature = generations, exponent, last_temperature

    def stages(self, steps: int, options: Mapping[str, object]) -> tuple[Stage, ...]:
        """Generations g1, g2, ..., the last without a name."""
        aligned = ALIGNMENT in options and options.get("distribution_alignment.enabled", True)
        if self.last_temperature < 1 and not aligned:
            raise ParamsError(
                f"plan 'crest': last_temperature {self.last_temperature} is one of distribution alignment, which this "
                "method does not have or not enable; add it, or leave last_temperature out"
            )
        if steps % self.generations:
            raise ParamsError(f"plan 'crest': {self.generations} generations cannot share {steps} steps equally")
        names = [*(f"g{g + 1}" for g in range(self.generations - 1)), ""]
        splits = [None, *(Expanded(name, self.exponent) for name in names[:-1])]
        return tuple(
            Stage(name, steps // self.generations, self._changes(g), split)
            for g, (name, split) in enumerate(zip(names, splits, strict=True))
        )

    def _changes(self, g: int) -> dict[str, object]:
        if self.last_temperature == 1:
            return {}
        f = g / (self.generations - 1)
        return {ALIGNMENT: 1 - f + f * self.last_temperature}


class Crt(Plan):
    """Keep the encoder of a whole training, learn a new classifier for `steps` (Kang et al. 2020, section 4.1).

    `base` is a method of its own, whose ordinary run lends its encoder: it is trained once, for its own row too. The
    protocol's steps are those of `base`.
    """

    def __init__(self, *, base: str, steps: int, statistics: Literal["kept", "batch"]) -> None:
        if steps < 1:
            raise ParamsError(f"plan 'crt': steps are at least 1, not {steps}")
        self.base, self.steps, self.statistics = base, steps, statistics

    def stages(self, steps: int, options: Mapping[str, object]) -> tuple[Stage, ...]:
        """The method alone."""
        if self.steps > steps:
            raise ParamsError(
                f"plan 'crt': {self.steps} steps are more than the {steps} of the protocol; lower crt.steps"
            )
        return (Stage("", self.steps, encoder=Encoder(self.base, self.statistics)),)

    def upstream(self) -> tuple[str, ...]:
        """The method whose encoder is kept."""
        return (self.base,)


class Survey(Plan):
    """Learn from labels and see how many unlabeled images each class seems to have (Kim et al. 2020, supplement).

    `held_out` labeled images of each class do not train; they tell how the network errs.
    """

    def __init__(self, *, held_out: int) -> None:
        if held_out < 1:
            raise ParamsError(f"plan 'survey': held_out is at least 1 image of each class, not {held_out}")
        self.held_out = held_out

    def stages(self, steps: int, options: Mapping[str, object]) -> tuple[Stage, ...]:
        """The method alone, on what is left."""
        return (Stage("", steps, split=HeldOut(self.held_out), survey=True),)


class Prior(Plan):
    """The sizes that DARP believes in are those of a survey, where its prior is `estimated` (Kim et al. 2020).

    `by` is the method of the survey, whose one run serves every method of its setting and seed.
    """

    def __init__(self, *, by: str) -> None:
        self.by = by

    def stages(self, steps: int, options: Mapping[str, object]) -> tuple[Stage, ...]:
        """The method alone."""
        estimate = Estimate(self.by, "darp.estimate") if needs_estimate(options) else None
        return (Stage("", steps, estimate=estimate),)

    def upstream(self) -> tuple[str, ...]:
        """The method of the survey."""
        return (self.by,)
