"""Count the CUDA kernels of a training step on a machine without a GPU.

Every ATen operation of a real step on the CPU is looked up in a table of the kernels that it launches on CUDA, read
from the sources of torch 2.15 (aten/src/ATen/native/cuda). A count of dispatched operations would be a third too low.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode

VIEWS = frozenset(
    {"_unsafe_view", "alias", "as_strided", "detach", "empty", "empty_like", "empty_strided", "expand", "lift_fresh"}
    | {"movedim", "new_empty_strided", "permute", "select", "slice", "split", "split_with_sizes", "squeeze", "t"}
    | {"transpose", "unbind", "unsqueeze", "view"}
)
# Deterministic mode writes by a sort: aminmax (2), bounds checked twice (compare, assert), remainder, multiply, divide,
# arange, radix sort (2), write.
SORTED = 13
LAUNCHES = {
    "_fused_sgd_": 2,
    "native_batch_norm": 4,  # of bf16 in NHWC: fill, statistics, update, transform
    "native_batch_norm_backward": 3,  # fill, reduce, transform
    "sort": 4,
}
WRITES = {"index_put_": 0, "index_copy_": 0, "index_copy": 1, "index_add_": 2, "index_add": 3, "scatter": 8}


class Kernels(TorchDispatchMode):
    """Kernels by operation, of all that runs inside, as CUDA would launch them in bf16."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        namespace, name = func.name().split("::")[0], func.overloadpacket.__name__
        if namespace == "aten" and name not in VIEWS:
            self.counts[name] += launches(name, args)
        return func(*args, **(kwargs or {}))


def launches(name: str, args: tuple) -> int:
    """Kernels of one operation, in the mode of determinism that holds now."""
    if name in WRITES:
        return SORTED + WRITES[name] if torch.are_deterministic_algorithms_enabled() else 1
    if name == "convolution_backward":  # of the weights, and of the input where that is asked for
        return 1 + bool(args[-1][0])
    return 2 if name.startswith("_foreach") else LAUNCHES.get(name, 1)
