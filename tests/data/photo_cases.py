"""Small folders of photographs that show problems which people meet."""

from pathlib import Path

import numpy as np
from PIL import Image


def save_noise(path: Path, seed: int, k: int = 0) -> None:
    """Save a photo of class k: noise of 64 x 64 pixels between 70 k and 70 k + 60."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(70 * k, 70 * k + 60, (64, 64, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def base_folder(root: Path) -> Path:
    """Save 20, 12 and 6 training photos of a, b and c, 4 test photos of each, and 20 unlabeled photos of each."""
    seed = 0
    for k, (name, n) in enumerate(zip("abc", (20, 12, 6), strict=True)):
        files = [f"train/{name}/{i:02}.png" for i in range(n)] + [f"test/{name}/{i:02}.png" for i in range(4)]
        for file in [*files, *(f"unlabeled/{20 * k + i:02}.png" for i in range(20))]:
            save_noise(root / file, seed, k)
            seed += 1
    return root
