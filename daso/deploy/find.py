"""Find the model that a name on the command line stands for, and keep models."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from daso.config.load import load_params
from daso.config.resolve import parse_run, suite_of
from daso.data.run_files import load_finished_run
from daso.deploy.assemble import model_of_runs, recommended_model, recommended_runs
from daso.deploy.model import ID_DIGITS, RECORD_FILE, Model, model_id, read_model, save_model
from daso.deploy.onnx_model import OnnxPredictor
from daso.deploy.predictor import Predictor, TorchPredictor
from daso.engine.environment import choose_device
from daso.errors import DasoError
from daso.paths import run_folder

ONNX = ".onnx"  # suffix of an exported file
KEPT = Path("models")  # folder of the models of earlier reports, by suite and digest


def find_model(name: str) -> Model:
    """Return the model of a suite, of a run id, of an id of a kept model, or of the folder of an exported model.

    Raises DasoError if there is none, or if it cannot be assembled.
    """
    if name.endswith(ONNX):
        raise DasoError(f"{name}: an ONNX file only predicts; name a suite, a run id, or a folder with {RECORD_FILE}")
    if (folder := Path(name)).is_dir() and (folder / RECORD_FILE).exists():
        return read_model(folder)
    if folder.name == RECORD_FILE:
        return read_model(folder.parent)
    if match := re.fullmatch(r"([^@/]+)@([0-9a-f]+)", name):
        return _kept_model(*match.groups())
    if "/" in name:
        run = parse_run(load_params(), name)
        return model_of_runs(run.id, [run.id])
    suite_of(load_params(), name)
    return _kept_runs(name) or recommended_model(name)


def find_predictor(name: str, device: str) -> Predictor:
    """Return the predictor of a model by its name, see `find_model`, on a device; of an ONNX file, on the CPU."""
    if (file := Path(name, f"model{ONNX}")).exists() and not Path(name, RECORD_FILE).exists():
        name = str(file)
    onnx = name.endswith(ONNX)
    if onnx and device != "auto":
        raise DasoError(f"--device {device}: not allowed with an ONNX file, which predicts on the CPU; leave it out")
    predictor = OnnxPredictor(Path(name)) if onnx else TorchPredictor(find_model(name), choose_device(device))
    record = predictor.record
    numbers = f"{len(record['runs'])} runs, {len(record['classes'])} classes"
    logging.info("%s: %s, %s, %s", model_id(record), record["title"], numbers, record["calibration"])
    return predictor


def keep_model(suite: str) -> Path:
    """Keep the recommended model of a suite in `models/`; return its folder."""
    model = recommended_model(suite)
    folder = KEPT / suite / str(model.record["digest"])[:ID_DIGITS]
    if not (folder / RECORD_FILE).exists():
        save_model(model, folder)
    return folder


def _kept_runs(suite: str) -> Model | None:
    """Return the kept model of the present runs of a suite's recommended model; None if it is not kept."""
    runs = {run: load_finished_run(run_folder(run), name=run).key for run in recommended_runs(suite)}
    for path in sorted((KEPT / suite).glob(f"*/{RECORD_FILE}")):
        model = read_model(path.parent)
        if {run["id"]: run["key"] for run in model.record["runs"]} == runs:
            return model
    return None


def _kept_model(suite: str, digits: str) -> Model:
    """Return the kept model of a suite whose digest begins with these digits; raises DasoError unless it is one."""
    known = sorted(path.parent.name for path in (KEPT / suite).glob(f"*/{RECORD_FILE}"))
    matches = [each for each in known if each.startswith(digits[:ID_DIGITS])]
    if len(matches) != 1:
        listed = f"choose one of {', '.join(f'{suite}@{each}' for each in known)}" if known else "none is kept"
        raise DasoError(f"{suite}@{digits}: {'several models' if matches else 'unknown model'}; {listed}")
    return read_model(KEPT / suite / matches[0])
