# Runs of the suite, their keys, and the patterns of their outputs' paths, see daso/paths.py.
#
# Every output is stored beside its key, the digest of its configuration, its code and the keys of its inputs.
# daso/workspace/current.py compares it with the key computed from params/ and the code. A job with current outputs has
# no inputs, so it does not run. Any other job has its inputs and a marker file that is newer than its outputs, so it
# runs. Snakemake's own records are not used.
import logging
import os
import sys
import uuid
from functools import cache
from pathlib import Path
from types import SimpleNamespace

# Jobs run this code with this Python in any working directory.
sys.path.insert(0, workflow.basedir)
for variable, folder in (
    ("PATH", Path(sys.executable).parent),
    ("PYTHONPATH", workflow.basedir),
):
    parts = os.environ.get(variable, "").split(os.pathsep)
    os.environ[variable] = os.pathsep.join(
        dict.fromkeys([str(folder), *filter(None, parts)])
    )

from daso import paths
from daso.workspace import prune
from daso.workspace import redistribution
from daso.workspace import targets
from daso.workspace import workflow_lock
from daso.config.fit import CONTROL
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.network import encode_config, pretrained_weights
from daso.config.open_sets import stores_of
from daso.config.registry import trains_on_features
from daso.config.resolve import (
    Run,
    data_config,
    parse_run,
    runs,
    split_config,
    with_upstream,
)
from daso.workspace.file_lists import refresh_file_lists
from daso.workspace.current import (
    CONTRADICTIONS_FILES,
    REPORT_FILES,
    REPORT_TABLES,
    Current,
)
from daso.data.files import canonical_json
from daso.data.weights import Weights
from daso.engine.gpus import cudnn_option
from daso.errors import DasoError, did_you_mean
from daso.planning import messages
from daso.planning.forecast import Preview, preview
from daso.planning.walltime import WallTimes

RUN = "{dataset}/{setting}/{protocol}/{method}/s{seed}"
STORE = f"{paths.store_folder('{dataset}')}/{paths.MANIFEST}"
FEATURES = str(paths.features_manifest("{dataset}", "{protocol}"))
SPLIT = str(paths.split_file("{dataset}", "{setting}", "{seed}"))
FIT = str(paths.fit_file("{dataset}", "{setting}", "{protocol}", "{seed}"))
TRAINED = f"{paths.run_folder(RUN)}/{paths.RESULT_FILE}"
HISTORY = f"{paths.run_folder(RUN)}/{paths.HISTORY_FILE}"
PREDICTIONS = f"{paths.run_folder(RUN)}/{paths.PREDICTIONS_FILE}"
METRICS = str(paths.metrics_file(RUN))
CORRECTIONS = paths.corrections_file(RUN).as_posix()
CORRECTED = paths.corrected_suite("{suite}").as_posix()
DERIVED = f"{paths.run_folder(RUN)}/{paths.SPLIT_FILE}"
SURVEYED = f"{paths.run_folder(RUN)}/{paths.ESTIMATE_FILE}"
REPORT = f"{paths.report_folder('{suite}')}/index.html"
STALE = ".snakemake/daso/key-differs"  # marker; Snakemake prints its name as the reason of a job
OPTIONS = ("suite",)  # keys that --config accepts

for key in config:
    if key not in OPTIONS:
        sys.exit(f"--config {key}: unknown key{did_you_mean(key, OPTIONS)}")
    if config[key] is None:
        sys.exit(f"--config {key}: missing value; name a suite")

# Jobs parse this file again; only the main process acquires the workflow lock and writes the marker.
MAIN = workflow.is_main_process and not workflow.remote_exec
CALL = workflow_lock.snakemake_options(sys.argv[1:]) if MAIN else None
GRAPH = MAIN and workflow_lock.shows_graph(CALL)  # graphs show current jobs too
FORCED = MAIN and bool(
    CALL.forceall or CALL.forcerun
)  # forced jobs run in the order of their inputs
if MAIN and workflow_lock.is_read_only(
    CALL
):  # this call must not touch the marker of a running call
    STALE = ".snakemake/daso/dry/key-differs"
LOCK = workflow_lock.acquire(sys.argv[1:]) if MAIN else None

try:
    PARAMS = load_params("params")
    if MAIN:
        targets.check_targets(PARAMS, CALL.targets)
        redistribution.check_ignored(PARAMS)
    SUITE = str(config.get("suite", PARAMS.suite))
    RUNS = runs(PARAMS, SUITE)
    KEYS = Keys(PARAMS)
    CURRENT = Current(KEYS)
    GPUS = int(os.environ.get("DASO_GPUS") != "0")  # GPUs per run
    cudnn_option()  # raises DasoError for an unknown choice, before any training
    WALL_TIMES = WallTimes(PARAMS, cuda=GPUS > 0)
except DasoError as error:
    sys.exit(str(error))


def alternation(names):
    """Return a regular expression that matches any of the names."""
    return "|".join(sorted(names))


wildcard_constraints:
    dataset=alternation(PARAMS.datasets),
    setting=alternation(
        name for tree in PARAMS.datasets.values() for name in tree["settings"]
    ),
    protocol=alternation(PARAMS.protocols),
    method=rf"(?:{alternation(PARAMS.methods)})(?:\.[a-z0-9]+)?",
    suite=alternation(PARAMS.suites),
    seed=r"0|[1-9]\d*",


def run_of(wildcards):
    return Run(
        wildcards.dataset,
        wildcards.setting,
        wildcards.protocol,
        wildcards.method,
        int(wildcards.seed),
    )


# A killed call leaves its jobs in the queue of a cluster. If such a job starts after a later call has finished its
# runs, it must not delete them and train them again.
if MAIN and (FORCED or CALL.force):
    os.environ.setdefault("DASO_FORCED", "1")
if workflow.remote_exec and "DASO_FORCED" not in os.environ:
    try:
        remaining = targets.without_finished(
            sys.argv[1:],
            lambda wildcards: CURRENT.trained(run_of(SimpleNamespace(**wildcards))),
        )
    except DasoError as error:
        sys.exit(str(error))
    if not remaining:
        sys.exit(0)
    if remaining != sys.argv[1:]:
        os.execv(sys.executable, [sys.executable, "-m", "snakemake", *remaining])


def paths_of(pattern, selected=RUNS):
    """Return the paths of runs for a pattern, without duplicates."""
    return list(dict.fromkeys(pattern.format(**run._asdict()) for run in selected))


def report_of(suite):
    return REPORT.format(suite=suite)


def store_paths(wildcards):
    """Return the stores whose images a split uses."""
    return [
        STORE.format(dataset=name)
        for name in stores_of(PARAMS, wildcards.dataset, wildcards.setting)
    ]


def data_json(wildcards, output):
    return canonical_json(data_config(PARAMS, wildcards.dataset))


def on_features(run):
    """Return True if a run trains on the features of a frozen network."""
    return trains_on_features(PARAMS.protocols[run.protocol]["network"])


def encode_json(wildcards, output):
    dataset, protocol = wildcards.dataset, wildcards.protocol
    keys = {
        "key": KEYS.encode(dataset, protocol),
        "rows": KEYS.encoded_rows(dataset, protocol),
    }
    return canonical_json({**encode_config(PARAMS, dataset, protocol), **keys})


def fit_of(wildcards):
    """Return the run whose recipe is fitted."""
    return run_of(SimpleNamespace(**dict(wildcards.items()), method=CONTROL))


def fit_json(wildcards, output):
    return canonical_json(KEYS.fit_config(fit_of(wildcards)))


def split_json(wildcards, output):
    return canonical_json(
        split_config(PARAMS, wildcards.dataset, wildcards.setting, int(wildcards.seed))
    )


def train_json(wildcards, output):
    return canonical_json(KEYS.resolved(run_of(wildcards)))


verified = cache(Weights.verify)


def plan_for(wildcards):
    """Return the plan of a run: its upstream runs and the options of its split."""
    return KEYS.resolved(run_of(wildcards))["plan"]


def derive_json(wildcards, output):
    return canonical_json(plan_for(wildcards)["split"])


def pseudo_labels_of(wildcards):
    """Return the result of the upstream run whose pseudo-labels enlarge the split, if any."""
    options = plan_for(wildcards)["split"]
    if "of" not in options:
        return []
    return [f"{paths.run_folder(options['of'])}/{paths.RESULT_FILE}"]


def input_files_of(wildcards):
    """Return the files that a run reads besides its images, by option of `train`."""
    files = paths.input_files(run_of(wildcards).id, plan_for(wildcards))
    return {name: path.as_posix() for name, path in files.items()}


def input_paths_of(wildcards):
    """Return the files that a run reads besides its images; end a call that trains if its network lacks weights."""
    if MAIN and not workflow_lock.is_read_only(CALL):
        try:
            if weights := pretrained_weights(
                PARAMS.protocols[wildcards.protocol]["network"]
            ):
                verified(weights)
        except DasoError as error:
            sys.exit(str(error))
    return list(input_files_of(wildcards).values())


def group_of(wildcards):
    """Return the group of a short run if the profile sets how many of them share a job."""
    packs = "short" in workflow.group_settings.group_components
    return "short" if packs and WALL_TIMES.short(run_of(wildcards)) else None


def suite_results(wildcards):
    """Return the files that a report reads; a t-SNE needs predictions of unlabeled images."""
    selected = runs(PARAMS, wildcards.suite)
    embeds = "tsne" in PARAMS.suites[wildcards.suite].get("analyses", ())
    return [
        *paths_of(METRICS, selected),
        *paths_of(HISTORY, selected),
        *(paths_of(PREDICTIONS, selected) if embeds else []),
        CORRECTED.format(suite=wildcards.suite),
    ]


def uncorrected(wildcards):
    """Return the runs of a suite without current corrections."""
    return [run for run in runs(PARAMS, wildcards.suite) if not CURRENT.corrected(run)]


def to_correct(wildcards):
    """Return the runs of a suite that a job corrects: those without current corrections, or all if it is forced."""
    every = GRAPH or (FORCED and CALL.forceall)
    return runs(PARAMS, wildcards.suite) if every else uncorrected(wildcards)


def files_to_correct(wildcards):
    """Return the files that corrections read: results, images, and the files besides images that a run reads."""
    files = []
    for run in to_correct(wildcards):
        names = SimpleNamespace(**run._asdict())
        files += [TRAINED.format(**run._asdict()), *store_paths(names)]
        # No pretrained weights: those of the trained network replace them.
        files += input_files_of(names).values()
    return list(dict.fromkeys(files))


def inputs_if_stale(is_current, **files):
    """Return an input function: no inputs if `is_current(wildcards)`, else `files` and the marker that starts the job.

    Each of `files` is a pattern, or a function of the wildcards that returns a path or a list of paths.
    """

    def inputs_of(wildcards):
        if MAIN and {trigger.name for trigger in workflow.rerun_triggers} != {"MTIME"}:
            sys.exit(
                "--rerun-triggers: expected only mtime, as in profiles/default; correct the path of --workflow-profile, "
                "or add `--rerun-triggers mtime`: keys decide what is rebuilt, and any other trigger would train "
                "finished runs again"
            )
        try:
            current = is_current(wildcards)
        except DasoError as error:
            sys.exit(str(error))
        if current and not (GRAPH or FORCED):
            return {}
        inputs = {
            name: (
                file(wildcards)
                if callable(file)
                else file.format(**dict(wildcards.items()))
            )
            for name, file in files.items()
        }
        if GRAPH or (FORCED and CALL.forceall):
            return inputs
        if current:  # inputs only order the jobs; modification times are ignored
            return {name: ancient(file) for name, file in inputs.items()}
        return {"stale": STALE, **inputs}

    return inputs_of


if MAIN:
    try:
        # The content is new, because Snakemake compares checksums that it has recorded.
        Path(STALE).parent.mkdir(parents=True, exist_ok=True)
        Path(STALE).write_text(f"{uuid.uuid4()}\n")
        # Newer than any output, even if it was written by a machine with a wrong clock.
        os.utime(STALE, (2**31 - 1, 2**31 - 1))
        if LOCK:
            prune.finished_checkpoints()  # that a killed call left behind
            refresh_file_lists(PARAMS, {run.dataset for run in RUNS})
    except (DasoError, OSError) as error:
        sys.exit(str(error))


def preview_of_call():
    """Return the runs that this call will train, and the time and disk space that they need."""
    todo = {
        run_of(job.wildcards)
        for job in workflow.dag.needrun_jobs()
        if job.rule.name == "train"
    }
    resources = workflow.global_resources
    jobs = resources.get("_nodes").value  # of a cluster; None on this machine
    slots = (
        [jobs] if jobs else [resources.get(name).value for name in ("_cores", "gpu")]
    )
    ordered = [run for run in with_upstream(PARAMS, todo) if run in todo]
    try:
        return preview(PARAMS, KEYS, ordered, min(filter(None, slots)), here=not jobs)
    except DasoError as error:  # readers that need the damaged file raise this too
        return Preview([str(error)], {run.id: 1.0 for run in ordered})


def results_of_call():
    """Yield the results of the suites whose reports are targets of this call."""
    if (
        CALL.until or CALL.omit_from
    ):  # the report may be none of the outputs of this call
        return
    targets = CALL.targets or ["all"]
    for suite in PARAMS.suites:
        page = Path(report_of(suite))
        summary = page.with_name("summary.txt")
        if (
            str(page) in targets or (suite == SUITE and "all" in targets)
        ) and summary.exists():
            yield f"\n{summary.read_text(encoding='utf-8')}{page}"


# Other calls, which print a list or a graph, keep Snakemake's messages.
MESSAGES = None
if MAIN and (CALL.dryrun or LOCK) and not CALL.verbose:
    MESSAGES = messages.install(
        logging.getLogger("snakemake.logging"),
        preview_of_call,
        results_of_call,
        dry_run=CALL.dryrun,
    )


onstart:
    # All decisions are made; now the marker must be old: Snakemake fails a job with outputs older than its inputs.
    os.utime(STALE, (0, 0))


onsuccess:
    prune.finished_checkpoints()
    if MESSAGES:
        MESSAGES.finish(succeeded=True)


onerror:
    prune.finished_checkpoints()
    if MESSAGES:
        MESSAGES.finish(succeeded=False)
