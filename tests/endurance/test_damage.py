"""Damaged or exchanged files are refused: each command that reads one names the file and the command that fixes it.

Each file of a finished project is damaged in several ways before each command that reads it. Then the fix of the error
is executed literally, and the results must be as before.
"""

import json
import random
import re
import shutil

import pytest

from daso.config.load import load_params
from daso.config.resolve import split_config
from tests.endurance.faults import call
from tests.workflow.conftest import set_weight
from tests.workflow.project import METHODS, ROOT, SETTING

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("damage")]
PREFIX = f"digits/{SETTING}/tiny"
RUN, OTHER = f"{PREFIX}/{METHODS[1]}/s0", f"{PREFIX}/{METHODS[0]}/s0"
STORE, SPLIT, METRICS = "data/store/digits", f"data/splits/digits/{SETTING}/s0.json", f"metrics/{RUN}.json"
DASO = ("python", "-m", "daso")
TRAIN = (*DASO, "train", RUN)
CHECK = (*DASO, "split", "--check", SPLIT, "--store", STORE)
EVALUATE = (*DASO, "evaluate", "--run", f"runs/{RUN}", "--out", "again.json")
REPORT = (*DASO, "report", "--suite", "tiny", "--out", "again")
KEEP = (*DASO, "keep", RUN)
BUNDLE = (*DASO, "bundle", RUN, "--out", "again")
# file: (a valid file of a different run or part that may replace it, the commands that read it)
READERS = {
    f"{STORE}/manifest.json": (SPLIT, (TRAIN, CHECK, BUNDLE)),
    f"{STORE}/train_labels.npy": (f"{STORE}/test_labels.npy", (TRAIN, CHECK, BUNDLE)),
    f"{STORE}/train_images.npy": (f"{STORE}/test_images.npy", (TRAIN, BUNDLE)),
    SPLIT: ("other.json", (TRAIN, CHECK, BUNDLE)),
    f"runs/{RUN}/config.json": (f"runs/{OTHER}/config.json", (EVALUATE,)),
    f"runs/{RUN}/history.csv": (f"runs/{OTHER}/history.csv", (EVALUATE, REPORT, KEEP)),
    f"runs/{RUN}/predictions.npz": (f"runs/{OTHER}/predictions.npz", (EVALUATE,)),
    f"runs/{RUN}/train.json": (f"runs/{OTHER}/train.json", (EVALUATE, KEEP)),
    METRICS: (f"metrics/{OTHER}.json", (REPORT, KEEP)),
    f"corrections/{RUN}.json": (f"corrections/{OTHER}.json", (REPORT,)),
}
DAMAGES = ("bit", "head", "tail", "cut", "zeroes", "other")


def damaged(content, other, damage, rng):
    """Return content with one bit flipped anywhere, near its head or tail; truncated, emptied, zeroed or exchanged."""
    size = len(content)
    if damage in ("bit", "head", "tail"):
        first, last = {"bit": (0, size), "head": (0, 64), "tail": (max(0, size - 64), size)}[damage]
        byte, bit = divmod(rng.randrange(8 * first, 8 * min(last, size)), 8)
        return content[:byte] + bytes([content[byte] ^ 1 << bit]) + content[byte + 1 :]
    return {"cut": content[: rng.randrange(1, size)], "empty": b"", "zeroes": bytes(size), "other": other}[damage]


def error_line(project, argv, path):
    """Run a command that must fail at a damaged file; return the line of its error."""
    status, output = call(project, *argv)
    assert status == 1, f"{path} was accepted by {argv}"
    lines = [line for line in output.splitlines() if line.strip()]
    assert len(lines) == 1 or argv[: len(TRAIN)] == TRAIN, output  # a training logs its inputs first
    assert path in lines[-1], lines
    for out in ("again", "again.json", f"drafts/{RUN}"):
        assert not (project.path / out).exists(), f"{argv} has written {out}"
    return lines[-1]


def results(project):
    """Return everything that must be reproduced exactly: all outputs except pages, times and provenance."""
    contents, of_times = {}, {"index.html", "report.md", "runs.csv", "tables", "verified.json"}
    for folder in ("data", "runs", "metrics", "corrections", "reports/tiny"):
        for path in sorted((project.path / folder).rglob("*")):
            if path.is_file() and not of_times.intersection(path.parts):
                contents[path.relative_to(project.path).as_posix()] = path.read_bytes()
    for name in [name for name in contents if name.endswith("train.json") or re.match(r"metrics/.*json$", name)]:
        tree = json.loads(contents[name])
        contents[name] = {key: part for key, part in tree.items() if key not in ("speed", "provenance", "sha256")}
    return contents


@pytest.fixture(scope="module")
def intact(built, tmp_path_factory):
    """Return the tiny suite, built; `expected` are its results."""
    project = built.copy(tmp_path_factory.mktemp("intact") / "project")
    project.expected = results(project)
    config = split_config(load_params(project.path / "params"), "digits", SETTING, 0)
    config["setting"]["m1"] -= 20
    project.write("other.json.config", json.dumps(config))
    project.call(*DASO, "split", "--config", "other.json.config", "--store", STORE, "--out", "other.json")
    return project


@pytest.mark.parametrize("file", READERS)
def test_readers_name_a_damaged_file(intact, file):
    """The kinds of damage are distributed over the readers of the file."""
    path, rng = intact.path / file, random.Random(file)
    content, other = path.read_bytes(), (intact.path / READERS[file][0]).read_bytes()
    readers = READERS[file][1]
    try:
        for number, damage in enumerate(DAMAGES):
            path.write_bytes(damaged(content, other, damage, rng))
            error_line(intact, readers[number % len(readers)], file)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("file", READERS)
def test_fix_of_the_error_restores_the_results(intact, tmp_path, file):
    """Execute the fix of the error literally; then nothing is left to do and all results are the same."""
    project = intact.copy(tmp_path / "project")
    path, rng = project.path / file, random.Random(file)
    path.write_bytes(damaged(path.read_bytes(), b"", "bit", rng))
    line = error_line(project, READERS[file][1][0], file)
    fix = re.search(r"; delete (\S+) and run `(.+)` again$", line)
    assert fix, line
    deleted = path if fix[1] == "it" else project.path / fix[1]
    shutil.rmtree(deleted) if deleted.is_dir() else deleted.unlink()
    project.call(*fix[2].split(), "--cores", "1")
    project.snakemake()
    assert "Nothing to be done" in project.snakemake()
    assert results(project) == intact.expected


@pytest.fixture(scope="module")
def interrupted(intact, tmp_path_factory):
    """Return a project with two interrupted trainings, and their checkpoints."""
    project = intact.copy(tmp_path_factory.mktemp("stopped") / "project")
    checkpoints = []
    for method in METHODS:
        out = f"scratch/{PREFIX}/{method}/s0"
        code = (
            "from daso.engine.trainer import Trainer\nfrom daso.cli import main\nimport sys\nreal = Trainer.save\n"
            "def save(self, scratch):\n    real(self, scratch)\n    sys.exit(9)\nTrainer.save = save\n"
            f"sys.exit(main(['train', '{PREFIX}/{method}/s0', '--scratch', '{out}']))\n"
        )
        status, output = call(project, "python", "-c", code, PYTHONPATH=str(project.path))
        assert status == 9, output
        checkpoints.append(next((project.path / out).glob("*.pt")))
    return project, *checkpoints


def test_damaged_checkpoint_state_is_never_resumed_or_ignored(interrupted):
    """A damaged or foreign checkpoint is refused; after its deletion the run gives the same bits."""
    project, other, checkpoint = interrupted
    content, rng = checkpoint.read_bytes(), random.Random(0)
    name = checkpoint.relative_to(project.path).as_posix()
    resume = (*TRAIN, "--scratch", f"scratch/{RUN}")
    for damage in (*DAMAGES, "bit", "bit"):
        checkpoint.write_bytes(damaged(content, other.read_bytes(), damage, rng))
        assert "delete it to start again" in error_line(project, resume, name)
        assert checkpoint.exists()
    checkpoint.unlink()
    project.call(*resume)
    for file in ("final.pt", "history.csv", "predictions.npz", "config.json"):
        draft, expected = (project.path / folder / RUN / file for folder in ("drafts", "runs"))
        assert draft.read_bytes() == expected.read_bytes()


def test_damaged_bundle_is_not_trained_and_its_damaged_results_are_not_adopted(intact, tmp_path):
    project, rng = intact.copy(tmp_path / "project"), random.Random(0)
    project.edit(f"methods/{METHODS[1]}.yaml", set_weight(0.25))  # a run that is not trained yet
    project.call(*BUNDLE[:-1], "bundle")
    train = (*DASO, "train", "--bundle", "bundle")
    for path in sorted(path for path in (project.path / "bundle").rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.write_bytes(damaged(content, b"", rng.choice(("bit", "cut")), rng))
        assert error_line(project, train, path.relative_to(project.path).as_posix()).endswith("copy the bundle again")
        path.write_bytes(content)
    project.call(*train)
    for name in ("config.json", "history.csv", "predictions.npz", "final.pt", "train.json"):
        path = project.path / "bundle/runs" / RUN / name
        content = path.read_bytes()
        path.write_bytes(damaged(content, b"", rng.choice(("bit", "cut")), rng))
        line = error_line(project, (*DASO, "adopt", "bundle"), path.relative_to(project.path).as_posix())
        assert line.endswith(f"delete bundle/runs/{RUN} and run `daso train --bundle bundle` again")
        path.write_bytes(content)
    project.call(*DASO, "adopt", "bundle")
    assert (project.path / "runs" / RUN / "final.pt").read_bytes() == path.with_name("final.pt").read_bytes()


@pytest.mark.parametrize(
    ("method", "upstream_run", "files"),
    [
        ("fixmatch_crest", "fixmatch_crest.g1", ("predictions.npz", "train.json")),
        ("supervised_crt", "supervised", ("final.pt",)),
    ],
)
def test_training_does_not_start_with_a_damaged_file_of_its_upstream_run(intact, tmp_path, method, upstream_run, files):
    """The files are the predictions of a CReST generation and the encoder for cRT."""
    project, rng = with_methods(intact, tmp_path, method), random.Random(method)
    run = f"{PREFIX}/{method}/s0"
    project.snakemake(f"runs/{PREFIX}/{upstream_run}/s0/train.json")
    for name in files:
        path = project.path / f"runs/{PREFIX}/{upstream_run}/s0" / name
        content = path.read_bytes()
        for damage in ("bit", "cut"):
            path.write_bytes(damaged(content, b"", damage, rng))
            status, output = call(project, "snakemake", f"runs/{run}/train.json", "--cores", "1")
            assert status == 1, output
            assert f"runs/{PREFIX}/{upstream_run}/s0/{name}" in output
            assert f"`snakemake runs/{PREFIX}/{upstream_run}/s0/{name}` again" in output, output[-3000:]
            assert not (project.path / "runs" / run / "train.json").exists()
        path.write_bytes(content)
    project.snakemake(f"runs/{run}/train.json")


def with_methods(intact, tmp_path, method):
    """Return a copy of the project with one more of the repository's methods, as short as the others."""
    project = intact.copy(tmp_path / "project")
    shutil.copy(ROOT / f"params/methods/{method}.yaml", project.path / f"params/methods/{method}.yaml")
    project.edit(f"methods/{method}.yaml", lambda tree: tree.pop("where", None))  # the project has digits alone
    project.edit("protocols/tiny.yaml", lambda tree: tree["overrides"].update({"crest.generations": 2, "crt.steps": 3}))
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0]["methods"].append(method))
    return project
