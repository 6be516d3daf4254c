"""`daso init` on folders as people have them: few unlabeled images, one huge class, no test images, a table, nested."""

import shutil
from pathlib import Path

import pytest

from daso.cli import main
from daso.config.load import load_params
from daso.config.resolve import data_config, runs, split_config
from daso.data.catalog import make_store
from daso.data.split import make_split
from daso.errors import DataError
from tests.data.photo_cases import base_folder, save_noise
from tests.repository import ROOT


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return base_folder(tmp_path_factory.mktemp("base") / "photos")


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)


def few_unlabeled(photos):
    for file in sorted(photos.glob("unlabeled/*"))[2:]:
        file.unlink()
    return ["classes: a 20, b 12, c 6", "unlabeled: 2 images", "test: a 4, b 4, c 4"]


def huge_class(photos):
    for i in range(300):
        save_noise(photos / f"train/a/more{i}.png", 1000 + i)
    return ["classes: a 320, b 12, c 6", "unlabeled: 60 images"]


def no_test(photos):
    shutil.rmtree(photos / "test")
    for i in range(3, 6):
        (photos / f"train/c/{i:02}.png").unlink()
    return [
        "classes: a 20, b 12, c 3",
        "test: none; each seed holds out 20 % of each class, by group",
        "trained, not measured: c, which have fewer than 4 images",
    ]


def one_label(photos):
    """A class of one photo is trained and cannot be measured."""
    shutil.rmtree(photos / "test")
    for file in sorted(photos.glob("train/c/*"))[1:]:
        file.unlink()
    return ["classes: a 20, b 12, c 1", "trained, not measured: c, which have fewer than 4 images"]


def table(photos):
    """Labels and groups of the training images in a table; the files of test/ are not in it."""
    files = sorted(photos.glob("train/*/*.png"))
    rows = [f"{file.relative_to(photos)};{file.parent.name};{i // 2}\r\n" for i, file in enumerate(files)]
    (photos / "labels.csv").write_bytes(("path;label;group\r\n" + "".join(rows)).encode("utf-8-sig"))
    return [
        "classes: a 20, b 12, c 6",
        "unlabeled: 60 images",
        "test: none; each seed holds out 20 % of each class, by group",
        "groups of several images, such as shots of one specimen: 19, of 38 images",
        "skipped files: 12; unreadable files: 0",
    ]


def nested(photos):
    """All folders lie in one more folder, unlabeled images in folders of folders, and some photos too deep."""
    (photos / "unlabeled").rename(photos / "old")
    (photos / "unlabeled/2024").mkdir(parents=True)
    (photos / "old").rename(photos / "unlabeled/2024/may")
    save_noise(photos / "train/a/more/1.png", 7)
    photos.rename(photos.with_name("inner"))
    photos.mkdir()
    photos.with_name("inner").rename(photos / "inner")
    return ["classes: a 20, b 12, c 6", "unlabeled: 60 images", "skipped files: 1; unreadable files: 0"]


def no_unlabeled(photos):
    shutil.rmtree(photos / "unlabeled")
    return ["classes: a 20, b 12, c 6", "unlabeled: 0 images"]


@pytest.mark.parametrize("edit", [few_unlabeled, huge_class, no_test, one_label, table, nested, no_unlabeled])
def test_folder_becomes_a_dataset_and_a_suite(base, project, capsys, edit):
    """The files are valid, a store and a split follow from them, and a second call changes nothing."""
    photos = Path(shutil.copytree(base, "photos"))
    expected = edit(photos)
    assert main(["init", "photos"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in expected if line not in printed] == []
    assert printed[-3:] == [
        "params/datasets/photos.yaml: written",
        "params/suites/photos.yaml: written",
        "next: snakemake --config suite=photos",
    ]
    before = {path: path.read_bytes() for path in Path("params").rglob("*.yaml")}
    assert main(["init", "photos"]) == 0
    assert capsys.readouterr().out.splitlines()[-3:-1] == [
        "params/datasets/photos.yaml: exists, not changed",
        "params/suites/photos.yaml: exists, not changed",
    ]
    assert {path: path.read_bytes() for path in Path("params").rglob("*.yaml")} == before
    params = load_params()
    methods = {run.method for run in runs(params, "photos")}
    unlabeled = {"self_training_la", "fixmatch_la", "fixmatch_adello", "simpro"}
    unlabeled |= {"supervised_la_neck", "fixmatch_la_daso_neck"}
    assert methods == {"supervised", "supervised_la"} | (set() if edit is no_unlabeled else unlabeled)
    assert ("controls" in params.suites["photos"]["tables"][0]) == (edit is not no_unlabeled)
    store = make_store(data_config(params, "photos"), Path("store"))
    saved = make_split(split_config(params, "photos", "all", 0), store, Path("s0.json"))
    labeled = sum(saved.counts["labeled"]) + sum(saved.counts.get("test", ()))
    assert labeled == (store.labels("train") >= 0).sum()
    assert len(saved.split.unlabeled) == (store.labels("train") < 0).sum()


def test_unreadable_photos_stop_unless_they_are_skipped(base, project, capsys):
    photos = Path(shutil.copytree(base, "photos"))
    (photos / "train/a/00.png").write_bytes(b"")
    assert main(["init", "photos"]) == 1
    assert "photos: train/a/00.png: not a readable image (empty)" in capsys.readouterr().err
    assert not Path("params/datasets/photos.yaml").exists()
    assert main(["init", "photos", "--skip-unreadable", "--name", "few"]) == 0
    assert load_params().datasets["few"]["source"]["skip_unreadable"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["photos", "--name", "A B"], "init: invalid name 'A B'; use only a-z, 0-9, '_' and '-'; give one with --name"),
    ],
)
def test_errors_are_one_line_and_write_nothing(base, project, capsys, arguments, message):
    shutil.copytree(base, "photos")
    before = sorted(Path("params").rglob("*"))
    assert main(["init", *arguments]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("photos: t")]
    assert len(errors) == 1
    assert errors[0].startswith(message)
    assert sorted(Path("params").rglob("*")) == before


def test_single_class_is_refused(project, capsys):
    for i in range(8):
        save_noise(Path(f"birds/train/owl/{i}.png"), i)
    assert main(["init", "birds"]) == 1
    assert "birds: one class, 'owl'; add photos of a second one" in capsys.readouterr().err


def test_setting_of_all_unlabeled_photos_without_any_is_one_line_with_the_fix(base, project):
    """The suite is written before the photos of unlabeled/ are removed."""
    shutil.copytree(base, "photos")
    assert main(["init", "photos"]) == 0
    dataset = Path("params/datasets/photos.yaml")
    head = dataset.read_text().partition("settings:")[0]
    dataset.write_text(f"{head}settings:\n  all: {{n1: 4, m1: all, gamma_l: 1}}\n")
    shutil.rmtree("photos/unlabeled")
    store = make_store(data_config(load_params(), "photos"), Path("data/store/photos"))
    with pytest.raises(DataError) as error:
        make_split(split_config(load_params(), "photos", "all", 0), store, Path("s0.json"))
    assert str(error.value) == (
        "photos/all: m1: all selects the images without a label, and data/store/photos has none; set m1 to a number in "
        "params/datasets/photos.yaml"
    )
