"""DARP: distribution-aligning refinery of pseudo-labels (Kim et al. 2020)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn
from daso.ops.rows import write_rows
from daso.ops.transport import refine_table
from daso.records import Env, Step
from daso.schema import Positive, PositiveInt, ShareBelowOne, Steps


class DARP(AddOn):
    """DARP: joint refinement of all pseudo-labels to the assumed sizes of the classes (Kim et al. 2020).

    A table holds the latest pseudo-label of each unlabeled image. After the share `start` of the run's steps it is
    refined every `period` steps by `sweeps` of the solver, which keeps the largest entries of each class: `alpha` times
    the assumed size of the class. A batch's pseudo-labels are replaced by their rows of the latest refined table;
    before `start` they are left unchanged. From `start` to the first refinement, all rows of that table are uniform.

    `prior` selects the assumed sizes: `true_counts`, the true sizes of the unlabeled classes, where these are known;
    `labeled`, the shares of the labeled images; or an `estimate`, one number for each class, which is `given` in the
    params file or `estimated` by the method's plan. All are scaled to the number of unlabeled images.
    """

    needs = frozenset({"weak"})  # the view of the pseudo-labels
    raw: Tensor
    refined: Tensor
    totals: Tensor
    kept: Tensor

    def __init__(
        self,
        env: Env,
        *,
        start: ShareBelowOne,
        period: Steps,
        alpha: Positive,
        sweeps: PositiveInt,
        prior: Literal["true_counts", "labeled", "given", "estimated"],
        estimate: Sequence[float] = (),
    ) -> None:
        super().__init__()
        if prior == "given" and not (len(estimate) and min(estimate) >= 0 and max(estimate) > 0):
            raise ParamsError(
                "add-on 'darp': estimate: with prior 'given', expected a list of sizes, one for each class, all 0 or "
                f"more and one above 0, got {estimate}; correct it"
            )
        if prior == "given" and 0 < len(estimate) != env.num_classes:
            raise ParamsError(
                f"add-on 'darp': estimate has {len(estimate)} numbers for {env.num_classes} classes; give one for each"
            )
        if prior == "true_counts" and not env.unlabeled_counts:  # fidelity: darp-prior
            raise ParamsError(
                "add-on 'darp': prior 'true_counts' needs the classes of the unlabeled images, which are not known "
                "here; set prior 'given' and estimate: [...], or prior 'estimated' with a plan, or prior 'labeled'"
            )
        self.plan_options = {"class_sizes": "estimate"} if prior == "estimated" else {}
        counts = {"true_counts": env.unlabeled_counts, "labeled": env.counts}.get(prior, estimate)
        if len(counts) != env.num_classes:
            raise ParamsError(
                f"add-on 'darp': estimate has {len(counts)} numbers for {env.num_classes} classes; give one for each"
            )
        totals = [count * env.unlabeled / sum(counts) for count in counts]
        self.start, self.period, self.sweeps = round(start * env.steps), period, sweeps
        self.register_buffer("totals", torch.tensor(totals, dtype=torch.float64), persistent=False)  # c, (K,)
        self.register_buffer("kept", torch.tensor([int(alpha * total) for total in totals]), persistent=False)  # (K,)
        uniform = torch.full((env.unlabeled, env.num_classes), 1 / env.num_classes)
        self.register_buffer("raw", uniform)  # (M, K)
        self.register_buffer("refined", uniform.clone())  # (M, K)

    def phase(self, t: int) -> Hashable:
        """Return "idle" before `start`, "solve" for a step that refines the table, "reuse" for one that reads it."""
        if t + 1 <= self.start:
            return "idle"
        return "reuse" if (t + 1) % self.period else "solve"

    def refine(self, probs: Tensor, step: Step) -> tuple[Tensor, Any]:
        """Return these images' rows of the refined table (U, K), or `probs` in the phase "idle"."""
        index, table = step.batch.u_index, self.refined
        latest = last_of_each(probs, index)
        if self.current_phase == "solve":
            raw = self.raw.clone()
            write_rows(raw, index, latest)
            table = refine_table(raw, self.totals, self.kept, self.sweeps).float()
        return table[index] if self.current_phase in ("reuse", "solve") else probs, (latest, table)

    def commit(self, step: Step, memo: Any) -> None:
        """Write this batch's unrefined pseudo-labels and, in the phase "solve", the refined table."""
        latest, table = memo
        write_rows(self.raw, step.batch.u_index, latest)
        if self.current_phase == "solve":
            self.refined.copy_(table)


def last_of_each(rows: Tensor, index: Tensor) -> Tensor:
    """Replace each row (n, K) by the last one with the same index (n,), so that rows can be written in any order."""
    same = index[:, None] == index
    return rows[(same * torch.arange(len(index), device=index.device)).amax(1)]
