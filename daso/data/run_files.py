"""Files of a finished run, read with their checksums verified."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from daso.data.files import read_checksummed
from daso.errors import DataError
from daso.paths import rebuild_hint
from daso.schema import NonNegativeInt, schema_error

if TYPE_CHECKING:  # numpy is imported only where an array is read
    from numpy.typing import NDArray

RESULT_FILE = "train.json"  # written last, with the digests of the other files
_Result = TypedDict("_Result", {"key": str, "files": dict[str, Any]})
_Dataset = TypedDict("_Dataset", {"num_classes": NonNegativeInt})
_Config = TypedDict("_Config", {"run": str, "dataset": _Dataset})
RUN_FILES = ("config.json", "history.csv", "predictions.npz", "final.pt")


class FinishedRun(NamedTuple):
    """A finished run: its folder and the content of `train.json`."""

    folder: Path
    result: dict[str, Any]

    @property
    def key(self) -> str:
        """The key of the run."""
        return str(self.result.get("key"))

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration; raises DataError if the file is missing, damaged or from a different run."""
        path = self.folder / "config.json"
        try:
            tree: dict[str, Any] = json.loads(self.read(path.name))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: not the configuration of a run ({error}); {rebuild_hint(path)}") from error
        if mismatch := schema_error(tree, _Config):
            raise DataError(f"{path}: not the configuration of a run ({mismatch}); {rebuild_hint(path)}")
        return tree

    def arrays(self, *names: str) -> list[NDArray[Any]]:
        """Load arrays of `predictions.npz`; raises DataError if one is missing, damaged or not numeric."""
        import numpy as np

        path = self.folder / "predictions.npz"
        try:
            with np.load(io.BytesIO(self.read(path.name)), allow_pickle=False) as archive:
                arrays = [archive[name] for name in names]
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, TypeError) as error:
            wrong = f"cannot read array {' and array '.join(names)} ({error})"
            raise DataError(f"{path}: {wrong}; {rebuild_hint(path)}") from error
        if not all(isinstance(array, np.ndarray) and array.dtype.kind in "iuf" for array in arrays):
            raise DataError(f"{path}: array {' or array '.join(names)} is not numeric; {rebuild_hint(path)}")
        return arrays

    def array_names(self) -> list[str]:
        """List the names of all arrays of `predictions.npz`; raises DataError if the file is missing or damaged."""
        import numpy as np

        path = self.folder / "predictions.npz"
        try:
            with np.load(io.BytesIO(self.read(path.name)), allow_pickle=False) as archive:
                return list(archive)
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, TypeError) as error:
            raise DataError(f"{path}: not a readable archive of arrays ({error}); {rebuild_hint(path)}") from error

    def read(self, name: str) -> bytes:
        """Read a file of the run; raises DataError if it is missing, damaged or from a different run."""
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: not readable ({error.strerror}); {rebuild_hint(path)}") from error
        if hashlib.sha256(content).hexdigest() != self.result.get("files", {}).get(name):
            raise DataError(
                f"{path}: damaged or from a different run: checksum differs from {RESULT_FILE}; {rebuild_hint(path)}"
            )
        return content


def load_finished_run(folder: Path, key: str | None = None, name: str | None = None) -> FinishedRun:
    """Load the finished run of a folder; raises DataError if it is missing or its key or name differs."""
    path = folder / RESULT_FILE
    run = FinishedRun(folder, read_checksummed(path, "result of a run"))
    if mismatch := schema_error(run.result, _Result):
        raise DataError(f"{path}: not the result of a run ({mismatch}); {rebuild_hint(path)}")
    if name not in (None, run.result.get("run")):
        raise DataError(f"{path}: expected the result of {name}, got {run.result.get('run')}; {rebuild_hint(path)}")
    if key not in (None, run.key):
        stale = f"stale: its key is {run.key}, but params/ and the code now give {key}"
        raise DataError(f"{folder}: {stale}; {rebuild_hint(path)}")
    return run
