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


class DARP(AddOn):
    """Pseudo-labels of all unlabeled images, refined together until classes are as large as believed (Kim et al. 2020).

    A table keeps the latest pseudo-label of each image. After the share `start` of the run's steps it is refined every
    `period` steps, with `sweeps` of the solver and the largest `alpha` times its believed size entries of each class,
    and it is the refined pseudo-labels, as they last were, that go on. Before, they go on as they come.

    The sizes are those of `prior`: the true ones of the unlabeled images, where these are known; the shares of the
    labeled images; or an `estimate`, one number for each class, scaled to the number of unlabeled images: the one that
    is `given` with the method, or one that its plan has `estimated`.
    """

    needs = frozenset({"weak"})  # the view whose guesses it refines
    raw: Tensor
    refined: Tensor
    totals: Tensor
    kept: Tensor

    def __init__(
        self,
        env: Env,
        *,
        start: float,
        period: int,
        alpha: float,
        sweeps: int,
        prior: Literal["true_counts", "labeled", "given", "estimated"],
        estimate: Sequence[float] = (),
    ) -> None:
        super().__init__()
        if not 0 <= start < 1:
            raise ParamsError(f"add-on 'darp': start is a share of the run, from 0 to below 1, not {start}")
        if not (period > 0 and sweeps > 0):
            raise ParamsError(f"add-on 'darp': period and sweeps are at least 1, not {period} and {sweeps}")
        if alpha <= 0:
            raise ParamsError(f"add-on 'darp': alpha is above 0, not {alpha}")
        if prior == "given" and not (len(estimate) and min(estimate) >= 0 and max(estimate) > 0):
            raise ParamsError(
                "add-on 'darp': with prior 'given', estimate is a list of sizes, one for each class, none below 0 "
                f"and not all 0, not {estimate}"
            )
        if prior == "given" and 0 < len(estimate) != env.num_classes:
            raise ParamsError(
                f"add-on 'darp': estimate has {len(estimate)} numbers for {env.num_classes} classes; give one for each"
            )
        if prior == "true_counts" and not env.unlabeled_counts:  # fidelity: darp-prior
            raise ParamsError(
                "add-on 'darp': prior 'true_counts' needs the classes of the unlabeled images, which are not known "
                "here; give sizes by prior 'given' and estimate: [...], have them estimated by a plan, or take prior "
                "'labeled'"
            )
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
        """Step t goes on as it is, refines the table, or reads it."""
        if t + 1 <= self.start:
            return "idle"
        return "reuse" if (t + 1) % self.period else "solve"

    def refine(self, probs: Tensor, step: Step) -> tuple[Tensor, Any]:
        """(U, K) -> the rows of these images in the refined table, once that is in use."""
        index, table = step.batch.u_index, self.refined
        latest = last_of_each(probs, index)
        if self.now == "solve":
            raw = self.raw.clone()
            write_rows(raw, index, latest)
            table = refine_table(raw, self.totals, self.kept, self.sweeps).float()
        return table[index] if self.now in ("reuse", "solve") else probs, (latest, table)

    def commit(self, step: Step, memo: Any) -> None:
        """Keep these pseudo-labels as they came, and the table where it was refined."""
        latest, table = memo
        write_rows(self.raw, step.batch.u_index, latest)
        if self.now == "solve":
            self.refined.copy_(table)


def last_of_each(rows: Tensor, index: Tensor) -> Tensor:
    """Rows (n, K), each replaced by the last one of the same index (n,): then their order does not matter to a copy."""
    same = index[:, None] == index
    return rows[(same * torch.arange(len(index), device=index.device)).amax(1)]
