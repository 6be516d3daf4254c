"""A finished run as others read it: whole, and the run that they mean."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from daso.data.files import read_checksummed
from daso.data.validate import COUNT, schema_error
from daso.errors import DataError
from daso.paths import rebuild_hint

if TYPE_CHECKING:  # numpy is imported only where an array is read
    from numpy.typing import NDArray

RESULT = "train.json"  # written last, with the digests of the others
FORM = {"key": str, "files": dict}
FILES = ("config.json", "history.csv", "predictions.npz", "final.pt")


class FinishedRun(NamedTuple):
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
        path = self.folder / "config.json"
        try:
            tree: dict[str, Any] = json.loads(self.read(path.name))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: not the configuration of a run ({error}); {rebuild_hint(path)}") from error
        if wrong := schema_error(tree, {"run": str, "dataset": {"num_classes": COUNT}}):
            raise DataError(f"{path}: not the configuration of a run ({wrong}); {rebuild_hint(path)}")
        return tree

    def arrays(self, *names: str) -> list[NDArray[Any]]:
        """Arrays of `predictions.npz`; raises DataError where one is missing, damaged or no array of numbers."""
        import numpy as np

        path = self.folder / "predictions.npz"
        try:
            with np.load(io.BytesIO(self.read(path.name)), allow_pickle=False) as kept:
                found = [kept[name] for name in names]
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, TypeError) as error:
            raise DataError(f"{path}: does not hold {' and '.join(names)} ({error}); {rebuild_hint(path)}") from error
        if not all(isinstance(array, np.ndarray) and array.dtype.kind in "iuf" for array in found):
            raise DataError(f"{path}: {' and '.join(names)} are no numbers; {rebuild_hint(path)}")
        return found

    def held(self) -> list[str]:
        """The names of all arrays of `predictions.npz`, in their order; raises DataError where it is no such file."""
        import numpy as np

        path = self.folder / "predictions.npz"
        try:
            with np.load(io.BytesIO(self.read(path.name)), allow_pickle=False) as kept:
                return list(kept)
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, TypeError) as error:
            raise DataError(f"{path}: holds no arrays ({error}); {rebuild_hint(path)}") from error

    def read(self, name: str) -> bytes:
        """A file of the run; raises DataError when it is missing, damaged or another run's."""
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: not readable ({error.strerror}); {rebuild_hint(path)}") from error
        if hashlib.sha256(content).hexdigest() != self.result.get("files", {}).get(name):
            raise DataError(f"{path}: damaged, or of another run: not the digest in {RESULT}; {rebuild_hint(path)}")
        return content


def load_finished_run(folder: Path, key: str | None = None, name: str | None = None) -> FinishedRun:
    """The finished run in a folder; raises DataError when there is none, or it has not this key or this name."""
    path = folder / RESULT
    run = FinishedRun(folder, read_checksummed(path, "result of a run"))
    if wrong := schema_error(run.result, FORM):
        raise DataError(f"{path}: not the result of a run ({wrong}); {rebuild_hint(path)}")
    if name not in (None, run.result.get("run")):
        raise DataError(f"{path}: is the result of {run.result.get('run')}; {rebuild_hint(path)}")
    if key not in (None, run.key):
        raise DataError(f"{folder}: is the run {run.key}, not {key} that params/ and code make; {rebuild_hint(path)}")
    return run
