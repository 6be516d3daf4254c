"""What a training says at its start, and what it takes from other runs."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from daso.cli import main
from daso.data import bundle
from daso.data.files import checksummed
from daso.engine import checkpoint
from daso.engine.cuda_graphs import Program
from daso.engine.environment import choose_cudnn, choose_device, cudnn_choice
from daso.engine.progress import Stop
from daso.engine.resident import Resident
from daso.engine.train import Trainer
from daso.errors import CheckpointError, DasoError, DataError, DivergedError
from daso.records import Split
from daso.runs import bundle as bundled
from daso.runs import train as training
from daso.runs.train import Data, Execution, Job
from tests.engine.world import CONFIG, CPU, SUPERVISED, pool

SAYS = "tiny: classes of the unlabeled images unknown: no pseudo-label recall or precision"


@pytest.fixture
def said(tmp_path, monkeypatch, caplog):
    """The lines that the training of a run says, given its method and the labels of its unlabeled images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "write_run", lambda *results: None)
    monkeypatch.setattr(training, "describe", lambda device: {})
    caplog.set_level(logging.INFO)

    def train(method, labels, resume=None):
        resident = Resident(pool([0] * 6 + [1] * 3, 0), pool(labels, 100), pool([0, 1], 200), pool([0, 0, 1], 210))
        job = Job({**CONFIG, "method": method}, *(tmp_path / name for name in ("store", "split", "out", "scratch")))
        data = Data(None, None, resident, training.Upstream())
        with Stop() as stop:
            list(training._run(job, data, Execution(CPU, resume=resume), stop, []))
        return [record.getMessage() for record in caplog.records]

    return train


def test_that_unlabeled_classes_are_unknown_is_said_once(said):
    assert said(CONFIG["method"], [-1] * 16) == [SAYS]


def test_one_unknown_class_is_enough(said):
    assert said(CONFIG["method"], [0, 1] * 7 + [0, -1]) == [SAYS]


@pytest.mark.parametrize("method", [CONFIG["method"], SUPERVISED], ids=["known", "not read"])
def test_nothing_is_said_where_they_are_known_or_not_read(said, method):
    assert said(method, [0, 1] * 8 if method is not SUPERVISED else [-1] * 16) == []


def test_a_resumed_training_does_not_say_it_again(said, tmp_path, monkeypatch):
    kept = tmp_path / "kept.pt"
    stop = training.Progress.on_step

    def copy(self, t):
        if t == 2:
            kept.write_bytes((tmp_path / "scratch" / "k.pt").read_bytes())
        stop(self, t)

    monkeypatch.setattr(training.Progress, "on_step", copy)
    said(CONFIG["method"], [-1] * 16)
    assert torch.load(kept, weights_only=True)["t"] == 2
    assert said(CONFIG["method"], [-1] * 16, resume=kept) == [SAYS, "tiny: resumes at step 2 of 6"]


def test_a_split_without_unlabeled_images_is_refused_before_any_job_trains(tmp_path, monkeypatch):
    """Natural class sizes of one image each: only the split tells that nothing is unlabeled."""
    none = np.empty(0, np.int64)
    split = Split(labeled=np.arange(2), unlabeled=none, validation=none)
    monkeypatch.setattr(training, "verify_store", lambda folder: None)
    monkeypatch.setattr(training, "check_split", lambda *args: SimpleNamespace(derivation=None, split=split))
    monkeypatch.setattr(training, "load_all", lambda *args: ["resident"])
    paths = [tmp_path / name for name in ("store", "split", "out", "scratch")]
    (data,) = training._load([Job({**CONFIG, "method": SUPERVISED}, *paths)], CPU)
    assert data.resident == "resident"
    jobs = [Job({**CONFIG, "method": method}, *paths) for method in (SUPERVISED, CONFIG["method"])]
    with pytest.raises(DataError, match=r"split: no unlabeled images, which method 'm' requires; set another number"):
        training._load(jobs, CPU)


def test_a_run_that_diverges_does_not_stop_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = []
    resident = Resident(pool([0] * 6 + [1] * 3, 0), pool([0, 1] * 8, 100), pool([0, 1], 200), pool([0, 0, 1], 210))
    monkeypatch.setattr(training, "check_code", lambda config: None)
    monkeypatch.setattr(
        training, "_load", lambda jobs, _: [Data(None, None, resident, training.Upstream()) for _ in jobs]
    )
    monkeypatch.setattr(training, "write_run", lambda out, *rest: ended.append(out.name))
    monkeypatch.setattr(training, "describe", lambda device: {})
    wild = {"run": "wild", "optimizer": {**CONFIG["optimizer"], "lr": 1e30, "warmup": 0}}
    jobs = [
        Job({**CONFIG, **changes}, tmp_path, tmp_path, tmp_path / changes["run"], tmp_path / "scratch" / changes["run"])
        for changes in (wild, {"run": "calm"})
    ]
    with pytest.raises(DivergedError, match="^wild: loss_[a-z]+ is (nan|inf) at step"):
        training.train(jobs, Execution(CPU))
    assert ended == ["calm"]


NO_MEMORY = "CUDA out of memory. Tried to allocate 20.00 MiB. "
NO_MEMORY += "GPU 0 has a total capacity of 15.77 GiB of which 3.12 MiB is free."


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Train two runs at once by the command line; return its exit status and the final state of each run that ended."""
    monkeypatch.chdir(tmp_path)
    results = {}
    resident = Resident(pool([0] * 6 + [1] * 3, 0), pool([0, 1] * 8, 100), pool([0, 1], 200), pool([0, 0, 1], 210))
    monkeypatch.setattr(training, "check_code", lambda config: None)
    monkeypatch.setattr(
        training, "_load", lambda jobs, _: [Data(None, None, resident, training.Upstream()) for _ in jobs]
    )
    monkeypatch.setattr(training, "describe", lambda device: {})
    monkeypatch.setattr(training, "write_run", lambda out, trainer, *_: results.update({out.name: trainer.state()}))

    jobs = [
        Job(CONFIG | {"run": run}, tmp_path, tmp_path, tmp_path / run, tmp_path / "scratch" / run)
        for run in ("one", "two")
    ]
    monkeypatch.setattr(bundled, "train_bundle", lambda path, way: training.train(jobs, way))
    monkeypatch.setenv("DASO_COMMIT", "c")
    monkeypatch.setattr(bundle, "contents", lambda path: {"commit": "c"})

    def train():
        results.clear()
        return main(["train", "--bundle", "b", "--device", "cpu", "--replicas", "2"]), dict(results)

    return train


def same(one, two):
    """Whether two states are equal to the last bit, but for times."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        kept = [name for name in one if name not in ("elapsed", "stages")]
        return one.keys() == two.keys() and all(same(one[name], two[name]) for name in kept)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


def test_a_run_out_of_gpu_memory_ends_in_a_line_and_resumes_from_its_checkpoint(command, tmp_path, monkeypatch, capsys):
    """The fourth step of the first run fails, after its update: the checkpoint is that of step 2."""
    status, whole = command()
    assert (status, whole.keys()) == (0, {"one", "two"})
    step, taken = Trainer.step, []

    def fails(self, batch):
        step(self, batch)
        if self.config["run"] == "one":
            taken.append(self.t)
            if len(taken) == 4:
                raise torch.OutOfMemoryError(NO_MEMORY)

    monkeypatch.setattr(Trainer, "step", fails)
    capsys.readouterr()
    status, ended = command()
    assert (status, ended) == (1, {})
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "memory" in line]
    assert line == (
        "one: out of GPU memory: 20.00 MiB needed, 3.12 MiB of 15.77 GiB free; lower --replicas (2 now), lower "
        "DASO_SLOTS or end other processes on this GPU, and run the same command again: it goes on "
        "from the last checkpoint"
    )
    assert checkpoint.load(tmp_path / "scratch/one/k.pt", "k")["t"] == 2
    status, resumed = command()
    assert status == 0
    assert taken == [0, 1, 2, 3, 2, 3, 4, 5]
    assert same(resumed, whole)


def test_images_that_do_not_fit_on_the_gpu_end_in_a_line(monkeypatch):
    def load(jobs, device):
        raise torch.OutOfMemoryError(NO_MEMORY)

    monkeypatch.setattr(training, "_load", load)
    with pytest.raises(DasoError, match=r"^images: out of GPU memory: 20\.00 MiB needed, .* free; lower DASO_SLOTS or"):
        training.train([], Execution(CPU))


def test_other_errors_of_a_step_keep_their_traceback(command, monkeypatch):
    def fails(self, batch):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(Trainer, "step", fails)
    with pytest.raises(RuntimeError, match="^shapes cannot be multiplied$"):
        command()


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (0, "--replicas 0: at least one run is trained at a time"),
        (17, "--replicas 17: torch has no streams for more than 16 runs; lower it"),
    ],
)
def test_numbers_of_replicas_that_are_refused(number, line):
    with pytest.raises(DasoError, match=f"^{line}$"):
        training.train([], Execution(CPU, replicas=number))
    training.train([], Execution(CPU, replicas=16))


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", "xpu"])
def test_a_device_that_is_none(name):
    with pytest.raises(DasoError, match=rf"unknown device '{name}'; choose auto, cpu, cuda or cuda:N"):
        choose_device(name)


PLAN = {
    "encoder": {"of": "d/s/p/base/s0", "key": "e1", "statistics": "kept"},
    "estimate": {"of": "d/s/p/survey/s0", "key": "k1", "into": "darp.estimate"},
}


@pytest.fixture
def files(tmp_path):
    """The networks of a finished run of key e1, and an estimate of key k1."""
    networks = {"student": {"weight": torch.ones(2)}, "teacher": {"weight": torch.zeros(2)}}
    checkpoint.save(tmp_path / "final.pt", {"key": "e1"} | networks)
    (tmp_path / "estimate.json").write_bytes(checksummed({"key": "k1", "sizes": [3.0, 1.0]}))
    return {"encoder": tmp_path / "final.pt", "estimate": tmp_path / "estimate.json"}


def job(plan, **upstream):
    return Job({**CONFIG, "plan": plan}, *(None,) * 4, **upstream)


def test_what_a_run_is_lent(files):
    """The student's weights, which are what a supervised run is evaluated by, and the sizes under their option."""
    assert training._lent(job({})) == training.Upstream(None, {})
    upstream = training._lent(job(PLAN, **files))
    assert upstream.encoder["weight"].tolist() == [1, 1]
    assert upstream.options == {"darp.estimate": [3.0, 1.0]}


@pytest.mark.parametrize("name", ["encoder", "estimate"])
def test_what_is_lent_is_named_if_and_only_if_it_is_taken(files, name):
    with pytest.raises(DasoError, match=f"^tiny: takes its {name} from {PLAN[name]['of']}; name the file by --{name}$"):
        training._lent(job({name: PLAN[name]}))
    with pytest.raises(DasoError, match=f"^tiny: takes no {name} by --{name}$"):
        training._lent(job({}, **{name: files[name]}))


def test_what_is_lent_is_that_of_the_plan(files):
    encoder, estimate = ({name: PLAN[name] | {"key": "other"}} for name in PLAN)
    with pytest.raises(CheckpointError, match="belongs to configuration e1, this run is other"):
        training._lent(job(encoder, encoder=files["encoder"]))
    with pytest.raises(DataError, match=r"estimate\.json: is not the estimate other; delete it and make it again"):
        training._lent(job(estimate, estimate=files["estimate"]))


@pytest.mark.parametrize("lr", [0.1, 1e30], ids=["finished", "diverged"])
def test_a_program_is_closed_however_its_run_ends(tmp_path, monkeypatch, lr):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "write_run", lambda *results: None)
    monkeypatch.setattr(training, "describe", lambda device: {})
    closed = []
    monkeypatch.setattr(Program, "close", lambda program: closed.append(program.mode))
    resident = Resident(pool([0] * 6 + [1] * 3, 0), pool([0, 1] * 8, 100), pool([0, 1], 200), pool([0, 0, 1], 210))
    config = {**CONFIG, "optimizer": {**CONFIG["optimizer"], "lr": lr, "warmup": 0}}
    job, diverged = Job(config, *(tmp_path / name for name in ("store", "split", "out", "scratch"))), []
    with Stop() as stop:
        list(training._run(job, Data(None, None, resident, training.Upstream()), Execution(CPU), stop, diverged))
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
