"""A finished run as others read it: whole, and the run that they mean."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from daso.data.files import read_sealed
from daso.errors import DataError
from daso.places import again

RESULT = "train.json"  # written last, with the digests of the others
FILES = ("config.json", "history.csv", "predictions.npz", "final.pt")


class Finished(NamedTuple):
    """What the last file of a run says."""

    folder: Path
    result: dict[str, Any]

    @property
    def key(self) -> str:
        """The key of the run."""
        return str(self.result.get("key"))

    @property
    def config(self) -> dict[str, Any]:
        """Its resolved configuration; raises DataError when the file is not the one that the run has left."""
        tree: dict[str, Any] = json.loads(self.read("config.json"))
        return tree

    def read(self, name: str) -> bytes:
        """A file of the run; raises DataError when it is missing, damaged or another run's."""
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: not readable ({error.strerror}); {again(path)}") from error
        if hashlib.sha256(content).hexdigest() != self.result.get("files", {}).get(name):
            raise DataError(f"{path}: damaged, or of another run: not the digest in {RESULT}; {again(path)}")
        return content


def finished(folder: Path, key: str | None = None) -> Finished:
    """The finished run in a folder; raises DataError when there is none, or it is not the run of `key`."""
    path = folder / RESULT
    run = Finished(folder, read_sealed(path, "result of a run"))
    if key not in (None, run.key):
        raise DataError(f"{folder}: is the run {run.key}, not {key} that params/ and code make; {again(path)}")
    return run
