"""files.csv of a store after files of the image folder are renamed, which makes no output stale."""

import csv
from hashlib import sha256
from pathlib import Path

from ruamel.yaml import YAML

from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import data_config
from daso.data.catalog import make_store
from daso.workspace.file_lists import refresh_file_lists, with_present_names
from tests.data.photo_cases import base_folder

STORE = Path("data/store/own")


def make_dataset():
    """Write the base folder of photos as the dataset own, and its store."""
    base_folder(Path("photos"))
    tree = {"title": "Photos", "source": {"kind": "image_folder", "path": "photos"}, "num_classes": 3, "holdout": 0}
    tree |= {"image_size": 8, "class_order": "size", "settings": {"all": {"labeled": "all", "unlabeled": "all"}}}
    tree["augment"] = {"flip": True, "pad": 1, "cutout": 0, "num_ops": 0, "op_probability": 0.5, "ops": []}
    with Path("params/datasets/own.yaml").open("w") as file:
        YAML().dump(tree, file)
    make_store(data_config(load_params(), "own"), STORE)


def names():
    with (STORE / "files.csv").open(newline="") as file:
        return {int(row["row"]): row["file"] for row in csv.DictReader(file) if row["part"] == "train"}


def test_list_leads_to_renamed_and_moved_files(workspace):
    """One unlabeled file is renamed, two others exchange their names, one moves to a folder; keys stay the same."""
    make_dataset()
    before, key = names(), Keys(load_params()).data("own")
    folder = Path("photos/unlabeled")
    (folder / "00.png").rename(folder / "new name.png")
    for old, new in (("01.png", "x"), ("02.png", "01.png"), ("x", "02.png")):
        (folder / old).rename(folder / new)
    (folder / "deep").mkdir()
    (folder / "03.png").rename(folder / "deep/03.png")
    refresh_file_lists(load_params(), ["own"])
    moved = {"00.png": "new name.png", "01.png": "02.png", "02.png": "01.png", "03.png": "deep/03.png"}
    renamed = {f"unlabeled/{old}": f"unlabeled/{new}" for old, new in moved.items()}
    assert names() == {row: renamed.get(file, file) for row, file in before.items()}
    assert Keys(load_params()).data("own") == key


def test_list_without_changes_keeps_its_bytes(workspace):
    make_dataset()
    before = (STORE / "files.csv").read_bytes()
    state = (STORE / "files.csv").stat()
    refresh_file_lists(load_params(), ["own", "digits"])
    assert (STORE / "files.csv").read_bytes() == before
    assert (STORE / "files.csv").stat().st_mtime_ns == state.st_mtime_ns


def test_content_that_is_nowhere_keeps_its_row(tmp_path):
    """Of two rows of equal content, the one whose file is there keeps it; the other gets the second copy."""
    base_folder(tmp_path)
    (tmp_path / "unlabeled/copy.png").write_bytes((tmp_path / "unlabeled/00.png").read_bytes())
    digest = sha256((tmp_path / "unlabeled/00.png").read_bytes()).hexdigest()
    header = "part,row,label,file,sha256\n"
    rows = f"train,0,,unlabeled/00.png,{digest}\ntrain,1,,unlabeled/old.png,{digest}\ntrain,2,,unlabeled/gone.png,00\n"
    expected = rows.replace("old.png", "copy.png")
    assert with_present_names(f"{header}{rows}".encode(), tmp_path) == f"{header}{expected}".encode()
