"""Cache results of reading files, as JSON in `.snakemake/daso` with a digest of the files that they depend on."""

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

Content = TypeVar("Content")
CACHE_FOLDER = Path(".snakemake/daso")
MAX_SOURCE_BYTES = 2**20  # largest file that a result may depend on


def cached(
    project: Path, name: str, files: Callable[[], Iterable[Path]], make: Callable[[], Content], also: str = ""
) -> Content:
    """Return the result of `make`, read from `<project>/.snakemake/daso/<name>.json` if no file has changed.

    The result depends only on the contents of `files`, the Python version and `also`. It is cached only in a working
    copy (a folder with a Snakefile), if JSON represents it without loss, and if no file changed while it was made.
    Paths of files are relative to `project`, so that a working copy that is moved or copied keeps its cache. A damaged
    cache file is replaced; one that cannot be written is ignored.
    """
    before = _digest(project, files(), also) if (project / "Snakefile").is_file() else None
    if before is None:
        return make()
    path = project / CACHE_FOLDER / f"{name}.json"
    with suppress(OSError, ValueError):
        head, _, text = path.read_text(encoding="utf-8").partition("\n")
        if head == _head(before, text):
            stored: Content = json.loads(text)
            return stored
    result = make()
    with suppress(DataError, TypeError, ValueError):
        text = json.dumps(result)
        if json.loads(text) == result and _digest(project, files(), also) == before:
            with atomic_write(path, durable=False) as file:
                file.write(f"{_head(before, text)}\n{text}".encode())
    return result


def source_files(root: Path = ROOT) -> list[Path]:
    """Return every source file of the package below `root`."""
    return sorted((root / "daso").rglob("*.py"))


def _digest(project: Path, files: Iterable[Path], also: str) -> str | None:
    """Return a digest of the names and contents of files; None if a file cannot be read."""
    total = hashlib.sha256(f"{sys.version} {also}".encode())
    try:
        for path in files:
            content = hashlib.sha256(read_file(path, MAX_SOURCE_BYTES)).hexdigest()
            total.update(f"\n{os.path.relpath(path, project)}\n{content}".encode())
    except (OSError, ValueError):
        return None
    return total.hexdigest()


def _head(digest: str, text: str) -> str:
    return f"{digest} {hashlib.sha256(text.encode()).hexdigest()}"
