"""Fixtures: images, and the reference operations in Pillow."""

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from daso.augment.packed import pack, unpack
from tools.bench.pillow import OPERATIONS, cutout, flip_crop


def tiles(photo, size):
    """Cut an array (H, W, 3) into complete squares: uint8 (n, 3, size, size)."""
    rows, columns = photo.shape[0] // size, photo.shape[1] // size
    grid = photo[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
    return torch.from_numpy(np.ascontiguousarray(grid.transpose(0, 2, 4, 1, 3).reshape(-1, 3, size, size)))


@pytest.fixture(scope="session")
def photo_tiles():
    """Return `photo_tiles(side)`: squares of two photos in full, half and quarter size, uint8 (n, 3, side, side)."""

    def cut(side):
        parts = []
        for photo in load_sample_images().images:
            parts.append(tiles(photo, side))
            parts += [tiles(photo[y::2, x::2], side) for y in range(2) for x in range(2)]  # aliased, so very sharp
            whole = Image.fromarray(photo)
            parts += [tiles(np.asarray(whole.resize((640 // k, 427 // k))), side) for k in (2, 4)]
        return torch.cat(parts)

    return cut


@pytest.fixture(scope="session")
def cifar_images(cifar10_zip):
    """Load 5,040 test images of CIFAR-10 from all classes: uint8 (5040, 3, 32, 32)."""
    with zipfile.ZipFile(cifar10_zip) as archive:
        names = sorted(name for name in archive.namelist() if name.startswith("test/") and name.endswith(".webp"))
        parts = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names[:10000:2]]
        parts += [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names[1:80:2]]
    return torch.from_numpy(np.stack(parts).transpose(0, 3, 1, 2).copy())


@pytest.fixture(scope="session")
def digits():
    """Load 1,797 digits of 8 x 8 pixels with three equal channels: uint8 (1797, 3, 8, 8)."""
    images = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    return torch.from_numpy(np.repeat(images[:, None], 3, axis=1))


@pytest.fixture(scope="session")
def odd_images():
    """Return edge cases of histograms: images of one, two or few values or only extremes; uint8 (n, 3, 32, 32)."""
    generator = torch.Generator().manual_seed(0)

    def random(high):
        return torch.randint(0, high, (20, 3, 32, 32), generator=generator)

    flat = torch.randint(0, 256, (20, 3, 1, 1), generator=generator).expand(20, 3, 32, 32)
    dots = flat.clone()
    dots[:, :, 3, 5] = 255 - dots[:, :, 3, 5]
    greys = random(256)[:, :1].expand(20, 3, 32, 32)
    parts = [flat, dots, greys, random(2) * 255, random(2) + 127, random(4) * 85, random(256), 250 + random(6)]
    return torch.cat([*parts, torch.zeros(1, 3, 32, 32), torch.full((1, 3, 32, 32), 255)]).to(torch.uint8)


@pytest.fixture(scope="session")
def reference():
    """Return RandAugment's pool in Pillow, as in the code of FixMatch: (image, level 1..9, sign) -> image."""
    return OPERATIONS


class Pillow:
    """Conversions between packed tensors and Pillow images, and the operations of a view besides RandAugment."""

    @staticmethod
    def image(packed):
        return Image.fromarray(unpack(packed).permute(1, 2, 0).contiguous().numpy())

    @staticmethod
    def packed(image):
        return pack(torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())[None])[0]

    flip_crop, cutout = staticmethod(flip_crop), staticmethod(cutout)


@pytest.fixture(scope="session")
def pillow():
    return Pillow
