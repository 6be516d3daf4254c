"""Cache of results of reading files: JSON in `.snakemake/daso`, each with a digest of the files it depends on."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from daso.config.signature import ROOT
from daso.data.files import atomic_write, read_file
from daso.errors import DataError

Result = TypeVar("Result")
FOLDER = Path(".snakemake/daso")
LARGEST = 2**20  # bytes of a file that a result depends on


def kept(
    project: Path, name: str, files: Callable[[], Iterable[Path]], make: Callable[[], Result], also: str = ""
) -> Result:
    """Return what `make` returns, from `<project>/.snakemake/daso/<name>.json` if no file has changed since.

    The result depends on nothing but the contents of `files`, the Python version and `also`. It is kept only in a
    working copy (a folder with a Snakefile), if JSON holds it without loss, and if no file changed while it was made.
    Files go by their paths from `project`, so a working copy that is moved or copied keeps its results.
    A damaged file of the cache is replaced; an unwritable one is left alone.
    """
    before = _digest(project, files(), also) if (project / "Snakefile").is_file() else None
    if before is None:
        return make()
    path = project / FOLDER / f"{name}.json"
    with suppress(OSError, ValueError):
        head, _, text = path.read_text(encoding="utf-8").partition("\n")
        if head == _head(before, text):
            found: Result = json.loads(text)
            return found
    result = make()
    with suppress(DataError, TypeError, ValueError):
        text = json.dumps(result)
        if json.loads(text) == result and _digest(project, files(), also) == before:
            with atomic_write(path, durable=False) as file:
                file.write(f"{_head(before, text)}\n{text}".encode())
    return result


def sources(root: Path = ROOT) -> list[Path]:
    """Every source file of the package below `root`."""
    return sorted((root / "daso").rglob("*.py"))


def _digest(project: Path, files: Iterable[Path], also: str) -> str | None:
    """Return a digest of the names and contents of files; None if one of them cannot be read."""
    found = hashlib.sha256(f"{sys.version} {also}".encode())
    try:
        for path in files:
            content = hashlib.sha256(read_file(path, LARGEST)).hexdigest()
            found.update(f"\n{os.path.relpath(path, project)}\n{content}".encode())
    except (OSError, ValueError):
        return None
    return found.hexdigest()


def _head(digest: str, text: str) -> str:
    return f"{digest} {hashlib.sha256(text.encode()).hexdigest()}"
