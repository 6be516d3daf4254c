"""Project with photos of two classes and a frozen network."""

import numpy as np
from PIL import Image

LITE0 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
NETWORK = {
    "name": "timm",
    "model": "tf_efficientnet_lite0",
    "weights": "package",
    "sha256": LITE0,
    "image_size": 32,
    "train": "head",
}


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
