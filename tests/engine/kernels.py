"""Count the CUDA kernels of a training step on a machine without a GPU.

A table gives the number of kernels that each ATen operation of a real CPU step launches on CUDA, according to the
sources of torch 2.15 (aten/src/ATen/native/cuda). A count of dispatched operations would be a third too low.
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
# Kernels of a write in deterministic mode, which sorts: aminmax (2), bounds checked twice (compare, assert), remainder,
# multiply, divide, arange, radix sort (2), write.
SORTED = 13
LAUNCHES = {
    "_fused_sgd_": 2,
    "native_batch_norm": 4,  # of bf16 in NHWC: fill, statistics, update, transform
    "native_batch_norm_backward": 3,  # fill, reduce, transform
    "sort": 4,
}
WRITES = {"index_put_": 0, "index_copy_": 0, "index_copy": 1, "index_add_": 2, "index_add": 3, "scatter": 8}


class Kernels(TorchDispatchMode):
    """Context that counts, by operation, the kernels that CUDA would launch in bf16 for the code inside."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        namespace, name = func.name().split("::")[0], func.overloadpacket.__name__
        if namespace == "aten" and name not in VIEWS:
            self.counts[name] += launches(name, args)
        return func(*args, **(kwargs or {}))


def launches(name: str, args: tuple) -> int:
    """Return the number of kernels of one operation, in torch's current mode of determinism."""
    if name in WRITES:
        return SORTED + WRITES[name] if torch.are_deterministic_algorithms_enabled() else 1
    if name == "convolution_backward":  # for the weights, and for the input if it needs a gradient
        return 1 + bool(args[-1][0])
    return 2 if name.startswith("_foreach") else LAUNCHES.get(name, 1)
