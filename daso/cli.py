"""The command line: `python -m daso <verb>`.

Verbs of training read resolved JSON and files, so that they run where there is no YAML reader; each verb imports what
it needs when it is called.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from daso.errors import DasoError

Args = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; errors a user can mend become one line on stderr and exit status 1."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        verb: Callable[[Args], None] = args.verb
        verb(args)
    except DasoError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def download(args: Args) -> None:
    """Fetch or read a dataset and store it."""
    from daso.data.catalog import make_store

    config = _config(args.config) if args.config else _resolved_data(args.dataset)
    store = make_store(config, args.out or Path("data/store", config["dataset"]))
    logging.info("%s: %s images, sha256 %s", store.dataset, store.images_total, store.sha256[:16])


def split(args: Args) -> None:
    """Draw a split and save it, or check a saved one."""
    from daso.data.split import check_split, make_split
    from daso.data.store import load_store

    if args.check:
        saved = check_split(args.check, load_store(args.store))
        logging.info("%s: disjoint, counts and digest right (%s)", args.check, saved.sha256[:16])
        return
    make_split(_config(args.config), load_store(args.store), args.out)


def train(args: Args) -> None:
    """Train a run to its end, from its saved state if there is one."""
    if args.bundle:
        from daso.data.bundle import read_bundle

        for run in read_bundle(args.bundle):
            out, scratch = args.bundle / "runs" / run.config["run"], args.bundle / "scratch" / run.config["run"]
            if not (out / "train.json").exists():  # which is written last
                _train(run.config, run.store, run.split, out, scratch, args)
        return
    paths = _paths(args.run) if args.run else {}
    paths |= {name: path for name in ("store", "split", "out", "scratch") if (path := getattr(args, name))}
    if len(paths) < 4 or bool(args.run) == bool(args.config):
        raise DasoError("train: name a run, or give --config, --store, --split, --out and --scratch, or a --bundle")
    config = _config(args.config) if args.config else _resolved_run(args.run)
    _train(config, paths["store"], paths["split"], paths["out"], paths["scratch"], args)


def _train(config: dict[str, Any], store_path: Path, split_path: Path, out: Path, scratch: Path, args: Args) -> None:
    from daso.config.build import build
    from daso.config.code import check_code
    from daso.data.split import check_split
    from daso.data.store import load_store
    from daso.engine.environment import choose_device, describe
    from daso.engine.loader import load
    from daso.engine.lock import device_slot, run_lock
    from daso.engine.progress import Progress
    from daso.engine.results import write_run

    with run_lock(scratch), device_slot():
        device = choose_device(args.device)
        check_code(config)
        store = load_store(store_path)
        split = check_split(split_path, store)
        trainer = build(config, load(store, split.split, device), device)
        state = args.resume or scratch / f"{config['key']}.pt"
        if args.resume or state.exists():
            trainer.restore(state)
            logging.info("%s: resumes at step %d of %d", config["run"], trainer.t, trainer.steps)
        events = Path("logs/tensorboard", config["run"])
        with Progress(config["run"], start=trainer.t, steps=trainer.steps, events=events) as progress:
            trainer.fit(scratch=state, on_step=progress.on_step, on_evaluation=progress.on_evaluation)
        write_run(out, trainer, split, store, describe(device))
        state.unlink(missing_ok=True)


def evaluate(args: Args) -> None:
    """Write the metrics of a finished run."""
    from daso.data.files import whole_file
    from daso.engine.metrics import dump, run_metrics

    with whole_file(args.out) as file:
        file.write(dump(run_metrics(args.run)))


def report(args: Args) -> None:
    """Render a suite's tables and figures from its metrics."""
    from daso.report.page import write_report

    write_report(args.suite, args.out or Path("reports", args.suite))


def list_runs(args: Args) -> None:
    """One line for each run of a suite: its id, and whether it is done, running or missing."""
    from daso.config.params import load
    from daso.config.resolve import runs

    params = load()
    for run in runs(params, args.suite or params.suite):
        done, saved = Path("metrics", f"{run.id}.json").exists(), any(Path("scratch", run.id).glob("*.pt"))
        sys.stdout.write(f"{run.id}\t{'done' if done else 'running' if saved else 'missing'}\n")


def resolve(args: Args) -> None:
    """Print the resolved configuration of a run."""
    sys.stdout.write(json.dumps(_resolved_run(args.run), indent=1, sort_keys=True) + "\n")


def bundle(args: Args) -> None:
    """Pack runs into a folder that trains where only PyTorch and its like are installed."""
    from daso.data.bundle import write_bundle

    write_bundle(args.out, [(_resolved_run(run), _paths(run)["split"], _paths(run)["store"]) for run in args.runs])


def adopt(args: Args) -> None:
    """Take the results of a trained bundle as the runs' own."""
    from daso.adopt import adopt_bundle

    for run in adopt_bundle(args.bundle):
        logging.info("%s: adopted", run)


def prune(args: Args) -> None:
    """List, or delete, what no suite names any more."""
    from daso.prune import stale

    for path in stale(delete=args.yes):
        sys.stdout.write(f"{path}\n")


def _config(path: Path) -> dict[str, Any]:
    try:
        tree: dict[str, Any] = json.loads(sys.stdin.read() if str(path) == "-" else path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise DasoError(f"{path}: not a readable JSON configuration ({error})") from error
    return tree


def _resolved_data(dataset: str) -> dict[str, Any]:
    from daso.config.params import load
    from daso.config.resolve import data_config

    return data_config(load(), dataset)


def _resolved_run(run: str) -> dict[str, Any]:
    from daso.config.keys import Keys
    from daso.config.params import load
    from daso.config.resolve import parse_run

    params = load()
    return Keys(params).resolved(parse_run(params, run))


def _paths(run: str) -> dict[str, Path]:
    """Where the files of a run lie."""
    dataset, setting, *_, seed = run.split("/")
    return {
        "store": Path("data/store", dataset),
        "split": Path("data/splits", dataset, setting, f"{seed}.json"),
        "out": Path("runs", run),
        "scratch": Path("scratch", run),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m daso", description="Class-imbalanced semi-supervised learning.")
    verbs = parser.add_subparsers(required=True, metavar="verb")

    def add(name: str, verb: Callable[[Args], None], *options: tuple[str, dict[str, Any]]) -> None:
        sub = verbs.add_parser(name, help=(verb.__doc__ or "").splitlines()[0], description=verb.__doc__)
        sub.set_defaults(verb=verb)
        for flag, settings in options:
            sub.add_argument(flag, **settings)

    path, needed = {"type": Path}, {"type": Path, "required": True}
    device = ("--device", {"default": "auto", "help": "auto, cpu, cuda or cuda:N"})
    add("download", download, ("dataset", {"nargs": "?"}), ("--config", path), ("--out", path))
    add("split", split, ("--config", path), ("--store", needed), ("--out", path), ("--check", path))
    places = [(flag, path) for flag in ("--config", "--store", "--split", "--out", "--scratch", "--resume", "--bundle")]
    add("train", train, ("run", {"nargs": "?"}), *places, device)
    add("evaluate", evaluate, ("--run", needed), ("--out", needed))
    add("report", report, ("--suite", {"required": True}), ("--out", path))
    add("list", list_runs, ("suite", {"nargs": "?"}))
    add("resolve", resolve, ("run", {}))
    add("bundle", bundle, ("runs", {"nargs": "+"}), ("--out", {"type": Path, "default": Path("bundles/bundle")}))
    add("adopt", adopt, ("bundle", path))
    add("prune", prune, ("--yes", {"action": "store_true", "help": "delete instead of listing"}))
    return parser
