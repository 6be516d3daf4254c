"""Profile some steps: kernels by kind and by name, and the share of idle time.

`python -m tools.gpu.kernels MODE PRECISION`
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from daso.engine.loader import CHUNK_STEPS
from daso.planning.synthetic import trainer
from tools.bench.kernels import Kernel, idle, profiled_kernels
from tools.gpu import results
from tools.gpu.cases import DEVICE, mode_of, size, wide_config

KINDS = {  # a kernel belongs to the first kind whose pattern matches its name
    "batch norm": r"batch_norm|bn_fw|bn_bw|batchnorm|bnorm",
    "convolution": r"conv|cudnn|implicit|xmma|cutlass|sm\d+_|wgrad|dgrad|fprop|nchwToNhwc|nhwcToNchw|winograd",
    "sort and index_put": r"sort|radix|indexing_backward|onesweep|aminmax|assert_async|histogram",
    "LeakyReLU": r"leaky",
    "optimiser and teacher": r"multi_tensor|fused_sgd",
    "matrix products": r"gemm|gemv|splitK|nvjet|cublas",
    "reductions": r"reduce_kernel|softmax|norm",
    "triton": r"triton",
    "copies and fills": r"memcpy|memset|copy|fill|cat",
    "elementwise": r"elementwise|vectorized|index_select|gather",
}
STEPS = size(8, 2)
SHORT = 3  # microseconds; a kernel below it is mostly its launch


def kind_of(kernel: str) -> str:
    """Return the kind of a kernel."""
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, kernel, re.IGNORECASE)), "other")


def main(mode: str, precision: str) -> None:
    """Append one row for the kernels of a mode and precision, and their names to $OUT/kernels.txt."""
    with results.row("kernels", mode=mode, precision=precision) as row:
        run = trainer(wide_config(precision=precision), DEVICE, mode_of(mode))
        run.advance(size(CHUNK_STEPS["cuda"] + 8, 2))
        row |= summary(profiled_kernels(run, STEPS), f"{mode} {precision}")
        run.runner.close()


def summary(kernels: Sequence[Kernel], title: str) -> results.Row:
    """Return the numbers of a row, per step; write a table of kinds and of the longest kernels."""
    names, kinds = dict[str, list[float]](), dict[str, list[float]]()
    for name, start, end in kernels:
        names.setdefault(name, []).append(end - start)
        kinds.setdefault(kind_of(name), []).append(end - start)
    span = max(end for *_, end in kernels) - min(start for _, start, _ in kernels)
    row: results.Row = {
        "kernels": len(kernels) / STEPS,
        "short_kernels": sum(end - start < SHORT for _, start, end in kernels) / STEPS,
        "span_ms": span / 1e3 / STEPS,
        "idle": idle(kernels),
        "kinds": {kind: {"n": len(us) / STEPS, "us": sum(us) / STEPS} for kind, us in kinds.items()},
    }
    with Path(os.environ["OUT"], "kernels.txt").open("a") as file:
        file.write(f"\n{title}: {row['kernels']:.0f} kernels and {row['span_ms']:.3f} ms per step\n")
        for table, count in ((kinds, len(kinds)), (names, 60)):
            for name, us in sorted(table.items(), key=lambda item: -sum(item[1]))[:count]:
                file.write(f"{sum(us) / STEPS:10.2f} us {len(us) / STEPS:7.1f} x  {name[:150]}\n")
    return row


if __name__ == "__main__":
    main(*sys.argv[1:])
