"""What each verb of the command line can be told: its flags, what argparse is to know of them, configurations."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from daso.errors import DasoError

Option = tuple[str, dict[str, Any]]
PATH: dict[str, Any] = {"type": Path}
NEEDED: dict[str, Any] = {"type": Path, "required": True}
DEVICE: Option = ("--device", {"default": "auto", "help": "auto, cpu, cuda or cuda:N"})
PLACES = (
    "--config",
    "--store",
    "--split",
    "--out",
    "--scratch",
    "--resume",
    "--encoder",
    "--estimate",
    "--journal",
    "--bundle",
)
MODES = "auto, eager, compiled, graph or compiled_graph"

OPTIONS: dict[str, tuple[Option, ...]] = {
    "download": (("dataset", {"nargs": "?"}), ("--config", PATH), ("--out", NEEDED)),
    "split": (("--config", PATH), ("--store", NEEDED), ("--out", PATH), ("--check", PATH)),
    "train": (
        ("run", {"nargs": "?"}),
        *((flag, PATH) for flag in PLACES),
        DEVICE,
        ("--mode", {"default": "auto", "help": MODES}),
        ("--cudnn", {"help": "heuristic, or tuned (may be faster; bits may differ between runs); default: DASO_CUDNN"}),
        ("--replicas", {"type": int, "default": 1, "help": "how many runs of a bundle share the device"}),
        ("--managed", {"action": "store_true", "help": "called by a workflow, which removes the last state itself"}),
    ),
    "derive": (("--config", NEEDED), ("--store", NEEDED), ("--split", NEEDED), ("--run", PATH), ("--out", NEEDED)),
    "estimate": (("--run", NEEDED), ("--out", NEEDED), ("--key", {"required": True}), ("--trained", {})),
    "evaluate": (("--run", NEEDED), ("--out", NEEDED), ("--key", {})),
    "report": (("--suite", {"required": True}), ("--out", PATH), ("--key", {})),
    "list": (
        ("what", {"nargs": "?", "default": "runs", "help": "methods, datasets, settings, suites, protocols or runs"}),
        ("suite", {"nargs": "?"}),
    ),
    "explain": (
        ("method", {}),
        ("--setting", {"default": "", "metavar": "DATASET/SETTING"}),
        ("--protocol", {"default": "paper"}),
    ),
    "cell": (
        ("words", {"nargs": "*"}),
        ("--table", {"default": "", "help": "its number"}),
        ("--row", {"default": "", "help": "its number, or a method in the paper's words"}),
        ("--setting", {"default": "", "metavar": "DATASET/SETTING", "help": "the column, or its number"}),
    ),
    "plan": (
        ("suite", {"nargs": "?"}),
        ("--measure", {"action": "store_true", "help": "take some steps of the methods that have no pace here"}),
    ),
    "resolve": (("run", {}),),
    "bundle": (("runs", {"nargs": "+"}), ("--out", {"type": Path, "default": Path("bundles/bundle")})),
    "adopt": (("bundle", PATH),),
    "revalidate": (("names", {"nargs": "*", "help": "runs or suites; the default suite if none is named"}),),
    "keep": (("runs", {"nargs": "*"}), ("--bundle", {**PATH, "help": "a trained bundle: its runs, all by default"})),
    "publish": (("--suite", {"help": "refuse where params/pipeline.yaml names another"}),),
    "debias": (
        ("--logits", {**NEEDED, "help": "numpy file (images, classes)"}),
        ("--labels", {**PATH, "help": "numpy file (images,), to tell how right the guesses are"}),
        ("--out", {"type": Path, "default": Path("drafts/debias")}),
        ("--strength", {"type": float, "default": 0.4, "help": "lambda of Wang et al. 2022; 0.4, as on ImageNet"}),
        ("--momentum", {"type": float, "help": "of a running mean; without it the mean of all"}),
        ("--seed", {"type": int, "default": 0, "help": "of the order in which the running mean sees the images"}),
    ),
    "prune": (("--yes", {"action": "store_true", "help": "delete instead of listing"}),),
}


def configuration(path: Path, malformed: Callable[[dict[str, Any]], str | None] = lambda tree: None) -> dict[str, Any]:
    """The object in a JSON file, or in what is piped in; raises DasoError where `malformed` finds something in it."""
    from daso.data.files import LARGEST

    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
            tree: dict[str, Any] = json.loads(file.read(LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        raise DasoError(f"{path}: not a readable JSON configuration ({error})") from error
    if not isinstance(tree, dict):
        raise DasoError(f"{path}: not a configuration but a {type(tree).__name__}; `python -m daso resolve` prints one")
    if wrong := malformed(tree):
        raise DasoError(f"{path}: not a configuration of this verb: {wrong}; `python -m daso resolve` prints a run's")
    return tree
