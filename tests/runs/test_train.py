"""Training from files: log lines, out of memory, divergence, options of the execution."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from daso.cli import main
from daso.data import bundle
from daso.data.split_rows import Split
from daso.engine import checkpoint
from daso.engine.environment import choose_cudnn, choose_device, cudnn_choice
from daso.engine.progress import Stop
from daso.engine.resident import Resident
from daso.engine.step_runner import StepRunner
from daso.engine.trainer import Trainer
from daso.errors import DasoError, DataError, DivergedError
from daso.runs import train as training
from daso.runs import train_bundle as bundled
from daso.runs.train import Data, Execution, Job
from tests.engine.world import CONFIG, CPU, SUPERVISED, pool, trainer

UNKNOWN_CLASSES = "tiny: classes of the unlabeled images unknown: no pseudo-label recall or precision"


@pytest.fixture
def train_lines(tmp_path, monkeypatch, caplog):
    """Return a function (method, labels of the unlabeled images) that trains a run and returns the log lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "write_run", lambda *results: None)
    monkeypatch.setattr(training, "describe_environment", lambda device: {})
    caplog.set_level(logging.INFO)

    def train(method, labels, resume=None):
        resident = Resident(pool([0] * 6 + [1] * 3, 0), pool(labels, 100), pool([0, 1], 200), pool([0, 0, 1], 210))
        job = Job({**CONFIG, "method": method}, *(tmp_path / name for name in ("store", "split", "out", "scratch")))
        data = Data(SimpleNamespace(classes=()), None, resident, training.UpstreamResults())
        with Stop() as stop:
            list(training._run(job, data, Execution(CPU, resume=resume), stop, []))
        return [record.getMessage() for record in caplog.records]

    return train


def test_unknown_unlabeled_classes_are_logged_once(train_lines):
    assert train_lines(CONFIG["method"], [-1] * 16) == [UNKNOWN_CLASSES]


def test_one_unknown_class_is_logged(train_lines):
    assert train_lines(CONFIG["method"], [0, 1] * 7 + [0, -1]) == [UNKNOWN_CLASSES]


@pytest.mark.parametrize("method", [CONFIG["method"], SUPERVISED], ids=["known", "not read"])
def test_known_or_unused_unlabeled_classes_are_not_logged(train_lines, method):
    assert train_lines(method, [0, 1] * 8 if method is not SUPERVISED else [-1] * 16) == []


def test_resumed_training_does_not_log_unknown_classes_again(train_lines, tmp_path, monkeypatch):
    checkpoint_2 = tmp_path / "step_2.pt"
    on_step = training.Progress.on_step

    def copy(self, t):
        if t == 2:
            checkpoint_2.write_bytes((tmp_path / "scratch" / "k.pt").read_bytes())
        on_step(self, t)

    monkeypatch.setattr(training.Progress, "on_step", copy)
    train_lines(CONFIG["method"], [-1] * 16)
    assert torch.load(checkpoint_2, weights_only=True)["t"] == 2
    assert train_lines(CONFIG["method"], [-1] * 16, resume=checkpoint_2) == [
        UNKNOWN_CLASSES,
        "tiny: resumes at step 2 of 6",
    ]


def test_split_without_unlabeled_images_is_refused_before_training(tmp_path, monkeypatch):
    """With natural class sizes of one image each, only the split shows that no image is unlabeled."""
    none = np.empty(0, np.int64)
    split = Split(labeled=np.arange(2), unlabeled=none, validation=none)
    monkeypatch.setattr(training, "verify_store", lambda folder: None)
    monkeypatch.setattr(
        training, "check_split", lambda *args: SimpleNamespace(derivation=None, split=split, outside=None)
    )
    monkeypatch.setattr(training, "load_all", lambda *args: ["resident"])
    paths = [tmp_path / name for name in ("store", "split", "out", "scratch")]
    (data,) = training.load_data([Job({**CONFIG, "method": SUPERVISED}, *paths)], CPU)
    assert data.resident == "resident"
    jobs = [Job({**CONFIG, "method": method}, *paths) for method in (SUPERVISED, CONFIG["method"])]
    with pytest.raises(DataError, match=r"split: no unlabeled images, which method 'm' requires; change the number"):
        training.load_data(jobs, CPU)


@pytest.fixture
def tiny_data(tmp_path, monkeypatch):
    """Change to an empty folder, in which every run loads the same tiny data."""
    monkeypatch.chdir(tmp_path)
    loaded = Data(SimpleNamespace(classes=()), None, trainer().data, training.UpstreamResults())
    monkeypatch.setattr(training, "check_code", lambda config: None)
    monkeypatch.setattr(training, "load_data", lambda jobs, device: [loaded] * len(jobs))
    monkeypatch.setattr(training, "describe_environment", lambda device: {})


def test_diverged_run_does_not_stop_the_others(tiny_data, tmp_path, monkeypatch):
    finished = []
    monkeypatch.setattr(training, "write_run", lambda out, *rest: finished.append(out.name))
    diverging = {"run": "diverging", "optimizer": {**CONFIG["optimizer"], "lr": 1e15, "warmup": 0}}
    jobs = [
        Job({**CONFIG, **changes}, tmp_path, tmp_path, tmp_path / changes["run"], tmp_path / "scratch" / changes["run"])
        for changes in (diverging, {"run": "stable"})
    ]
    with pytest.raises(DivergedError, match="^diverging: loss_[a-z]+ is (nan|inf) at step"):
        training.train(jobs, Execution(CPU))
    assert finished == ["stable"]


NO_MEMORY = "CUDA out of memory. Tried to allocate 20.00 MiB. "
NO_MEMORY += "GPU 0 has a total capacity of 15.77 GiB of which 3.12 MiB is free."


@pytest.fixture
def command(tiny_data, tmp_path, monkeypatch):
    """Return a function that trains two runs at once by the command line: its exit status, the final states."""
    results = {}
    monkeypatch.setattr(training, "write_run", lambda out, trainer, *_: results.update({out.name: trainer.state()}))

    jobs = [
        Job(CONFIG | {"run": run}, tmp_path, tmp_path, tmp_path / run, tmp_path / "scratch" / run)
        for run in ("one", "two")
    ]
    monkeypatch.setattr(bundled, "train_bundle", lambda path, execution: training.train(jobs, execution))
    monkeypatch.setenv("DASO_COMMIT", "c")
    monkeypatch.setattr(bundle, "read_contents", lambda path: {"commit": "c"})

    def train():
        results.clear()
        return main(["train", "--bundle", "b", "--device", "cpu", "--replicas", "2"]), dict(results)

    return train


def same(one, two):
    """Return True if two states are bit-identical except for times."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        compared = [name for name in one if name not in ("elapsed", "processor", "stages")]
        return one.keys() == two.keys() and all(same(one[name], two[name]) for name in compared)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


def test_run_out_of_gpu_memory_ends_in_one_line_and_resumes_from_its_checkpoint(command, tmp_path, monkeypatch, capsys):
    """The fourth step of the first run fails after its update, so the last checkpoint is that of step 2."""
    status, whole = command()
    assert (status, whole.keys()) == (0, {"one", "two"})
    training_step, steps = Trainer.training_step, []

    def fails(self, batch):
        training_step(self, batch)
        if self.config["run"] == "one":
            steps.append(self.t)
            if len(steps) == 4:
                raise torch.OutOfMemoryError(NO_MEMORY)

    monkeypatch.setattr(Trainer, "training_step", fails)
    capsys.readouterr()
    status, ended = command()
    assert (status, ended) == (1, {})
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "memory" in line]
    assert line == (
        "one: out of GPU memory: 20.00 MiB needed, 3.12 MiB of 15.77 GiB free; lower --replicas (2 now), lower "
        "DASO_SLOTS or end other processes on this GPU, and run the same command again: it resumes "
        "from the last checkpoint"
    )
    assert checkpoint.load_checkpoint(tmp_path / "scratch/one/k.pt", "k")["t"] == 2
    status, resumed = command()
    assert status == 0
    assert steps == [0, 1, 2, 3, 2, 3, 4, 5]
    assert same(resumed, whole)


def test_images_too_large_for_the_gpu_end_in_one_line(monkeypatch):
    def load(jobs, device):
        raise torch.OutOfMemoryError(NO_MEMORY)

    monkeypatch.setattr(training, "load_data", load)
    with pytest.raises(DasoError, match=r"^images: out of GPU memory: 20\.00 MiB needed, .* free; lower DASO_SLOTS or"):
        training.train([], Execution(CPU))


def test_other_errors_of_a_step_keep_their_traceback(command, monkeypatch):
    def fails(self, batch):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(Trainer, "training_step", fails)
    with pytest.raises(RuntimeError, match="^shapes cannot be multiplied$"):
        command()


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (0, "--replicas 0: below the minimum 1; set it to 1 or more"),
        (17, "--replicas 17: above the maximum 16, since each run uses 2 of torch's 32 streams; lower it"),
    ],
)
def test_number_of_replicas_out_of_bounds_is_refused(number, line):
    with pytest.raises(DasoError, match=f"^{line}$"):
        training.train([], Execution(CPU, replicas=number))
    training.train([], Execution(CPU, replicas=16))


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", "xpu"])
def test_unknown_device_is_refused(name):
    with pytest.raises(DasoError, match=rf"unknown device '{name}'; choose one of auto, cpu, cuda, cuda:N"):
        choose_device(name)


@pytest.mark.parametrize("lr", [0.1, 1e30], ids=["finished", "diverged"])
def test_step_runner_is_closed_whether_its_run_finishes_or_diverges(tmp_path, monkeypatch, lr):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "write_run", lambda *results: None)
    monkeypatch.setattr(training, "describe_environment", lambda device: {})
    closed = []
    monkeypatch.setattr(StepRunner, "close", lambda runner: closed.append(runner.mode))
    config = {**CONFIG, "optimizer": {**CONFIG["optimizer"], "lr": lr, "warmup": 0}}
    job, diverged = Job(config, *(tmp_path / name for name in ("store", "split", "out", "scratch"))), []
    with Stop() as stop:
        data = Data(SimpleNamespace(classes=()), None, trainer().data, training.UpstreamResults())
        list(training._run(job, data, Execution(CPU), stop, diverged))
    assert (closed, len(diverged)) == (["eager"], lr > 1)


def test_cudnn_is_tuned_only_on_request(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    cuda = torch.device("cuda")
    assert (cudnn_choice(CPU), cudnn_choice(cuda)) == (None, "heuristic")
    choose_cudnn("tuned")
    assert (torch.backends.cudnn.benchmark, cudnn_choice(cuda)) == (True, "tuned")
    monkeypatch.setenv("DASO_CUDNN", "heuristic")
    choose_cudnn()
    assert cudnn_choice(cuda) == "heuristic"
    monkeypatch.setenv("DASO_CUDNN", "tuned")
    choose_cudnn()
    assert cudnn_choice(cuda) == "tuned"
    with pytest.raises(DasoError, match="^--cudnn fast: unknown; choose one of heuristic, tuned$"):
        choose_cudnn("fast")
