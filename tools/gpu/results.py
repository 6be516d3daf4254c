"""Results of the GPU check: one JSON object per line, appended at once, so that a killed part keeps earlier results."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def folder() -> Path:
    """Return the folder of the check's intermediate files, which check.sh creates and removes."""
    return Path(os.environ["GPU_CHECK_WORK"])


def add(kind: str, **row: Any) -> None:
    """Append a result and print it."""
    line = json.dumps({"kind": kind, **row})
    with (folder() / "results.jsonl").open("a") as file:
        file.write(line + "\n")
    sys.stdout.write(f"{line[:400]}\n")
    sys.stdout.flush()


def read(name: str = "results.jsonl") -> list[Row]:
    """Return the rows of a file of JSON lines, none if it is missing; skip lines that a kill has cut off."""
    path, rows = folder() / name, list[Row]()
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


@contextmanager
def row(kind: str, **known: Any) -> Iterator[Row]:
    """Collect one result and append it; an exception becomes its `error`, so that later measurements still run."""
    result = dict(known)
    try:
        yield result
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        result["error"] = f"{type(error).__name__}: {first[:300]}"
    gc.collect()  # otherwise graphs of a deleted run would share cuBLAS workspaces with the graphs captured next
    add(kind, **result)
