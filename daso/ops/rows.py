"""Write rows of a table in place."""

from __future__ import annotations

import torch
from torch import Tensor


def write_rows(table: Tensor, index: Tensor, rows: Tensor) -> None:
    """Write rows (n, ...) into a table (m, ...) at index (n,), in place; duplicate indices must have equal rows.

    Every order of writing then gives the same bits, so torch's deterministic mode is off here: on CUDA it would add a
    sort, a dozen kernels.
    """
    deterministic = torch.are_deterministic_algorithms_enabled()
    _switch_deterministic_mode(False)
    try:
        table.index_copy_(0, index, rows)
    finally:
        _switch_deterministic_mode(deterministic)


def _switch_deterministic_mode(on: bool) -> None:
    """Switch torch's deterministic mode; outside of compiled code without importing its compiler, which takes seconds.

    Compiled code cannot contain `set_deterministic_debug_mode`.
    """
    if torch.compiler.is_compiling():
        torch.use_deterministic_algorithms(on)
    else:
        torch.set_deterministic_debug_mode("error" if on else "default")
