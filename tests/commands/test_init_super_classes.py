"""`daso init --super-classes`: groups of classes from a column of labels.csv, or from folders."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from daso.cli import main
from daso.data.catalog import make_store
from daso.data.folder_digest import digest_folder
from daso.data.photo_list import list_photos
from daso.workspace.labels import plan_labels
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


def written():
    """Return the file of the dataset."""
    return YAML(typ="safe").load(Path("params/datasets/photos.yaml").read_text())


def test_folders_of_super_classes(project, capsys):
    """The images are those of a folder without super-classes, and so is their digest."""
    shutil.copytree("photos", "plain")
    into_folders(project)
    assert main(["init", "photos", "--super-classes", "folders"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "classes: a 20, b 12, c 6" in printed
    assert "test: a 4, b 4, c 4" in printed
    assert "super-classes: round: a, c; square: b" in printed
    tree = written()
    assert tree["super_classes"] == GROUPS
    assert tree["source"]["super_class_folders"] is True
    config = {"dataset": "photos", "num_classes": 3, "image_size": 32, "source": tree["source"]}
    nested = make_store(config, Path("store"))
    plain = make_store({**config, "source": {"kind": "image_folder", "path": "plain"}}, Path("other"))
    assert nested.classes == plain.classes == ("a", "b", "c")
    assert np.array_equal(nested.images("train"), plain.images("train"))
    assert digest_folder(project, super_class_folders=True) == digest_folder(Path("plain"))


def test_inner_folders_are_not_classes_unless_that_is_chosen(project):
    into_folders(project)
    names = [path.relative_to(project).as_posix() for path in project.rglob("*.png")]
    assert {photo.part for photo in list_photos(names, lambda name: b"").photos} == {"unlabeled"}
    listed = list_photos(names, lambda name: b"", super_class_folders=True)
    assert {photo.label for photo in listed.photos if photo.part == "test"} == {"a", "b", "c"}
    assert listed.super_classes == {"a": {"round"}, "b": {"square"}, "c": {"round"}}


def test_column_of_super_classes(project, capsys):
    into_table(project)
    assert main(["init", "photos", "--super-classes", "column"]) == 0
    assert "super-classes: round: a, c; square: b" in capsys.readouterr().out
    assert written()["super_classes"] == GROUPS
    assert "super_class_folders" not in written()["source"]


def test_digest_of_images_does_not_depend_on_the_column(project):
    into_table(project)
    before = digest_folder(project)
    into_table(project, {"a": "square", "b": "square", "c": "round"})
    assert digest_folder(project) == before


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


def test_labels_of_folders_of_super_classes_can_be_changed(project):
    """The new labels.csv lists all labeled photos with their folders."""
    into_folders(project)
    Path("new.csv").write_text("path,label\nunlabeled/00.png,b\n")
    update = plan_labels(project, Path("new.csv"), super_class_folders=True)
    rows = update.content.decode().splitlines()
    assert "train/round/a/00.png,a,train" in rows
    assert "unlabeled/00.png,b,train" in rows
    assert len(rows) == 1 + 38 + 12 + 1


def test_test_images_beside_folders_of_super_classes_are_refused(project, capsys):
    """Nothing is written, so no share of the training images is held out instead."""
    into_folders(project)
    for name, group in OF_CLASS.items():
        (project / "test" / group / name).rename(project / "test" / name)
    assert main(["init", "photos", "--super-classes", "folders"]) == 1
    error = "photos: test/a and 2 more: images outside the expected folders test/<super-class>/<class>/; move them"
    assert error in capsys.readouterr().err
    assert not Path("params/datasets/photos.yaml").exists()


def test_folders_of_two_levels_without_the_option_are_an_error_with_a_hint(project, capsys):
    into_folders(project)
    assert main(["init", "photos"]) == 1
    error = capsys.readouterr().err
    assert "photos: missing class folders in train/; expected train/<class>/<image>" in error
    assert "; for train/<super-class>/<class>/<image>, call `daso init` with --super-classes folders" in error
