"""Key of a report that shows errors by file name: it changes with the names of labeled files."""

import csv
from dataclasses import replace

import pytest

from daso.config.keys import Keys
from daso.paths import report_folder, store_folder
from daso.workspace.current import REPORT_FILES, Current, report_key, shown_names, tables_digest
from tests.repository import PARAMS

COLUMNS = ("part", "row", "label", "file", "sha256")
ROWS = [
    ("train", 0, "owl", "train/owl/1.jpg", "a"),
    ("train", 1, "", "unlabeled/2.jpg", "b"),
    ("test", 0, "owl", "test/owl/3.jpg", "c"),
]


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Return parameters with the suites `with` and `without` controls, in a working folder with a store of digits."""
    monkeypatch.chdir(tmp_path)
    suites = {
        name: {
            "protocol": "photos",
            "seeds": [0],
            "tables": [{"dataset": "digits", "settings": [], "methods": [], **more}],
        }
        for name, more in (("with", {"controls": {}}), ("without", {}))
    }
    return replace(PARAMS, suites={**PARAMS.suites, **suites})


def write_files(rows):
    folder = store_folder("digits")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text("{}")
    with (folder / "files.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def renamed(row, name):
    return [*ROWS[:row], (*ROWS[row][:3], name, ROWS[row][4]), *ROWS[row + 1 :]]


def test_names_of_labeled_files_change_the_key_and_others_do_not(params):
    write_files(ROWS)
    before = shown_names(params, "with"), shown_names(params, "without")
    write_files(renamed(1, "unlabeled/new.jpg"))
    assert (shown_names(params, "with"), shown_names(params, "without")) == before
    write_files(renamed(2, "test/owl/new.jpg"))
    assert shown_names(params, "with") != before[0]
    assert shown_names(params, "without") == before[1]


def test_report_stays_without_its_images_and_is_made_again_with_them(params):
    """A report that was made without images has no digest of names, so it is stale once they are present."""
    current = Current(Keys(params))
    write_report(current, "with")
    assert current.reported("with")
    write_files(ROWS)
    assert not current.reported("with")
    write_report(current, "with")
    (store_folder("digits") / "manifest.json").unlink()
    assert current.reported("with")
    write_files(renamed(2, "test/owl/new.jpg"))
    assert not current.reported("with")


def write_report(current, suite):
    """Write empty files of a report with the key that `daso report` writes."""
    folder = report_folder(suite)
    folder.mkdir(parents=True, exist_ok=True)
    for name in REPORT_FILES:
        (folder / name).touch()
    params = current.keys.params
    key = report_key(params, suite, current.keys.report(suite), shown_names(params, suite))
    (folder / "key").write_text(f"{key} {tables_digest(folder)}\n")
