import numpy as np
import pytest
import torch
from PIL import Image

from daso.augment.packed import pack
from daso.augment.resize import Resize, taps


@pytest.mark.parametrize(
    ("source", "target"), [(96, 32), (96, 48), (96, 33), (96, 95), (64, 32), (32, 8), (32, 31), (32, 96)]
)
def test_resize_equals_pillow(photo_tiles, pillow, source, target):
    images = pack(photo_tiles(source)[:100])
    result = Resize(source, target)(images)
    assert result.shape == (len(images), target, target)
    for before, after in zip(images, result, strict=True):
        expected = pillow.image(before).resize((target, target), Image.Resampling.BILINEAR)
        assert torch.equal(after, pillow.packed(expected))


def test_resize_of_extreme_values_equals_pillow(odd_images, pillow):
    images = pack(odd_images)
    for before, after in zip(images, Resize(32, 11)(images), strict=True):
        expected = pillow.image(before).resize((11, 11), Image.Resampling.BILINEAR)
        assert torch.equal(after, pillow.packed(expected))


def test_antialiasing_weights_of_a_reduction_to_a_third():
    """96 / 32 = 3: target 1 has its centre at 4.5 and reaches from 1.5 to 7.5, over centres 2.5, ..., 6.5.

    Their heights are 1/3, 2/3, 1, 2/3, 1/3, sum 3. Target 0 lacks the first of the five: 2/3, 1, 2/3, 1/3, sum 8/3.
    """
    positions, weights = taps(96, 32)
    assert positions[:, 1].tolist() == [2, 3, 4, 5, 6]
    assert weights[:, 1].tolist() == [round(2**22 * n / 9) for n in (1, 2, 3, 2, 1)]
    assert positions[:4, 0].tolist() == [0, 1, 2, 3]
    assert weights[:, 0].tolist() == [round(2**22 * n / 8) for n in (2, 3, 2, 1)] + [0]


def test_width_is_resized_before_height():
    """Values are rounded in between, so the other order differs, by one at most."""
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 3, 96, 96), dtype=np.uint8))
    packed, resize = pack(noise), Resize(96, 32)
    other = resize(packed.transpose(1, 2).contiguous()).transpose(1, 2)
    assert not torch.equal(resize(packed), other)
    assert ((resize(packed) & 0xFF) - (other & 0xFF)).abs().max() <= 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_pixels_equal_cpu_pixels(photo_tiles):
    images, resize = pack(photo_tiles(96)[:200]), Resize(96, 32)
    assert torch.equal(resize(images.cuda()).cpu(), resize(images))
