"""Every operation, level and sign is bit-identical to Pillow."""

import itertools

import pytest
import torch

from daso.augment.packed import pack
from daso.augment.randaugment import COLOR_OPS, GEOMETRIC_OPS, RandAugment
from daso.errors import ParamsError

OPS = (*COLOR_OPS, *GEOMETRIC_OPS)
CASES = list(itertools.product(range(14), range(9), range(2)))  # operation, level - 1, sign


def differing(images, reference, pillow, repeat=1):
    """Return the cases in which batch and Pillow differ; all are run `repeat` times, cycling through the images."""
    cases = CASES * repeat
    packed = pack(images[torch.arange(len(cases)) % len(images)])
    pool = RandAugment(OPS, packed.shape[-1])
    op, level, sign = torch.tensor(cases).t()
    result = packed.clone()
    pool.apply(result, pool.kernel[op], pool.value[op, level, sign])
    mismatches = []
    for case, before, after in zip(cases, packed, result, strict=True):
        expected = reference[OPS[case[0]]](pillow.image(before), case[1] + 1, (1, -1)[case[2]])
        if not torch.equal(after, pillow.packed(expected)):
            mismatches.append((OPS[case[0]], *case[1:]))
    return mismatches


def test_pool_equals_the_reference_pool(reference):
    assert sorted(OPS) == sorted(reference)


def test_photographs_equal_pillow(photo_tiles, reference, pillow):
    """20 images for every case, 5,040 in all; 997 is prime, so each round pairs an image with a different case."""
    images = photo_tiles(32)
    assert len(images) > 1000
    assert not differing(images[:997], reference, pillow, repeat=20)


@pytest.mark.parametrize("size", [5, 8, 31, 96])
def test_photographs_of_other_sizes_equal_pillow(photo_tiles, reference, pillow, size):
    images = photo_tiles(size)
    assert not differing(images[::2][:499], reference, pillow, repeat=3)


def test_digits_equal_pillow(digits, reference, pillow):
    assert not differing(digits, reference, pillow, repeat=7)


def test_odd_images_equal_pillow(odd_images, reference, pillow):
    """157 is prime, so each of the ten rounds of the cases uses different images."""
    assert not differing(odd_images[:157], reference, pillow, repeat=10)


@pytest.mark.endurance
def test_every_odd_image_equals_pillow_in_every_case(odd_images, reference, pillow):
    for shift in range(0, len(odd_images), 2):
        assert not differing(odd_images.roll(shift, 0)[:157], reference, pillow)


def test_cifar_equals_pillow(cifar_images, reference, pillow):
    """Every case is applied to 20 of the 5,040 images."""
    assert len(cifar_images) == 5040
    assert not differing(cifar_images, reference, pillow, repeat=20)


def test_parameters_equal_the_published_table():
    """Table in the code of Sohn et al. 2020: M = 10, levels 1..9."""
    pool = RandAugment(OPS, 32)

    def values(name):
        return pool.value[OPS.index(name), :, 0].tolist()

    assert values("posterize") == [4, 4, 5, 5, 6, 6, 6, 7, 7]
    assert values("solarize") == [231, 205, 180, 154, 128, 103, 77, 52, 26]
    factors = [0.14, 0.23, 0.32, 0.41, 0.5, 0.59, 0.68, 0.77, 0.86]
    for name in ("brightness", "color", "contrast", "sharpness"):
        assert values(name) == pytest.approx(factors)
    amounts = {name: [move.amount(level / 10, 32) for level in range(1, 10)] for name, move in GEOMETRIC_OPS.items()}
    assert amounts["rotate"] == [3, 6, 9, 12, 15, 18, 21, 24, 27]
    assert amounts["shear_x"] == amounts["shear_y"] == pytest.approx([k * 0.03 for k in range(1, 10)])
    assert amounts["translate_x"] == amounts["translate_y"] == [0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_unknown_operation_suggests_the_nearest():
    with pytest.raises(ParamsError, match="unknown operation 'autocontrst'; did you mean 'autocontrast'"):
        RandAugment(["autocontrst"], 32)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_pixels_equal_cpu_pixels(photo_tiles, odd_images):
    images = torch.cat([photo_tiles(32), odd_images])
    packed = pack(images[torch.arange(20 * len(CASES)) % len(images)])
    pool = RandAugment(OPS, 32)
    op, level, sign = torch.tensor(CASES * 20).t()
    on_cpu, on_gpu = packed.clone(), packed.cuda()
    for images in (on_cpu, on_gpu):
        pool.apply(images, pool.kernel[op], pool.value[op, level, sign])
    assert torch.equal(on_gpu.cpu(), on_cpu)
