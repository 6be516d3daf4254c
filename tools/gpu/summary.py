"""Write gpu_check.json and print the failures; exit 1 if a part or a comparison failed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.gpu import results
from tools.gpu.results import Row
from tools.gpu.single_steps import CLOSE

STOPPED = (124, 137)  # exit statuses of a part that reached its time limit


def failures(rows: Sequence[Row], parts: Sequence[Row]) -> Iterator[str]:
    """Yield one line for each error, each failed or missing comparison, and each failed part."""
    for row in rows:
        if problem := row.get("error") or _problem(row):
            names = ("kind", "method", "mode", "precision", "name", "tag")
            yield f"{' '.join(str(row[name]) for name in names if name in row)}: {problem}"
    for precision in {row["precision"] for row in rows if row["kind"] == "process"}:
        processes = [row for row in rows if row["kind"] == "process" and row["precision"] == precision]
        digests = {value for row in processes for name, value in row.items() if name.startswith("digest_")}
        if len(digests) > 1:
            yield f"process {precision}: states of two processes or of two modes differ: {', '.join(sorted(digests))}"
        if len(processes) == 1:
            yield f"process {precision}: only one process finished, nothing was compared"
    if any(part["part"].startswith("methods-") for part in parts):
        kinds = {row["kind"] for row in rows}
        yield from (f"{kind}: nothing was compared" for kind in ("method", "process", "resume") if kind not in kinds)
    for part in parts:
        if part["rc"] and part["rc"] not in STOPPED:
            yield f"part {part['part']}: exit status {part['rc']}"


def _problem(row: Row) -> str | None:
    """Return a description of a failed comparison, None if it passed."""
    expected = "cpu" if os.environ.get("DRY") else "cuda:0"
    match row["kind"]:
        case "method" if not (row["eager_is_graph"] and row["graph_is_graph"] and row["finite"]):
            return ", ".join(f"{name} {row[name]}" for name in ("eager_is_graph", "graph_is_graph", "finite"))
        case "compiled" if row["precision"] == "fp32" and (
            exceeded := [n for n, limit in CLOSE.items() if not row[n] <= limit]
        ):
            return ", ".join(f"{name} differ by {row[name]:.1e}, more than {CLOSE[name]:.0e}" for name in exceeded)
        case "resume" if not row["same"]:
            return "a killed and resumed run differs from an uninterrupted one"
        case "resume" if not (row["codes"] == [-9, 0, 0] and row["from"]):
            return f"not killed and resumed: exit statuses {row['codes']}, from step {row['from']}"
        case "name" if row["name"] != "cpu" and row["device"] != expected:
            return f"got {row['device']}, expected {expected}"
    return None


def main() -> int:
    """Write the JSON file and print a summary; return the exit status."""
    rows, parts = results.read(), results.read("parts.jsonl")
    device = next((row for row in rows if row["kind"] == "device"), {"dry": bool(os.environ.get("DRY"))})
    tree = {"device": device, "parts": parts, "results": [row for row in rows if row["kind"] != "device"]}
    Path(os.environ["OUT"], "gpu_check.json").write_text(json.dumps(tree, indent=1) + "\n")
    failed = [*failures(rows, parts), *([] if "device" in device else ["device: not described"])]
    methods = [row for row in rows if row["kind"] == "method"]
    lines = [f"{len(methods)} methods compared: eager = graph = graph"]
    lines += [
        f"{part['part']}: stopped at its time limit, {part['seconds']} s" for part in parts if part["rc"] in STOPPED
    ]
    lines += [f"FAILED {line}" for line in failed]
    sys.stdout.write("\n".join([*lines, "failed" if failed else "passed"]) + "\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
