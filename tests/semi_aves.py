"""Small data set with the files of Semi-Aves: 4 target classes, 3 outside classes, 81 images of 40 x 30 or 30 x 40."""

import colorsys
import csv
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daso.config.params import Params
from daso.config.resolve import split_config
from daso.data.catalog import make_store
from daso.errors import DataError

LABELED, VALIDATION, TEST = (6, 4, 3, 2), 2, 3  # images per class; VALIDATION and TEST are the same for every class
IN, OUT = (12, 9, 6, 3), (8, 5, 3)  # unlabeled images of the target and of the outside classes
CLASSES = len(LABELED)
FOLDERS = ("trainval_images", "u_train_in", "u_train_out", "test")
COUNTS = {
    **{"l_train": 15, "val": 8, "l_train_val": 23, "u_train_in": 30, "u_train_out": 16, "u_train": 46, "test": 12},
    **{"u_train_in_oracle": 30, "u_train_out_oracle": 16},
}
SHA256 = {
    "l_train": "31d4183007bb2d8d019cf38f81c2fb7b513465dc921ba622b7eb4af91f7057a9",
    "val": "9cd256eb4277bf0f3a502c4c055546b335b10f27c62221ae892043e92f1bebc6",
    "l_train_val": "cce0334e0de0104daa994bd509fb20756c83eff92244788eb227e2a539d3ddc8",
    "u_train_in": "096c6cf962299d7b2174e534c3f5754a9f4cb8f9b03571f32dcddab3b2b4e392",
    "u_train_out": "179ad062ec08f4bc11851952a0e73cbf24c80a3096b3ff072190feabc8be3423",
    "u_train": "9ac44d0c08fdb8e4bb7d034873d57f74e656f40dd16829eb8ed59b4fee5083dd",
    "test": "a9d4cf8e08fbaa40e529d2c669f40eeab6620d0ce93c461f57b2364e2f3a51cb",
    "u_train_in_oracle": "acbbdda99f0eaa8ebc8ac5824bfbff00c200df31de83b09971806dbd5609ddfb",
    "u_train_out_oracle": "7a5f0cb1b7696ec015b1d54edd510748af926eb896d5dddd1f5ce898c445ef7d",
}


def rows() -> dict[str, list[tuple[str, int]]]:
    """Return the file and the class of every image by list: l_train, val, u_train_in, u_train_out, test."""
    known = {"l_train": [], "val": [], "u_train_in": [], "u_train_out": [], "test": []}
    for k, labeled in enumerate(LABELED):
        numbers = range(labeled + VALIDATION)
        known["l_train"] += [(f"trainval_images/{k}/{n}.jpg", k) for n in numbers[:labeled]]
        known["val"] += [(f"trainval_images/{k}/{n}.jpg", k) for n in numbers[labeled:]]
    for name, sizes, first in (("u_train_in", IN, 0), ("u_train_out", OUT, CLASSES), ("test", [TEST] * CLASSES, 0)):
        classes = np.repeat(np.arange(len(sizes)) + first, sizes).tolist()
        known[name] = [(f"{name}/{n}.jpg", k) for n, k in enumerate(classes)]
    return known


def lists() -> dict[str, bytes]:
    """Return the nine lists as the evaluation repository has them."""
    known = rows()
    known["l_train_val"] = sorted(known["l_train"] + known["val"], key=lambda row: (row[1], _number(row[0])))
    for name in ("u_train_in", "u_train_out"):
        known[f"{name}_oracle"], known[name] = known[name], [(file, -1) for file, _ in known[name]]
    known["u_train"] = known["u_train_in"] + known["u_train_out"]
    return {name: "".join(f"{file} {k}\n" for file, k in known[name]).encode() for name in COUNTS}


def images() -> dict[str, bytes]:
    """Return every image as JPEG by file: class color and noise; u_train_in/0.jpg is grey."""
    encoded = {}
    for part, (name, known) in enumerate(rows().items()):
        for file, k in known:
            number = _number(file)
            draw = np.random.default_rng((part, k, number))
            color = 255 * np.array(colorsys.hsv_to_rgb(k / 7, 1, 1))
            shape = (30, 40) if number % 2 == 0 else (40, 30)
            pixels = (color + draw.integers(-20, 21, (*shape, 3))).clip(0, 255).astype(np.uint8)
            grey = name == "u_train_in" and number == 0
            buffer = io.BytesIO()
            Image.fromarray(pixels).convert("L" if grey else "RGB").save(buffer, "JPEG", quality=90)
            encoded[file] = buffer.getvalue()
    return encoded


def annotations() -> dict[str, bytes]:
    """Return the COCO-style JSON of each list by file; those of test have no annotations."""
    files = {}
    for name, known in rows().items():
        listed = [
            {"id": _number(file) if name == "test" else i, "file_name": file, "width": 40, "height": 30}
            for i, (file, _) in enumerate(known)
        ]
        for image in listed:
            if _number(image["file_name"]) % 2:
                image["width"], image["height"] = 30, 40
        labels = [k if name in ("l_train", "val") else -1 for _, k in known]
        notes = [{"id": i, "image_id": i, "category_id": k} for i, k in enumerate(labels)] if name != "test" else []
        tree = {"info": {"year": 2020}, "images": listed, "annotations": notes}
        files[f"annotation/anno_{name}.json"] = json.dumps(tree).encode()
    return files


def solution() -> bytes:
    """Return the CSV of the labels of the test images."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(
        [("Id", "Category"), *((_number(file), k) for file, k in rows()["test"])]
    )
    return buffer.getvalue().encode()


def write(folder: Path, images_as: str = "folders", labels_as: str = "lists") -> Path:
    """Write the data set: images as `folders` or `archives`, labels as `lists`, `annotation` (folder) or `archive`."""
    files = images()
    if images_as == "archives":
        for name in FOLDERS:
            _write(folder / f"{name}.tar.gz", tar({file: files[file] for file in files if file.split("/")[0] == name}))
        files = {}
    match labels_as:
        case "lists":
            files |= {f"{name}.txt": content for name, content in lists().items()}
        case "annotation":
            files |= {**annotations(), "solution.csv": solution()}
        case "archive":
            files |= {"annotation.tar.gz": tar(annotations()), "solution.csv": solution()}
    for file, content in files.items():
        _write(folder / file, content)
    return folder


def tar(files: dict[str, bytes]) -> bytes:
    """Return a tar.gz of the files, each after the junk file `._<name>` that macOS adds."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for file, content in files.items():
            path = Path(file)
            for name, data in ((path.with_name(f"._{path.name}").as_posix(), b"\0\5\x16\7junk"), (file, content)):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def source(path: Path | str, **more) -> dict:
    """Return the source of the params file of this data set."""
    known = {name: {"images": COUNTS[name], "sha256": SHA256[name]} for name in COUNTS if "oracle" not in name}
    oracle = {
        subset: {"sha256": SHA256[f"u_train_{subset}_oracle"], "labels": labels}
        for subset, labels in (("in", [0, 3]), ("out", [4, 6]))
    }
    given = {"path": str(path), "longest_side": 40, "lists": known, "oracle_lists": oracle}
    return {"kind": "semi_aves", **given, **more}


def config(path: Path | str, **more) -> dict:
    """Return the configuration of the store, 24 pixels; options of the source are given in `more`."""
    sizes = {"train": 23, "unlabeled": 46, "test": 12, "smallest_class": 4}
    return {
        "dataset": "tiny-aves",
        "source": source(path, **more),
        "images": sizes,
        "subsets": {"in": 30, "out": 16},
        "num_classes": CLASSES,
        "image_size": 24,
        "fit": "crop",
    }


def _number(file: str) -> int:
    return int(Path(file).stem)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def params(path: Path | str) -> dict:
    """Return the params file of this data set, with the settings of Semi-Aves."""
    tree = {name: value for name, value in config(path).items() if name != "dataset"}
    return {
        "title": "Semi-Aves, small",
        "redistribute": False,
        **tree,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "holdout": 0,
        "class_order": "size",
        "augment": {
            "flip": True,
            "pad": 2,
            "cutout": 8,
            "num_ops": 2,
            "op_probability": 0.5,
            "ops": ["rotate", "color", "identity"],
        },
        "settings": {
            "in": {"labeled": "all", "unlabeled": ["in"]},
            "in-out": {"labeled": "all", "unlabeled": ["in", "out"], "supervised": "in"},
        },
    }


def make_aves(raw: Path, **more):
    """Make the store of the data set in `raw` beside it."""
    return make_store(config(raw, **more), raw.parent / "store", raw.parent / "cache")


def errors_of(raw: Path, **more) -> list[str]:
    """Return the lines of the error of `make_aves`, with the path of `raw` as its name."""
    with pytest.raises(DataError) as error:
        make_aves(raw, **more)
    assert not (raw.parent / "store").exists()
    return str(error.value).replace(f"{raw}", "raw").splitlines()


def split_json(params_of_all: Params, dataset: str, setting: str) -> str:
    """Write the configuration of a split of seed 0 to the working directory and return the file's name."""
    Path("split.json").write_text(json.dumps(split_config(params_of_all, dataset, setting, 0)))
    return "split.json"
