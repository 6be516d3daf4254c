"""What is damaged or another run's is never taken for a result: its reader names it, and the command that mends it.

Every kind of file of a finished project, damaged in every way, before every command that reads it. Then what the error
says is done, word for word, and all is as it was.
"""

import json
import random
import re
import shutil

import pytest

from daso.config.load import load
from daso.config.resolve import split_config
from tests.endurance.blows import call
from tests.workflow.conftest import weigh
from tests.workflow.project import METHODS, ROOT, SETTING

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("damage")]
PLACE = f"digits/{SETTING}/tiny"
RUN, OTHER = f"{PLACE}/{METHODS[1]}/s0", f"{PLACE}/{METHODS[0]}/s0"
STORE, SPLIT, METRICS = "data/store/digits", f"data/splits/digits/{SETTING}/s0.json", f"metrics/{RUN}.json"
DASO = ("python", "-m", "daso")
TRAIN = (*DASO, "train", RUN)
CHECK = (*DASO, "split", "--check", SPLIT, "--store", STORE)
EVALUATE = (*DASO, "evaluate", "--run", f"runs/{RUN}", "--out", "again.json")
REPORT = (*DASO, "report", "--suite", "tiny", "--out", "again")
KEEP = (*DASO, "keep", RUN)
BUNDLE = (*DASO, "bundle", RUN, "--out", "again")
# The file, another that a mistake may put in its place, and the commands that read it.
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
}
WAYS = ("bit", "head", "tail", "cut", "zeroes", "other")


def damaged(whole, other, way, rng):
    """One bit flipped anywhere, near the head or near the tail; a piece cut off; nothing, zeroes or the other file."""
    if way in ("bit", "head", "tail"):
        first, last = {"bit": (0, len(whole)), "head": (0, 64), "tail": (max(0, len(whole) - 64), len(whole))}[way]
        place = rng.randrange(8 * first, 8 * min(last, len(whole)))
        return whole[: place // 8] + bytes([whole[place // 8] ^ 1 << place % 8]) + whole[place // 8 + 1 :]
    return {"cut": whole[: rng.randrange(1, len(whole))], "empty": b"", "zeroes": bytes(len(whole)), "other": other}[
        way
    ]


def told(project, argv, path):
    """The one line that a command ends with at a damaged file."""
    status, said = call(project, *argv)
    assert status == 1, f"{path} was taken for good by {argv}"
    lines = [line for line in said.splitlines() if line.strip()]
    assert len(lines) == 1 or argv[: len(TRAIN)] == TRAIN, said  # a training says before what it has read
    assert path in lines[-1], lines
    for left in ("again", "again.json", f"drafts/{RUN}"):
        assert not (project.path / left).exists(), f"{argv} has left {left}"
    return lines[-1]


def results(project):
    """All but what tells the time: images, splits, weights, histories, predictions, the numbers of the metrics."""
    found = {}
    for folder in ("data", "runs", "metrics", "reports/tiny"):
        for path in sorted((project.path / folder).rglob("*")):
            if path.is_file() and path.name not in ("index.html", "report.md"):
                found[path.relative_to(project.path).as_posix()] = path.read_bytes()
    for name in [name for name in found if name.endswith("train.json") or re.match(r"metrics/.*json$", name)]:
        tree = json.loads(found[name])
        found[name] = {key: part for key, part in tree.items() if key not in ("speed", "provenance", "sha256")}
    return found


@pytest.fixture(scope="module")
def whole(built, tmp_path_factory):
    """The tiny suite, built; `again` is what it says its results are."""
    project = built.copy(tmp_path_factory.mktemp("whole") / "project")
    project.want = results(project)
    config = split_config(load(project.path / "params"), "digits", SETTING, 0)
    config["setting"]["m1"] -= 20
    project.write("other.json.config", json.dumps(config))
    project.call(*DASO, "split", "--config", "other.json.config", "--store", STORE, "--out", "other.json")
    return project


@pytest.mark.parametrize("file", READERS)
def test_a_damaged_file_is_named_by_who_reads_it(whole, file):
    """Six damages, dealt out among its readers; then one of them is mended as the error says."""
    path, rng = whole.path / file, random.Random(file)
    content, other = path.read_bytes(), (whole.path / READERS[file][0]).read_bytes()
    readers = READERS[file][1]
    try:
        for number, way in enumerate(WAYS):
            path.write_bytes(damaged(content, other, way, rng))
            told(whole, readers[number % len(readers)], file)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("file", READERS)
def test_what_the_error_says_mends_it(whole, tmp_path, file):
    """The words of the error are carried out; then nothing is left to do and all results are the same."""
    project = whole.copy(tmp_path / "project")
    path, rng = project.path / file, random.Random(file)
    path.write_bytes(damaged(path.read_bytes(), b"", "bit", rng))
    line = told(project, READERS[file][1][0], file)
    mend = re.search(r"; delete (\S+) and run `(.+)` again$", line)
    assert mend, line
    gone = path if mend[1] == "it" else project.path / mend[1]
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    project.call(*mend[2].split(), "--cores", "1")
    project.snakemake()
    assert "Nothing to be done" in project.snakemake()
    assert results(project) == whole.want


@pytest.fixture(scope="module")
def stopped(whole, tmp_path_factory):
    """A training stopped on its way, and the bytes of its state; the same of another method."""
    project = whole.copy(tmp_path_factory.mktemp("stopped") / "project")
    states = []
    for method in METHODS:
        out = f"scratch/{PLACE}/{method}/s0"
        code = (
            "from daso.engine.train import Trainer\nfrom daso.cli import main\nimport sys\nreal = Trainer.save\n"
            "def save(self, scratch):\n    real(self, scratch)\n    sys.exit(9)\nTrainer.save = save\n"
            f"main(['train', '{PLACE}/{method}/s0', '--scratch', '{out}'])\n"
        )
        status, said = call(project, "python", "-c", code, PYTHONPATH=str(project.path))
        assert status == 9, said
        states.append(next((project.path / out).glob("*.pt")))
    return project, *states


def test_a_damaged_state_is_never_resumed_and_never_passed_over(stopped):
    """A flipped bit anywhere, or another run's state under its name; deleted, the run starts again, bit for bit."""
    project, other, state = stopped
    content, rng = state.read_bytes(), random.Random(0)
    name = state.relative_to(project.path).as_posix()
    resume = (*TRAIN, "--scratch", f"scratch/{RUN}")
    for way in (*WAYS, "bit", "bit"):
        state.write_bytes(damaged(content, other.read_bytes(), way, rng))
        assert "delete it to start again" in told(project, resume, name)
        assert state.exists()
    state.unlink()
    project.call(*resume)
    for file in ("final.pt", "history.csv", "predictions.npz", "config.json"):
        mine, want = (project.path / folder / RUN / file for folder in ("drafts", "runs"))
        assert mine.read_bytes() == want.read_bytes()


def test_a_damaged_bundle_and_damaged_results_of_it(whole, tmp_path):
    """Before it trains, and before it is adopted; what was copied wrong is not taken in."""
    project, rng = whole.copy(tmp_path / "project"), random.Random(0)
    project.edit(f"methods/{METHODS[1]}.yaml", weigh(0.25))  # a run that is not there yet
    project.call(*BUNDLE[:-1], "bundle")
    train = (*DASO, "train", "--bundle", "bundle")
    for path in sorted(path for path in (project.path / "bundle").rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.write_bytes(damaged(content, b"", rng.choice(("bit", "cut")), rng))
        assert told(project, train, path.relative_to(project.path).as_posix()).endswith("copy the bundle again")
        path.write_bytes(content)
    project.call(*train)
    for name in ("config.json", "history.csv", "predictions.npz", "final.pt", "train.json"):
        path = project.path / "bundle/runs" / RUN / name
        content = path.read_bytes()
        path.write_bytes(damaged(content, b"", rng.choice(("bit", "cut")), rng))
        line = told(project, (*DASO, "adopt", "bundle"), path.relative_to(project.path).as_posix())
        assert line.endswith(f"delete bundle/runs/{RUN} and run `python -m daso train --bundle bundle` again")
        path.write_bytes(content)
    project.call(*DASO, "adopt", "bundle")
    assert (project.path / "runs" / RUN / "final.pt").read_bytes() == path.with_name("final.pt").read_bytes()


@pytest.mark.parametrize(
    ("method", "lender", "files"),
    [
        ("fixmatch_crest", "fixmatch_crest.g1", ("predictions.npz", "train.json")),
        ("supervised_crt", "supervised", ("final.pt",)),
    ],
)
def test_what_a_run_takes_of_another_is_whole(whole, tmp_path, method, upstream_run, files):
    """The guesses of a generation, the encoder of a classifier: the training that takes them is not begun."""
    project, rng = with_methods(whole, tmp_path, method), random.Random(method)
    run = f"{PLACE}/{method}/s0"
    project.snakemake(f"runs/{PLACE}/{upstream_run}/s0/train.json")
    for name in files:
        path = project.path / f"runs/{PLACE}/{upstream_run}/s0" / name
        content = path.read_bytes()
        for way in ("bit", "cut"):
            path.write_bytes(damaged(content, b"", way, rng))
            status, said = call(project, "snakemake", f"runs/{run}/train.json", "--cores", "1")
            assert status == 1, said
            assert f"runs/{PLACE}/{upstream_run}/s0/{name}" in said
            assert f"`snakemake runs/{PLACE}/{upstream_run}/s0/{name}` again" in said, said[-3000:]
            assert not (project.path / "runs" / run / "train.json").exists()
        path.write_bytes(content)
    project.snakemake(f"runs/{run}/train.json")


def with_methods(whole, tmp_path, method):
    """The project with one method of the repository's more, as short as the others."""
    project = whole.copy(tmp_path / "project")
    shutil.copy(ROOT / f"params/methods/{method}.yaml", project.path / f"params/methods/{method}.yaml")
    project.edit("protocols/tiny.yaml", lambda tree: tree["overrides"].update({"crest.generations": 2, "crt.steps": 3}))
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0]["methods"].append(method))
    return project
