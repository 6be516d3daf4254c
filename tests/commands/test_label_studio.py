"""`daso label-studio`: a list becomes tasks, whose export `daso label` reads."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from daso.cli import main
from daso.deploy.label_studio import tasks
from tests.commands.test_label import DATASET, label, photos, table  # noqa: F401  (fixtures)

pytestmark = pytest.mark.usefixtures("photos")
LIST = "path,class,probability,label\nunlabeled/b c/IMG_7.JPG,b,0.75,\nphotos/unlabeled/IMG_8.JPG,,,\n"


def test_tasks_have_escaped_urls_pre_annotations_and_the_path(capsys):
    """Paths are relative to the folder, also those that start beside it."""
    Path("next.csv").write_text(LIST)
    assert main(["label-studio", "photos", "next.csv", "--out", "out/tasks.json"]) == 0
    written = json.loads(Path("out/tasks.json").read_text())
    choice = {"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": ["b"]}}
    assert written == [
        {
            "data": {
                "image": "/data/local-files/?d=photos/unlabeled/b%20c/IMG_7.JPG",
                "path": "unlabeled/b c/IMG_7.JPG",
            },
            "predictions": [{"model_version": "daso", "score": 0.75, "result": [choice]}],
        },
        {
            "data": {"image": "/data/local-files/?d=photos/unlabeled/IMG_8.JPG", "path": "unlabeled/IMG_8.JPG"},
            "predictions": [],
        },
    ]
    here = Path.cwd()
    assert capsys.readouterr().out.splitlines() == [
        "out/tasks.json: 2 tasks; out/tasks.xml: labeling interface with 3 classes",
        f"start: LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={here} LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true "
        "label-studio start",
        f"storage: add Local files with the path {here}/photos to the project, then import out/tasks.json",
    ]


@pytest.mark.parametrize(
    ("cell", "score"),
    [("0.73", {"score": 0.73}), ("0,73", {"score": 0.73}), ("73%", {}), ("", {}), ("nan", {})],
)
def test_score_is_the_number_of_a_cell(cell, score):
    """Spreadsheets write a comma in some countries; NaN is no number of JSON."""
    (task,) = tasks([{"path": "a.jpg", "predicted": "owl", "probability": cell}], "photos")
    assert {name: value for name, value in task["predictions"][0].items() if name == "score"} == score


def test_file_names_that_are_not_utf8_are_escaped(photos):  # noqa: F811
    """The URL has the byte of the name, and the path in JSON an escape that Python reads as the same name."""
    (photos / "unlabeled/b c").rename(photos / "unlabeled/K\udce4")
    (photos / "unlabeled/IMG_7.JPG").unlink()
    Path("next.csv").write_text("path\nIMG_7.JPG\n")
    assert main(["label-studio", "photos", "next.csv", "--out", "tasks.json"]) == 0
    (task,) = json.loads(Path("tasks.json").read_text(encoding="utf-8"))
    assert task["data"] == {
        "image": "/data/local-files/?d=photos/unlabeled/K%E4/IMG_7.JPG",
        "path": "unlabeled/K\udce4/IMG_7.JPG",
    }


def test_labeling_interface_has_the_names_of_classes(photos):  # noqa: F811
    (photos / "train/c").rename(photos / 'train/"c" & <d>')
    (photos / "test/c").rename(photos / 'test/"c" & <d>')
    Path("next.csv").write_text(LIST)
    assert main(["label-studio", "photos", "next.csv"]) == 0
    view = ElementTree.parse("drafts/photos/tasks.xml").getroot()
    image, choices = view
    assert (view.tag, image.tag, image.attrib) == ("View", "Image", {"name": "image", "value": "$image"})
    assert choices.attrib == {"name": "choice", "toName": "image", "choice": "single-radio"}
    assert [each.attrib["value"] for each in choices] == ['"c" & <d>', "a", "b"]


def test_export_of_the_tasks_comes_back(photos, label):  # noqa: F811
    """Label Studio returns the data of a task unchanged; photos of one name are told apart by their path."""
    Path("next.csv").write_text(LIST)
    assert main(["label-studio", "photos", "next.csv"]) == 0
    written = json.loads(Path("drafts/photos/tasks.json").read_text())
    annotation = {"result": written[0]["predictions"][0]["result"], "was_cancelled": False}
    export = [{**written[0], "id": 1, "annotations": [annotation]}, {**written[1], "id": 2, "annotations": []}]
    assert label(json.dumps(export), file="export.json")[0] == 0
    assert table(photos)[-1] == ("unlabeled/b c/IMG_7.JPG", "b", "train")


def test_list_with_unknown_photos_writes_no_tasks(capsys):
    Path("next.csv").write_text("path\nunlabeled/x.jpg\nIMG_7.JPG\n")
    assert main(["label-studio", "photos", "next.csv"]) == 1
    assert [line.split("; ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "next.csv: line 2: unknown file 'unlabeled/x.jpg'",
        "next.csv: line 3: 'IMG_7.JPG' may be 'unlabeled/IMG_7.JPG' or 'unlabeled/b c/IMG_7.JPG'",
    ]
    assert not Path("drafts").exists()
    Path("next.csv").write_text("file\nx.jpg\n")
    assert main(["label-studio", "photos", "next.csv"]) == 1
    assert capsys.readouterr().err == "next.csv: expected a column path, got file; rename it\n"
