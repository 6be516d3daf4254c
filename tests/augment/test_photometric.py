import pytest
import torch

from daso.augment import photometric
from daso.augment.packed import pack, unpack


def grey(rows):
    """Return a packed image of three equal channels."""
    image = torch.tensor(rows, dtype=torch.uint8)
    return pack(image.expand(1, 3, *image.shape))


def apply(name, image, value):
    result = unpack(getattr(photometric, name)(image, torch.tensor([value])))[0]
    assert torch.equal(result[0], result[1])
    assert torch.equal(result[0], result[2])
    return result[0].tolist()


def test_solarize_inverts_values_at_or_above_the_threshold():
    """230 is below 231; 255 - 231 = 24."""
    assert apply("solarize", grey([[230, 231, 255, 0]]), 231.0) == [[230, 24, 0, 0]]


def test_posterize_keeps_high_bits():
    """Four bits: multiples of 16; seven: even numbers."""
    assert apply("posterize", grey([[255, 16, 15, 129]]), 4.0) == [[240, 16, 0, 128]]
    assert apply("posterize", grey([[255, 16, 15, 129]]), 7.0) == [[254, 16, 14, 128]]


def test_autocontrast_stretches_to_the_full_range():
    """From 50..150 to 0..255: (75 - 50) * 2.55 = 63.75, truncated."""
    assert apply("autocontrast", grey([[50, 75, 150, 100]]), 0.0) == [[0, 63, 255, 127]]


def test_brightness_truncates_to_integers():
    """255 * 0.5 = 127.5, 3 * 0.5 = 1.5."""
    assert apply("brightness", grey([[255, 3, 0, 100]]), 0.5) == [[127, 1, 0, 50]]


def test_contrast_blends_with_the_rounded_mean():
    """Mean of 0 0 0 10 is 2.5, rounded 3: 3 + 0.5 (0 - 3) = 1.5, 3 + 0.5 (10 - 3) = 6.5."""
    assert apply("contrast", grey([[0, 0], [0, 10]]), 0.5) == [[1, 1], [1, 6]]


def test_color_blends_with_luma():
    """Pure red has luma (19595 * 255 + 32768) >> 16 = 76: 76 + 0.5 (255 - 76) = 165.5, 76 + 0.5 (0 - 76) = 38."""
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    assert unpack(photometric.color(pack(red), torch.tensor([0.5]))).flatten().tolist() == [165, 38, 38]


def test_sharpness_keeps_the_border():
    """A white dot on black: 5 * 255 / 13 = 98.08 -> 98; halfway to 255: 98 + 0.5 * 157 = 176.5."""
    rows = [[0] * 3, [0, 255, 0], [0] * 3]
    assert apply("sharpness", grey(rows), 0.5) == [[0] * 3, [0, 176, 0], [0] * 3]


def test_equalize_by_hand():
    """1,024 pixels, half 10, half 20: step (1024 - 512) // 255 = 2; 10 -> 1 // 2, 20 -> (1 + 512) // 2 = 256, cut."""
    rows = [[10] * 32] * 16 + [[20] * 32] * 16
    assert apply("equalize", grey(rows), 0.0) == [[0] * 32] * 16 + [[255] * 32] * 16


@pytest.mark.parametrize("name", ["equalize", "autocontrast"])
def test_flat_image_is_unchanged(name):
    assert apply(name, grey([[7] * 32] * 32), 0.0) == [[7] * 32] * 32


@pytest.mark.parametrize("name", ["brightness", "color", "contrast", "sharpness"])
def test_factor_one_keeps_the_image(name, digits):
    images = pack(digits[:50])
    assert torch.equal(getattr(photometric, name)(images, torch.ones(50)), images)


@pytest.mark.parametrize(
    ("name", "value"),
    [("autocontrast", 0), ("brightness", 0.5), ("color", 0.5), ("contrast", 0.5), ("equalize", 0), ("posterize", 4)]
    + [("sharpness", 0.5), ("solarize", 128)],
)
def test_fourth_byte_stays_zero_and_the_argument_unchanged(name, value, odd_images):
    images = pack(odd_images)
    before = images.clone()
    result = getattr(photometric, name)(images, torch.full((len(images),), float(value)))
    assert torch.equal(images, before)
    assert result.dtype == torch.int32
    assert int(result.min()) >= 0
    assert int(result.max()) <= 0xFFFFFF
