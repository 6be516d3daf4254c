"""Photographs of specimens, several shots of each, whose labels cannot be learned."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

SPECIMENS, SHOTS = 60, 4


def save_specimens(root: Path, seed: int = 0) -> list[str]:
    """Save 4 shots of 60 specimens in train/a or train/b, and return the label of each specimen.

    A specimen is 8 x 8 random colors, enlarged to 128 x 128 pixels; its label is drawn by a coin. Its shots, named
    s07_2.jpg, are moved by up to 3 pixels and differ in brightness by up to 4 % and in JPEG quality.
    """
    draw, labels = np.random.default_rng(seed), []
    for specimen in range(SPECIMENS):
        labels.append("ab"[draw.integers(2)])
        colors = Image.fromarray(draw.integers(0, 256, (8, 8, 3)).astype(np.uint8))
        large = np.asarray(colors.resize((128, 128), Image.Resampling.BICUBIC)).astype(float)
        for shot in range(SHOTS):
            moved = np.roll(large, draw.integers(-3, 4, 2), (0, 1)) * draw.uniform(0.96, 1.04)
            path = root / f"train/{labels[-1]}/s{specimen:02}_{shot}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            file = io.BytesIO()
            Image.fromarray(moved.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=95 - 20 * shot // 3)
            path.write_bytes(file.getvalue())
    return labels
