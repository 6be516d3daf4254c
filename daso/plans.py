"""What comes before a training: generations, an encoder to keep. A plan lists stages, which become edges of the DAG.

Each stage is a run of its own, with its own key, its own resume state and steps counted from 0; the last one is the
method itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from daso.errors import ParamsError


class Stage(NamedTuple):
    """One run of a plan. A stage is named by others within its plan; the last has no name."""

    name: str
    steps: int
    changes: Mapping[str, object] = {}  # "component.option" -> value, beside the params file's
    expanded_by: str = ""  # the stage whose guesses enlarge the labeled set; empty for the split as drawn
    encoder_of: str = ""  # the method whose encoder is kept, frozen; empty for a fresh one


class Plan:
    """Which stages a method takes, for a protocol of so many steps."""

    def stages(self, steps: int) -> tuple[Stage, ...]:
        """The stages in their order; raises ParamsError when the steps cannot be shared out."""
        raise NotImplementedError


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

    def stages(self, steps: int) -> tuple[Stage, ...]:
        """Generations g1, g2, ..., the last without a name."""
        if steps % self.generations:
            raise ParamsError(f"plan 'crest': {self.generations} generations cannot share {steps} steps equally")
        names = [*(f"g{g + 1}" for g in range(self.generations - 1)), ""]
        return tuple(
            Stage(name, steps // self.generations, self._changes(g), expanded_by=names[g - 1] if g else "")
            for g, name in enumerate(names)
        )

    def _changes(self, g: int) -> dict[str, object]:
        if self.last_temperature == 1:
            return {}
        f = g / (self.generations - 1)
        return {"distribution_alignment.temperature": 1 - f + f * self.last_temperature}


class Crt(Plan):
    """Keep the encoder of a whole training, learn a new classifier for `steps` (Kang et al. 2020, section 4.1).

    `base` is a method of its own, whose ordinary run lends its encoder: it is trained once, for its own row too.
    """

    def __init__(self, *, base: str, steps: int) -> None:
        if steps < 1:
            raise ParamsError(f"plan 'crt': steps are at least 1, not {steps}")
        self.base, self.steps = base, steps

    def stages(self, steps: int) -> tuple[Stage, ...]:
        """The method alone; the protocol's steps are those of `base`."""
        return (Stage("", self.steps, encoder_of=self.base),)
