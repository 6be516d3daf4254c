"""Write the dataset and the suite of a folder of one's own images."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from daso.config.load import load_params
from daso.config.params import NAME_PATTERN, invalid_name
from daso.data.held_out import SMALLEST_CLASS
from daso.data.image_folder import Folder, list_folder, read_image_folder
from daso.data.photo_files import photo_files
from daso.errors import DataError
from daso.workspace.own_super_classes import OwnSuperClasses

PHOTO_PROTOCOL = "photos"
SEEDS = [0, 1, 2, 3, 4]
LABELED_METHODS = ("supervised", "supervised_la")
CONTROLS = {  # of methods that use unlabeled images: the same without them
    "self_training_la": "supervised_la",
    "fixmatch_la": "supervised_la",
    "fixmatch_adello": "supervised_la",
    "simpro": "supervised_la",
    "fixmatch_la_daso_neck": "supervised_la_neck",
}
READ_SIZE = 32  # pixels of the images that are read to count them
CORRELATION = 0.9  # of near copies, see `data.near_copies`
DATASET = """\
title: {title}
source:
  kind: image_folder
  path: {path}
{options}num_classes: {classes}
image_size: {size} # pixels of the stored squares
fit: pad # the whole photo on a grey border; crop: its center; squash: without its aspect ratio
{share}holdout: 0 # validation images; none, since few labels are better used for training
class_order: size # rank classes by their labeled images, largest first
{super_classes}augment:
  flip: true
  crop: {{size: {size}, scale: [0.3, 1.0], ratio: [0.75, 1.3333333333333333]}} # random boxes of weak and strong views
  test: resize # evaluate the whole square
  cutout: {cutout} # side of the square that strong views lose
  num_ops: 2 # operations of a strong view, drawn from `ops`
  op_probability: 0.5 # of applying each of them
  ops: [autocontrast, brightness, color, contrast, sharpness, rotate, shear_x, shear_y, translate_x, translate_y]
settings:
  {setting}
"""
SUITE = """\
title: {title}
protocol: {protocol} # training budget and network
seeds: {seeds}
tables:
  - name: {name}
    title: {title}
    dataset: {name}
    settings: [all]
    methods: [{methods}] # `daso list methods` lists others
{controls}"""


class WrittenFile(NamedTuple):
    """File of params/, and whether it was written or existed before."""

    path: Path
    new: bool


def describe_folder(
    path: Path, *, skip_unreadable: bool = False, super_class_folders: bool = False
) -> tuple[Folder, bool]:
    """Read an image folder with its groups; return it, and True if its splits must hold test images out.

    Raises DataError as `read_image_folder` does.
    """
    with photo_files(path) as files:
        photos = list_folder(path, files, super_class_folders).photos
    held_out = not any(photo.part == "test" for photo in photos)
    near_copies = None if any(photo.group for photo in photos) else CORRELATION
    folder = read_image_folder(
        path,
        READ_SIZE,
        skip_unreadable=skip_unreadable,
        fit="pad",
        near_copies_from=near_copies,
        held_out=held_out,
        super_class_folders=super_class_folders,
    )
    return folder, held_out


def write_params(
    params: Path,
    name: str,
    path: str,
    described: tuple[Folder, bool],
    size: int,
    super_classes: OwnSuperClasses | None = None,
) -> list[WrittenFile]:
    """Write the files of the dataset and suite `name`, unless they exist, below the folder `params`.

    Raises DataError for an invalid name or a single class, ParamsError if params/ have an error then; a file that was
    written is removed again.
    """
    folder, held_out = described
    if not NAME_PATTERN.fullmatch(name):
        raise DataError(f"init: {invalid_name(name)}; give one with --name")
    if len(folder.classes) < 2:
        raise DataError(f"{path}: one class, '{folder.classes[0]}'; add photos of a second one")
    unlabeled = bool((folder.parts["train"][1] < 0).any())
    texts = {
        params / "datasets" / f"{name}.yaml": _dataset(name, path, folder, held_out, unlabeled, size, super_classes),
        params / "suites" / f"{name}.yaml": _suite(name, unlabeled),
    }
    files = [WrittenFile(file, not file.exists()) for file in texts]
    for file, new in files:
        if new:
            file.write_text(texts[file], encoding="utf-8")
    try:
        load_params(params)
    except Exception:
        for file, new in files:
            if new:
                file.unlink()
        raise
    return files


def _dataset(
    name: str,
    path: str,
    folder: Folder,
    held_out: bool,
    unlabeled: bool,
    size: int,
    super_classes: OwnSuperClasses | None,
) -> str:
    options = ""
    if super_classes and super_classes.source == "folders":
        options += "  super_class_folders: true # train/<super-class>/<class>/\n"
    if "unreadable" in folder.notes:
        options += "  skip_unreadable: true # go on without unreadable files; the log of the store names them\n"
    if not _has_named_groups(folder):
        options += f"  near_copies: {CORRELATION} # photos whose thumbnails correlate by this form a group\n"
    share = "test_share: 0.2 # of each class, by group; each seed holds out others\n" if held_out else ""
    images = "all # photos without a label" if unlabeled else "[] # no photos without a label were found"
    setting = f"all:\n    labeled: all # natural class sizes\n    unlabeled: {images}"
    values = {"title": _quoted(f"Images of {name}"), "path": _quoted(path), "classes": len(folder.classes)}
    values |= {"size": size, "cutout": size // 2, "super_classes": _super_classes(super_classes)}
    return DATASET.format(options=options, share=share, setting=setting, **values)


def _super_classes(super_classes: OwnSuperClasses | None) -> str:
    if super_classes is None:
        return ""
    lines = [f"  {_quoted(name)}: [{', '.join(map(_quoted, own))}]\n" for name, own in super_classes.classes.items()]
    return f"super_classes: # groups of classes, as in the {super_classes.source}\n{''.join(lines)}"


def _suite(name: str, unlabeled: bool) -> str:
    methods, controls = list(LABELED_METHODS), ""
    if unlabeled:
        methods = list(dict.fromkeys([*methods, *CONTROLS.values(), *CONTROLS]))
        controls = "    controls: # the same method without the unlabeled images\n"
        controls += "".join(f"      {method}: {control}\n" for method, control in CONTROLS.items())
    title = _quoted(f"Images of {name}")
    return SUITE.format(
        title=title, name=name, protocol=PHOTO_PROTOCOL, seeds=SEEDS, methods=", ".join(methods), controls=controls
    )


def _has_named_groups(folder: Folder) -> bool:
    return any(row.group for rows in folder.rows.values() for row in rows)


def _quoted(text: str) -> str:
    """Return a text as a YAML string in double quotes, which JSON's are."""
    return json.dumps(text, ensure_ascii=False)


def default_name(path: Path) -> str:
    """Return a name for the dataset of a folder or zip: its own, in lower case, with hyphens for other characters."""
    return re.sub(r"[^a-z0-9_]+", "-", path.resolve().stem.lower()).strip("-") or PHOTO_PROTOCOL


def describe_images(described: tuple[Folder, bool]) -> Iterator[str]:
    """Yield what was read: classes with their labels, unlabeled and test images, groups and skipped files."""
    folder, held_out = described
    labels = {part: labels for part, (_, labels) in folder.parts.items()}
    yield f"classes: {_counts(folder.classes, labels['train'])}"
    yield f"unlabeled: {int((labels['train'] < 0).sum())} images"
    if held_out:
        yield "test: none; each seed holds out 20 % of each class, by group"
        small = f", which have fewer than {SMALLEST_CLASS} images" if folder.notes.get("untested") else ""
    else:
        yield f"test: {_counts(folder.classes, labels['test'])}"
        small = ", which have no test image"
    if untested := folder.notes.get("untested"):
        yield f"trained, not measured: {', '.join(untested)}{small}"
    several, of_images = _groups(folder)
    yield f"groups of several images, such as shots of one specimen: {several}, of {of_images} images"
    skipped = [n for counts in folder.notes.get("skipped", {}).values() for n in counts.values()]
    yield f"skipped files: {sum(skipped)}; unreadable files: {len(folder.notes.get('unreadable', ()))}"


def _counts(classes: Sequence[str], labels: np.ndarray) -> str:
    counts = np.bincount(labels[labels >= 0], minlength=len(classes)).tolist()
    return ", ".join(f"{name} {n}" for name, n in zip(classes, counts, strict=True))


def _groups(folder: Folder) -> tuple[int, int]:
    """Return the number of groups of several images, and of their images."""
    numbers = [numbers for numbers in folder.groups.values() if len(numbers)]
    sizes = np.bincount(np.concatenate(numbers)) if numbers else np.empty(0, np.int64)
    return int((sizes > 1).sum()), int(sizes[sizes > 1].sum())
