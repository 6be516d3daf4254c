"""Commands that train and evaluate runs, print their configurations, and pack them for another machine."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daso.commands.options import (
    EXISTING_FILE,
    MODE_CHOICES,
    PATH,
    RUN_ID,
    STORE,
    command,
    configuration,
    device,
    reject,
    run_ids,
)
from daso.errors import DasoError

if TYPE_CHECKING:
    from daso.runs.train import Job


@command(
    "daso train digits/n20-m80-l20-u10r/quickstart/fixmatch_daso/s0", "daso train --bundle bundles/daso --replicas 2"
)
@click.argument("run", required=False, help=f"{RUN_ID}; the results go to drafts/RUN.", shell_complete=run_ids)
@click.option("--config", type=PATH, help="Resolved configuration of a run (JSON) instead of its name.")
@click.option("--store", type=PATH, help=STORE)
@click.option("--split", type=PATH, help="File of the split.")
@click.option("--out", type=PATH, help="Folder for the results.")
@click.option("--scratch", type=PATH, help="Folder for the checkpoint.")
@click.option("--resume", type=EXISTING_FILE, help="Checkpoint to start from; default: the one in --scratch, if any.")
@click.option("--encoder", type=PATH, help="final.pt of the upstream run whose encoder is loaded.")
@click.option("--network", type=PATH, help="final.pt of the upstream run whose network is trained further.")
@click.option("--estimate", type=PATH, help="Class sizes estimated by the upstream run, estimate.json.")
@click.option("--features", type=PATH, help="Manifest of the features of the images, if the run trains on them.")
@click.option("--fit", type=PATH, help="Weight decay and tau fitted to the drawn split, if the run uses them.")
@click.option("--journal", type=PATH, help="File that records commit, device, versions and speed of the run.")
@click.option("--bundle", type=PATH, help="Folder of packed runs: train the unfinished ones.")
@device
@click.option("--mode", default="auto", show_default=True, help=f"{MODE_CHOICES}.")
@click.option("--cudnn", help="heuristic, or tuned (may be faster; bits may differ between runs); default: DASO_CUDNN.")
@click.option("--replicas", type=int, help="Runs of a bundle trained at once on the device; default: 1.")
@click.option("--managed", is_flag=True, help="Set by the workflow, which deletes the checkpoint afterwards.")
def train(
    run: str | None,
    config: Path | None,
    bundle: Path | None,
    device: str,
    mode: str,
    cudnn: str | None,
    resume: Path | None,
    replicas: int | None,
    managed: bool,
    **paths: Path | None,
) -> None:
    """Train a run, from its checkpoint if there is one.

    The results of a run given by its name alone go to drafts/; only the workflow and `adopt` write to runs/.
    """
    from daso.engine.lock import device_slot

    if bundle:
        reject({"RUN": run, "--config": config, **{f"--{name}": path for name, path in paths.items()}}, "with --bundle")
    else:
        reject({"--replicas": replicas}, "without --bundle; leave it out")
    with device_slot() if device in ("auto", "cuda") else nullcontext():
        from daso.engine.environment import choose_cudnn, choose_device
        from daso.runs.train import Execution, train

        choose_cudnn(cudnn)
        at_once = 1 if replicas is None else replicas
        execution = Execution(choose_device(device), mode, at_once, resume, bool(bundle), managed)
        if bundle:
            from daso.data.bundle import read_contents
            from daso.runs.train_bundle import train_bundle

            os.environ.setdefault("DASO_COMMIT", read_contents(bundle)["commit"])
            train_bundle(bundle, execution)
        else:
            train([_job(run, config, paths)], execution)


def _job(run: str | None, config_path: Path | None, given: Mapping[str, Path | None]) -> Job:
    """Return the run of the arguments and its paths."""
    from daso.config.validate import config_error
    from daso.paths import require_inputs
    from daso.runs.train import Job

    config = resolved_run(run) if run else None
    paths: dict[str, Path] = {}
    if run and config:
        paths = require_inputs(run, config["plan"])
        paths |= {"out": Path("drafts", run), "scratch": Path("drafts/scratch", run)}
    paths |= {name: path for name, path in given.items() if path}
    if config_path:
        config = configuration(config_path, config_error)
    if config is None or {"store", "split", "out", "scratch"} - paths.keys() or (run and config_path):
        raise DasoError(
            "train: expected a run, or --config, --store, --split, --out and --scratch, or --bundle; give one of these"
        )
    return Job(config, **paths)


@command("daso evaluate --run drafts/RUN --out metrics.json")
@click.option("--run", type=PATH, required=True, help="Folder of the finished run.")
@click.option("--run-key", help="Key that the run must have; default: any.")
@click.option("--store", type=PATH, help="Folder of the run's images; oracle labels beside them are used.")
@click.option("--out", type=PATH, required=True, help="File for the metrics.")
def evaluate(run: Path, run_key: str | None, store: Path | None, out: Path) -> None:
    """Write the metrics of a finished run."""
    from daso.data.files import checksummed, write_file
    from daso.engine.metrics import run_metrics

    metrics = run_metrics(run, run_key, store)
    write_file(out, checksummed(metrics))


@command("daso corrections digits/n20-m80-l20-u10r/quickstart/fixmatch/s0")
@click.argument("runs", nargs=-1, metavar="RUN...", help=f"{RUN_ID}; the results are printed.", shell_complete=run_ids)
@click.option("--keys", type=PATH, help="Keys of the results by run (JSON; - is stdin), set by the workflow.")
@click.option("--out", type=PATH, help="Folder for the results of the runs that have a key.")
@device
def corrections(runs: tuple[str, ...], keys: Path | None, out: Path | None, device: str) -> None:
    """Correct the predictions of finished runs after training.

    Measures accuracy and calibration on the test images after each of four corrections: logit adjustment fitted to
    held-out labels, a blank image, the head without its bias, and the class shares of the unlabeled images. Nothing is
    trained.
    """
    from daso.engine.lock import device_slot

    if bool(runs) == bool(keys and out) or bool(keys) != bool(out):
        raise DasoError("corrections: expected runs, or --keys and --out; give one of these")
    named = _ids_of(runs) if runs else []
    key_of = configuration(keys) if keys and out else {}
    with device_slot() if device in ("auto", "cuda") else nullcontext():
        from daso.data.files import checksummed, write_file
        from daso.engine.environment import choose_device
        from daso.runs.corrections import correct_runs

        for result in correct_runs([*named, *key_of], choose_device(device)):
            run = result["run"]
            if out and run in key_of:
                write_file(out / f"{run}.json", checksummed({**result, "key": key_of[run]}))
            else:
                click.echo(_corrections_text(result), nl=False)


def _ids_of(runs: tuple[str, ...]) -> list[str]:
    """Return the ids of runs; raises ParamsError if a name is not that of a run."""
    from daso.config.load import load_params
    from daso.config.resolve import parse_run

    params = load_params()
    return [parse_run(params, run).id for run in runs]


def _corrections_text(result: Mapping[str, Any]) -> str:
    """Return a line for each correction of a run, in percent, with fitted values or the reason for none."""
    from daso.config.explain import align_columns
    from daso.report.tables.corrections import CORRECTIONS_TITLES

    rows: list[tuple[str, ...]] = [(result["run"],), ("correction", "accuracy", "balanced", "ECE", "")]
    for name, entry in result["corrections"].items():
        numbers = (entry.get(measure) for measure in ("accuracy", "balanced_accuracy", "ece"))
        note = entry.get("reason") or (f"τ {entry['tau']:g}" if "tau" in entry else "")
        formatted = ("" if value is None else f"{100 * value:.1f}" for value in numbers)
        rows.append((CORRECTIONS_TITLES[name], *formatted, note))
    return align_columns(rows)


@command("daso resolve digits/n20-m80-l20-u10r/quickstart/fixmatch_daso/s0")
@click.argument("run", help=f"{RUN_ID}.", shell_complete=run_ids)
def resolve(run: str) -> None:
    """Print the resolved configuration of a run."""
    sys.stdout.write(json.dumps(resolved_run(run), indent=1, sort_keys=True) + "\n")


@command("daso bundle cifar10-lt/n1500-m3000-l100-u100/paper/fixmatch_daso/s0 --out bundles/daso")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", help=f"{RUN_ID}.", shell_complete=run_ids)
@click.option("--out", type=PATH, default=Path("bundles/bundle"), show_default=True, help="Folder for the bundle.")
@click.option("--private", is_flag=True, help="Also pack images that must not be redistributed; keep the bundle.")
def bundle(runs: tuple[str, ...], out: Path, private: bool) -> None:
    """Pack runs into a folder that another machine can train.

    That machine needs neither Snakemake nor DVC. Upstream runs are packed too, unless they are done.
    """
    from daso.config.checks import check_run
    from daso.config.keys import Keys
    from daso.config.load import load_params
    from daso.config.network import pretrained_weights
    from daso.config.open_sets import stores_of
    from daso.config.resolve import parse_run, with_upstream
    from daso.data.bundle import write_bundle
    from daso.engine.environment import code_commit
    from daso.planning.status import run_statuses
    from daso.workspace.redistribution import check_bundle

    params = load_params()
    keys, named = Keys(params), [parse_run(params, run) for run in runs]
    for run in named:
        check_run(params, run)
    chain = with_upstream(params, named)
    check_bundle(params, {name for run in chain for name in stores_of(params, run.dataset, run.setting)}, private)
    status = run_statuses(keys, chain)
    packed = [keys.resolved(run) for run in chain if run in named or status[run.id] != "done"]
    if on_features := [config["run"] for config in packed if "features" in config["plan"]]:
        raise DasoError(
            f"{on_features[0]}: trains on features, which bundles do not hold; train it here, which takes minutes"
        )
    files = [pretrained_weights(config["protocol"]["network"]) for config in packed]
    weights = dict.fromkeys(file for file in files if file)
    write_bundle(out, packed, commit=code_commit(), weights=weights)
    logging.info("%s: %d runs packed: %s", out, len(packed), ", ".join(run["run"] for run in packed))


def resolved_run(run: str) -> dict[str, Any]:
    """Return the resolved configuration of a run; raises DasoError if params/ do not allow it."""
    from daso.config.checks import check_run
    from daso.config.keys import Keys
    from daso.config.load import load_params
    from daso.config.resolve import parse_run

    params = load_params()
    named = parse_run(params, run)
    check_run(params, named)
    return Keys(params).resolved(named)
