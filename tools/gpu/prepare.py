"""Prepare the folder to copy to the GPU machine: `python -m tools.gpu.prepare [FOLDER]`, by default .gpu/.

Files: configs.json, the resolved configuration of every method; commit, the code's commit; absent.txt, the modules of
this environment that the GPU machine lacks, for the dry run. The Makefile downloads wheels.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from daso.aliases import Tree
from daso.config.checks import check_run
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.params import components
from daso.config.resolve import parse_run
from daso.engine.environment import code_commit

SETTING = "cifar10-lt/n1500-m3000-l100-u100/paper"
PRESENT = ("torch", "torchvision", "pandas", "scikit-learn", "tqdm", "tensorboard", "click", "pytest", "pip")
NOT_RELIED_ON = {"jinja2"}  # a requirement of torch that a machine's own build of torch may lack


def normal(name: str) -> str:
    """Return a distribution's normalized name, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: Iterable[str]) -> set[str]:
    """Return distributions and all their requirements in this environment, without extras."""
    visited, pending = set[str](), [normal(name) for name in names]
    while pending:
        name = pending.pop()
        if name in visited:
            continue
        visited.add(name)
        try:
            requirements = requires(name) or []
        except PackageNotFoundError:  # required only on other systems or Pythons
            continue
        pending += [normal(re.split(r"[^\w.-]", line)[0]) for line in requirements if "extra ==" not in line]
    return visited


def absent() -> list[str]:
    """Return the top-level modules of this environment that the GPU machine lacks."""
    present = closure(PRESENT) - NOT_RELIED_ON
    present.add("daso")  # installed here, and copied there as a folder
    owners = packages_distributions()
    return sorted(module for module, owning in owners.items() if not present & {normal(name) for name in owning})


def changes_text_or_disables(methods: Mapping[str, Tree], name: str) -> bool:
    """Return True for a complete method, or an ablation that changes a text option or sets one to zero or nothing."""
    method = methods[name]
    base = methods.get(method.get("of", ""), {})
    before = (
        {f"{part['name']}.{key}": value for _, part in components(base) for key, value in part.items()} if base else {}
    )
    values = (value for key, value in method.get("change", {}).items() for value in (value, before.get(key)))
    return not base or any(isinstance(value, str) or not value for value in values)


def in_paper_protocol(method: Tree) -> bool:
    """Return False for a method that needs what the paper's protocol lacks: features, or predictions that are kept."""
    changes_network = any(key.startswith("network.") for key in method.get("change", {}))
    return not changes_network and method.get("plan", {}).get("name") not in ("self_training", "fine_tuning")


def main(folder: Path = Path(".gpu")) -> None:
    """Write the three files."""
    params = load_params()
    keys, configs = Keys(params), {}
    for name in sorted(name for name, tree in params.methods.items() if in_paper_protocol(tree)):
        run = parse_run(params, f"{SETTING}/{name}/s0")
        check_run(params, run)
        configs[name] = keys.resolved(run) | {"recipe": changes_text_or_disables(params.methods, name)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "configs.json").write_text(json.dumps(configs))
    (folder / "commit").write_text(code_commit() + "\n")
    (folder / "absent.txt").write_text("\n".join(absent()) + "\n")
    sys.stdout.write(f"{folder}: {len(configs)} configurations, {sum(c['recipe'] for c in configs.values())} recipes\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
