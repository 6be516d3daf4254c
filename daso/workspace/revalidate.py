"""Revalidate stale runs whose code alone has changed: keep each run that the present code gives the same bits.

The recorded commit is checked out in a temporary worktree, and both codes carry out a short run of the recipe. If every
bit is the same, the journal maps the key that params/ and the code give now to the key of the run, and `Keys` follows
it. The files of the run stay as they are, and so do keys and files that depend on it.
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
from daso.config.code import digest_of
from daso.config.keys import IMMATERIAL, Keys
from daso.config.load import load
from daso.config.params import Params
from daso.config.resolve import Run, parse_run, runs, with_upstream
from daso.config.signature import ROOT, module_file
from daso.data.bundle import other_files
from daso.data.files import checksummed, digest, read_checksummed, read_json
from daso.data.run_files import FILES, RESULT, FinishedRun, load_finished_run
from daso.engine import journal
from daso.engine.environment import commit
from daso.engine.survey import survey_result
from daso.errors import DasoError, DataError
from daso.runs import short_run
from daso.workspace.archive import COMMIT
from daso.workspace.current import Current

# Modules with code that an eager run on a CPU never enters, with branches by device, or with settings that act on a GPU
# alone: a short run does not compare them, so a run made on CUDA or compiled needs them unchanged.
UNCOMPARED = (
    *(f"daso.engine.{name}" for name in ("compiled", "cuda_graphs", "environment", "loader", "resident")),
    *("daso.augment.randaugment", "daso.augment.views", "daso.ops.rows"),
)
Compared = dict[str, dict[str, Any]]  # digest of a short run and of the code of the whole one -> what was compared


def revalidate(words: Sequence[str]) -> Iterator[str]:
    """Revalidate runs and suites by name, by default the default suite, upstream runs first; yields a line for each.

    A run that is current, or of a suite and not finished, is passed over. Raises DasoError, after all others have been
    revalidated, with a line for each run that is refused: nothing is written of it.
    """
    params, compared, refused = load(), Compared(), list[str]()
    for word in words:
        if word not in params.suites and not Path("runs", parse_run(params, word).id, RESULT).exists():
            raise DataError(f"{word}: not finished, so there is nothing to revalidate; train it with `snakemake`")
    for run in with_upstream(params, _named(params, words or [params.suite])):
        try:
            if Path("runs", run.id, RESULT).exists() and (line := _revalidated(params, run, compared)):
                yield line
            _keep_estimate(params, run)
        except DasoError as error:
            refused += str(error).splitlines()
    if refused:
        raise DasoError(*refused)


def _named(params: Params, words: Sequence[str]) -> Iterator[Run]:
    for word in words:
        yield from runs(params, word) if word in params.suites else [parse_run(params, word)]


def _revalidated(params: Params, run: Run, compared: Compared) -> str | None:
    """Revalidate one run, whose upstream runs are current; return None if it is current already."""
    keys, there = Keys(params), load_finished_run(Path("runs", run.id), name=run.id)
    if (now := keys.train(run)) == there.key:
        return None
    for name in FILES:
        there.read(name)
    config, trained_from = keys.resolved(run), str(there.result.get("provenance", {}).get("commit"))
    _check_params(there, config)
    _check_inputs(keys, run, there)
    if not COMMIT.fullmatch(trained_from):
        raise DataError(
            f"{there.folder}: expected a clean commit, got '{trained_from}', so its code is unknown; {_again(there)}"
        )
    with tempfile.TemporaryDirectory() as folder, _checked_out(trained_from, Path(folder, "code")) as root:
        _check_uncompared(there, root)
        result = _compare(there, config, root, Path(folder), compared)
    record = {"keys": {now: there.key}, "commit": commit(), "date": date.today().isoformat(), "compared": result}
    journal.revalidate(journal.entry_path(run.id), there.result, record)
    made = there.result["provenance"]
    return (
        f"{run.id}: kept; {short_run.STEPS} steps on the CPU give the same bits as commit {trained_from} "
        f"(the run itself: {made.get('device')}, {made.get('mode')})"
    )


def _check_params(there: FinishedRun, config: Mapping[str, Any]) -> None:
    """Raise DataError unless configurations are equal but for keys of their own, code and what moves no number."""
    then, now = _options(there.config), _options(config)
    other = [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]
    upstream = [name for name in other if name.startswith("plan.") and name.endswith(".key")]
    if upstream == other and other and upstream[0] in then and upstream[0] in now:
        of = now[upstream[0].removesuffix("key") + "of"]
        raise DataError(f"{there.folder}: its upstream run {of} is not the one it was trained with; {_again(there)}")
    if other:
        changes = ", ".join(f"{name} {then.get(name)} is now {now.get(name)}" for name in other)
        raise DataError(f"{there.folder}: not only code has changed: {changes}; restore params/, or {_again(there)}")


def _options(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a resolved configuration by dotted names."""
    own = {"key", "code", *(f"protocol.{name}" for name in IMMATERIAL)}

    def walk(part: Any, name: str) -> Iterator[tuple[str, Any]]:
        if isinstance(part, dict | list) and part:
            for key, value in part.items() if isinstance(part, dict) else enumerate(part):
                yield from walk(value, f"{name}.{key}".lstrip("."))
        elif name not in own:
            yield name, part

    return dict(walk(tree, ""))


def _check_inputs(keys: Keys, run: Run, there: FinishedRun) -> None:
    """Raise DataError unless split, images and files of upstream runs are current, and those it was trained with."""
    plan, current = there.config["plan"], Current(keys)
    reads, split = paths.input_files(run.id, plan), (run.dataset, run.setting, run.seed)
    checks: dict[str, Callable[[Run], bool]] = {"encoder": current.trained, "estimate": current.estimated}
    made = {name: check(parse_run(keys.params, plan[name]["of"])) for name, check in checks.items() if name in plan}
    made["split"] = current.derived(run) if "split" in plan else current.split(*split)
    for name, path in reads.items():
        if not (made[name] and path.exists()):
            raise DataError(
                f"{path}: missing or out of date, and {there.folder} was trained with it; {paths.create_hint(path)}"
            )
    if errors := other_files(there, reads):
        raise DataError(*errors)


def _check_uncompared(there: FinishedRun, root: Path) -> None:
    """Raise DataError for a run on CUDA, or compiled, if code has changed that a short run on a CPU never enters."""
    made = there.result["provenance"]
    if str(made.get("device")).startswith("cpu") and made.get("mode") == "eager":
        return
    changed = [module for module in UNCOMPARED if _digest(module, root) != _digest(module, ROOT)]
    if changed:
        raise DataError(
            f"{there.folder}: made on {made.get('device')} in mode {made.get('mode')}, and {', '.join(changed)} "
            f"has changed, which a short run on a CPU cannot compare; {_again(there)}"
        )


def _digest(module: str, root: Path) -> str:
    return digest_of([module], root) if module_file(module, root) else ""


def _compare(
    there: FinishedRun, config: Mapping[str, Any], root: Path, folder: Path, compared: Compared
) -> dict[str, Any]:
    """Compare the short runs of both codes; return what was compared. Raises DataError where one bit differs."""
    precision, name = there.result["provenance"]["precision"], there.config["run"]
    short = short_run.shortened(config, precision)
    known = digest([{**short, "code": there.config.get("code")}, config["code"]])  # equal for all seeds of a recipe
    if known not in compared:
        logging.info("%s: %d steps in %s by either code", name, short_run.STEPS, precision)
        data = short_run.write_data(short, folder)
        before = f"commit {there.result['provenance']['commit']}"
        codes = (("then", before, there.config.get("code"), root), ("now", "the present code", config["code"], ROOT))
        for which, whose, code, tree in codes:
            try:
                short_run.train(tree, {**short, "code": code}, data, folder / which)
            except DataError as error:
                raise DataError(f"{there.folder}: {whose} fails in a short run: {error}; {_again(there)}") from error
        if other := short_run.differences(folder / "then", folder / "now"):
            more = f" and {len(other) - 3} more" if len(other) > 3 else ""
            raise DataError(
                f"{there.folder}: the present code gives other bits: {', '.join(other[:3])}{more}; {_again(there)}"
            )
        made = read_json(folder / "now/out/train.json", "result of a run")["provenance"]
        environment = {name: made[name] for name in journal.ENVIRONMENT if name in made}
        compared[known] = {"steps": short_run.STEPS, "environment": environment}
    return compared[known]


def _keep_estimate(params: Params, run: Run) -> None:
    """Keep the estimate of a current survey where the present code gives the same bytes under its earlier key."""
    folder, keys = Path("runs", run.id), Keys(params)
    path = folder / paths.UPSTREAM_FILES["estimate"]
    if not path.exists() or not Current(keys).trained(run):
        return
    now, then = keys.estimate(run), read_checksummed(path, "estimate of class sizes").get("key")
    if now != then and checksummed(survey_result(folder, str(then))) == path.read_bytes():
        record = {"keys": {now: then}, "commit": commit(), "date": date.today().isoformat()}
        journal.revalidate(journal.entry_path(run.id), load_finished_run(folder).result, record)


@contextmanager
def _checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """Check out a commit in a temporary worktree; remove it at the end, also after Ctrl-C."""
    _git("rev-parse", "--git-dir", fix="run this at the root of the repository")
    _git("cat-file", "-e", f"{commit}^{{commit}}", fix=f"`git fetch` commit {commit}, which is not in this repository")
    try:
        _git("worktree", "add", "--quiet", "--detach", str(folder), commit, fix="see `git worktree list`")
        yield folder
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(folder)], capture_output=True, check=False)


def _git(*arguments: str, fix: str) -> None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise DataError("git: not installed; install it, for the run's code is read from its commit") from error
    if done.returncode:
        reason = next(reversed(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
        raise DataError(f"git {arguments[0]}: {reason}; {fix}")


def _again(there: FinishedRun) -> str:
    return f"train it again with `snakemake {there.folder / RESULT}`"
