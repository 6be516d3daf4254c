"""Every operation, level and sign against Pillow: not one pixel may differ."""

import itertools

import pytest
import torch

from daso.augment.packed import pack
from daso.augment.randaugment import COLOURS, MOVES, RandAugment
from daso.errors import ParamsError

OPS = (*COLOURS, *MOVES)
CASES = list(itertools.product(range(14), range(9), range(2)))  # operation, level - 1, sign


def differing(images, reference, pillow, repeat=1):
    """Cases in which the batch and Pillow disagree; all are tried `repeat` times, on one image after the other."""
    cases = CASES * repeat
    packed = pack(images[torch.arange(len(cases)) % len(images)])
    pool = RandAugment(OPS, packed.shape[-1])
    op, level, sign = torch.tensor(cases).t()
    result = packed.clone()
    pool.operate(result, pool.kernel[op], pool.value[op, level, sign])
    wrong = []
    for case, before, after in zip(cases, packed, result, strict=True):
        expected = reference[OPS[case[0]]](pillow.image(before), case[1] + 1, (1, -1)[case[2]])
        if not torch.equal(after, pillow.packed(expected)):
            wrong.append((OPS[case[0]], *case[1:]))
    return wrong


def test_the_pool_is_that_of_the_reference(reference):
    assert sorted(OPS) == sorted(reference)


def test_photographs(photo_tiles, reference, pillow):
    """20 images for every case, 5,040 in all; 997 is prime, so that an image meets another case in each round."""
    images = photo_tiles(32)
    assert len(images) > 1000
    assert not differing(images[:997], reference, pillow, repeat=20)


@pytest.mark.parametrize("size", [5, 8, 31, 96])
def test_photographs_of_other_sizes(photo_tiles, reference, pillow, size):
    images = photo_tiles(size)
    assert not differing(images[::2][:499], reference, pillow, repeat=3)


def test_digits(digits, reference, pillow):
    assert not differing(digits, reference, pillow, repeat=7)


def test_odd_images(odd_images, reference, pillow):
    """157 is prime: ten rounds of the cases, each with other images."""
    assert not differing(odd_images[:157], reference, pillow, repeat=10)


@pytest.mark.slow
def test_every_odd_image_meets_every_case(odd_images, reference, pillow):
    for shift in range(0, len(odd_images), 2):
        assert not differing(odd_images.roll(shift, 0)[:157], reference, pillow)


def test_cifar(cifar_images, reference, pillow):
    """5,040 images, 20 for every case."""
    assert len(cifar_images) == 5040
    assert not differing(cifar_images, reference, pillow, repeat=20)


def test_parameters_of_the_table():
    """The table of Sohn et al. 2020's code: M = 10, levels 1..9."""
    pool = RandAugment(OPS, 32)

    def values(name):
        return pool.value[OPS.index(name), :, 0].tolist()

    assert values("posterize") == [4, 4, 5, 5, 6, 6, 6, 7, 7]
    assert values("solarize") == [231, 205, 180, 154, 128, 103, 77, 52, 26]
    factors = [0.14, 0.23, 0.32, 0.41, 0.5, 0.59, 0.68, 0.77, 0.86]
    for name in ("brightness", "color", "contrast", "sharpness"):
        assert values(name) == pytest.approx(factors)
    amounts = {name: [move.amount(level / 10, 32) for level in range(1, 10)] for name, move in MOVES.items()}
    assert amounts["rotate"] == [3, 6, 9, 12, 15, 18, 21, 24, 27]
    assert amounts["shear_x"] == amounts["shear_y"] == pytest.approx([k * 0.03 for k in range(1, 10)])
    assert amounts["translate_x"] == amounts["translate_y"] == [0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_an_unknown_operation_names_the_nearest():
    with pytest.raises(ParamsError, match="there is no operation 'autocontrst'; did you mean 'autocontrast'"):
        RandAugment(["autocontrst"], 32)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_gives_the_same_pixels(photo_tiles, odd_images):
    images = torch.cat([photo_tiles(32), odd_images])
    packed = pack(images[torch.arange(20 * len(CASES)) % len(images)])
    pool = RandAugment(OPS, 32)
    op, level, sign = torch.tensor(CASES * 20).t()
    on_cpu, on_gpu = packed.clone(), packed.cuda()
    for images in (on_cpu, on_gpu):
        pool.operate(images, pool.kernel[op], pool.value[op, level, sign])
    assert torch.equal(on_gpu.cpu(), on_cpu)
