"""Sum losses and count pseudo-labels on the device, for the columns of the history."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daso.data.run_files import ABOVE_THRESHOLD, FINAL
from daso.ops.confusion import precision, recall
from daso.records import Losses, Step

TABLE = "table_"
SUBSETS = "subsets"


class Monitor:
    """Sums of losses, mask rate and pseudo-label counts over a window: the steps since the last evaluation.

    Each kind of pseudo-label has a table (R, K) of image counts: rows are true classes, the last row is for images of
    unknown class; columns are predicted classes. R is K + 1, or K + 2 if some images are known to be of no class: row K
    is for them. The kind "above_threshold" counts the final ones above the threshold. `windows` holds the counts of
    each class for every window that has ended, `last` the tables of the latest one. Sums keep their addresses, as a
    captured step writes to them; the tables are views of one tensor, filled by one product.
    `subsets` are the unlabeled images (n,) bool of each named subset, which needs no true class. Of each, the images
    and those above the threshold are counted.
    """

    def __init__(self, truth: Tensor, num_classes: int, subsets: Mapping[str, Tensor] = MappingProxyType({})) -> None:
        self.num_classes, self.rows = num_classes, num_classes + 1 + bool((truth == num_classes).any())
        self.truth = torch.where(truth < 0, self.rows - 1, truth)
        self.classes = torch.arange(self.rows, device=truth.device)
        self.known = len(truth) > 0 and bool((truth >= 0).all())
        self.subsets = tuple(subsets)
        self.members = torch.stack(list(subsets.values()), 1) if subsets else truth.new_zeros(len(truth), 0)  # (n, S)
        self.in_subsets = truth.new_zeros(2, len(subsets))  # images, images above the threshold
        self.sums: dict[str, Tensor] = {}
        self.kinds: list[str] = []
        self.counts = self._zeros(0)  # (G, R, K), one table for each kind
        self.last: dict[str, Tensor] = {}
        self.windows: list[dict[str, Tensor]] = []
        self.steps = torch.zeros((), dtype=torch.long, device=truth.device)

    @torch.no_grad()
    def add(self, losses: Losses, step: Step, pseudo_labels: Mapping[str, Tensor]) -> None:
        """Add one step with its pseudo-labels (U, K) by name; all are counted, also those below the threshold."""
        self.steps += 1
        values = {f"loss_{name}": loss.detach() for name, loss in losses.items()}
        if step.mask.numel():
            values["mask_rate"] = step.mask.float().mean()
            if self.subsets:
                members = self.members[step.batch.u_index]
                self.in_subsets += torch.stack([members.sum(0), (members & step.mask[:, None]).sum(0)])
        for name, value in values.items():
            if name not in self.sums:
                self.sums[name] = torch.zeros_like(value)
            self.sums[name] += value
        if pseudo_labels:
            self._count(self.truth[step.batch.u_index], pseudo_labels, step.mask)

    def _count(self, truth: Tensor, pseudo_labels: Mapping[str, Tensor], mask: Tensor) -> None:
        """Add to the tables, given true classes (U,), pseudo-labels (U, K) by name, and a mask (U,) that may be empty.

        A product of zeros and ones is exact in float32 up to 2^24 images, and on CUDA deterministic in a few kernels.
        """
        kinds = [*pseudo_labels, *([ABOVE_THRESHOLD] if mask.numel() else [])]
        if not self.kinds:
            self.kinds, self.counts = kinds, self._zeros(len(kinds))
        labels = {kind: probs.argmax(-1) for kind, probs in pseudo_labels.items()}
        classes = torch.stack([labels[FINAL if kind == ABOVE_THRESHOLD else kind] for kind in kinds], dim=1)  # (U, G)
        one_hot = classes[..., None] == self.classes[: self.num_classes]  # (U, G, K)
        if mask.numel():
            one_hot[:, -1] &= mask[:, None]
        counts = (truth[:, None] == self.classes).float().T @ one_hot.float().flatten(1)
        self.counts += counts.view(-1, len(kinds), self.num_classes).transpose(0, 1).long()

    def drain(self) -> dict[str, Any]:
        """Return the window's means, mask rates, and pseudo-label recall and precision by class; start a new window."""
        steps = int(self.steps)
        row: dict[str, Any] = {name: float(total) / steps for name, total in self.sums.items() if steps}
        if steps:
            self.last = dict(zip(self.kinds, self.counts.to("cpu", copy=True).unbind(), strict=True))
            self.windows.append({"steps": torch.tensor(steps)} | _class_counts(self.last))
        if steps and ABOVE_THRESHOLD in self.last and self.rows > self.num_classes + 1:
            row |= self._mask_rates()
        if "mask_rate" in row:
            subsets = zip(self.subsets, *self.in_subsets.tolist(), strict=True)
            row |= {f"mask_rate_{name}": above / images if images else None for name, images, above in subsets}
        if steps and self.known and FINAL in self.last:
            counts = self.last[FINAL][:-1].numpy()
            for name, values in (("recall", recall(counts)), ("precision", precision(counts))):
                row |= {f"pl_{name}_{k}": None if np.isnan(v) else float(v) for k, v in enumerate(values)}
        for tensor in self.state().values():
            tensor.zero_()
        return row

    def _mask_rates(self) -> dict[str, float | None]:
        """Return the mask rate of images of no class and that of all others; None without such an image."""
        above, every = (self.last[kind].sum(1).tolist() for kind in (ABOVE_THRESHOLD, FINAL))
        outside = above[self.num_classes], every[self.num_classes]
        inside = sum(above) - outside[0], sum(every) - outside[1]
        rates = {"mask_rate_inside": inside, "mask_rate_outside": outside}
        return {name: part / whole if whole else None for name, (part, whole) in rates.items()}

    def state(self) -> dict[str, Tensor]:
        """Return the tensors of the current window, which a step writes and a resumed run continues."""
        tables = zip(self.kinds, self.counts.unbind(), strict=True)
        state = {"steps": self.steps, **self.sums, **{f"{TABLE}{kind}": table for kind, table in tables}}
        return state | ({SUBSETS: self.in_subsets} if self.subsets else {})

    def record(self) -> dict[str, Any]:
        """Return the class counts of all windows that have ended, and the tables of the last one."""
        return {"windows": self.windows, "last": self.last}

    def restore(self, state: dict[str, Tensor], record: Mapping[str, Any]) -> None:
        """Continue from the results of `state` and `record`."""
        kinds = [name.removeprefix(TABLE) for name in state if name.startswith(TABLE)]
        if kinds and not self.kinds:
            self.kinds, self.counts = kinds, self._zeros(len(kinds))
        for name, value in state.items():
            if name not in self.state():
                self.sums[name] = torch.zeros_like(value, device=self.truth.device)
        for name, tensor in self.state().items():
            tensor.copy_(state[name]) if name in state else tensor.zero_()
        self.windows, self.last = list(record["windows"]), dict(record["last"])

    def _zeros(self, kinds: int) -> Tensor:
        size = (kinds, self.rows, self.num_classes)
        return torch.zeros(size, dtype=torch.long, device=self.truth.device)


def _class_counts(tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Reduce tables (R, K): "truth" (K,), images of each true class; by name (2, K), predicted and correct ones."""
    if FINAL not in tables:
        return {}
    columns = {name: torch.stack([table.sum(0), table.diagonal()]).int() for name, table in tables.items()}
    return {"truth": tables[FINAL].sum(1)[: tables[FINAL].shape[1]].int(), **columns}
