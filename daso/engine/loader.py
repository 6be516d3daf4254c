"""Load batches as a function of (seed, step), sampled and augmented ahead of the training in chunks of steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daso.aliases import Colour
from daso.augment.randaugment import copy_async
from daso.data.sampler import AllRows, RowSampler
from daso.draw import Draw
from daso.engine.feature_pool import FeaturePool, FeatureViews
from daso.engine.image_views import ImageViews
from daso.engine.resident import Pool, Resident
from daso.engine.stopwatch import Stopwatch
from daso.methods.base import Views
from daso.models.network import Encoder
from daso.records import Batch

# Steps of a chunk: few enough for the cache of a CPU, many enough to hide the kernel launches of a GPU.
CHUNK_STEPS = {"cpu": 8, "cuda": 64}
MAX_CHUNK_BYTES = 2**28  # largest size of a chunk's images
AHEAD = 2  # chunks that the host may be ahead of a GPU; this bounds the memory of queued chunks


class Chunk(NamedTuple):
    """Inputs of T consecutive steps, on the device."""

    t: Tensor  # (T,) step numbers
    x: dict[str, Tensor]  # labeled views by name, float32 inputs of the network: see `ImageViews` and `FeatureViews`
    y: Tensor  # (T, B) labels
    x_index: Tensor  # (T, B) rows of the labeled set
    u: dict[str, Tensor]  # unlabeled views by name, in the same form
    u_index: Tensor  # (T, U) rows of the unlabeled set

    def tensors(self) -> list[Tensor]:
        """Return all tensors, in a fixed order."""
        return [self.t, *self.x.values(), self.y, self.x_index, *self.u.values(), self.u_index]

    def allocate(self, steps: int) -> Chunk:
        """Return a chunk of zeros for this many steps."""

        def zeros(tensor: Tensor) -> Tensor:
            return tensor.new_zeros(steps, *tensor.shape[1:])

        x, u = ({view: zeros(images) for view, images in views.items()} for views in (self.x, self.u))
        return Chunk(zeros(self.t), x, zeros(self.y), zeros(self.x_index), u, zeros(self.u_index))


class Loader:
    """Source of chunks of images or features; on CUDA they are made on a side stream while earlier steps run.

    Each view of a chunk is one contiguous tensor, (T, n, ...), so that a step selects the images of a view with one
    kernel.
    """

    def __init__(
        self,
        data: Resident,
        config: Mapping[str, Any],
        views: Views,
        device: torch.device,
        chunk: int | None = None,
        stopwatch: Stopwatch | None = None,
        encoder: type[Encoder] | Encoder = Encoder,
    ) -> None:
        self.data, self.views, self.device = data, views, device
        self.stopwatch = stopwatch or Stopwatch(device)
        self.seed: int = config["draw_seed"]
        labeled = config["protocol"]["batch_size"]  # images of a step
        unlabeled = labeled * config["method"]["unlabeled_ratio"]
        self.x_rows: RowSampler | AllRows = RowSampler(self.seed, "rows/x", len(data.labeled), labeled)
        self.u_rows: RowSampler | AllRows = RowSampler(self.seed, "rows/u", len(data.unlabeled), unlabeled)
        if views.all_images:
            labeled, unlabeled = len(data.labeled), len(data.unlabeled)
            self.x_rows, self.u_rows = AllRows(labeled), AllRows(unlabeled)
        self.views_per_step = labeled * len(views.x) + unlabeled * len(views.u)
        self.inputs: FeatureViews | ImageViews
        if isinstance(data.labeled, FeaturePool):
            self.inputs = FeatureViews(data.labeled)
        else:
            self.inputs = ImageViews(config["dataset"], views.operations, encoder, device)
        steps_that_fit = MAX_CHUNK_BYTES // max(1, self.inputs.bytes_per_view * self.views_per_step)
        self.chunk = chunk or max(1, min(CHUNK_STEPS[device.type], steps_that_fit))
        self.side_stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        if self.side_stream is not None:
            self.side_stream.wait_stream(torch.cuda.current_stream(device))  # data may still be copied to the device
        self.chunk_starts: deque[torch.cuda.Event] = deque(maxlen=AHEAD)

    def chunks(self, start: int, end: int) -> Iterator[Chunk]:
        """Yield the chunks of steps start..end-1."""
        for first in range(start, end, self.chunk):
            t = torch.arange(first, min(first + self.chunk, end))
            yield self._make(t) if self.side_stream is None else self._make_on_side_stream(t, self.side_stream)

    def prepare_for_evaluation(self, images: Tensor) -> Tensor:
        """Prepare images or features of a pool for evaluation, without random augmentation."""
        return self.inputs.prepare_for_evaluation(images)

    def blank(self, colour: Colour) -> Tensor:
        """Return the network's input for a blank image, (1, 3, H, W) or features (1, D), on the device."""
        return self.inputs.blank(colour)

    def batch(self, chunk: Chunk, step_index: Tensor) -> Batch:
        """Return the batch of one step of a chunk; `step_index` (1,) on the device is the step's position in it."""

        def select(steps: Tensor) -> Tensor:
            return steps.index_select(0, step_index).squeeze(0)

        t = select(chunk.t)
        return Batch(
            t,
            {view: self.inputs.select(images, step_index) for view, images in chunk.x.items()},
            select(chunk.y),
            select(chunk.x_index),
            {view: self.inputs.select(images, step_index) for view, images in chunk.u.items()},
            select(chunk.u_index),
            Draw(self.seed, "step", t),
        )

    def _make_on_side_stream(self, t: Tensor, side_stream: torch.cuda.Stream) -> Chunk:
        """Make a chunk on the side stream; the current stream waits for it, the host if it is AHEAD chunks ahead."""
        current = torch.cuda.current_stream(self.device)
        if len(self.chunk_starts) == AHEAD:
            self.chunk_starts[0].synchronize()
        self.chunk_starts.append(current.record_event())
        with torch.cuda.stream(side_stream):
            chunk = self._make(t)
        current.wait_stream(side_stream)
        for tensor in chunk.tensors():
            tensor.record_stream(current)
        return chunk

    def _make(self, t: Tensor) -> Chunk:
        with self.stopwatch.measure("augmentation"):
            x_index, x = self._render_part("x", self.data.labeled, self.x_rows, self.views.x, t)
            u_index, u = self._render_part("u", self.data.unlabeled, self.u_rows, self.views.u, t)
            return Chunk(copy_async(t, self.device), x, self.data.labeled.labels[x_index], x_index, u, u_index)

    def _render_part(
        self, part: str, pool: Pool, sampler: RowSampler | AllRows, views: tuple[str, ...], t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return rows (T, n) and, by view, inputs of the network of a part of the batches: x (labeled) or u."""
        if not views:
            return torch.empty(len(t), 0, dtype=torch.long, device=self.device), {}
        rows = sampler(int(t[0]), len(t))
        rendered = self.inputs.render(pool, rows, views, Draw(self.seed, part, t))
        return copy_async(rows, self.device), rendered
