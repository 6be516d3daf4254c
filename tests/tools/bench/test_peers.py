import random

import numpy as np
import pytest
import torch
from PIL import Image

from tests.configs import CPU, config
from tools.bench import peers

AUGMENT = {"flip": True, "pad": 4, "cutout": 16, "ops": ["identity"]}
MAP = np.stack([np.arange(32) * 8] * 32)  # each column has a different value


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(0)
    torch.manual_seed(0)


def columns(kind):
    """Return the first row of 300 weak views of an image whose columns are 0, 8, 16, ..."""
    pixels = np.stack([MAP] * 3, axis=-1).astype(np.uint8)
    if kind is peers.on_tensors:
        image, back = torch.from_numpy(pixels).permute(2, 0, 1), lambda view: view[0, 0].numpy()
    else:
        image, back = Image.fromarray(pixels), lambda view: np.asarray(view)[0, :, 0]
    weak = kind(32, AUGMENT).weak
    return np.stack([back(weak(image)) for _ in range(300)]).astype(int)


@pytest.mark.parametrize("kind", [peers.on_tensors, peers.on_pillow, peers.on_bare_pillow])
def test_weak_views_flip_half_of_the_time_and_shift_by_up_to_four(kind):
    """A crop begins with column |k| for k from -4 to 4, or after a flip with its mirror image."""
    rows = columns(kind)
    flipped = rows[:, 20] < rows[:, 15]
    rows[flipped] = rows[flipped, ::-1]
    assert 100 < flipped.sum() < 200
    middle = rows[:, 16] // 8 - 16
    assert set(middle.tolist()) == set(range(-4, 5))
    assert np.bincount(middle + 4).min() > 10  # 33 expected


@pytest.mark.parametrize("kind", [peers.on_pillow, peers.on_bare_pillow])
def test_strong_views_in_pillow_have_a_grey_square(kind):
    """With the identity as only operation a red image changes only in the grey square, 8 to 17 pixels per side."""
    image = Image.new("RGB", (32, 32), (200, 0, 0))
    strong = kind(32, AUGMENT).strong
    for _ in range(50):
        pixels = np.asarray(strong(image)).reshape(-1, 3).tolist()
        grey = pixels.count([127, 127, 127])
        assert 64 <= grey <= 289
        assert grey + pixels.count([200, 0, 0]) == 1024


def test_each_operation_is_skipped_half_of_the_time():
    """Solarize turns white into black and keeps black, so white remains if both are skipped: in a quarter of cases."""
    operations = peers.Operations(AUGMENT | {"ops": ["solarize"], "cutout": 1})
    white = Image.new("RGB", (8, 8), (255, 255, 255))
    unchanged = sum(np.asarray(operations(white)).max() == 255 for _ in range(400))
    assert 70 < unchanged < 130


def test_strong_views_of_torchvision_have_a_grey_square():
    image = torch.full((3, 32, 32), 200, dtype=torch.uint8)
    strong = peers.on_tensors(32, AUGMENT).strong
    for _ in range(20):
        view = strong(image)
        assert view.dtype == torch.uint8
        assert view.shape == image.shape
        assert int((view == 127).all(0).sum()) >= 256


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_a_step(workers):
    """Pixels are (v / 255 - mean) / std of integers v in 0..255."""
    batches = peers.Batches(config(), peers.on_pillow(16, config()["dataset"]["augment"]), workers, CPU)
    x, y, weak, strong = next(iter(batches))
    assert (x.shape, weak.shape, strong.shape) == ((16, 3, 16, 16), (32, 3, 16, 16), (32, 3, 16, 16))
    assert (y.shape, y.dtype) == ((16,), torch.int64)
    for images in (x, weak, strong):
        red = (images[:, 0] * 0.25 + 0.49) * 255
        assert torch.allclose(red, red.round(), atol=1e-3)
        assert red.round().unique().numel() > 200
