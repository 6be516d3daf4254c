"""What methods remember, in buffers of static shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daso.draw import stream_key
from daso.ops.distributions import count
from daso.ops.rows import write_rows


class QueueState(NamedTuple):
    """What a push changes: the features that came in and where they go, and what is known of each class after it."""

    slot: Tensor  # (n,) rows of the bank
    features: Tensor  # (n, D)
    head: Tensor  # (K,) where the next feature of a class goes
    size: Tensor  # (K,) how many features a class holds
    sums: Tensor  # (K, D) float64, of the features that a class holds


class ClassQueue(nn.Module):
    """One first-in-first-out queue of features for each class (Oh et al. 2022, section 3.2).

    `capacity` holds K lengths; `batch_size` is the most features that are ever pushed at once. A push costs the same
    however long the queues and however many the classes are: sums go along with what comes in and what is pushed out,
    in float64, so that nothing of them is lost in 250,000 steps.
    """

    bank: Tensor  # (K * L + B, D), class after class; the last B rows take what is thrown away
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

    def pushed(self, features: Tensor, labels: Tensor) -> QueueState:
        """The queue after features (n, D) with labels (n,) came in, in this order; writes nothing."""
        classes, position = len(self.capacity), torch.arange(len(labels), device=labels.device)
        same = labels[:, None] == torch.arange(classes, device=labels.device)
        rank = same.cumsum(0).gather(1, labels[:, None]).squeeze(1) - 1  # place among the batch's images of the class
        news = same.sum(0)
        capacity = self.capacity[labels]
        superseded = news[labels] - rank > capacity  # later ones of this very batch push it out again
        slot = labels * self.length + (self.head[labels] + rank) % capacity
        slot = torch.where(superseded, classes * self.length + position, slot)
        features = features.float()
        change = (features.double() - self.bank[slot].double()) * ~superseded[:, None]
        return QueueState(
            slot,
            features,
            (self.head + news) % self.capacity,
            (self.size + news).minimum(self.capacity),
            # Deterministic on a GPU without the dozen kernels of a sorted index_add; products with 0 and 1 are exact.
            torch.addmm(self.sums, same.T.double(), change),
        )

    def prototypes(self, queue: QueueState) -> Tensor:
        """The mean feature of each class (K, D); zero where the class has none."""
        return (queue.sums / queue.size.clamp(min=1)[:, None]).float()

    def write(self, queue: QueueState) -> None:
        """Make a proposed state the queue's own."""
        write_rows(self.bank, queue.slot, queue.features)  # slots are distinct
        self.head.copy_(queue.head)
        self.size.copy_(queue.size)
        self.sums.copy_(queue.sums)


class Histogram(nn.Module):
    """Label counts over consecutive windows of `period` steps; `published` is the last complete window.

    Nothing is published after the last of `steps`, and all ones before the first window is complete.
    """

    counts: Tensor
    published: Tensor

    def __init__(self, num_classes: int, period: int, steps: int) -> None:
        super().__init__()
        self.period, self.steps = period, steps
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.long))
        self.register_buffer("published", torch.ones(num_classes, dtype=torch.long))

    def add(self, labels: Tensor, t: Tensor) -> None:
        """Count labels (n,) of step t ()."""
        counts = self.counts + count(labels, len(self.counts))
        due = ((t + 1) % self.period == 0) & (t + 1 < self.steps)
        self.published.copy_(torch.where(due, counts, self.published))
        self.counts.copy_(torch.where(due, torch.zeros_like(counts), counts))


class RecentState(NamedTuple):
    """The contents of a recent mean."""

    rows: Tensor  # (L, K), zero where nothing came in yet
    seen: Tensor  # () how many rows ever came in


class RecentMean(nn.Module):
    """The mean of the last `length` rows (K,) that came in, or of all while they are fewer."""

    rows: Tensor
    seen: Tensor

    def __init__(self, length: int, size: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(length, size))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def pushed(self, row: Tensor) -> RecentState:
        """The state after a row (K,) came in, in place of the oldest; writes nothing."""
        slot, place = self.seen % len(self.rows), torch.arange(len(self.rows), device=row.device)[:, None]
        return RecentState(torch.where(place == slot, row, self.rows), self.seen + 1)

    def mean(self, state: RecentState) -> Tensor:
        """The mean row (K,) of a state that holds at least one."""
        return state.rows.sum(0) / state.seen.clamp(max=len(self.rows))

    def write(self, state: RecentState) -> None:
        """Make a proposed state its own."""
        self.rows.copy_(state.rows)
        self.seen.copy_(state.seen)


class MemoryBank(nn.Module):
    """A unit vector for each of `length` images, which their new keys move (Zheng et al. 2022).

    With `momentum` m a row v becomes m v + (1 - m) key, and has length one again; at 0 the key takes its place.
    """

    rows: Tensor  # (N, d), drawn at first

    def __init__(self, length: int, dim: int, momentum: float, seed: int) -> None:
        super().__init__()
        self.momentum = momentum
        generator = torch.Generator().manual_seed(stream_key(seed, "bank") % 2**63)
        self.register_buffer("rows", F.normalize(torch.randn(length, dim, generator=generator), dim=-1))

    def write(self, index: Tensor, keys: Tensor) -> None:
        """Move rows index (n,) by keys (n, d); where an image is there twice, the last of its keys counts."""
        place = torch.arange(len(index), device=index.device)
        last = torch.where(index[:, None] == index, place, -1).amax(1)  # all that write to a row write the same
        moved = torch.lerp(F.normalize(keys.float(), dim=-1)[last], self.rows[index], self.momentum)
        write_rows(self.rows, index, F.normalize(moved, dim=-1))  # fidelity: bank-axis
