"""What is watched while a run trains: sums on the device, turned into columns of the history."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from daso.ops.confusion import precision, recall
from daso.records import Losses, Step


class Monitor:
    """Sums over the steps since the last evaluation: losses, the share of taken pseudo-labels, and their confusion."""

    def __init__(self, truth: Tensor, num_classes: int) -> None:
        self.truth, self.num_classes = truth, num_classes
        self.known = len(truth) > 0 and bool((truth >= 0).all())
        self.sums: dict[str, Tensor] = {}
        self.confusion = torch.zeros(num_classes**2, dtype=torch.long, device=truth.device)
        self.steps = 0

    @torch.no_grad()
    def add(self, losses: Losses, step: Step) -> None:
        """Count one step; every pseudo-label counts, confident or not."""
        self.steps += 1
        values = {f"loss_{name}": loss.detach() for name, loss in losses.items()}
        if step.mask.numel():
            values["mask_rate"] = step.mask.float().mean()
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        if self.known and step.targets.numel():
            cell = self.truth[step.batch.u_index] * self.num_classes + step.targets.argmax(-1)
            self.confusion.index_add_(0, cell, torch.ones_like(cell))

    def drain(self) -> dict[str, Any]:
        """The means of the window and its pseudo-label recall and precision by class; starts a new window."""
        row: dict[str, Any] = {name: float(total) / self.steps for name, total in self.sums.items()}
        counts = self.confusion.view(self.num_classes, self.num_classes).cpu().numpy()
        if counts.any():
            for name, values in (("recall", recall(counts)), ("precision", precision(counts))):
                row |= {f"pl_{name}_{k}": None if np.isnan(v) else float(v) for k, v in enumerate(values)}
        self.sums, self.steps = {}, 0
        self.confusion.zero_()
        return row

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to end the window it was killed in."""
        return {"sums": self.sums, "confusion": self.confusion, "steps": self.steps}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.sums = {name: value.to(self.truth.device) for name, value in state["sums"].items()}
        self.confusion.copy_(state["confusion"])
        self.steps = state["steps"]
