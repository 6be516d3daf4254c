"""Values in epochs, such as `90 epochs`, and the steps that they are in a run.

They are allowed where the schema is `Steps` or another one with the constraint `EPOCHS`.

An epoch of n images is floor(n / batch) steps; the images left over are dropped. `5 epochs` are passes through the
unlabeled images, or through the labeled ones for a method without unlabeled images; `5 labeled epochs` and `5 unlabeled
epochs` name the images.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from daso.aliases import Tree
from daso.constraints import EPOCHS
from daso.data.class_sizes import class_sizes, copied_images, outside_images, setting_kind, target_classes
from daso.errors import ParamsError

TEXT = re.compile(EPOCHS.expression)
BUDGET = ("steps", "evaluation", "checkpoint_every")  # keys of a protocol in steps


class Epochs(NamedTuple):
    """Images and batches of a run, which give the steps of an epoch."""

    run: Sequence[str]  # dataset, setting, protocol and method; dataset and setting may be empty
    images: Mapping[str, int | None]  # labeled and unlabeled images; None if unknown before the images are read
    batches: Mapping[str, int]  # labeled and unlabeled images of a step

    def steps(self, value: Any) -> Any:
        """Return a value with every text in epochs, also in lists and mappings, as a number of steps.

        Raises ParamsError if the number of images is unknown or below a batch, or the method uses none of them.
        """
        if isinstance(value, dict):
            return {key: self.steps(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.steps(each) for each in value]
        match = TEXT.fullmatch(value) if isinstance(value, str) else None
        if not match:
            return value
        default = "unlabeled" if self.batches["unlabeled"] else "labeled"
        return int(match["number"]) * self._steps_per_epoch(value, (match["images"] or default).strip())

    def _steps_per_epoch(self, text: str, images: str) -> int:
        dataset, setting, protocol, method = self.run
        if not setting:
            raise ParamsError(
                f"protocol '{protocol}': '{text}' depends on the number of images; name a setting with --setting"
            )
        where, batch, total = f"{dataset}/{setting}/{protocol}/{method}", self.batches[images], self.images[images]
        if not batch:
            raise ParamsError(
                f"{where}: '{text}' is not allowed with a method without unlabeled images; write labeled epochs"
            )
        if total is None:
            raise ParamsError(f"{where}: '{text}': unknown number of {images} images; give a number of steps")
        if total < batch:
            raise ParamsError(
                f"{where}: '{text}': {total:,} {images} images are fewer than a batch of {batch:,}; lower batch_size"
                + (" or unlabeled_ratio" if images == "unlabeled" else "")
            )
        return total // batch


def set_steps(epochs: Epochs, protocol: Tree, blocks: Mapping[str, Tree]) -> tuple[Tree, dict[str, Any]]:
    """Set the values in epochs to steps, in place in `blocks`: optimizer and components of a method by name.

    Return a protocol with all values in steps, and the values in epochs by `component.option` or key of the protocol.
    """
    given: dict[str, Any] = {}
    for name, block in blocks.items():
        own = {key: value for key, value in block.items() if in_epochs(value)}
        given |= {f"{name}.{key}": value for key, value in own.items()}
        block |= epochs.steps(own)
    budget = {key: protocol[key] for key in BUDGET}
    flat = {**budget, **{f"evaluation.{key}": value for key, value in budget["evaluation"].items()}}
    given |= {key: value for key, value in flat.items() if in_epochs(value)}
    return {**protocol, **epochs.steps(budget)}, given


def image_numbers(dataset: Tree, setting: Tree) -> dict[str, int | None]:
    """Return the numbers of labeled and unlabeled images of a setting; None if they depend on the data."""
    known, kind = dataset.get("images", {}), setting_kind(setting)
    if kind == "lists":
        names, subsets = setting["unlabeled"], dataset.get("subsets", {})
        unlabeled = known.get("unlabeled") if names == "all" else sum(subsets[name] for name in names)
        held = setting.get("holdout", dataset["holdout"])  # of a small class fewer are held out
        return {"labeled": None if held else known.get("train"), "unlabeled": unlabeled}
    targets = target_classes(setting, dataset["num_classes"])
    labeled, tail = class_sizes(setting, len(targets))
    if kind == "others":
        unlabeled = known["unlabeled"] + copied_images(setting, len(targets)) if known else None
    elif kind == "whole" and known and len(targets) == dataset["num_classes"]:
        unlabeled = known["train"] - setting.get("holdout", dataset["holdout"])
    else:
        unlabeled = None if tail is None else sum(tail)
    if unlabeled is not None:
        unlabeled += outside_images(setting, unlabeled)
    return {"labeled": None if labeled is None else sum(labeled), "unlabeled": unlabeled}


def in_epochs(value: Any) -> bool:
    """Return True if a value, or a value in a list or mapping, is in epochs."""
    if isinstance(value, list | dict):
        return any(map(in_epochs, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and bool(TEXT.fullmatch(value))


def unit(value: int | str) -> str:
    """Return the unit of a number of steps of params/: `steps`, `epochs`, `labeled epochs` or `unlabeled epochs`."""
    match = TEXT.fullmatch(value) if isinstance(value, str) else None
    return f"{match['images'] or ''}epochs" if match else "steps"


def number(value: int | str) -> int:
    """Return the number of steps or epochs of a value of params/."""
    return int(value.partition(" ")[0]) if isinstance(value, str) else value


def format_steps(value: int | str) -> str:
    """Return a number of steps of params/ as text: `1,200 steps` or `90 epochs`."""
    return value if isinstance(value, str) else f"{value:,} steps"
