"""Read the files of params/ (YAML 1.2), check them against `config.params_schemas` and collect every error.

Each error is one line, `file: key: message`; for an unknown key it names the closest known one.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from daso.aliases import Tree
from daso.config.params_schemas import RANDAUGMENT, SCHEMAS, DatasetVariant
from daso.data.files import read_file
from daso.errors import ParamsError, did_you_mean
from daso.schema import mismatches

FILE_KINDS = ("dataset", "protocol", "method", "suite")
MAX_PARAMS_BYTES = 2**18  # largest file of params/
PROTOCOL_BLOCKS = ("optimizer", "network")  # blocks of a protocol whose options a method may change
WEIGHT_DECAY = {"weight_decay", "decay_biases"}  # options that an optimizer of a plan shares with the protocol's
NAME_PATTERN = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True)
class Params:
    """Contents of params/, by file name."""

    root: Path
    suite: str  # the suite that is built by default
    datasets: dict[str, Tree]
    protocols: dict[str, Tree]
    methods: dict[str, Tree]
    suites: dict[str, Tree]

    def file(self, kind: str, name: str) -> str:
        """Return the path of a file, such as `params/methods/daso.yaml`, as errors print it."""
        return f"{self.root}/{kind}s/{name}.yaml"


def invalid_name(name: str) -> str:
    """Return the error for a name with characters that are not allowed in file names and run ids."""
    return f"invalid name '{name}'; use only a-z, 0-9, '_' and '-'"


def param_files(root: Path, kind: str) -> list[Path]:
    """Return the files of one kind, sorted by name."""
    return sorted((root / f"{kind}s").glob("*.y*ml"))


def read_params(root: Path) -> tuple[Params, list[str], frozenset[str]]:
    """Return the contents of all files, the errors of their structure, and the files that have such errors."""
    if not root.is_dir():
        raise ParamsError(f"{root}: missing; run from the root of the project")
    errors: list[str] = []
    broken: set[str] = set()
    trees: dict[str, dict[str, Tree]] = {}
    for kind in FILE_KINDS:
        trees[kind] = {}
        for path in param_files(root, kind):
            trees[kind][path.stem] = _read_tree(path, kind, errors, broken)
            errors += _name_errors(path)
    for name, tree in trees["dataset"].items():
        if "augment" in tree and f"{root}/datasets/{name}.yaml" not in broken:
            ops = tree["augment"]["ops"]
            tree["augment"]["ops"] = [*RANDAUGMENT] if ops == "randaugment" else ops
    for kind in ("dataset", "method"):
        errors += _expand_derived(root, kind, trees[kind], broken)
    errors += _expand_patterns(root, trees["suite"], trees["method"], broken)
    pipeline = _read_tree(root / "pipeline.yaml", "pipeline", errors, broken)
    return (
        Params(root, str(pipeline.get("suite", "")), *(trees[kind] for kind in FILE_KINDS)),
        errors,
        frozenset(broken),
    )


def _expand_derived(root: Path, kind: str, trees: dict[str, Tree], broken: set[str]) -> Iterator[str]:
    """Replace every file with the key `of`, an ablation or a dataset variant, by a complete one."""
    expand = {"dataset": _expand_variant, "method": _expand_ablation}[kind]
    files = {name: str(root / f"{kind}s" / f"{name}.yaml") for name in trees}
    bases = {name: tree["of"] for name, tree in trees.items() if "of" in tree and files[name] not in broken}
    for name, base in bases.items():
        if base not in trees:
            yield f"{files[name]}: of: unknown {kind} '{base}'{did_you_mean(base, trees, f'{kind}s')}"
        elif base in bases:
            origin = bases[base]
            copy_keys = f"set `of: {origin}` and copy the other keys of {base}.yaml"
            fix = f"name a {kind} without `of`" if origin in bases else copy_keys
            yield f"{files[name]}: of: {kind} '{base}' itself has `of: {origin}`; {fix}"
        if base in trees and base not in bases and files[base] not in broken:
            trees[name] = expand(trees[name], trees[base])
        else:
            broken.add(files[name])


def _expand_variant(own: Tree, base: Tree) -> Tree:
    """Return a dataset variant as a complete dataset: every key of its base, replaced by its own."""
    return copy.deepcopy({**base, **own})


def _expand_ablation(own: Tree, base: Tree) -> Tree:
    """Return an ablation as a complete method: every key of its base but `paper`, with the options in `change` set.

    `of` and `change` are kept: `resolve.trace_options` applies `change` again after `where` and overrides.
    """
    tree = copy.deepcopy({**{key: value for key, value in base.items() if key != "paper"}, **own})
    for key, value in own["change"].items():
        shared = {"optimizer": tree.setdefault("optimizer", {})} if key.startswith("optimizer.") else {}
        set_option(key, value, tree, shared)
    return tree


def _expand_patterns(root: Path, suites: dict[str, Tree], known: Collection[str], broken: set[str]) -> Iterator[str]:
    """Replace every pattern in the tables of suites by the methods that match it, in the order of their names.

    A pattern selects neither the methods that an entry before it lists nor those in `omit`.
    """
    for name, suite in suites.items():
        file = str(root / "suites" / f"{name}.yaml")
        listed = set(suite.get("omit", ()))
        for table in suite["tables"] if file not in broken else ():
            selected: list[str] = []
            for entry in table["methods"]:
                new = [each for each in known if each not in listed and fnmatchcase(each, entry)]
                methods = new if "*" in entry else [entry]
                if not methods:
                    yield f"{file}: table '{table['name']}': '{entry}' matches no further method; remove it"
                    broken.add(file)
                selected += methods
                listed.update(methods)
            table["methods"] = list(dict.fromkeys(selected))


def components(method: Tree) -> list[tuple[str, Tree]]:
    """Return the components of a method with their kinds, the learner first."""
    plan = [("plan", method["plan"])] if "plan" in method else []
    return [("learner", method["learner"]), *(("add-on", addon) for addon in method.get("addons", [])), *plan]


def set_option(key: str, value: Any, method: Tree, shared: Mapping[str, Tree]) -> bool:
    """Set `component.option` in place if the method has the component; return True if it does.

    `shared` are the optimizer and the network of the protocol by their names. `optimizer.option` is set there if the
    method has its own optimizer block, `network.option` always.
    """
    name, _, option = key.partition(".")
    if name in PROTOCOL_BLOCKS:
        blocks = [shared[name]] if name in shared and (name == "network" or name in method) else []
    else:
        blocks = [component for _, component in components(method) if component["name"] == name]
    for block in blocks:
        block[option] = value
    return bool(blocks)


def _name_errors(path: Path) -> Iterator[str]:
    if path.suffix != ".yaml":
        yield f"{path}: expected the suffix .yaml, got {path.suffix}; rename the file"
    if not NAME_PATTERN.fullmatch(path.stem):
        yield f"{path}: {invalid_name(path.stem)}"


def _read_tree(path: Path, kind: str, errors: list[str], broken: set[str]) -> Tree:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    tree: object = {}
    try:
        tree = YAML(typ="safe", pure=True).load(read_file(path, MAX_PARAMS_BYTES).decode("utf-8-sig"))
        messages = structure_errors(tree, kind)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        messages = [f"expected UTF-8 text, got the byte 0x{byte:02x} in line {line}; save the file as UTF-8"]
    except FileNotFoundError:
        messages = ["missing; create or restore the file"]
    except OSError as error:
        messages = [f"cannot be read ({error.strerror}); make the file readable"]
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: some numbers and dates
        messages = [f"invalid YAML: {_yaml_message(error)}"]
    if messages:
        errors += (f"{path}: {message}" for message in messages)
        broken.add(str(path))
    return tree if isinstance(tree, dict) else {}


def _yaml_message(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + " ".join(str(problem or error).split())


def structure_errors(tree: object, kind: str) -> list[str]:
    """Return the errors of a file's structure as `key: message`."""
    variant = kind == "dataset" and isinstance(tree, dict) and "of" in tree
    schema = DatasetVariant if variant else SCHEMAS[kind]
    return [str(each) for each in mismatches(tree, schema, closed=True)]


def copy_tree(tree: Any) -> Any:
    """Copy dicts and lists at every level; `copy.deepcopy` takes five times as long."""
    if isinstance(tree, dict):
        return {key: copy_tree(value) for key, value in tree.items()}
    return [copy_tree(value) for value in tree] if isinstance(tree, list) else tree
