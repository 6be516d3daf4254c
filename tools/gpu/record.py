"""Record the results of a GPU check in docs/benchmarks/: `python -m tools.gpu.record gpu_check.json ...`.

`daso plan`, `make gpu-bundle` and reports read the tables of steps in the default mode as paces.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from daso.data.files import read_json
from daso.errors import DasoError, error_line
from tools.bench import table
from tools.bench.measure import Spread, scaled
from tools.bench.results import Cell, Section, Table
from tools.bench.run import PARTS
from tools.gpu.results import Row

COMMAND = 'STAGES="{}" bash tools/gpu/check.sh'
SHORT = "A short check: each number is the median of three measurements of about a second, one after another."


def record(file: Path, out: Path) -> Path:
    """Write or update the page of the device that a check ran on; return its path.

    Raises DasoError for a dry run, which measures nothing, and for a check without a description of its device.
    """
    tree = read_json(file, "results of a GPU check")
    device, rows = tree["device"], tree["results"]
    if device.get("dry"):
        raise DasoError(f"{file}: results of a dry run, which measures nothing; record a check made on a GPU")
    if "device" not in device:
        raise DasoError(f"{file}: no description of the device; run the check again, stage 2 or 3")
    checks = {"check: equality": (2, list(equality(rows))), "check: speed": (3, list(speed(rows)))}
    made_with = {**{name: device[name] for name in ("commit", "versions", "device", "threads")}, "repeats": 3}
    extra = ", ".join(f"{name} {device[name]}" for name in ("driver", "cuda", "cudnn") if device.get(name))
    notes = [f"Measured on {device['date']}; {extra}.", SHORT]
    sections = {
        name: {"command": COMMAND.format(stage), "made_with": made_with, **Section(tables, [], notes, {}).tree()}
        for name, (stage, tables) in checks.items()
        if tables
    }
    if not sections:
        raise DasoError(f"{file}: no results of stage 2 or 3; run the check with STAGES='2 3'")
    machine = {"device": device["device"], "cores": device["cores"], "quick": False}
    return table.write(out, machine, sections, list(PARTS))


def equality(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield the tables of comparisons."""
    methods = [row for row in rows if row["kind"] == "method"]
    counted: list[tuple[Cell, ...]] = []
    for name, what in (("eager_is_graph", "eager = graph"), ("graph_is_graph", "graph = graph")):
        wrong = [row["method"] for row in methods if not row.get(name)]
        counted.append((what, len(methods) - len(wrong), ", ".join(wrong) or "none"))
    for row in rows:
        if row["kind"] == "resume":
            counted.append(
                (f"killed and resumed, {row['precision']}", int(bool(row.get("same"))), row.get("error", ""))
            )
    if methods:
        how = "Weights, momentum and buffers after 50 steps of a small network on 32 x 32 images, compared bit for bit."
        yield Table("Equal bits", how, ("", "equal", "different or failed"), counted)
    compiled = [row for row in rows if row["kind"] == "compiled" and "losses" in row]
    if compiled:
        how = (
            "The largest difference between single steps from equal states: of losses, relative; of gradients and "
            "updated weights, the norm of the difference by their norm."
        )
        columns = ("losses", "gradients", "weights")
        lines: list[tuple[Cell, ...]] = [
            (f"{row['method']}, {row['precision']}", *(f"{row[name]:.1e}" for name in columns)) for row in compiled
        ]
        yield Table("Compiled graphs against eager steps", how, ("", *columns), lines)


def speed(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield the tables of milliseconds; `daso.planning.cost` parses titles and texts of the default mode's tables."""
    measured = [row for row in rows if "ms" in row]
    paces = [row for row in measured if row["kind"] == "pace"]
    for method in dict.fromkeys(row["method"] for row in paces):
        yield _pace(method, [row for row in paces if row["method"] == method])
    modes = [row for row in measured if row["kind"] == "mode"]
    if modes:
        how = (
            "Steps alone, one run. tf32: TF32 is allowed; tuned: cuDNN tries its algorithms first, so bits may change."
        )
        lines: list[tuple[Cell, ...]] = [
            (f"{row['mode']}, {row['precision']}", _spread(row), row.get("peak_gib", "")) for row in modes
        ]
        title = f"Modes and precisions of {modes[0]['method']}"
        yield Table(title, how, ("", "ms a step", "GiB at the peak"), lines)
    for kind, title in (("ceiling", "The machine"), ("beside", "Beside the steps")):
        for row in rows:
            if row["kind"] == kind and "error" not in row:
                values: list[tuple[Cell, ...]] = [(n.replace("_", " "), v) for n, v in row.items() if n != "kind"]
                yield Table(title, "Units are in the names.", ("", "measured"), values)
    for row in rows:
        if row["kind"] == "kernels" and "kinds" in row:
            yield _kernels(row)


def _pace(method: str, rows: Sequence[Row]) -> Table:
    """Return the table of a method's step times, with their share of the evaluations."""
    first = rows[0]
    network = ", ".join(str(value) for value in first["network"].values())
    images = first["batch_size"] * (1 + 2 * first["unlabeled_ratio"])
    how = (
        f"One step of {method}: {network}; {images} images of {first['image_size']} pixels a side, from draws to "
        f"the updated weights, with its share of an evaluation every {first['evaluate_every']} steps. Of runs at once, "
        "the time of a step of any of them."
    )
    lines: list[tuple[Cell, ...]] = []
    for row in rows:
        at_once = f", {row['replicas']} at once" if row["replicas"] > 1 else ""
        share = row["evaluation_ms"] / row["evaluate_every"]
        whole = scaled([row["low"] + share, row["ms"] + share, row["high"] + share], 1.0)
        hours = whole.median * row["total_steps"] / 3.6e6
        lines.append((f"ours, {row['mode']}, {row['precision']}{at_once}", whole, _spread(row), hours))
    columns = ("", "ms a step", "ms without evaluations", f"hours for {first['total_steps']:,} steps")
    return Table(f"Steps of {method}", how, columns, lines)


def _kernels(row: Row) -> Table:
    how = (
        f"{row['kernels']:.0f} kernels per step, {row['short_kernels']:.0f} of them below 3 us, {row['span_ms']:.3g} "
        f"ms in total; the GPU is idle for {100 * row['idle']:.1f} % of the time."
    )
    kinds = sorted(row["kinds"].items(), key=lambda item: -item[1]["us"])
    lines: list[tuple[Cell, ...]] = [(kind, float(one["n"]), float(one["us"])) for kind, one in kinds]
    return Table(f"Kernels of a step, {row['mode']}, {row['precision']}", how, ("", "kernels", "us"), lines)


def _spread(row: Row) -> Spread:
    return Spread(row["ms"], row["low"], row["high"], row["n"])


def main() -> int:
    """Record each file; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu.record", description="Record results of a GPU check.")
    parser.add_argument("files", type=Path, nargs="+", metavar="gpu_check.json")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    args = parser.parse_args()
    try:
        for file in args.files:
            sys.stdout.write(f"{record(file, args.out)}\n")
    except (DasoError, OSError) as error:
        sys.stderr.write(f"{error_line(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
