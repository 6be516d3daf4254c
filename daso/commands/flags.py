"""Command-line flags of every command, and the reader of a configuration given on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from daso.errors import DasoError

Option = tuple[str, dict[str, Any]]


def _path(flag: str, text: str, **settings: Any) -> Option:
    """Return an option whose value is a path."""
    return flag, {"type": Path, "help": text, **settings}


RUN_ID = "dataset/setting/protocol/method/s<seed>"
MODES = "auto, eager, compiled, graph or compiled_graph"
DEVICE: Option = ("--device", {"default": "auto", "help": "auto, cpu, cuda or cuda:N; default: auto"})
STORE = "folder of the dataset's images, such as data/store/digits"

OPTIONS: dict[str, tuple[Option, ...]] = {
    "download": (
        ("dataset", {"nargs": "?", "help": "name of a dataset in params/datasets"}),
        _path("--config", "resolved configuration of a dataset (JSON; - is stdin) instead of a name"),
        _path("--out", "folder for the images", required=True),
    ),
    "split": (
        _path("--config", "configuration of the split (JSON; - is stdin); with --check, the expected configuration"),
        _path("--store", STORE, required=True),
        _path("--out", "file for the drawn split"),
        _path("--check", "file of a saved split to check; draws nothing"),
    ),
    "train": (
        ("run", {"nargs": "?", "metavar": "RUN", "help": f"{RUN_ID}; the results go to drafts/RUN"}),
        _path("--config", "resolved configuration of a run (JSON) instead of its name"),
        _path("--store", STORE),
        _path("--split", "file of the split"),
        _path("--out", "folder for the results"),
        _path("--scratch", "folder for the checkpoint"),
        _path("--resume", "checkpoint to start from; default: the one in --scratch, if any"),
        _path("--encoder", "final.pt of the upstream run whose encoder is loaded"),
        _path("--estimate", "class sizes estimated by the upstream run, estimate.json"),
        _path("--journal", "file that records commit, device, versions and speed of the run"),
        _path("--bundle", "folder of packed runs: train the unfinished ones"),
        DEVICE,
        ("--mode", {"default": "auto", "help": f"{MODES}; default: auto"}),
        ("--cudnn", {"help": "heuristic, or tuned (may be faster; bits may differ between runs); default: DASO_CUDNN"}),
        (
            "--replicas",
            {"type": int, "default": 1, "help": "runs of a bundle trained at once on the device; default: 1"},
        ),
        ("--managed", {"action": "store_true", "help": "set by the workflow, which deletes the checkpoint afterwards"}),
    ),
    "derive": (
        _path("--config", "options of the derived split (JSON; - is stdin)", required=True),
        _path("--store", STORE, required=True),
        _path("--split", "file of the drawn split", required=True),
        _path("--run", "folder of the upstream run whose pseudo-labels become labels"),
        _path("--out", "file for the derived split", required=True),
    ),
    "estimate": (
        _path("--run", "folder of the finished survey", required=True),
        _path("--out", "file for the estimate", required=True),
        ("--key", {"required": True, "help": "key to write into the estimate"}),
        ("--trained", {"help": "key that the run must have; default: any"}),
    ),
    "evaluate": (
        _path("--run", "folder of the finished run", required=True),
        _path("--out", "file for the metrics", required=True),
        ("--key", {"help": "key that the run must have; default: any"}),
    ),
    "report": (
        ("--suite", {"required": True, "help": "name of a suite in params/suites"}),
        _path("--out", "folder for the report; default: drafts/reports/SUITE"),
        ("--key", {"help": "key of the report, written beside it by the workflow"}),
    ),
    "contradictions": (
        _path("--out", "folder for the page; default: drafts/contradictions", default=Path("drafts/contradictions")),
        ("--key", {"help": "key of the page, written beside it by the workflow"}),
    ),
    "list": (
        (
            "what",
            {
                "nargs": "?",
                "default": "runs",
                "help": "methods, datasets, settings, suites, protocols, runs or a suite; default: runs",
            },
        ),
        ("suite", {"nargs": "?", "help": "suite whose runs are listed; default: the suite in params/pipeline.yaml"}),
    ),
    "watch": (
        ("suite", {"nargs": "?", "help": "name of a suite in params/suites; default: that in params/pipeline.yaml"}),
    ),
    "explain": (
        ("method", {"help": "name of a method in params/methods, or in the paper, such as fixmatch+la+daso"}),
        ("--setting", {"default": "", "metavar": "DATASET/SETTING", "help": "show the values in this setting"}),
        ("--protocol", {"default": "paper", "help": "name of a protocol in params/protocols; default: paper"}),
    ),
    "cell": (
        ("words", {"nargs": "*", "metavar": "CELL", "help": "such as t1 r6 c3; t1 alone shows the table"}),
        ("--table", {"default": "", "help": "number of the table"}),
        ("--row", {"default": "", "help": "number of the row, or the paper's name of its method"}),
        ("--setting", {"default": "", "metavar": "DATASET/SETTING", "help": "setting or number of the column"}),
    ),
    "plan": (
        ("suite", {"nargs": "?", "help": "name of a suite in params/suites; default: that in params/pipeline.yaml"}),
        (
            "--measure",
            {"action": "store_true", "help": "time some steps of each method not measured on this device yet"},
        ),
    ),
    "resolve": (("run", {"metavar": "RUN", "help": RUN_ID}),),
    "bundle": (
        ("runs", {"nargs": "+", "metavar": "RUN", "help": RUN_ID}),
        _path("--out", "folder for the bundle; default: bundles/bundle", default=Path("bundles/bundle")),
    ),
    "adopt": (_path("bundle", "folder of the trained bundle"),),
    "revalidate": (
        ("names", {"nargs": "*", "metavar": "RUN_OR_SUITE", "help": "default: the suite in params/pipeline.yaml"}),
    ),
    "keep": (
        ("runs", {"nargs": "*", "metavar": "RUN", "help": "finished and evaluated runs, or runs of --bundle"}),
        _path("--bundle", "folder of a trained bundle; without RUN, all of its finished runs"),
    ),
    "reference": (("suite", {"help": "name of a suite in params/suites whose runs are all finished"}),),
    "publish": (("--suite", {"help": "stop with an error if params/pipeline.yaml names a different suite"}),),
    "debias": (
        _path("--logits", "numpy file of logits (images, classes)", required=True),
        _path("--labels", "numpy file of true classes (images,), to compute the accuracy"),
        _path("--out", "folder for the results; default: drafts/debias", default=Path("drafts/debias")),
        (
            "--strength",
            {"type": float, "default": 0.4, "help": "lambda of Wang et al. 2022; default: 0.4, as on ImageNet"},
        ),
        (
            "--momentum",
            {"type": float, "help": "momentum of a running mean prediction; default: plain mean over all images"},
        ),
        ("--seed", {"type": int, "default": 0, "help": "seed of the image order in the running mean; default: 0"}),
    ),
    "prune": (("--yes", {"action": "store_true", "help": "delete the listed files; default: list them only"}),),
}


def configuration(path: Path, find_error: Callable[[dict[str, Any]], str | None] = lambda tree: None) -> dict[str, Any]:
    """Return the object of a JSON file, or of stdin if `path` is -.

    Raises DasoError if it is not a JSON object, or if `find_error` returns an error in it.
    """
    from daso.data.files import MAX_JSON_BYTES

    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
            tree: dict[str, Any] = json.loads(file.read(MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise DasoError(f"{path}: not a readable JSON configuration ({error})") from error
    if not isinstance(tree, dict):
        raise DasoError(f"{path}: expected a configuration, got a {type(tree).__name__}; `daso resolve` prints one")
    if problem := find_error(tree):
        raise DasoError(f"{path}: not a configuration of this command: {problem}; `daso resolve` prints a run's")
    return tree
