"""Write rows of a table in place."""

from __future__ import annotations

import torch
from torch import Tensor


def write_rows(table: Tensor, index: Tensor, rows: Tensor) -> None:
    """Write rows (n, ...) into a table (m, ...) at index (n,), in place; duplicate indices must have equal rows.

    Every order of writing then gives the same bits, so torch's deterministic mode is off here on CUDA, where it would
    add a sort, a dozen kernels. Switching it imports Inductor, which takes seconds, so a CPU does not switch it.
    """
    if not table.is_cuda:
        table.index_copy_(0, index, rows)
        return
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        table.index_copy_(0, index, rows)
    finally:
        torch.use_deterministic_algorithms(deterministic)
