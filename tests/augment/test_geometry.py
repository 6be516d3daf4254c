import itertools

import pytest
import torch

from daso.augment import geometry
from daso.augment.packed import pack

GREY = 127 * (1 + 256 + 65536)


@pytest.mark.parametrize(("side", "pad"), [(32, 4), (8, 1), (8, 7), (5, 0)])
def test_flip_crop_equals_flip_reflect_pad_crop_in_pillow(photo_tiles, pillow, side, pad):
    """All flips and corners are compared."""
    cases = list(itertools.product((0, 1), range(2 * pad + 1), range(2 * pad + 1)))
    images = pack(photo_tiles(side)[: len(cases)])
    result = geometry.flip_crop(images, torch.tensor(cases, dtype=torch.int32).t(), pad)
    for image, case, actual in zip(images, cases, result, strict=True):
        assert torch.equal(actual, pillow.packed(pillow.flip_crop(pillow.image(image), *case, pad))), case


def filled(x, y, size=32, side=16):
    """Return the pixels of a black image that Cutout fills."""
    boxes = geometry.cutout_boxes(torch.tensor([[x, y]], dtype=torch.float64), size, side)
    result = geometry.cutout(torch.zeros(1, size, size, dtype=torch.int32), boxes)[0]
    assert set(result.unique().tolist()) <= {0, GREY}
    return (result == GREY).nonzero()


@pytest.mark.parametrize(("x", "y", "pixels"), [(0, 0, 289), (16.5, 16.5, 289), (31.9, 31.9, 81), (5, 30, 170)])
def test_number_of_pixels_filled_by_cutout(x, y, pixels):
    """Left and top borders shift the box (17 x 17 at the corner), right and bottom ones cut it: 9 x 9, 17 x 10."""
    assert len(filled(x, y)) == pixels


def test_cutout_at_the_centre_fills_17_rows_and_columns():
    pixels = filled(16.5, 16.5)
    assert pixels.amin(0).tolist() == [8, 8]
    assert pixels.amax(0).tolist() == [24, 24]
    assert filled(31.9, 31.9).amin(0).tolist() == [23, 23]


def test_cutout_centres_are_x_then_y():
    """x 5 gives columns 0..16, y 30 gives rows 22..31."""
    pixels = filled(5, 30)
    assert pixels.amin(0).tolist() == [22, 0]
    assert pixels.amax(0).tolist() == [31, 16]


@pytest.mark.parametrize(("size", "side"), [(32, 16), (32, 5), (8, 2), (8, 3), (8, 16), (96, 16), (8, 1)])
def test_cutout_equals_a_rectangle_in_pillow(photo_tiles, pillow, size, side):
    images = pack(photo_tiles(size)[:300])
    n = len(images)
    centres = torch.rand(n, 2, generator=torch.Generator().manual_seed(side), dtype=torch.float64) * size
    result = geometry.cutout(images, geometry.cutout_boxes(centres, size, side))
    for image, (x, y), actual in zip(images, centres.tolist(), result, strict=True):
        assert torch.equal(actual, pillow.packed(pillow.cutout(pillow.image(image), x, y, side)))


def test_warp_maps_index_pixels_of_the_image():
    table = geometry.warp_maps([geometry.rotation(27, 8), geometry.shear_y(-0.27, 8), geometry.translate_y(9, 8)], 8)
    assert int(table.source.min()) >= 0
    assert int(table.source.max()) < 64
    assert set(table.inside.unique().tolist()) == {-1, 0}
    assert not table.inside[2].any()
