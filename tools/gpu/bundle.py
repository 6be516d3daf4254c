"""Report the progress of a bundle's runs: `python -m tools.gpu.bundle FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from daso.paths import RESULT_FILE, checkpoint_file, run_folder
from tools.gpu import results


def main(folder: Path) -> None:
    """Append one row with the steps and seconds of each run, from its results or else its checkpoint."""
    with results.row("bundle", bundle=folder.name) as row:
        row["runs"] = {}
        for path in sorted(folder.glob("configs/*/*/*/*/*.json")):
            config = json.loads(path.read_text())
            run, checkpoint = config["run"], folder / checkpoint_file(config["run"], config["key"])
            if (folder / run_folder(run) / RESULT_FILE).exists():
                row["runs"][run] = {"finished": True}
            elif checkpoint.exists():
                saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
                row["runs"][run] = {"step": saved["t"], "seconds": saved["elapsed"]}
            else:
                row["runs"][run] = {"step": 0}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
