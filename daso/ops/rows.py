"""Write rows of a table in place."""

from __future__ import annotations

import torch
from torch import Tensor


def write_rows(table: Tensor, index: Tensor, rows: Tensor) -> None:
    """Write rows (n, ...) into a table (m, ...) at index (n,), in place; equal indices must carry equal rows.

    Any order of writing then gives the same bits, so the sort that torch's deterministic mode adds on CUDA, a dozen
    kernels, is left out.
    """
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        table.index_copy_(0, index, rows)
    finally:
        torch.use_deterministic_algorithms(deterministic)
