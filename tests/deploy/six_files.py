"""Image files that programs read in different ways: rotated, transparent, deep, CMYK and narrow ones."""

import numpy as np
from PIL import ExifTags, Image


def write_six(folder):
    """Write the six files; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    half = np.zeros((2000, 3000, 3), np.uint8)
    half[:, :1500] = 255 * (np.indices((2000, 1500)).sum(0) % 2)[..., None]
    half[:, 1500:] = (30, 120, 200)
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Image.fromarray(half).save(folder / "rotated.jpg", exif=turned, quality=90)
    hidden = rng.integers(0, 256, (80, 120, 4), np.uint8)
    hidden[..., 3] = 255
    hidden[:, 60:] = 0
    Image.fromarray(hidden).save(folder / "transparent.png")
    smooth = Image.fromarray(rng.integers(0, 256, (6, 9, 3), np.uint8)).resize((90, 60), Image.Resampling.BICUBIC)
    smooth.quantize(16).save(folder / "palette.png", transparency=3)
    Image.fromarray(rng.integers(0, 4096, (70, 50), np.uint16)).save(folder / "deep.png")
    smooth.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(rng.integers(0, 256, (400, 40, 3), np.uint8)).save(folder / "narrow.png")
    return sorted(folder.iterdir())
