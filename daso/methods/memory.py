"""Queues, histograms, running means and memory banks of methods, in buffers of static shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daso.draw import stream_key
from daso.ops.distributions import count, running_mean, shares
from daso.ops.rows import write_rows


class QueueState(NamedTuple):
    """Result of a push: the pushed features with their rows in the bank, and the updated state of each class."""

    slot: Tensor  # (n,) row of the bank for each feature
    features: Tensor  # (n, D)
    head: Tensor  # (K,) position of the next feature in the queue of each class
    size: Tensor  # (K,) number of features in the queue of each class
    sums: Tensor  # (K, D) float64, sum of the features in the queue of each class


class ClassQueue(nn.Module):
    """First-in-first-out queue of features for each class (Oh et al. 2022, section 3.2).

    `capacity` holds K lengths; `batch_size` is the largest number of features in one push. The cost of a push depends
    neither on the lengths of the queues nor on the number of classes: the sums are updated by the features that enter
    and leave, in float64, so that they stay accurate over 250,000 steps.
    """

    bank: Tensor  # (K * L + B, D), class after class; discarded features are written to the last B rows
    head: Tensor
    size: Tensor
    sums: Tensor
    capacity: Tensor

    def __init__(self, capacity: Sequence[int], feature_dim: int, batch_size: int) -> None:
        super().__init__()
        classes, self.length = len(capacity), max(capacity)
        self.register_buffer("bank", torch.zeros(classes * self.length + batch_size, feature_dim))
        self.register_buffer("head", torch.zeros(classes, dtype=torch.long))
        self.register_buffer("size", torch.zeros(classes, dtype=torch.long))
        self.register_buffer("sums", torch.zeros(classes, feature_dim, dtype=torch.float64))
        self.register_buffer("capacity", torch.tensor(list(capacity)), persistent=False)

    def after_push(self, features: Tensor, labels: Tensor) -> QueueState:
        """Return the state after pushing features (n, D) with labels (n,) in this order; writes no state."""
        classes, position = len(self.capacity), torch.arange(len(labels), device=labels.device)
        same = labels[:, None] == torch.arange(classes, device=labels.device)
        rank = same.cumsum(0).gather(1, labels[:, None]).squeeze(1) - 1  # index among the batch's images of the class
        added = same.sum(0)
        capacity = self.capacity[labels]
        superseded = added[labels] - rank > capacity  # replaced by later features of the same batch
        slot = labels * self.length + (self.head[labels] + rank) % capacity
        slot = torch.where(superseded, classes * self.length + position, slot)
        features = features.float()
        change = (features.double() - self.bank[slot].double()) * ~superseded[:, None]
        return QueueState(
            slot,
            features,
            (self.head + added) % self.capacity,
            (self.size + added).minimum(self.capacity),
            # A matrix product is deterministic on a GPU without the dozen kernels of a sorted index_add, and products
            # with 0 and 1 are exact.
            torch.addmm(self.sums, same.T.double(), change),
        )

    def prototypes(self, queue: QueueState) -> Tensor:
        """Return the mean feature of each class (K, D); zero for an empty queue."""
        return (queue.sums / queue.size.clamp(min=1)[:, None]).float()

    def commit(self, queue: QueueState) -> None:
        """Write the result of a push in place."""
        write_rows(self.bank, queue.slot, queue.features)  # no two slots are equal
        self.head.copy_(queue.head)
        self.size.copy_(queue.size)
        self.sums.copy_(queue.sums)


class Histogram(nn.Module):
    """Label counts over consecutive windows of `period` steps.

    `published` holds the counts of the last complete window, and ones before the first window is complete. The last
    step of the run, `steps` - 1, publishes nothing.
    """

    counts: Tensor
    published: Tensor

    def __init__(self, num_classes: int, period: int, steps: int) -> None:
        super().__init__()
        self.period, self.steps = period, steps
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.long))
        self.register_buffer("published", torch.ones(num_classes, dtype=torch.long))

    def add(self, labels: Tensor, t: Tensor) -> None:
        """Add labels (n,) of step t () to the counts; publish them at the end of a window."""
        counts = self.counts + count(labels, len(self.counts))
        due = ((t + 1) % self.period == 0) & (t + 1 < self.steps)
        self.published.copy_(torch.where(due, counts, self.published))
        self.counts.copy_(torch.where(due, torch.zeros_like(counts), counts))


class PeriodSum(nn.Module):
    """Sum of counts or probabilities (K,) over the steps of a period, zero at the start of the next one."""

    total: Tensor

    def __init__(self, num_classes: int, period: int) -> None:
        super().__init__()
        self.period = period
        self.register_buffer("total", torch.zeros(num_classes, dtype=torch.float64))

    def add(self, counts: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Add the counts (K,) of step t (); return the sum of the period so far, and True () if step t is its last."""
        total, ends = self.total + counts, (t + 1) % self.period == 0
        self.total.copy_(torch.where(ends, torch.zeros_like(total), total))
        return total, ends


class RunningPrior(nn.Module):
    """Exponential moving average of the class distribution of consecutive sets of images, uniform at the start.

    `start` are counts (K,) whose shares replace the uniform start. `offset` is added to the total count of a set.
    """

    shares: Tensor  # (K,)

    def __init__(
        self, num_classes: int, momentum: float, *, start: Sequence[float] | None = None, offset: float = 0.0
    ) -> None:
        super().__init__()
        self.momentum, self.offset = momentum, offset
        self.register_buffer("shares", shares(start or (1,) * num_classes))

    def updated(self, counts: Tensor) -> Tensor:
        """Return the average (K,) after a set with these counts (K,); writes no state.

        They are sums of probabilities or numbers of labels. A set without images leaves the average unchanged.
        """
        total = counts.sum() + self.offset
        moved = running_mean(self.shares, counts / torch.where(total > 0, total, 1.0), self.momentum)
        return torch.where(total > 0, moved, self.shares)

    def commit(self, shares: Tensor) -> None:
        """Write the updated average in place."""
        self.shares.copy_(shares)


class RecentState(NamedTuple):
    """Contents of a RecentMean."""

    rows: Tensor  # (L, K), zero where no row has been pushed yet
    seen: Tensor  # () number of rows pushed since the start


class RecentMean(nn.Module):
    """Mean of the last `length` rows (K,) pushed, or of all rows while there are fewer."""

    rows: Tensor
    seen: Tensor

    def __init__(self, length: int, size: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(length, size))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def after_push(self, row: Tensor) -> RecentState:
        """Return the state after a row (K,) has replaced the oldest one; writes no state."""
        slot, position = self.seen % len(self.rows), torch.arange(len(self.rows), device=row.device)[:, None]
        return RecentState(torch.where(position == slot, row, self.rows), self.seen + 1)

    def mean(self, state: RecentState) -> Tensor:
        """Return the mean row (K,) of a state with at least one row."""
        return state.rows.sum(0) / state.seen.clamp(max=len(self.rows))

    def commit(self, state: RecentState) -> None:
        """Write the result of a push in place."""
        self.rows.copy_(state.rows)
        self.seen.copy_(state.seen)


class MemoryBank(nn.Module):
    """Memory bank with one unit vector for each of `length` images, updated by new keys (Zheng et al. 2022).

    With `momentum` m, row v becomes m v + (1 - m) key, scaled to length one; with momentum 0 the key replaces the row.
    """

    rows: Tensor  # (N, d), random at the start

    def __init__(self, length: int, dim: int, momentum: float, seed: int) -> None:
        super().__init__()
        self.momentum = momentum
        generator = torch.Generator().manual_seed(stream_key(seed, "bank") % 2**63)
        self.register_buffer("rows", F.normalize(torch.randn(length, dim, generator=generator), dim=-1))

    def write(self, index: Tensor, keys: Tensor) -> None:
        """Update the rows at index (n,) by keys (n, d) in place; of duplicate images, the last key counts."""
        position = torch.arange(len(index), device=index.device)
        last = torch.where(index[:, None] == index, position, -1).amax(1)  # duplicates write equal rows, in any order
        moved = torch.lerp(F.normalize(keys.float(), dim=-1)[last], self.rows[index], self.momentum)
        write_rows(self.rows, index, F.normalize(moved, dim=-1))  # fidelity: bank-axis
