"""labels.csv as spreadsheets save it: what is accepted with a remark, and what is an error."""

import os
import unicodedata

import numpy as np
import pytest

from daso.data.folder_digest import digest_folder
from daso.data.image_folder import read_image_folder
from daso.data.labels_csv import read_labels
from daso.errors import DataError
from tests.data.photo_cases import save_noise

ROWS = [
    ("unlabeled/img_1.jpg", "Mäusebussard", "train"),
    ("unlabeled/img_2.jpg", "Rotmilan", "train"),
    ("unlabeled/img_3.jpg", "Mäusebussard", "test"),
    ("unlabeled/img_4.jpg", "Rotmilan", "test"),
    ("unlabeled/img_5.jpg", "", ""),
]


@pytest.fixture
def birds(tmp_path):
    """Save six photos; the sixth is not listed."""
    for i in range(1, 7):
        save_noise(tmp_path / f"birds/unlabeled/img_{i}.jpg", i)
    return tmp_path / "birds"


def table(rows=ROWS, delimiter=",", end="\n", header=("path", "label", "split")):
    return "".join(delimiter.join(row) + end for row in (header, *rows))


def write(folder, text, encoding="utf-8"):
    (folder / "labels.csv").write_bytes(text.encode(encoding))


WINDOWS = [(path.replace("/", "\\"), *rest) for path, *rest in ROWS]
SPREADSHEETS = {
    "excel": ((table(WINDOWS, ";", "\r\n"), "utf-8-sig"), "a byte order mark, semicolons, backslashes as slashes"),
    "tabs": ((table(ROWS, "\t"), "utf-8"), "tabs"),
    "decomposed": ((unicodedata.normalize("NFD", table()), "utf-8"), None),
}


@pytest.mark.parametrize("kind", SPREADSHEETS)
def test_tables_of_spreadsheets_equal_plain_ones(birds, lines, kind):
    write(birds, table())
    expected, key = read_image_folder(birds, 8), digest_folder(birds)
    assert expected.classes == ("Mäusebussard", "Rotmilan")
    assert expected.parts["train"][1].tolist() == [0, 1, -1, -1]  # the sixth photo, below unlabeled/, is unlabeled
    assert [row.name for row in expected.rows["test"]] == ["unlabeled/img_3.jpg", "unlabeled/img_4.jpg"]
    assert "labels" not in expected.notes
    file, assumed = SPREADSHEETS[kind]
    write(birds, *file)
    read = read_image_folder(birds, 8)
    assert read.classes == expected.classes
    assert read.rows == expected.rows
    assert all((read.parts[part][0] == expected.parts[part][0]).all() for part in ("train", "test"))
    assert digest_folder(birds) == key
    if assumed:
        assert read.notes["labels"] == [f"labels.csv: assumed {assumed}"]
        assert f"birds: labels.csv: assumed {assumed}" in lines()


def test_other_encodings_are_refused(birds):
    """A table in Windows-1252 is not read as if it were: its bytes may be of any encoding of one byte, and a wrong one
    would change the names of classes. The error names the likely one, and the fix."""
    write(birds, table(), "cp1252")
    with pytest.raises(DataError, match=r"birds: labels.csv: line 2: not UTF-8, but perhaps Windows-1252 \(byte"):
        read_image_folder(birds, 8)


def test_all_unknown_files_are_listed_with_the_likely_ones(birds):
    unknown = [("unlabeled/IMG_1.JPG", "x", "train"), ("D:\\photos\\img_1.jpg", "x", "train"), ("img_7.jpg", "x", "")]
    write(birds, table([*unknown, *ROWS]))
    with pytest.raises(DataError) as raised:
        read_image_folder(birds, 8)
    start = f"{birds}: labels.csv: line"
    assert str(raised.value).splitlines() == [
        f"{start} 2: unknown file 'unlabeled/IMG_1.JPG'; did you mean 'unlabeled/img_1.jpg'?",
        f"{start} 3: unknown file 'D:\\photos\\img_1.jpg'; did you mean 'unlabeled/img_1.jpg'?",
        f"{start} 4: unknown file 'img_7.jpg'; correct its path, relative to the folder of labels.csv",
    ]


NAMES = ["NA", "None", "null", "007", "7", "1e3", "TRUE", "owl", "Owl", "owl "]


def text_labels(folder, names):
    """Save four photos of each name and four of an empty cell, named 00012.jpg and so on; two of each are tested."""
    rows = []
    for i, name in enumerate(name for name in [*names, ""] for _ in range(4)):
        save_noise(folder / f"{i + 12:05}.jpg", i)
        rows.append((f"{i + 12:05}.jpg", name, "test" if name and i % 4 > 1 else ""))
    write(folder, table(rows))
    return folder


def test_labels_stay_text(tmp_path):
    read = read_image_folder(text_labels(tmp_path / "own", [name for name in NAMES if name != "Owl"]), 8)
    assert read.classes == ("007", "1e3", "7", "NA", "None", "TRUE", "null", "owl")
    assert np.bincount(read.parts["train"][1] + 1).tolist() == [
        4,
        2,
        2,
        2,
        2,
        2,
        2,
        2,
        4,
    ]  # four empty cells, owl twice
    assert read.notes["labels"] == ["labels.csv: removed outer spaces of 4 labels"]
    assert read.rows["train"][0].name == "00024.jpg"  # of 007: 3 names before it, from 00012 on


def test_labels_that_differ_only_in_case_are_refused(tmp_path):
    """Training photos: two of Owl, and two each of `owl` and `owl ` with a space, which is removed."""
    with pytest.raises(DataError, match=r"classes 'Owl' \(2 images\) and 'owl' \(4\) differ only in case or spaces"):
        read_image_folder(text_labels(tmp_path / "own", NAMES), 8)


ERRORS = {
    "": "empty; expected the columns path,label",
    "file,kind\na,b\n": "expected the columns path,label[,split][,group][,super_class], got file, kind; correct its "
    "first line",
    "path,label,Label\na.jpg,x,y\n": "duplicate column 'label'; rename one of them",
    "path,label\na.jpg,x\na.jpg,y\n": "duplicate file 'a.jpg' in lines 2, 3; keep one of them",
    "path,label,split\na.jpg,x,tests\n": "line 2: unknown split 'tests'; did you mean 'test'?",
    "path,label,split\na.jpg,,train\n": "line 2: missing label of an image of the split train; add it",
    "path,label\na.jpg,x,1\n": "expected 2 cells in each line, got another number in line 2 (3); put cells",
    'path,label\n"a.jpg"x,1\n': "line 2: ',' expected after '\"'; correct the quotes of this line",
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors_are_one_line_each(text):
    with pytest.raises(DataError) as raised:
        read_labels(text.encode(), ["a.jpg"])
    assert str(raised.value).startswith(f"labels.csv: {ERRORS[text]}")
    assert "\n" not in str(raised.value)


def test_unused_columns_and_labels_are_remarked():
    """Cells with the delimiter are in quotes; a label of an image of the split unlabeled is not used."""
    text = 'label,path,rating,split,group\n"red, wild",a.jpg,5,,s1\nblue,b.jpg,3,Unlabeled,\n'
    read = read_labels(text.encode(), ["a.jpg", "b.jpg"])
    assert [tuple(row)[1:] for row in read.rows] == [
        ("a.jpg", "red, wild", "train", "s1", ""),
        ("b.jpg", "", "unlabeled", "", ""),
    ]
    assert read.remarks == [
        "labels.csv: columns not read: rating",
        "labels.csv: 1 labels of images of the split unlabeled are not used",
    ]


def test_unlisted_files_and_raw_files_are_counted(birds):
    save_noise(birds / "more/img_8.png", 8)
    (birds / "unlabeled/img_9.NEF").write_bytes(b"raw")
    write(birds, table([*ROWS, ("unlabeled/img_9.NEF", "Rotmilan", "train")]))
    assert read_image_folder(birds, 8).notes["skipped"] == {
        "more": {"not in labels.csv": 1},
        "train/Rotmilan": {"camera raw": 1},
    }


def test_table_that_is_a_pipe_is_refused(birds):
    """Reading it would never end; the key of the images is computed without reading it."""
    os.mkfifo(birds / "labels.csv")
    assert digest_folder(birds)
    with pytest.raises(DataError, match="birds: labels.csv: not a regular file; remove it"):
        read_image_folder(birds, 8)
