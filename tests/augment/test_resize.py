import pytest
import torch
from PIL import Image

from daso.augment.packed import pack
from daso.augment.resize import Resize


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


@pytest.mark.parametrize(("source", "target"), [(32, 128), (32, 11), (96, 95), (96, 224), (64, 64)])
def test_bicubic_resize_equals_pillow(odd_images, photo_tiles, pillow, source, target):
    """Bicubic weights are negative too, so sums of extreme values must be limited to 0..255."""
    images = pack(odd_images if source == 32 else photo_tiles(source)[:20])
    for before, after in zip(images, Resize(source, target, "bicubic")(images), strict=True):
        expected = pillow.image(before).resize((target, target), Image.Resampling.BICUBIC)
        assert torch.equal(after, pillow.packed(expected))


def test_resize_of_extreme_values_equals_pillow(odd_images, pillow):
    images = pack(odd_images)
    for before, after in zip(images, Resize(32, 11)(images), strict=True):
        expected = pillow.image(before).resize((11, 11), Image.Resampling.BILINEAR)
        assert torch.equal(after, pillow.packed(expected))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_pixels_equal_cpu_pixels(photo_tiles):
    images, resize = pack(photo_tiles(96)[:200]), Resize(96, 32)
    assert torch.equal(resize(images.cuda()).cpu(), resize(images))
