# params/ -> the suite's runs, their keys and the paths of everything: the one place that knows paths.
#
# Every rule has one param, `key`: the digest of its configuration, its code and the keys of its inputs. The configuration
# itself is a function of `output`, which Snakemake does not compare: what moves no number must not start a run again.
import os
import sys
from pathlib import Path

# Jobs run this code with this Python, wherever the working directory is.
sys.path.insert(0, workflow.basedir)
for variable, folder in (
    ("PATH", Path(sys.executable).parent),
    ("PYTHONPATH", workflow.basedir),
):
    parts = os.environ.get(variable, "").split(os.pathsep)
    os.environ[variable] = os.pathsep.join(
        dict.fromkeys([str(folder), *filter(None, parts)])
    )

from daso import places, provenance, prune, turn
from daso.config import params as reader
from daso.config.keys import Keys
from daso.config.resolve import Run, data_config, parse_run, runs, split_config
from daso.data.files import canonical
from daso.errors import DasoError
from daso.report.walltime import WallTimes

RUN = "{dataset}/{setting}/{protocol}/{method}/s{seed}"
STORE = "data/store/{dataset}/manifest.json"
SPLIT = "data/splits/{dataset}/{setting}/s{seed}.json"
TRAINED = f"runs/{RUN}/train.json"
METRICS = f"metrics/{RUN}.json"
DERIVED = f"runs/{RUN}/split.json"
SURVEYED = f"runs/{RUN}/estimate.json"
REPORT = "reports/{suite}/index.html"
OPTIONS = ("suite",)  # what --config may say

for word in config:
    if word not in OPTIONS:
        sys.exit(
            f"--config {word}: there is no such key{reader.nearest(word, OPTIONS)}"
        )

# Jobs parse this file again; only the process that was called takes a turn and looks after the records.
MAIN = workflow.is_main_process and not workflow.remote_exec
TURN = turn.take(sys.argv[1:]) if MAIN else None

try:
    PARAMS = reader.load("params")
    SUITE = str(config.get("suite", PARAMS.suite))
    RUNS = runs(PARAMS, SUITE)
    KEYS = Keys(PARAMS)
    GPUS = int(os.environ.get("DASO_GPUS") != "0")  # of a run
    WALL_TIMES = WallTimes(PARAMS, cuda=GPUS > 0)
except DasoError as error:
    sys.exit(str(error))


def one_of(names):
    return "|".join(sorted(names))


wildcard_constraints:
    dataset=one_of(PARAMS.datasets),
    setting=one_of(
        name for tree in PARAMS.datasets.values() for name in tree["settings"]
    ),
    protocol=one_of(PARAMS.protocols),
    method=rf"(?:{one_of(PARAMS.methods)})(?:\.[a-z0-9]+)?",
    suite=one_of(PARAMS.suites),
    seed=r"0|[1-9]\d*",


def run_of(wildcards):
    return Run(
        wildcards.dataset,
        wildcards.setting,
        wildcards.protocol,
        wildcards.method,
        int(wildcards.seed),
    )


def paths(pattern, these=RUNS):
    """What these runs need of one kind, once each."""
    return list(dict.fromkeys(pattern.format(**run._asdict()) for run in these))


def report_of(suite):
    return REPORT.format(suite=suite)


def data_json(wildcards, output):
    return canonical(data_config(PARAMS, wildcards.dataset))


def split_json(wildcards, output):
    return canonical(
        split_config(PARAMS, wildcards.dataset, wildcards.setting, int(wildcards.seed))
    )


def train_json(wildcards, output):
    return canonical(KEYS.resolved(run_of(wildcards)))


def plan_for(wildcards):
    """What a run takes from others, and in which form it leaves its own for them."""
    return KEYS.resolved(run_of(wildcards))["plan"]


def derive_json(wildcards, output):
    return canonical(plan_for(wildcards)["split"])


def guesses_of(wildcards):
    """The finished run by whose guesses a split is enlarged, if it is."""
    way = plan_for(wildcards)["split"]
    return [f"runs/{way['of']}/train.json"] if "of" in way else []


def read_by(wildcards):
    """What a run reads beside its images, by the name of the option that takes it."""
    files = places.read(run_of(wildcards).id, plan_for(wildcards))
    return {name: path.as_posix() for name, path in files.items()}


def shares_a_job(wildcards):
    """The group of a short run, under a profile that says how many of them one job takes."""
    packs = "short" in workflow.group_settings.group_components
    return "short" if packs and WALL_TIMES.short(run_of(wildcards)) else None


def suite_results(wildcards):
    these = runs(PARAMS, wildcards.suite)
    return [*paths(METRICS, these), *paths(f"runs/{RUN}/history.csv", these)]


def kept():
    """Every output there is, of this suite or of another, but for the reports."""
    names = (
        "config.json",
        "history.csv",
        "predictions.npz",
        "final.pt",
        "train.json",
        "split.json",
        "estimate.json",
    )
    patterns = (
        "data/store/*/manifest.json",
        "data/splits/*/*/s*.json",
        *(f"runs/*/*/*/*/s*/{name}" for name in names),
        "metrics/*/*/*/*/s*.json",
    )
    return (path.as_posix() for pattern in patterns for path in Path().glob(pattern))


def tidy():
    """Records go out first: without them, the last state of a run is all there is of it."""
    provenance.export()
    prune.spent()


if MAIN:
    try:
        provenance.sync()
        # A report costs seconds: one of unknown origin is made again.
        provenance.doubt(
            path.as_posix() for path in Path().glob(REPORT.format(suite="*"))
        )
        unknown = provenance.orphans(kept())
        if unknown and "DASO_ADOPT" not in os.environ:
            raise DasoError(
                f"{unknown[0]}: no record says how this file was made ({len(unknown)} such outputs), so whether it is "
                "current is not known; get the records with `dvc pull` or `dvc checkout`, take in a bundle with `python -m "
                "daso adopt`, or delete the files"
            )
        if TURN:  # what a killed call has left to do
            tidy()
    except DasoError as error:
        sys.exit(str(error))


def leave():
    try:
        tidy()
    except DasoError as error:
        sys.exit(str(error))


onsuccess:
    leave()


onerror:
    leave()
