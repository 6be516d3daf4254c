"""Images at a wrong level of folders."""

import pytest

from daso.data.folder_listing import sort_files
from daso.data.image_folder import read_image_folder
from daso.data.photo_files import LAYOUT
from daso.errors import DataError

TRAIN = ["train/round/a/1.png", "train/square/b/1.png"]
OUTSIDE = "images outside the expected folders"
FIX = "move them there or remove them"


def counts(listed):
    return {folder: dict(reasons) for folder, reasons in listed.skipped.items()}


@pytest.mark.parametrize(
    ("names", "nested", "error"),
    [
        (["test/b/1.png", "test/a/1.png", "test/a/2.png"], True, f"test/a and 1 more: {OUTSIDE} test/<super-class>/"),
        (["test/round/a/1.png", "test/b/1.png"], True, f"test/b: {OUTSIDE} test/<super-class>/<class>/; {FIX}"),
        (["train/c/1.png"], True, f"train/c: {OUTSIDE} train/<super-class>/<class>/; {FIX}"),
        (["test/1.png"], True, f"test: {OUTSIDE} test/<super-class>/<class>/; {FIX}"),
        (["train/a/1.png", "test/round/a/1.png"], False, f"test/round: {OUTSIDE} test/<class>/; {FIX}"),
        (["train/a/1.png", "test/1.png"], False, f"test: {OUTSIDE} test/<class>/; {FIX}"),
    ],
)
@pytest.mark.parametrize("top", ["", "top/"])
def test_folder_with_all_images_at_a_wrong_level_is_an_error(names, nested, error, top):
    with pytest.raises(DataError) as raised:
        sort_files([top + name for name in [*TRAIN, *names]], super_class_folders=nested)
    assert str(raised.value).startswith(error)


def test_each_part_with_images_at_a_wrong_level_has_an_error():
    with pytest.raises(DataError) as raised:
        sort_files([*TRAIN, "test/a/1.png", "train/c/1.png"], super_class_folders=True)
    assert [line.partition(":")[0] for line in str(raised.value).splitlines()] == ["train/c", "test/a"]


def test_files_beside_class_folders_are_counted_by_folder():
    """Folders that have images where they are expected, and files that are not images, are no error."""
    names = ["train/round/1.png", "train/round/2.png", "train/3.png", "test/notes.txt", "test/c/notes.txt"]
    listed = sort_files([*TRAIN, *names], super_class_folders=True)
    assert listed.images == {"train": {"a": [TRAIN[0]], "b": [TRAIN[1]]}}
    reason = "outside train/<class>/, test/<class>/ and unlabeled/"
    expected = {"train/round/": 2, "train": 1, "test": 1, "test/c/": 1}
    assert counts(listed) == {folder: {reason: n} for folder, n in expected.items()}


def test_inner_folders_of_one_class_are_counted():
    """Without super-classes, other class folders of the part may have deeper images only."""
    listed = sort_files(["train/a/1.png", "train/b/old/1.png", "train/b/old/er/1.png"])
    assert listed.images == {"train": {"a": ["train/a/1.png"]}}
    assert counts(listed)["train/b/old/"] == {"outside train/<class>/, test/<class>/ and unlabeled/": 2}


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (TRAIN, "; for train/<super-class>/<class>/<image>, call `daso init` with --super-classes folders"),
        (["train/1.png", "train/a/notes.txt"], ""),
        (["train/a/1.png", "train/a/old/1.png"], ""),
    ],
)
def test_missing_class_folders_are_an_error_with_a_hint_at_super_classes(tmp_path, names, hint):
    """In the last case, only test/ is missing."""
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(DataError) as raised:
        read_image_folder(tmp_path, 8)
    part = "test" if "train/a/1.png" in names else "train"
    assert str(raised.value) == f"{tmp_path}: missing class folders in {part}/; {LAYOUT}{hint}"
