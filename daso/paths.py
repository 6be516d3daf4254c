"""Where the files lie that a run reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daso.errors import DasoError

WORKFLOW = ("data", "runs", "metrics", "reports")  # folders of what Snakemake makes
DRAFTS = "drafts"  # what is made by hand
CONTENTS = "bundle.json"  # of a bundle, the list of its files
UPSTREAM_FILES = {"encoder": "final.pt", "estimate": "estimate.json"}  # part of a plan -> file of the run that lends it


def store(run: str) -> Path:
    """The folder of a run's images."""
    return Path("data/store", run.split("/")[0])


def drawn_split(run: str) -> Path:
    """The split as drawn."""
    dataset, setting, *_, seed = run.split("/")
    return Path("data/splits", dataset, setting, f"{seed}.json")


def parse_split_path(path: Path) -> tuple[str, str, int] | None:
    """Dataset, setting and seed of the split that the workflow keeps at a path; None: it keeps none there."""
    found = re.fullmatch(r"data/splits/([^/]+)/([^/]+)/s(\d+)\.json", path.as_posix())
    return (found[1], found[2], int(found[3])) if found else None


def input_files(run: str, plan: Mapping[str, Any]) -> dict[str, Path]:
    """The files that a run reads beside its images, by the name of the option that takes each."""
    split = Path("runs", run, "split.json") if "split" in plan else drawn_split(run)
    return {
        "split": split,
        **{name: Path("runs", plan[name]["of"], file) for name, file in UPSTREAM_FILES.items() if name in plan},
    }


def require_inputs(run: str, plan: Mapping[str, Any]) -> dict[str, Path]:
    """The same, and the folder of the images; raises DasoError when a file is not there yet."""
    files = input_files(run, plan)
    for path in files.values():
        if not path.exists():
            raise DasoError(f"{path}: {run} reads it and it is not there yet; make it with `snakemake {path}`")
    return {"store": store(run), **files}


def create_hint(path: Path) -> str:
    """How a file that is not there comes to be, for the end of an error."""
    if path.parts[:1] and path.parts[0] in WORKFLOW:
        return f"make it with `snakemake {path}`"
    return "name another file, or make it first"


def rebuild_hint(path: Path, delete: Path | str | None = None) -> str:
    """How a damaged file is made anew, for the end of an error; `delete` is what must go, if not just it."""
    if path.parts[:1] and path.parts[0] in WORKFLOW:
        return f"delete {delete or 'it'} and run `snakemake {path}` again"
    if path.parts[:1] == (DRAFTS,) and len(path.parts) == 7:  # drafts/<the five of a run id>/<file>
        return f"delete {path.parent} and run `python -m daso train {path.parent.relative_to(DRAFTS)}` again"
    for folder in path.parents:
        if (folder / CONTENTS).is_file():
            return f"delete {path.parent} and run `python -m daso train --bundle {folder}` again"
    return f"delete {delete or 'it'} and make it again"
