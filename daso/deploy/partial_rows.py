"""Rows of an unfinished CSV file on disk, from which a killed call resumes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from daso.errors import BusyError
from daso.locks import try_lock


class PartialRows:
    """Rows by path, kept in `<out>.partial` with the digest of each file; in memory alone if there is no `out`.

    Its first line is `work`, which identifies model and options: rows of other work are dropped. A row that a killed
    process wrote in part is dropped too.
    """

    def __init__(self, out: Path | None, work: str) -> None:
        self.path = out and out.with_name(f"{out.name}.partial")
        self.work, self.rows = work, dict[str, tuple[str, list[str]]]()
        self.file: IO[str] | None = None

    def __enter__(self) -> Self:
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.path.open("a+", encoding="utf-8", errors="surrogateescape")
            if not try_lock(self.file, self.path):
                raise BusyError(f"{self.path}: another process writes it; wait until it ends, or write another file")
            self._resume(self.file)
        return self

    def __exit__(self, *error: object) -> None:
        if self.file:
            self.file.close()

    def has(self, path: str, digest: str) -> bool:
        """Return True if the row of a file with this content is known."""
        return path in self.rows and self.rows[path][0] == digest

    def row(self, path: str) -> list[str]:
        """Return the row of a file."""
        return self.rows[path][1]

    def add(self, digests: Mapping[str, str], rows: Iterable[list[str]]) -> None:
        """Add the rows of files, given with the digests of their contents."""
        new = {path: (digest, row) for (path, digest), row in zip(digests.items(), rows, strict=True)}
        self.rows |= new
        self._write([path, *each] for path, each in new.items())

    def remove(self) -> None:
        """Remove the file, when the complete one is written."""
        if self.path:
            self.path.unlink(missing_ok=True)

    def _resume(self, file: IO[str]) -> None:
        """Read the rows of the same work; write the file again unless all of its lines are such rows."""
        file.seek(0)
        text = file.read()
        lines: list[list[Any]] = []
        with suppress(ValueError):  # the last line may be incomplete
            lines.extend(json.loads(line) for line in text.splitlines())
        if lines and lines[0] == [self.work]:
            self.rows = {path: (digest, row) for path, digest, row in lines[1:]}
        if not self.rows or not text.endswith("\n"):
            file.truncate(0)
            self._write([[self.work], *([path, *each] for path, each in self.rows.items())])

    def _write(self, lines: Iterable[Sequence[object]]) -> None:
        if self.file:
            self.file.writelines(f"{json.dumps(line)}\n" for line in lines)
            self.file.flush()
