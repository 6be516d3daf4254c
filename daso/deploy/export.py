"""Export a model: one ONNX file with a reader for photos, or its tensors with their record."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from daso.deploy.export_check import check_export
from daso.deploy.model import RECORD_FILE, TENSORS_FILE, Model, classifier_of, save_model, with_encoder
from daso.deploy.onnx_file import ONNX_FORMAT, write_onnx
from daso.deploy.reading import reading_of
from daso.errors import DasoError

EXPORTS = Path("exports")  # default folder of exports, by name of the model
READER, MODEL_FILE = "classify.py", "model.onnx"
VERSIONED = ("daso", "torch", "onnx", "onnxscript", "pillow", "numpy")


def export_onnx(model: Model, folder: Path) -> Iterator[str]:
    """Write `model.onnx`, `classify.py` and a README; yield lines for the user.

    The reader is run on image files. Raises DasoError, and writes nothing, if its predictions are not those of the
    model.
    """
    network, reading = classifier_of(model), reading_of(model.record)
    versions = {**model.record["versions"], **{name: version(name) for name in VERSIONED}}
    metadata = {**model.record, "reading": reading, "versions": versions, "format": ONNX_FORMAT}
    metadata |= {"license_of_weights": network.license or "unknown"}
    with replaced(folder) as part:
        write_onnx(part / MODEL_FILE, network, reading["view"]["size"], metadata)
        shutil.copyfile(Path(__file__).with_name(READER), part / READER)
        (part / "README-onnx.md").write_text(_onnx_readme(metadata), encoding="utf-8")
        checked = check_export(model, part / READER, part / MODEL_FILE)
    yield "opset {opset}, IR version {ir_version}, onnxruntime {onnxruntime} or newer".format(**ONNX_FORMAT)
    yield checked


def export_tensors(model: Model, folder: Path) -> Iterator[str]:
    """Write `model.json`, `model.safetensors` and a README; yield lines for the user."""
    complete = with_encoder(model)
    with replaced(folder) as part:
        save_model(complete, part)
        (part / "README-safetensors.md").write_text(_tensors_readme(complete.record, folder), encoding="utf-8")
    yield f"{len(complete.tensors)} tensors, all weights included"


def _onnx_readme(metadata: Mapping[str, Any]) -> str:
    return f"""# {metadata["title"]}

    pip install "onnxruntime>={ONNX_FORMAT["onnxruntime"]}" pillow numpy
    python {READER} {MODEL_FILE} photo.jpg

prints file, class, probability and how unlike the labeled photos it is, from 0 to 2. `{READER}` shows how a file
becomes the input of `{MODEL_FILE}`; `reading` in the metadata of the model describes it in words. The metadata also
have the classes, and the accuracy of each. Licence of the pretrained weights: {metadata["license_of_weights"]}.
"""


def _tensors_readme(record: Mapping[str, Any], folder: Path) -> str:
    return f"""# {record["title"]}

    daso predict {folder.name} photo.jpg

`{RECORD_FILE}` has the classes and how images are read, `{TENSORS_FILE}` all weights, which
`safetensors.torch.load_file` loads: `encoder.*` is the network `{record["network"]["name"]}`, `member.*` are the
classifiers whose logits are averaged.
"""


FORMATS: Mapping[str, Callable[[Model, Path], Iterator[str]]] = {"onnx": export_onnx, "safetensors": export_tensors}


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files replace those of `folder` once all are complete; an error removes it."""
    if folder.suffix == ".onnx" or (folder.exists() and not folder.is_dir()):
        raise DasoError(f"--out {folder}: a file; name a folder, in which all files of the export are written")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as part:
        yield Path(part)
        folder.mkdir(exist_ok=True)
        for file in sorted(Path(part).iterdir()):
            file.replace(folder / file.name)
