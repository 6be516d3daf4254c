"""Cache of results between processes: a result of changed files is never returned, and no cache is required."""

import io
import shutil
import sys
import threading
from contextlib import contextmanager, nullcontext
from subprocess import PIPE, Popen

import pytest

from daso.config import cache
from daso.config.cache import CACHE_FOLDER, cached


@pytest.fixture
def project(tmp_path):
    (tmp_path / "Snakefile").touch()
    (tmp_path / "a.txt").write_text("1")
    return tmp_path


def result(project, made, value=None, name="n", also=""):
    def make():
        made.append((project / "a.txt").read_text())
        return value or {"text": made[-1]}

    return cached(project, name, lambda: [project / "a.txt"], make, also)


def test_result_is_made_once_until_a_file_changes(project):
    made = []
    assert [result(project, made) for _ in range(2)] == [{"text": "1"}] * 2
    (project / "a.txt").write_text("2")
    assert [result(project, made) for _ in range(2)] == [{"text": "2"}] * 2
    result(project, made, also="another version")
    assert made == ["1", "2", "2"]


def test_copy_of_a_working_copy_uses_the_cache(project, tmp_path):
    made = []
    result(project, made)
    copy = shutil.copytree(project, tmp_path / "copy")
    assert result(copy, made) == {"text": "1"}
    assert made == ["1"]
    (copy / "a.txt").rename(copy / "b.txt")
    assert cached(copy, "n", lambda: [copy / "b.txt"], lambda: made.append("renamed")) is None
    assert made == ["1", "renamed"]


def test_result_is_not_cached_if_a_file_changes_while_it_is_made(project):
    def make():
        text = (project / "a.txt").read_text()
        (project / "a.txt").write_text("2")
        return text

    assert cached(project, "n", lambda: [project / "a.txt"], make) == "1"
    (project / "a.txt").write_text("1")
    made = []
    assert result(project, made) == {"text": "1"}
    assert made == ["1"]


DAMAGES = {
    "no result": lambda head, text: head + b"\n",
    "another result": lambda head, text: head + b"\n" + text.replace(b"1", b"3"),
    "a cut result": lambda head, text: head + b"\n" + text[:-1],
    "empty": lambda head, text: b"",
    "cut in the head": lambda head, text: head[:10],
    "half": lambda head, text: (head + b"\n" + text)[: len(head + text) // 2],
    "not UTF-8": lambda head, text: b"\xff" * len(head + text),
    "longer": lambda head, text: head + b"\n" + text + b"\n",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_cache_file_is_replaced(project, damage):
    made = []
    result(project, made)
    path = project / CACHE_FOLDER / "n.json"
    whole = path.read_bytes()
    head, _, text = whole.partition(b"\n")
    path.write_bytes(damage(head, text))
    assert result(project, made) == {"text": "1"}
    assert (made, path.read_bytes()) == (["1", "1"], whole)


def test_result_that_json_would_change_is_not_cached(project):
    made = []
    for _ in range(2):
        assert result(project, made, value={1: (2,)}) == {1: (2,)}
    assert made == ["1", "1"]


def test_without_a_cache_folder_the_result_is_made_each_time(project):
    (project / ".snakemake").write_text("a file instead of a folder")
    made = []
    assert [result(project, made) for _ in range(2)] == [{"text": "1"}] * 2
    (project / ".snakemake").unlink()
    (project / "Snakefile").unlink()
    result(project, made)
    assert made == ["1", "1", "1"]
    assert not (project / CACHE_FOLDER).exists()


WRITER = """
import sys
from pathlib import Path
from daso.config.cache import cached
project = Path(sys.argv[1])
def make():
    print("making", flush=True)
    sys.stdin.readline()
    return {"by": sys.argv[2], "text": "x" * 1_000_000}
print(cached(project, "n", lambda: [project / "a.txt"], make)["by"], flush=True)
"""


def test_two_concurrent_writers_leave_one_complete_result(project):
    """Both processes compute the result; the file is one complete result."""
    command = [sys.executable, "-c", WRITER, str(project)]
    writers = [Popen([*command, name], stdin=PIPE, stdout=PIPE, text=True) for name in ("one", "two")]
    assert [writer.stdout.readline() for writer in writers] == ["making\n"] * 2
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=60)[0] for writer in writers] == ["one\n", "two\n"]
    made = []
    stored = result(project, made)
    assert (stored["by"] in ("one", "two"), stored["text"], made) == (True, "x" * 1_000_000, [])
    assert [path.name for path in (project / CACHE_FOLDER).iterdir()] == ["n.json"]


def test_reader_does_not_wait_for_a_writer_or_read_half_a_file(project, monkeypatch):
    """While a writer writes its file, the final name does not exist, so a reader computes its own result."""
    half, go_on = threading.Event(), threading.Event()

    def atomic_write(path, **options):
        return paused(real(path, **options))

    real, made = cache.atomic_write, []

    @contextmanager
    def paused(context):
        with context as file:

            class Halves:
                def write(self, content):
                    file.write(content[: len(content) // 2])
                    file.flush()
                    half.set()
                    assert go_on.wait(60)
                    file.write(content[len(content) // 2 :])

            yield Halves()

    monkeypatch.setattr(cache, "atomic_write", atomic_write)
    writer = threading.Thread(target=result, args=(project, []))
    writer.start()
    assert half.wait(60)
    assert [path.name for path in (project / CACHE_FOLDER).iterdir()] == ["n.json.part"]
    monkeypatch.setattr(cache, "atomic_write", lambda path, **options: nullcontext(io.BytesIO()))
    assert result(project, made) == {"text": "1"}
    assert made == ["1"]
    go_on.set()
    writer.join()
    assert result(project, made) == {"text": "1"}
    assert made == ["1"]
