"""Project with photos of two classes and a frozen network."""

import shutil

import numpy as np
from PIL import Image

from daso.workspace.own_images import CONTROLS
from tests.workflow.project import ROOT

LITE0 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
NETWORK = {
    "name": "timm",
    "model": "tf_efficientnet_lite0",
    "weights": "package",
    "sha256": LITE0,
    "image_size": 32,
    "train": "head",
}

NATURAL_DATASET = """\
title: photos
source: {kind: image_folder, path: <path>}
num_classes: <classes>
image_size: 16
mean: [0.5, 0.5, 0.5]
std: [0.5, 0.5, 0.5]
holdout: 0
class_order: size
augment: {flip: true, pad: 2, cutout: 4, num_ops: 2, op_probability: 0.5, ops: [color, rotate]}
settings:
  all: {labeled: all, unlabeled: all}
"""


def natural_dataset(path, classes):
    """Return the file of a dataset of photos with the class sizes that they have, stored as squares of 16 pixels."""
    return NATURAL_DATASET.replace("<path>", path).replace("<classes>", str(classes))


def write_photos(folder, number, first):
    """Write photos of random pixels, different for each number from `first` on."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + number):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


def with_photos(project):
    """Return a project with 12 and 10 photos of two classes, and 2 test photos of each; its network is frozen."""
    images = project.path / "images"
    for i, (part, name, number) in enumerate(
        [("train", "a", 12), ("train", "b", 10), ("test", "a", 2), ("test", "b", 2)]
    ):
        write_photos(images / part / name, number, 100 * i)
    project.write(
        "params/datasets/own.yaml",
        "title: flowers\nsource: {kind: image_folder, path: images}\nnum_classes: 2\nimage_size: 16\nholdout: 0\n"
        "class_order: native\n"
        "augment: {flip: true, pad: 2, cutout: 4, num_ops: 2, op_probability: 0.5, ops: [color, rotate]}\n"
        "settings:\n  few: {n1: 2, m1: 2, gamma_l: 1, gamma_u: 1}\n",
    )
    project.edit("protocols/tiny.yaml", lambda tree: tree.update(network=NETWORK))
    table = {"dataset": "own", "settings": ["few"], "methods": ["supervised"]}
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(table))
    return project


# Classes a, b and c are darkest to brightest: part, class, number of photos.
BASE = [("train", "a", 20), ("train", "b", 12), ("train", "c", 6), *(("test", name, 4) for name in "abc")]


def write_colored(folder, k, number, seed):
    """Write photos of 64 x 64 random pixels of class k, from 70 k to 70 k + 59."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(number):
        pixels = np.random.default_rng(seed + i).integers(70 * k, 70 * k + min(60, 256 - 70 * k), (64, 64, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{seed + i}.png")


def write_base_folder(folder):
    """Write 38 labeled photos of three classes told apart by brightness, 12 test photos and 60 unlabeled ones."""
    for i, (part, name, number) in enumerate(BASE):
        write_colored(folder / part / name, "abc".index(name), number, 1000 * i)
    for k in range(3):
        write_colored(folder / "unlabeled", k, 20, 10_000 + 1000 * k)


def init_suite(project, methods, steps=100):
    """Write the base folder and its suite by `daso init`, for two seeds, few steps and images of 32 pixels."""
    write_base_folder(project.path / "photos")
    methods_of_init = {"supervised", "supervised_la", "fixmatch_la_daso", *CONTROLS, *CONTROLS.values()}
    for name in ("protocols/photos.yaml", *(f"methods/{method}.yaml" for method in sorted(methods_of_init))):
        shutil.copy(ROOT / "params" / name, project.path / "params" / name)
        project.edit(name, lambda tree: tree.pop("where", None))
    project.call("python", "-m", "daso", "init", "photos", "--image-size", "32")

    def shorten(tree):
        tree["steps"] = tree["checkpoint_every"] = steps
        tree["evaluation"]["every"] = steps // 5
        tree["network"]["image_size"] = 32
        tree["fit"]["least_labels"] = 20

    project.edit("protocols/photos.yaml", shorten)
    project.edit("suites/photos.yaml", lambda tree: tree.update(seeds=[0, 1]))
    controls = {method: control for method, control in CONTROLS.items() if method in methods}
    table = {"methods": list(methods), "controls": controls}
    project.edit("suites/photos.yaml", lambda tree: tree["tables"][0].update(table))
    return project
