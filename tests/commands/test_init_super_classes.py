"""`daso init --super-classes`: groups of classes from a column of labels.csv, or from folders."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from daso.cli import main
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run, data_config
from daso.data.catalog import make_store
from daso.data.folder_digest import digest_folder
from tests.data.photo_cases import base_folder
from tests.repository import ROOT

GROUPS = {"round": ["a", "c"], "square": ["b"]}
OF_CLASS = {"a": "round", "b": "square", "c": "round"}


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return base_folder(tmp_path_factory.mktemp("base") / "photos")


@pytest.fixture
def project(tmp_path, monkeypatch, base):
    """Return the photos of a project: 20, 12 and 6 of a, b and c."""
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(base, "photos"))


def into_folders(photos, of_class=OF_CLASS):
    """Move the class folders of both parts into folders of super-classes."""
    for part in ("train", "test"):
        for name, group in of_class.items():
            (photos / part / group).mkdir(exist_ok=True)
            (photos / part / name).rename(photos / part / group / name)


def into_table(photos, of_class=OF_CLASS):
    """Write labels.csv with super-classes of the training and test images."""
    files = sorted(photos.glob("t*/*/*.png"))
    rows = [f"{file.relative_to(photos)},{file.parts[-2]},{file.parts[1]},{of_class[file.parts[-2]]}" for file in files]
    (photos / "labels.csv").write_text("\n".join(["path,label,split,super_class", *rows]) + "\n")


def test_folders_of_super_classes(project, capsys):
    """The images are those of a folder without super-classes, and so is their digest."""
    shutil.copytree("photos", "plain")
    into_folders(project)
    assert main(["init", "photos", "--super-classes", "folders"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "classes: a 20, b 12, c 6" in printed
    assert "test: a 4, b 4, c 4" in printed
    assert "super-classes: round: a, c; square: b" in printed
    tree = load_params().datasets["photos"]
    assert tree["super_classes"] == GROUPS
    assert tree["source"]["super_class_folders"] is True
    nested = make_store(data_config(load_params(), "photos"), Path("store"))
    plain = data_config(load_params(), "photos")
    plain["source"] = {**plain["source"], "path": "plain", "super_class_folders": False}
    assert nested.classes == ("a", "b", "c")
    assert np.array_equal(nested.images("train"), make_store(plain, Path("other")).images("train"))
    assert digest_folder(project, super_class_folders=True) == digest_folder(Path("plain"))


def test_column_of_super_classes(project, capsys):
    into_table(project)
    assert main(["init", "photos", "--super-classes", "column"]) == 0
    assert "super-classes: round: a, c; square: b" in capsys.readouterr().out
    tree = load_params().datasets["photos"]
    assert tree["super_classes"] == GROUPS
    assert "super_class_folders" not in tree["source"]


def test_column_is_not_read_unless_it_is_chosen(project):
    into_table(project)
    assert main(["init", "photos"]) == 0
    assert "super_classes" not in load_params().datasets["photos"]


def test_other_super_classes_change_no_key_of_images_and_of_runs_without_them(project):
    """The file names new super-classes; only the run of SCAD, which reads them, is stale."""
    into_table(project)
    assert main(["init", "photos", "--super-classes", "column"]) == 0
    runs = [Run("photos", "all", "photos", method, 0) for method in ("supervised_la", "fixmatch_la", "fixmatch_scad")]
    before = [Keys(load_params()).data("photos"), *map(Keys(load_params()).train, runs)]
    into_table(project, {"a": "square", "b": "square", "c": "round"})
    dataset = Path("params/datasets/photos.yaml")
    text = dataset.read_text().replace('"round": ["a", "c"]', '"round": ["c"]')
    dataset.write_text(text.replace('"square": ["b"]', '"square": ["a", "b"]'))
    after = [Keys(load_params()).data("photos"), *map(Keys(load_params()).train, runs)]
    assert [one == two for one, two in zip(before, after, strict=True)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("kind", "of_class", "error"),
    [
        ("folders", None, "photos: no super-classes; expected train/<super-class>/<class>/<image>, without labels.csv"),
        ("column", None, "photos: no super-classes; expected a column super_class in labels.csv"),
        ("column", {"a": "x", "b": "", "c": "y"}, "photos: class 'b' has no super-class; give it one"),
        ("column", dict.fromkeys("abc", "x"), "photos: one super-class, 'x'; name a second one"),
    ],
)
def test_unusable_super_classes_are_refused(project, capsys, kind, of_class, error):
    if of_class:
        into_table(project, of_class)
    assert main(["init", "photos", "--super-classes", kind]) == 1
    assert error in capsys.readouterr().err
    assert not Path("params/datasets/photos.yaml").exists()


def test_class_of_two_super_classes_is_refused(project, capsys):
    into_folders(project)
    (project / "train/square/a").mkdir()
    shutil.copy(project / "train/round/a/00.png", project / "train/square/a/new.png")
    assert main(["init", "photos", "--super-classes", "folders"]) == 1
    assert "class 'a' has several super-classes, 'round', 'square'" in capsys.readouterr().err


def test_labels_of_folders_of_super_classes_can_be_changed(project, capsys):
    """The new labels.csv lists all labeled photos with their folders."""
    into_folders(project)
    assert main(["init", "photos", "--super-classes", "folders"]) == 0
    Path("new.csv").write_text("path,label\nunlabeled/00.png,b\n")
    assert main(["label", "photos", "new.csv"]) == 0
    assert "b: 1 new label" in capsys.readouterr().out
    rows = (project / "labels.csv").read_text().splitlines()
    assert "train/round/a/00.png,a,train" in rows
    assert len(rows) == 1 + 38 + 12 + 1
