"""What is watched while a run trains: sums on the device, turned into columns of the history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daso.ops.confusion import precision, recall
from daso.records import Losses, Step

FINAL, TAKEN, TABLE = "final", "taken", "table_"


class Monitor:
    """Sums over the steps since the last evaluation: losses, the share of taken pseudo-labels, and what they are.

    Pseudo-labels are counted by where they come from, "taken" being the final ones that passed the mask, in tables
    (K + 1, K): rows are true classes, the last one images of unknown class; columns guessed ones. Of every window
    `windows` keeps what there was and what was guessed by class; the whole tables are those of the last one. Every sum
    stays where it is in memory, so that a captured step goes on adding to it.
    """

    def __init__(self, truth: Tensor, num_classes: int) -> None:
        self.truth, self.num_classes = torch.where(truth < 0, num_classes, truth), num_classes
        self.known = len(truth) > 0 and bool((truth >= 0).all())
        self.sums: dict[str, Tensor] = {}
        self.tables: dict[str, Tensor] = {}
        self.last: dict[str, Tensor] = {}
        self.windows: list[dict[str, Tensor]] = []
        self.steps = torch.zeros((), dtype=torch.long, device=truth.device)

    @torch.no_grad()
    def add(self, losses: Losses, step: Step, guesses: Mapping[str, Tensor]) -> None:
        """Count one step with its pseudo-labels (U, K) by name; every one counts, confident or not."""
        self.steps += 1
        values = {f"loss_{name}": loss.detach() for name, loss in losses.items()}
        if step.mask.numel():
            values["mask_rate"] = step.mask.float().mean()
        for name, value in values.items():
            if name not in self.sums:
                self.sums[name] = torch.zeros_like(value)
            self.sums[name] += value
        if not guesses:
            return
        row = self.truth[step.batch.u_index] * self.num_classes
        one = torch.ones_like(row)
        for name, probs in guesses.items():
            cell = row + probs.argmax(-1)
            self._table(name).index_add_(0, cell, one)
            if name == FINAL and step.mask.numel():
                self._table(TAKEN).index_add_(0, cell, step.mask.long())

    def drain(self) -> dict[str, Any]:
        """The means of the window and its pseudo-label recall and precision by class; starts a new window."""
        steps = int(self.steps)
        row: dict[str, Any] = {name: float(total) / steps for name, total in self.sums.items() if steps}
        if steps:
            self.last = {
                name: table.view(-1, self.num_classes).to("cpu", copy=True) for name, table in self.tables.items()
            }
            self.windows.append({"steps": torch.tensor(steps)} | _short(self.last))
        if steps and self.known and FINAL in self.last:
            counts = self.last[FINAL][:-1].numpy()
            for name, values in (("recall", recall(counts)), ("precision", precision(counts))):
                row |= {f"pl_{name}_{k}": None if np.isnan(v) else float(v) for k, v in enumerate(values)}
        for tensor in self.state().values():
            tensor.zero_()
        return row

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs to end the window it was killed in; all that a step writes."""
        tables = {f"{TABLE}{name}": table for name, table in self.tables.items()}
        return {"steps": self.steps, **self.sums, **tables}

    def record(self) -> dict[str, Any]:
        """What there is of windows that have ended: of all in short, of the last its tables."""
        return {"windows": self.windows, "last": self.last}

    def restore(self, state: dict[str, Tensor], record: Mapping[str, Any]) -> None:
        """Go on from `state` and `record`."""
        for name, value in state.items():
            if name not in self.state():
                group = self.tables if name.startswith(TABLE) else self.sums
                group[name.removeprefix(TABLE)] = torch.zeros_like(value, device=self.truth.device)
        for name, tensor in self.state().items():
            tensor.copy_(state[name]) if name in state else tensor.zero_()
        self.windows, self.last = list(record["windows"]), dict(record["last"])

    def _table(self, name: str) -> Tensor:
        if name not in self.tables:
            cells = (self.num_classes + 1) * self.num_classes
            self.tables[name] = torch.zeros(cells, dtype=torch.long, device=self.truth.device)
        return self.tables[name]


def _short(tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of tables (K + 1, K): the images of each class, "truth" (K,); guessed and right (2, K) by name."""
    if FINAL not in tables:
        return {}
    columns = {name: torch.stack([table.sum(0), table.diagonal()]).int() for name, table in tables.items()}
    return {"truth": tables[FINAL][:-1].sum(1).int(), **columns}
