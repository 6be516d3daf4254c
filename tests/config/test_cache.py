"""The cache of results between processes: never those of other files, and never needed."""

import json

import pytest

from daso.config.cache import FOLDER, kept


@pytest.fixture
def project(tmp_path):
    (tmp_path / "Snakefile").touch()
    (tmp_path / "a.txt").write_text("1")
    return tmp_path


def result(project, made, value=None, name="n", also=""):
    def make():
        made.append((project / "a.txt").read_text())
        return value or {"text": made[-1]}

    return kept(project, name, lambda: [project / "a.txt"], make, also)


def test_made_once_until_a_file_changes(project):
    made = []
    assert [result(project, made) for _ in range(2)] == [{"text": "1"}] * 2
    (project / "a.txt").write_text("2")
    assert [result(project, made) for _ in range(2)] == [{"text": "2"}] * 2
    result(project, made, also="another version")
    assert made == ["1", "2", "2"]


def test_not_kept_if_a_file_changes_while_it_is_made(project):
    def make():
        text = (project / "a.txt").read_text()
        (project / "a.txt").write_text("2")
        return text

    assert kept(project, "n", lambda: [project / "a.txt"], make) == "1"
    (project / "a.txt").write_text("1")
    made = []
    assert result(project, made) == {"text": "1"}
    assert made == ["1"]


@pytest.mark.parametrize("damage", [lambda text: "", lambda text: text.replace("1", "3"), lambda text: text[:-1]])
def test_a_damaged_cache_is_replaced(project, damage):
    made = []
    result(project, made)
    path = project / FOLDER / "n.json"
    head, _, text = path.read_text().partition("\n")
    path.write_text(f"{head}\n{damage(text)}")
    assert result(project, made) == {"text": "1"}
    assert made == ["1", "1"]
    assert json.loads(path.read_text().partition("\n")[2]) == {"text": "1"}


def test_what_json_changes_is_not_kept(project):
    made = []
    for _ in range(2):
        assert result(project, made, value={1: (2,)}) == {1: (2,)}
    assert made == ["1", "1"]


def test_outside_a_working_copy_and_without_room_it_is_made_each_time(project):
    (project / ".snakemake").write_text("a file, where a folder is needed")
    made = []
    assert [result(project, made) for _ in range(2)] == [{"text": "1"}] * 2
    (project / ".snakemake").unlink()
    (project / "Snakefile").unlink()
    result(project, made)
    assert made == ["1", "1", "1"]
    assert not (project / FOLDER).exists()
