"""Lists of images from the runs of a suite of photographs to files."""

import csv
import shutil

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
pytest.importorskip("timm")
STALE = "stale: images, params/ or code have changed since it was trained"


def write_list(project, name, *arguments):
    """Call the command of a list; return its rows."""
    output = project.call("python", "-m", "daso", name, "photos", *arguments)
    path = project.path / f"drafts/photos/{name}.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert output.splitlines()[-1] == f"drafts/photos/{name}.csv: {len(rows)} images"
    return rows


def test_pseudo_labels_are_the_predictions_of_the_files(photos):
    """`daso predict` encodes the files of the 60 unlabeled photos again."""
    rows = write_list(photos, "pseudo-labels")
    photos.call("python", "-m", "daso", "predict", "photos", "photos/unlabeled", "--csv", "unlabeled.csv")
    predicted = list(csv.DictReader(photos.read("unlabeled.csv").splitlines()))
    assert len(rows) == 60
    assert [f"photos/{row['path']}" for row in rows] == [row["path"] for row in predicted]
    for row, expected in zip(rows, predicted, strict=True):
        assert (row["predicted"], row["is_unlike"]) == (expected["class"], expected["is_unlike"])
        for column in ("probability", "unlike"):
            assert float(row[column]) == pytest.approx(float(expected[column]), abs=2e-3)


def test_suspect_labels_contradict_predictions(photos):
    """The label is the folder of a photo; the first suspect has the largest ratio of both probabilities."""
    rows = write_list(photos, "suspects")
    ratios = [float(row["probability"]) / float(row["probability_of_label"]) for row in rows]
    assert all(row["label"] == row["path"].split("/")[1] != row["predicted"] for row in rows)
    assert ratios == sorted(ratios, reverse=True)
    assert write_list(photos, "suspects", "--count", "1") == rows[:1]


def test_filled_in_labels_of_next_are_kept(photos):
    rows = write_list(photos, "next", "--count", "5")
    assert len({row["path"] for row in rows}) == 5
    path = photos.path / "drafts/photos/next.csv"
    path.write_text(path.read_text().replace(",\n", ",a\n"))
    line = photos.call("python", "-m", "daso", "next", "photos", fails=True).splitlines()[-1]
    fix = "read them by `daso label`, move the file, or name another one with --out"
    assert line == f"drafts/photos/next.csv: exists, and its labels would be lost; {fix}"


def test_outliers_are_sorted_by_distance(photos):
    distances = [float(row["unlike"]) for row in write_list(photos, "outliers")]
    assert len(distances) == 60
    assert distances == sorted(distances, reverse=True)


def test_images_that_are_no_files_have_no_lists(photos):
    run = "digits/n20-m80-l20-u10r/tiny/fixmatch_daso/s0"
    line = photos.call("python", "-m", "daso", "pseudo-labels", run, fails=True).splitlines()[-1]
    assert line == "digits: its images were not read from files; lists need images in folders"


def test_stale_and_missing_runs_are_refused(photos):
    project = photos.copy(photos.path.parent / "stale")
    project.edit("protocols/photos.yaml", lambda tree: tree["teacher"].update(decay=0.9))
    line = project.call("python", "-m", "daso", "suspects", "photos", fails=True).splitlines()[-1]
    assert line.endswith(f"/s0: {STALE}; run `snakemake --config suite=photos`")
    shutil.rmtree(project.path / "reports/photos")
    line = project.call("python", "-m", "daso", "outliers", "photos", fails=True).splitlines()[-1]
    assert "missing recommended model; run `snakemake --config suite=photos`" in line
