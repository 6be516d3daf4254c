"""Predictions of image files by the models of a suite of photographs."""

import csv
import io
import json
import re

import pytest
from PIL import Image

from tests.workflow.photos import write_colored

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
pytest.importorskip("timm")
KILLED = """
import os, sys
from daso.cli import main
from daso.deploy import predict_files
compute, calls = predict_files.PredictionRows.predict, []
def limited(rows, files):
    if len(calls) == int(os.environ["LIMIT"]):
        os._exit(9)
    calls.append(len(files))
    print("computes", len(files))
    return compute(rows, files)
predict_files.PredictionRows.predict = limited
sys.exit(main(sys.argv[1:]))
"""
RUN = "photos/all/photos/supervised_la/s0"


def predict(project, *arguments, **options):
    return project.call("python", "-m", "daso", "predict", *arguments, **options)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_accuracy_of_predictions_is_that_of_the_report(photos):
    """A single run, on the test images from their files: 4 of each class."""
    metrics = json.loads(photos.read(f"metrics/{RUN}.json"))
    predict(photos, RUN, "photos/test", "--csv", "test.csv")
    predicted = rows(photos.read("test.csv"))
    recall = [sum(row["class"] == name for row in predicted if row["path"].split("/")[2] == name) / 4 for name in "abc"]
    assert recall == metrics["recall"]


def write_new(folder):
    """Write six images in subfolders, two of them damaged, and a text file."""
    write_colored(folder / "drawn", 0, 2, 900)
    write_colored(folder / "drawn", 1, 1, 910)
    write_colored(folder / "drawn", 2, 1, 920)
    pictures = [Image.open(folder / "drawn" / f"{name}.png") for name in (900, 910, 920, 901)]
    for name in ("one/IMG_1.JPG", "two/IMG_1.JPG", "two/deep/x.jpeg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pictures[0].save(folder / "one/IMG_1.JPG")
    pictures[1].save(folder / "two/IMG_1.JPG")
    pictures[2].save(folder / "two/deep/x.jpeg")
    pictures[3].save(folder / "webp.jpg", format="WEBP")
    whole = (folder / "one/IMG_1.JPG").read_bytes()
    (folder / "broken.jpg").write_bytes(whole[:150])
    (folder / "empty.png").write_bytes(b"")
    (folder / "readme.txt").write_text("not an image")
    for path in (folder / "drawn").iterdir():
        path.unlink()
    (folder / "drawn").rmdir()
    (folder / "webp.jpg").rename(folder / "webp_inside.jpg")


def test_each_image_file_has_a_row_and_damaged_ones_an_error(photos):
    write_new(photos.path / "new")
    output = predict(photos, "photos", "new/", "--csv", "new.csv", fails=True)
    assert "4 images predicted" in output
    assert "2 unreadable; skipped files: 1 not an image" in output
    predicted = rows(photos.read("new.csv"))
    paths = [row["path"] for row in predicted]
    files = ["broken.jpg", "empty.png", "one/IMG_1.JPG", "two/IMG_1.JPG", "two/deep/x.jpeg", "webp_inside.jpg"]
    assert paths == [f"new/{name}" for name in files]
    assert [row["error"] for row in predicted[:2]] == ["truncated or damaged", "empty"]
    assert [row["class"] in ("a", "b", "c") for row in predicted] == [False] * 2 + [True] * 4
    content = photos.read("new.csv")
    predict(photos, "photos", "new", "--csv", "new.csv", fails=True)
    assert photos.read("new.csv") == content
    assert not (photos.path / "new.csv.partial").exists()
    (photos.path / "none").mkdir()
    line = predict(photos, "photos", "none", fails=True).splitlines()[-1]
    assert line == "none: no images; name files or folders"


def test_kept_model_predicts_the_same_from_another_folder(photos, tmp_path):
    name = re.search(r"^(photos@\w{12}): ", predict(photos, "photos", "photos/test", "--csv", "1.csv"), re.MULTILINE)[1]
    predict(photos, name, "photos/test", "--csv", "2.csv")
    assert photos.read("1.csv") == photos.read("2.csv")
    kept = photos.path / "models" / name.replace("@", "/")
    code = {"PYTHONPATH": str(photos.path)}
    images = str(photos.path / "photos/test")
    predict(photos, str(kept), images, "--csv", "there.csv", cwd=tmp_path, **code)
    there = (tmp_path / "there.csv").read_text().replace(f"{photos.path}/", "")
    assert there == photos.read("1.csv")


def test_prediction_of_an_image_does_not_depend_on_the_others(photos):
    """One of 33 photos alone, all of them with one thread and two, and all in reverse order."""
    write_colored(photos.path / "many", 1, 33, 5000)
    predict(photos, "photos", "many/5020.png", "--csv", "one.csv")
    one = rows(photos.read("one.csv"))
    files = sorted((f"many/{5000 + i}.png" for i in range(33)), reverse=True)
    predict(photos, "photos", *files, "--csv", "reversed.csv")
    for threads in ("1", "2"):
        predict(photos, "photos", "many", "--csv", f"many{threads}.csv", OMP_NUM_THREADS=threads)
        (row,) = [row for row in rows(photos.read(f"many{threads}.csv")) if row["path"] == "many/5020.png"]
        assert (row["class"], row["path"]) == (one[0]["class"], "many/5020.png")
        for column in ("probability", "probability_2", "unlike"):
            assert float(row[column]) == pytest.approx(float(one[0][column]), abs=1e-4)
    assert photos.read("reversed.csv") == photos.read("many1.csv")


def test_killed_prediction_resumes(photos):
    """The rows of the first 64 files are kept; the second call computes the rest, with equal bytes."""
    write_colored(photos.path / "long", 0, 70, 7000)
    predict(photos, "photos", "long", "--csv", "whole.csv")
    call = ("python", "-c", KILLED, "predict", "photos", "long", "--csv", "killed.csv")
    photos.call(*call, fails=True, LIMIT="1")
    assert not (photos.path / "killed.csv").exists()
    output = photos.call(*call, LIMIT="2")
    assert re.findall(r"computes (\d+)", output) == ["0", "6"]
    assert photos.read("killed.csv") == photos.read("whole.csv")


def test_class_added_later_moves_no_name_of_earlier_models(photos):
    project, exported = photos.copy(photos.path.parent / "later"), "exports/photos/model.onnx"
    output = predict(project, "photos", "photos/test", "--csv", "old.csv")
    old = re.search(r"^(photos@\w{12}): ", output, re.MULTILINE)[1]
    assert "8 photos and 6 generated files: " in project.call("python", "-m", "daso", "export", "photos")
    predict(project, exported, "photos/test", "--csv", "exported.csv")
    for row, other in zip(*(rows(project.read(f"{name}.csv")) for name in ("old", "exported")), strict=True):
        assert (row["path"], row["class"]) == (other["path"], other["class"])
        assert float(row["probability"]) == pytest.approx(float(other["probability"]), abs=2e-4)  # rounded numbers
    write_colored(project.path / "photos/train/aardvark", 3, 6, 30_000)
    write_colored(project.path / "photos/test/aardvark", 3, 4, 31_000)
    project.edit("datasets/photos.yaml", lambda tree: tree.update(num_classes=4))
    project.snakemake("--config", "suite=photos")
    paths = [f"photos/test/{name}" for name in "abc"]
    predict(project, old, *paths, "--csv", "again.csv")
    assert project.read("again.csv") == project.read("old.csv")
    predict(project, exported, *paths, "--csv", "again.csv")
    assert project.read("again.csv") == project.read("exported.csv")
    predict(project, "photos", "photos/test", "--csv", "new.csv", "--top", "4")
    predicted = rows(project.read("new.csv"))
    assert {row[name] for row in predicted for name in ("class", "class_2", "class_3", "class_4")} == {
        "a",
        "b",
        "c",
        "aardvark",
    }
