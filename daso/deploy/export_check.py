"""Check of an export: its reader, in a process without torch and this package, predicts files as the model does."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image

from daso.aliases import FloatArray
from daso.config.load import load_params
from daso.config.resolve import data_config
from daso.data.folder_digest import source_path
from daso.data.photo_files import photo_files
from daso.data.pixels import WHOLE, UnreadableError, decode
from daso.data.store import FILES
from daso.deploy.assemble import plain_view
from daso.deploy.model import Model
from daso.deploy.predict_files import decode_squares
from daso.deploy.predictor import Predictor, TorchPredictor, network_images
from daso.errors import DasoError
from daso.models.network import Preprocessing
from daso.paths import store_folder

TOLERANCE = 1e-4  # of probabilities and of the distance to the labeled images
PHOTOS = 8  # of the dataset
SMALL_SIDE = 32  # side of an image that is only decoded to see whether it can be
HIDDEN = ("daso", "timm", "torch", "torchvision")  # packages that the reader must not need
READ = f"""
import json, runpy, sys
sys.modules.update(dict.fromkeys({HIDDEN}))  # importing one of them raises an error
reader = runpy.run_path(sys.argv[1])
session, metadata = reader["open_model"](sys.argv[2])
for path in sys.argv[3:]:
    probabilities, unlike = session.run(None, {{"images": reader["read_photo"](path, metadata["reading"])[None]}})
    print(json.dumps([*probabilities[0].tolist(), float(unlike[0])]))
"""


def check_export(model: Model, reader: Path, exported: Path) -> str:
    """Return a line about the check; raises DasoError if a prediction differs by more than `TOLERANCE`.

    The files are photos of the model's dataset, if they are still there, and generated ones: one for each rule of
    reading.
    """
    with tempfile.TemporaryDirectory() as folder:
        photos, generated = list(_copied_photos(model, Path(folder))), list(write_cases(Path(folder)))
        files = [str(path) for path in (*photos, *generated)]
        difference = np.abs(read_by(reader, exported, files) - predicted(model, files)).max(1)
    if difference.max() > TOLERANCE:
        name = Path(files[int(difference.argmax())]).name
        raise DasoError(
            f"{exported.name}: differs from the model by {difference.max():.2g} for {name}, more than {TOLERANCE:g}; "
            "no file is written; export with --format safetensors, or install another version of onnxruntime"
        )
    checked = f"{len(photos)} photos and {len(generated)} generated files"
    missing = "" if photos else " (the photos of its dataset are missing)"
    return f"checked on {checked}{missing}: {reader.name} differs by {difference.max():.1g} at most"


def predicted(model: Model, files: Sequence[str]) -> FloatArray:
    """Return the probabilities and the distance to the labeled images (n, K + 1) that `daso predict` computes."""
    predictor: Predictor = TorchPredictor(model, torch.device("cpu"))
    squares, errors = decode_squares(files, model.record)
    assert not any(errors), errors
    view = plain_view(model.record, Preprocessing(**model.record["preprocessing"]))
    probabilities, unlike = predictor.probabilities(network_images(view, squares))
    return np.column_stack([probabilities, unlike])


def read_by(reader: Path, exported: Path, files: Sequence[str]) -> FloatArray:
    """Return the same (n, K + 1) by a reader, in a process that can import neither torch nor this package."""
    command = [sys.executable, "-I", "-c", READ, str(reader), str(exported), *files]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DasoError(f"{reader.name}: cannot read the exported model ({reason}); no file is written")
    return np.array([json.loads(line) for line in done.stdout.splitlines()])


def _copied_photos(model: Model, folder: Path) -> Iterator[Path]:
    """Copy some photos of a model's dataset, test images if it has any; none if they are missing."""
    dataset = model.record["runs"][0]["id"].split("/")[0]
    table = store_folder(dataset) / FILES
    if not table.exists() or dataset not in (params := load_params()).datasets:
        return
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as rows:
        listed = list(csv.DictReader(rows))
    names = [row["file"] for row in listed if row["part"] == "test"] or [row["file"] for row in listed]
    root = Path(source_path(data_config(params, dataset)["source"])).expanduser()
    if not root.exists():
        return
    with photo_files(root) as files:
        for i, name in enumerate(sorted(set(names) & set(files.names))[:PHOTOS]):
            path = folder / f"photo-{i}"
            path.write_bytes(files.read(name))
            if _is_usable(path):
                yield path


def _is_usable(path: Path) -> bool:
    """Return True if an image can be read, and is not too large for the reader."""
    try:
        with path.open("rb") as file:
            decode(file, SMALL_SIDE)
        with Image.open(path) as image:
            return image.width * image.height <= WHOLE
    except UnreadableError:
        return False


def write_cases(folder: Path) -> Iterator[Path]:
    """Write an image for each rule of reading: rotation, transparency, palette, 16 bits, CMYK, a narrow shape."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 4), dtype=np.uint8)
    color, rotation = Image.fromarray(pixels[..., :3]), Image.Exif()
    rotation[ExifTags.Base.Orientation] = 6
    cases = {
        "rotated.jpg": (color, {"exif": rotation}),
        "transparent.png": (Image.fromarray(pixels), {}),
        "palette.png": (color.quantize(16), {"transparency": 0}),
        "grey-16-bits.png": (Image.fromarray(pixels.view(np.uint16)[..., 0]), {}),
        "cmyk.jpg": (color.convert("CMYK"), {}),
        "narrow.png": (color.resize((20, 200)), {}),
    }
    for name, (image, options) in cases.items():
        image.save(folder / name, **options)  # type: ignore[arg-type]
        yield folder / name
