"""Revalidate stale runs of which only the code has changed: keep a run if the present code reproduces its bits.

The commit of the run is checked out in a temporary worktree, and both versions of the code train a short run of the
method. If all bits are equal, the journal maps the present key to the key of the run, and `Keys` follows it. The files
of the run, and keys and files that depend on it, do not change.
"""

from __future__ import annotations

import logging
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from daso import paths
from daso.config.code import code_digest
from daso.config.keys import NOT_IN_KEY, Keys
from daso.config.load import load_params
from daso.config.params import Params
from daso.config.resolve import Run, parse_run, runs, with_upstream
from daso.config.signature import ROOT, module_file
from daso.data.bundle import mismatched_inputs
from daso.data.files import checksummed, digest, read_checksummed, read_json
from daso.data.run_files import RUN_FILES, FinishedRun, load_finished_run
from daso.engine import journal
from daso.engine.environment import code_commit
from daso.engine.estimate import survey_result
from daso.errors import DasoError, DataError, ParamsError, did_you_mean
from daso.paths import RESULT_FILE, run_folder
from daso.runs import short_run
from daso.workspace.archive import COMMIT
from daso.workspace.current import Current

# Modules with code that an eager CPU run never executes, branches by device, or settings of GPUs alone: a short run
# does not compare them, so they must be unchanged for a run on CUDA or in a compiled mode.
UNCOMPARED = (
    *(f"daso.engine.{name}" for name in ("compiled", "cuda_graphs", "environment", "loader", "resident")),
    *("daso.engine.step_runner", "daso.augment.randaugment", "daso.augment.views", "daso.ops.rows"),
)
Compared = dict[str, dict[str, Any]]  # digest of a short run and both codes -> record of the comparison


def revalidate(names: Sequence[str]) -> Iterator[str]:
    """Revalidate runs and suites, by default the default suite, upstream runs first; yield a line for each one marked.

    Current runs, and unfinished runs of a suite, are skipped. After all runs, raises DasoError with a line for each
    refused run, of which nothing is written.
    """
    params, compared, refused = load_params(), Compared(), list[str]()
    for name in names:
        if "/" not in name and name not in params.suites:
            raise ParamsError(f"{name}: neither a run nor a suite{did_you_mean(name, params.suites, 'suites')}")
        if name not in params.suites and not (run_folder(parse_run(params, name).id) / RESULT_FILE).exists():
            raise DataError(f"{name}: not finished, so there is nothing to revalidate; train it with `snakemake`")
    for run in with_upstream(params, _runs(params, names or [params.suite])):
        try:
            if (run_folder(run.id) / RESULT_FILE).exists() and (line := _revalidate(params, run, compared)):
                yield line
            _keep_estimate(params, run)
        except DasoError as error:
            refused += str(error).splitlines()
    if refused:
        raise DasoError(*refused)


def _runs(params: Params, names: Sequence[str]) -> Iterator[Run]:
    for name in names:
        yield from runs(params, name) if name in params.suites else [parse_run(params, name)]


def _revalidate(params: Params, run: Run, compared: Compared) -> str | None:
    """Revalidate a run whose upstream runs are current; return a line, or None if the run is current already."""
    keys, old = Keys(params), load_finished_run(run_folder(run.id), name=run.id)
    if (now := keys.train(run)) == old.key:
        return None
    if "features" in old.config["plan"]:
        raise DataError(f"{old.folder}: trained on features, which takes minutes; {_train_again(old)}")
    for name in RUN_FILES:
        old.read(name)
    config, old_commit = keys.resolved(run), str(old.result.get("provenance", {}).get("commit"))
    _check_params(old, config)
    _check_inputs(keys, run, old)
    if not COMMIT.fullmatch(old_commit):
        raise DataError(
            f"{old.folder}: expected a clean commit, got '{old_commit}', so its code is unknown; {_train_again(old)}"
        )
    with tempfile.TemporaryDirectory() as folder, _checked_out(old_commit, Path(folder, "code")) as root:
        _check_uncompared(old, root)
        result = _compare(old, config, root, Path(folder), compared)
    record = {"keys": {now: old.key}, "commit": code_commit(), "date": date.today().isoformat(), "compared": result}
    journal.add_revalidation(journal.entry_path(run.id), old.result, record)
    provenance = old.result["provenance"]
    return (
        f"{run.id}: current; {short_run.STEPS} steps on the CPU give the same bits as commit {old_commit} "
        f"(the run itself: {provenance.get('device')}, {provenance.get('mode')})"
    )


def _check_params(old: FinishedRun, config: Mapping[str, Any]) -> None:
    """Raise DataError unless both configurations are equal except key, code and options that change no number."""
    then, now = _options(old.config), _options(config)
    changed = [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]
    upstream = [name for name in changed if name.startswith("plan.") and name.endswith(".key")]
    if upstream == changed and changed and upstream[0] in then and upstream[0] in now:
        of = now[upstream[0].removesuffix("key") + "of"]
        raise DataError(f"{old.folder}: its upstream run {of} is not the one it was trained with; {_train_again(old)}")
    if changed:
        changes = ", ".join(f"{name} {then.get(name)} is now {now.get(name)}" for name in changed)
        raise DataError(f"{old.folder}: not only code has changed: {changes}; restore params/, or {_train_again(old)}")


def _options(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved configuration by dotted names, without key, code and options that are not in the key."""
    ignored = {"key", "code", *(f"protocol.{name}" for name in NOT_IN_KEY)}
    return {name: value for name, value in short_run.leaves(tree) if name not in ignored}


def _check_inputs(keys: Keys, run: Run, old: FinishedRun) -> None:
    """Raise DataError unless the inputs of a run are current and the same files as in its training."""
    plan, current = old.config["plan"], Current(keys)
    reads, split = paths.input_files(run.id, plan), (run.dataset, run.setting, run.seed)
    checks: dict[str, Callable[[Run], bool]] = {
        **dict.fromkeys(("encoder", "network"), current.trained),
        "estimate": current.estimated,
    }
    is_current = {n: check(parse_run(keys.params, plan[n]["of"])) for n, check in checks.items() if n in plan}
    is_current["split"] = current.derived(run) if "split" in plan else current.split(*split)
    for name, path in reads.items():
        if not (is_current[name] and path.exists()):
            raise DataError(
                f"{path}: missing or stale, and {old.folder} was trained with it; {paths.create_hint(path)}"
            )
    if errors := mismatched_inputs(old, reads):
        raise DataError(*errors)


def _check_uncompared(old: FinishedRun, root: Path) -> None:
    """Raise DataError for a run on CUDA, or compiled, if code has changed that a short CPU run does not execute."""
    provenance = old.result["provenance"]
    if str(provenance.get("device")).startswith("cpu") and provenance.get("mode") == "eager":
        return
    changed = [module for module in UNCOMPARED if _digest(module, root) != _digest(module, ROOT)]
    if changed:
        raise DataError(
            f"{old.folder}: trained on {provenance.get('device')} in mode {provenance.get('mode')}, and "
            f"{', '.join(changed)} has changed, which a short run on a CPU cannot compare; {_train_again(old)}"
        )


def _digest(module: str, root: Path) -> str:
    return code_digest([module], root) if module_file(module, root) else ""


def _compare(
    old: FinishedRun, config: Mapping[str, Any], root: Path, folder: Path, compared: Compared
) -> dict[str, Any]:
    """Compare the short runs of both codes; return the record. Raises DataError if any bit differs."""
    precision, name = old.result["provenance"]["precision"], old.config["run"]
    short = short_run.shorten_config(config, precision)
    both = digest([{**short, "code": old.config.get("code")}, config["code"]])  # equal for all seeds of a method
    if both not in compared:
        logging.info("%s: %d steps in %s with both codes", name, short_run.STEPS, precision)
        data = short_run.write_data(short, folder)
        old_code = f"commit {old.result['provenance']['commit']}"
        codes = (("then", old_code, old.config.get("code"), root), ("now", "the present code", config["code"], ROOT))
        for which, whose, code, tree in codes:
            try:
                short_run.train_short_run(tree, {**short, "code": code}, data, folder / which)
            except DataError as error:
                raise DataError(f"{old.folder}: {whose} fails in a short run: {error}; {_train_again(old)}") from error
        if different := short_run.differences(folder / "then", folder / "now"):
            more = f" and {len(different) - 3} more" if len(different) > 3 else ""
            raise DataError(
                f"{old.folder}: the present code changes bits of {', '.join(different[:3])}{more}; {_train_again(old)}"
            )
        provenance = read_json(folder / "now/out/train.json", "result of a run")["provenance"]
        environment = {name: provenance[name] for name in journal.ENVIRONMENT if name in provenance}
        compared[both] = {"steps": short_run.STEPS, "environment": environment}
    return compared[both]


def _keep_estimate(params: Params, run: Run) -> None:
    """Keep the estimate of a current survey if the present code gives the same bytes under its earlier key."""
    folder, keys = run_folder(run.id), Keys(params)
    path = folder / paths.UPSTREAM_FILES["estimate"]
    if not path.exists() or not Current(keys).trained(run):
        return
    now, then = keys.estimate(run), read_checksummed(path, "estimate of class sizes").get("key")
    if now != then and checksummed(survey_result(folder, str(then))) == path.read_bytes():
        record = {"keys": {now: then}, "commit": code_commit(), "date": date.today().isoformat()}
        journal.add_revalidation(journal.entry_path(run.id), load_finished_run(folder).result, record)


@contextmanager
def _checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """Check out a commit in a temporary worktree; remove it at the end, also after Ctrl-C."""
    _git("rev-parse", "--git-dir", fix="run this at the root of the repository")
    _git(
        "cat-file",
        "-e",
        f"{commit}^{{commit}}",
        fix=f"`git fetch` commit {commit}, which is missing in this repository",
    )
    try:
        _git("worktree", "add", "--quiet", "--detach", str(folder), commit, fix="see `git worktree list`")
        yield folder
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(folder)], capture_output=True, check=False)


def _git(*arguments: str, fix: str) -> None:
    try:
        process = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise DataError("git: not installed; install it: the code of a run is read from its commit") from error
    if process.returncode:
        reason = next(reversed(process.stderr.strip().splitlines()), f"exit status {process.returncode}")
        raise DataError(f"git {arguments[0]}: {reason}; {fix}")


def _train_again(old: FinishedRun) -> str:
    return f"train it again with `snakemake {old.folder / RESULT_FILE}`"
