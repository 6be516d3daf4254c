"""Files of a finished run, read with their checksums verified."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from daso.data.files import read_checksummed
from daso.errors import DataError
from daso.paths import CONFIG_FILE, HISTORY_FILE, PREDICTIONS_FILE, RESULT_FILE, WEIGHTS_FILE, rebuild_hint

if TYPE_CHECKING:  # numpy is imported only where an array is read
    from numpy.lib.npyio import NpzFile
    from numpy.typing import NDArray

COMPARED_FILES = (WEIGHTS_FILE, HISTORY_FILE, PREDICTIONS_FILE)  # of two equal runs, these have the same bytes
RUN_FILES = (CONFIG_FILE, *COMPARED_FILES)
FINAL, ABOVE_THRESHOLD, MODEL = "final", "above_threshold", "model"  # kinds of predictions on unlabeled images


class FinishedRun(NamedTuple):
    """A finished run: its folder and the content of `train.json`, or its metrics, which record the same digests."""

    folder: Path
    result: dict[str, Any]

    @property
    def key(self) -> str:
        """The key of the run."""
        return str(self.result.get("key"))

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration; raises DataError if the file is missing, damaged or from a different run."""
        tree: dict[str, Any] = json.loads(self.read(CONFIG_FILE))
        return tree

    def arrays(self, *names: str) -> list[NDArray[Any]]:
        """Load arrays of `predictions.npz`; raises DataError if the file is missing or damaged."""
        with self._predictions() as archive:
            return [archive[name] for name in names]

    def array_names(self) -> list[str]:
        """List the names of all arrays of `predictions.npz`; raises DataError if the file is missing or damaged."""
        with self._predictions() as archive:
            return list(archive)

    def _predictions(self) -> NpzFile:
        import numpy as np

        archive: NpzFile = np.load(io.BytesIO(self.read(PREDICTIONS_FILE)), allow_pickle=False)
        return archive

    def read(self, name: str) -> bytes:
        """Read a file of the run; raises DataError if it is missing, damaged or from a different run."""
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: not readable ({error.strerror}); {rebuild_hint(path)}") from error
        if hashlib.sha256(content).hexdigest() != self.result.get("files", {}).get(name):
            wrong = "damaged or from a different run: its checksum differs from the recorded one"
            raise DataError(f"{path}: {wrong}; {rebuild_hint(path)}")
        return content


def load_finished_run(folder: Path, key: str | None = None, name: str | None = None) -> FinishedRun:
    """Load the finished run of a folder; raises DataError if it is missing or its key or name differs."""
    path = folder / RESULT_FILE
    run = FinishedRun(folder, read_checksummed(path, "result of a run"))
    if name not in (None, run.result.get("run")):
        raise DataError(f"{path}: expected the result of {name}, got {run.result.get('run')}; {rebuild_hint(path)}")
    if key not in (None, run.key):
        stale = f"stale: its key is {run.key}, but params/ and the code now give {key}"
        raise DataError(f"{folder}: {stale}; {rebuild_hint(path)}")
    return run
