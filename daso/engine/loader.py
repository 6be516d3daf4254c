"""Batches of a run as a function of (seed, step), sampled and augmented in chunks of steps ahead of the training."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daso.augment.packed import Normalize
from daso.augment.randaugment import ship
from daso.augment.views import Augmentation
from daso.data.sampler import Rows
from daso.draw import Draw
from daso.engine.resident import Pool, Resident
from daso.engine.stopwatch import Stopwatch
from daso.methods.base import Views
from daso.records import Batch

# Steps that are sampled and augmented together: what a CPU's cache holds, what hides the launches of a GPU.
CHUNK = {"cpu": 8, "cuda": 64}
LARGEST = 2**28  # bytes of a chunk's images
AHEAD = 2  # chunks that the host may be ahead of a GPU, so that what waits there takes bounded memory


class Chunk(NamedTuple):
    """What T consecutive steps need, on the device."""

    t: Tensor  # (T,) step numbers
    x: dict[str, Tensor]  # labeled views by name, normalised float32, in the network's memory format: see `Loader`
    y: Tensor  # (T, B) labels
    x_index: Tensor  # (T, B) rows of the labeled set
    u: dict[str, Tensor]  # unlabeled views by name, likewise
    u_index: Tensor  # (T, U) rows of the unlabeled set

    def tensors(self) -> list[Tensor]:
        """All of them, in one order."""
        return [self.t, *self.x.values(), self.y, self.x_index, *self.u.values(), self.u_index]

    def space(self, steps: int) -> Chunk:
        """Room for as many steps of this kind."""

        def like(tensor: Tensor) -> Tensor:
            return tensor.new_zeros(steps, *tensor.shape[1:])

        x, u = ({view: like(images) for view, images in side.items()} for side in (self.x, self.u))
        return Chunk(like(self.t), x, like(self.y), like(self.x_index), u, like(self.u_index))


class Loader:
    """Makes chunks of steps, on CUDA on a stream of its own while the steps before them are taken.

    Views of a chunk are contiguous tensors, (T, n, 3, H, W), or (T, n, H, W, 3) for a network with `layout` channels
    last, so that a step selects its images in one kernel each.
    """

    def __init__(
        self,
        data: Resident,
        config: Mapping[str, Any],
        views: Views,
        device: torch.device,
        chunk: int | None = None,
        watch: Stopwatch | None = None,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.data, self.views, self.device = data, views, device
        self.watch = watch or Stopwatch(device)
        self.seed: int = config["draw_seed"]
        size, dataset = config["protocol"]["batch_size"], config["dataset"]
        self.x_rows = Rows(self.seed, "rows/x", len(data.labeled), size)
        self.u_rows = Rows(self.seed, "rows/u", len(data.unlabeled), size * config["method"]["unlabeled_ratio"])
        self.augmentation = Augmentation(size=dataset["image_size"], operations=views.operations, **dataset["augment"])
        images = size * (len(views.x) + len(views.u) * config["method"]["unlabeled_ratio"])  # of a step
        fit = LARGEST // max(1, 4 * 3 * self.augmentation.side**2 * images)
        self.chunk = chunk or max(1, min(CHUNK[device.type], fit))
        self.axis = -1 if layout == torch.channels_last else -3  # of the channels in memory
        self.normalize = Normalize(dataset["mean"], dataset["std"], channels_last=self.axis == -1).to(device)
        self.side = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        if self.side is not None:
            self.side.wait_stream(torch.cuda.current_stream(device))  # the data may still be on its way
        self.begun: deque[torch.cuda.Event] = deque(maxlen=AHEAD)

    def chunks(self, start: int, end: int) -> Iterator[Chunk]:
        """The chunks of steps start..end-1."""
        for first in range(start, end, self.chunk):
            t = torch.arange(first, min(first + self.chunk, end))
            yield self._make(t) if self.side is None else self._make_aside(t, self.side)

    def plain(self, images: Tensor) -> Tensor:
        """Packed images (n, H, W) as a network sees them at test time: resized where they are, and normalised."""
        return self.normalize(self.augmentation.plain(images))

    def batch(self, chunk: Chunk, slot: Tensor) -> Batch:
        """The batch of one step of a chunk, the one at `slot` (1,) on the device."""

        def at(steps: Tensor) -> Tensor:
            return steps.index_select(0, slot).squeeze(0)

        t = at(chunk.t)
        return Batch(
            t,
            {view: at(images).movedim(self.axis, -3) for view, images in chunk.x.items()},
            at(chunk.y),
            at(chunk.x_index),
            {view: at(images).movedim(self.axis, -3) for view, images in chunk.u.items()},
            at(chunk.u_index),
            Draw(self.seed, "step", t),
        )

    def _make_aside(self, t: Tensor, side: torch.cuda.Stream) -> Chunk:
        """Make a chunk on the side stream; the current stream waits for it, the host only for what lies far back."""
        current = torch.cuda.current_stream(self.device)
        if len(self.begun) == AHEAD:
            self.begun[0].synchronize()
        self.begun.append(current.record_event())
        with torch.cuda.stream(side):
            chunk = self._make(t)
        current.wait_stream(side)
        for tensor in chunk.tensors():
            tensor.record_stream(current)
        return chunk

    def _make(self, t: Tensor) -> Chunk:
        with self.watch.measure("augmentation"):
            x_index, x = self._side("x", self.data.labeled, self.x_rows, self.views.x, t)
            u_index, u = self._side("u", self.data.unlabeled, self.u_rows, self.views.u, t)
            return Chunk(ship(t, self.device), x, self.data.labeled.labels[x_index], x_index, u, u_index)

    def _side(
        self, side: str, pool: Pool, stream: Rows, views: tuple[str, ...], t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Rows (T, n) and, by view, normalised images of one side of the batches."""
        if not views:
            return torch.empty(len(t), 0, dtype=torch.long, device=self.device), {}
        rows = stream(int(t[0]), len(t))
        images = pool.gather(rows)
        render = {
            "plain": lambda images, draw: self.augmentation.plain(images),
            "weak": self.augmentation.weak,
            "strong": self.augmentation.strong,
        }
        packed = ((view, render[view.rstrip("2")](images, Draw(self.seed, f"{side}/{view}", t))) for view in views)
        return ship(rows, self.device), {view: self.normalize(images).movedim(-3, self.axis) for view, images in packed}
