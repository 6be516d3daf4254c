"""Load params/: read and check all files, and cache the result."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from daso.config.cache import cached, source_files
from daso.config.checks import check
from daso.config.params import FILE_KINDS, Params, param_files, read_params
from daso.errors import ParamsError

PARSER = "ruamel.yaml"  # imported only when files are parsed
MAX_ERRORS = 50  # printed at once


def load_params(root: Path | str = "params") -> Params:
    """Read and check everything under `root`; raise ParamsError with all errors, one line each."""
    root = Path(root)
    fields = cached(root.parent, root.name, lambda: _input_files(root), lambda: _read_checked(root), version(PARSER))
    return Params(root, **fields)


def _read_checked(root: Path) -> dict[str, Any]:
    """Return every field of Params except `root`; raise ParamsError if a file has an error."""
    params, errors, broken = read_params(root)
    errors += check(params, broken)
    if rest := len(errors[MAX_ERRORS:]):
        errors[MAX_ERRORS:] = [f"{root}: {rest} more errors; fix these first"]
    if errors:
        raise ParamsError(*errors)
    return {name: value for name, value in vars(params).items() if name != "root"}


def _input_files(root: Path) -> list[Path]:
    """Return the files that `load_params` depends on: params/ and the code, which has the schemas."""
    files = [root / "pipeline.yaml", *(path for kind in FILE_KINDS for path in param_files(root, kind))]
    return [*files, *source_files()]
