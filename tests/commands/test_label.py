"""`daso label`: labels made elsewhere come back into labels.csv; every wrong entry is an error, and nothing is written.

The folder has photos named IMG_7.JPG in two folders. Tools put a prefix before file names and escape paths.
"""

import csv
import io
import shutil
from pathlib import Path

import pytest

from daso.cli import main
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.data.folder_digest import digest_folder
from daso.deploy.list_files import write_list
from tests.data.photo_cases import save_noise
from tests.repository import ROOT
from tests.workflow.photos import natural_dataset

DATASET = natural_dataset("photos", 3)
SUITE = """\
title: Photos
protocol: smoke
seeds: [0]
tables:
  - {name: photos, title: Photos, dataset: photos, settings: [all], methods: [supervised]}
"""
PHOTOS = (
    *(f"train/{name}/{i}.png" for name, n in (("a", 3), ("b", 2), ("c", 2)) for i in range(n)),
    *(f"test/{name}/0.png" for name in "abc"),
    *("unlabeled/IMG_7.JPG", "unlabeled/b c/IMG_7.JPG", "unlabeled/IMG_8.JPG", "unlabeled/Käfer (2).JPG"),
)
TOOL_7 = "/data/upload/1/77aa01be-IMG_7.JPG"
EXPORT = (  # the three rows of a tool, of which the second may be two photos
    "image,id,choice\n/data/upload/1/3f2a9c1d-IMG_8.JPG,1,a\n"
    f"{TOOL_7},2,b\n/data/local-files/?d=unlabeled/b%20c/IMG_7.JPG,3,c\n"
)
LISTED = [(name, name.split("/")[1], name.split("/")[0]) for name in sorted(PHOTOS[:10])]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Work in a folder with params/ of a dataset and its photos."""
    for name in ("methods/supervised.yaml", "protocols/smoke.yaml"):
        (tmp_path / "params" / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / "params" / name, tmp_path / "params" / name)
    for name, text in {"datasets/photos": DATASET, "suites/photos": SUITE, "pipeline": "suite: photos\n"}.items():
        (tmp_path / f"params/{name}.yaml").parent.mkdir(exist_ok=True)
        (tmp_path / f"params/{name}.yaml").write_text(text)
    for i, name in enumerate(PHOTOS):
        save_noise(tmp_path / "photos" / name, i)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


@pytest.fixture
def label(photos, capsys):
    """Return `label(text, *options)`: call the command on a list; return its exit status and lines."""

    def call(text, *options, file="list.csv"):
        content = text if isinstance(text, bytes) else text.encode()
        Path(file).write_bytes(content)
        status = main(["label", "photos", file, *options])
        printed = capsys.readouterr()
        return status, (printed.err if status else printed.out).splitlines()

    return call


def table(photos):
    return [tuple(row) for row in csv.reader(io.StringIO((photos / "labels.csv").read_text()))]


def test_ambiguous_row_of_a_tool_is_refused_with_both_photos(photos, label):
    """Nothing is written: neither the rows that are certain nor anything else."""
    status, lines = label(EXPORT)
    assert status == 1
    assert lines == [
        f"list.csv: line 3: '{TOOL_7}' may be 'unlabeled/IMG_7.JPG' or 'unlabeled/b c/IMG_7.JPG'; write the path of "
        "the photo instead"
    ]
    assert not (photos / "labels.csv").exists()


def test_prefix_and_escapes_of_a_tool_are_undone(photos, label):
    """With the folder of row 2 written, each row names one photo; the labeled photos keep part and class."""
    status, lines = label(EXPORT.replace(TOOL_7, "unlabeled/IMG_7.JPG"))
    assert status == 0
    assert lines == [
        *(f"{name}: 1 new label, 0 changed, 0 unchanged" for name in "abc"),
        "photos/labels.csv gives the labels from now on: photos added to train/ or test/ need a row",
        "photos/labels.csv: written",
    ]
    new = [
        ("unlabeled/IMG_7.JPG", "b", "train"),
        ("unlabeled/IMG_8.JPG", "a", "train"),
        ("unlabeled/b c/IMG_7.JPG", "c", "train"),
    ]
    assert table(photos) == [("path", "label", "split"), *LISTED, *new]


def test_filled_in_list_comes_back_by_the_path_of_each_photo(photos, label):
    """A row without a label is left out; `label` names the paths of a list before any others."""
    text = "path,predicted,label\nunlabeled/b c/IMG_7.JPG,a,b\nunlabeled/IMG_7.JPG,a,\nunlabeled/IMG_8.JPG,b, a \n"
    assert label(text, "--dry-run") == (
        0,
        [
            "a: 1 new label, 0 changed, 0 unchanged",
            "b: 1 new label, 0 changed, 0 unchanged",
            "without a label: 1 row",
            "photos/labels.csv gives the labels from now on: photos added to train/ or test/ need a row",
            "photos/labels.csv: would be written; leave --dry-run out",
        ],
    )
    assert not (photos / "labels.csv").exists()
    assert label(text)[0] == 0
    assert table(photos)[-2:] == [("unlabeled/IMG_8.JPG", "a", "train"), ("unlabeled/b c/IMG_7.JPG", "b", "train")]
    assert label(text) == (
        0,
        [
            "a: 0 new labels, 0 changed, 1 unchanged",
            "b: 0 new labels, 0 changed, 1 unchanged",
            "without a label: 1 row",
            "photos/labels.csv: no label changes, nothing written",
        ],
    )


def test_cells_that_lists_protect_from_spreadsheets_come_back(photos, label):
    """Lists begin a path that would be a formula with `./`, and such a class with a space."""
    save_noise(photos / "=1.jpg", 99)
    save_noise(photos / "unlabeled/=1.jpg", 98)
    write_list(Path("next.csv"), ("path", "label"), [("=1.jpg", "-x"), ("unlabeled/=1.jpg", "a")])
    content = Path("next.csv").read_bytes()
    assert content == b"\xef\xbb\xbfpath,label\n./=1.jpg, -x\nunlabeled/=1.jpg,a\n"
    assert label(content)[0] == 0
    assert {("=1.jpg", "-x", "train"), ("unlabeled/=1.jpg", "a", "train")} < set(table(photos))


def test_key_of_the_images_stays_if_folders_become_a_table(photos, label):
    """A table with the labels of the folders is another form of the same data; a new label is other data."""
    before, key = digest_folder(photos), Keys(load_params()).data("photos")
    assert label("path,label\nunlabeled/IMG_8.JPG,a\n")[0] == 0
    labeled = digest_folder(photos)
    rows = (photos / "labels.csv").read_text().splitlines()
    (photos / "labels.csv").write_text("\n".join(row for row in rows if "IMG_8" not in row))
    assert digest_folder(photos) == before != labeled
    assert Keys(load_params()).data("photos") == key


def test_rows_of_a_table_keep_their_other_columns(photos, label):
    """The table of a spreadsheet stays one: byte order mark, semicolons and line ends are kept."""
    start = "\ufeffgroup;path;label;split;note\r\n"
    own = 's1;train\\a\\0.png;a;;sharp\r\n;unlabeled/IMG_7.JPG;;unlabeled;\r\n;train/b/0.png;b;train;"x;y"\r\n'
    tests = "".join(f";test/{name}/0.png;{name};test;\r\n" for name in "abc")
    (photos / "labels.csv").write_bytes((start + own + ";train/c/0.png;c;;\r\n" + tests).encode())
    text = "path,label\ntrain/b/1.png,b\ntrain/a/0.png,c\nunlabeled/IMG_7.JPG,a\n"
    assert label(text)[1][:3] == [
        "a: 1 new label, 0 changed, 0 unchanged",
        "b: 1 new label, 0 changed, 0 unchanged",
        "c: 0 new labels, 1 changed (1 from a), 0 unchanged",
    ]
    own = 's1;train\\a\\0.png;c;train;sharp\r\n;unlabeled/IMG_7.JPG;a;train;\r\n;train/b/0.png;b;train;"x;y"\r\n'
    expected = start + own + ";train/c/0.png;c;;\r\n" + tests + ";train/b/1.png;b;train;\r\n"
    assert (photos / "labels.csv").read_bytes() == expected.encode()


def test_all_wrong_entries_are_listed_at_once(photos, label):
    """A wrong class name is listed too; entries without a path are those of a broken list, and come first."""
    text = (
        "path,label\nunlabeled/img_8.jpg,a\nother/IMG_8.JPG,a\nnone.jpg,a\nunlabeled/IMG_8.JPG,a\n"
        "unlabeled/IMG_8.JPG,b\nIMG_7.JPG,B\n"
    )
    assert label(f"{text},a\n") == (1, ["list.csv: line 8: missing path of an image with the label 'a'; add it"])
    status, lines = label(text)
    assert status == 1
    assert lines == [
        "list.csv: line 2: unknown file 'unlabeled/img_8.jpg'; did you mean 'unlabeled/IMG_8.JPG'?",
        "list.csv: line 3: unknown file 'other/IMG_8.JPG'; did you mean 'unlabeled/IMG_8.JPG'?",
        "list.csv: line 4: unknown file 'none.jpg'; correct its path, relative to the folder of photos",
        "list.csv: line 7: 'IMG_7.JPG' may be 'unlabeled/IMG_7.JPG' or 'unlabeled/b c/IMG_7.JPG'; write the path of "
        "the photo instead",
        "list.csv: line 6: label 'b' of 'unlabeled/IMG_8.JPG', but line 5 has 'a'; keep one of them",
        "list.csv: line 7: class 'B' differs from 'b' only in case or spaces; rename it",
    ]
    assert not (photos / "labels.csv").exists()


def test_class_names_that_differ_only_in_case_are_refused(photos, label):
    """Outer spaces are removed, as they are in labels.csv; a class of another name is new."""
    text = "path,label\nunlabeled/IMG_8.JPG,A\nunlabeled/IMG_7.JPG, b \nunlabeled/b c/IMG_7.JPG,Owl\n"
    assert label(f"{text}unlabeled/Käfer (2).JPG,owl\n") == (
        1,
        [
            "list.csv: line 2: class 'A' differs from 'a' only in case or spaces; rename it",
            "list.csv: line 5: class 'owl' differs from 'Owl' only in case or spaces; rename it",
        ],
    )
    status, lines = label(text.replace(",A", ",a"))
    assert (status, lines[3:5]) == (
        0,
        ["new class Owl: 1 photo", "params/datasets/photos.yaml: num_classes is 3; set it to 4"],
    )


def test_labels_of_test_photos_are_changed_only_by_an_option(photos, label):
    """What the accuracy is measured on changes with them; a label that confirms the present one is accepted."""
    text = "path,label\ntest/a/0.png,b\ntest/b/0.png,b\n"
    status, lines = label(text)
    assert status == 1
    assert lines == [
        "list.csv: line 2: 'test/a/0.png' is a test photo of class 'a', and its label 'b' would change what the "
        "accuracy is measured on; give --test to change it"
    ]
    assert label(text, "--test")[1][0] == "b: 0 new labels, 1 changed (1 from a), 1 unchanged"
    assert ("test/a/0.png", "b", "test") in table(photos)


def test_class_does_not_lose_its_last_training_photo(photos, label):
    status, lines = label("path,label\ntrain/c/0.png,a\ntrain/c/1.png,a\n")
    assert status == 1
    assert lines == ["list.csv: class 'c' would have no training photo any more; keep one of them, or remove the class"]


def test_zip_and_other_datasets_are_refused(photos, label, monkeypatch):
    Path("photos.zip").write_bytes(b"PK")
    dataset = Path("params/datasets/photos.yaml")
    dataset.write_text(DATASET.replace("path: photos", "path: photos.zip"))
    error = "photos.zip: a zip, which labels cannot be added to; unpack it and give the folder as `path`"
    assert label("path,label\nx.png,a\n") == (1, [error])
    dataset.write_text(DATASET.replace("{kind: image_folder, path: photos}", "{kind: digits}"))
    assert label("path,label\nx.png,a\n")[1] == [
        "label: 'photos' is not a folder of one's own images; name such a dataset"
    ]
    assert main(["label", "photo", "list.csv"]) == 1
