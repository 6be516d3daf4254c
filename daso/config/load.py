"""Load params/: read all files, check what they say together, cache the result."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from daso.config.cache import kept, sources
from daso.config.checks import check
from daso.config.params import KINDS, SCHEMAS, Params, files, read
from daso.errors import ParamsError

READERS = ("ruamel.yaml", "jsonschema")  # imported only where a file is parsed
MOST = 50  # errors that are printed at once


def load(root: Path | str = "params") -> Params:
    """Read and check everything under `root`; raise ParamsError with all errors, one line each."""
    root, readers = Path(root), " ".join(version(name) for name in READERS)
    return Params(root, **kept(root.parent, root.name, lambda: _depends(root), lambda: _checked(root), readers))


def _checked(root: Path) -> dict[str, Any]:
    """Every field of Params but `root`, of files without an error."""
    params, errors, broken = read(root)
    errors += check(params, broken)
    if errors:
        raise ParamsError(*errors[:MOST], *([f"{root}: and {len(errors) - MOST} errors more"] if errors[MOST:] else []))
    return {name: value for name, value in vars(params).items() if name != "root"}


def _depends(root: Path) -> list[Path]:
    """The files that `load` depends on: params/, the schemas, and the code, whose constructors check options."""
    found = [root / "pipeline.yaml", *(path for kind in KINDS for path in files(root, kind))]
    return [*found, *sorted(SCHEMAS.glob("*.json")), *sources()]
