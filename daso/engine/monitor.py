"""What is watched while a run trains: sums on the device, turned into columns of the history."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from daso.ops.confusion import precision, recall
from daso.records import Losses, Step


class Monitor:
    """Sums over the steps since the last evaluation: losses, the share of taken pseudo-labels, and their confusion.

    Every sum stays where it is in memory, so that a captured step goes on adding to it.
    """

    def __init__(self, truth: Tensor, num_classes: int) -> None:
        self.truth, self.num_classes = truth, num_classes
        self.known = len(truth) > 0 and bool((truth >= 0).all())
        self.sums: dict[str, Tensor] = {}
        self.confusion = torch.zeros(num_classes**2, dtype=torch.long, device=truth.device)
        self.steps = torch.zeros((), dtype=torch.long, device=truth.device)

    @torch.no_grad()
    def add(self, losses: Losses, step: Step) -> None:
        """Count one step; every pseudo-label counts, confident or not."""
        self.steps += 1
        values = {f"loss_{name}": loss.detach() for name, loss in losses.items()}
        if step.mask.numel():
            values["mask_rate"] = step.mask.float().mean()
        for name, value in values.items():
            if name not in self.sums:
                self.sums[name] = torch.zeros_like(value)
            self.sums[name] += value
        if self.known and step.targets.numel():
            cell = self.truth[step.batch.u_index] * self.num_classes + step.targets.argmax(-1)
            self.confusion.index_add_(0, cell, torch.ones_like(cell))

    def drain(self) -> dict[str, Any]:
        """The means of the window and its pseudo-label recall and precision by class; starts a new window."""
        steps = int(self.steps)
        row: dict[str, Any] = {name: float(total) / steps for name, total in self.sums.items() if steps}
        counts = self.confusion.view(self.num_classes, self.num_classes).cpu().numpy()
        if counts.any():
            for name, values in (("recall", recall(counts)), ("precision", precision(counts))):
                row |= {f"pl_{name}_{k}": None if np.isnan(v) else float(v) for k, v in enumerate(values)}
        for tensor in self.state().values():
            tensor.zero_()
        return row

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs to end the window it was killed in."""
        return {"steps": self.steps, "confusion": self.confusion, **self.sums}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        for name, value in state.items():
            if name not in self.state():
                self.sums[name] = torch.zeros_like(value, device=self.truth.device)
        for name, tensor in self.state().items():
            tensor.copy_(state[name]) if name in state else tensor.zero_()
