import pytest
import torch

from daso.augment.packed import Normalize, pack, unpack

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)


def every_value():
    """Return an image with every value in every channel: (1, 3, 16, 16)."""
    values = torch.arange(256, dtype=torch.uint8).view(16, 16)
    return torch.stack([values, values.flip(0), values.t()])[None]


def test_red_is_the_lowest_byte():
    image = torch.tensor([1, 2, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    packed = pack(image)
    assert packed.dtype == torch.int32
    assert packed.tolist() == [[[1 + 2 * 256 + 255 * 65536]]]


def test_unpack_undoes_pack(digits):
    assert torch.equal(unpack(pack(digits)), digits)
    assert torch.equal(unpack(pack(every_value())[:, None]), every_value()[:, None])


def test_normalize_is_bit_identical_to_the_formula_in_float32():
    images = every_value()
    column = (3, 1, 1)
    expected = (images.float() / torch.tensor(255.0) - torch.tensor(MEAN).view(column)) / torch.tensor(STD).view(column)
    assert torch.equal(Normalize(MEAN, STD)(pack(images)), expected)


def test_normalize_does_not_change_its_argument():
    packed = pack(every_value())
    before = packed.clone()
    Normalize(MEAN, STD)(packed)
    assert torch.equal(packed, before)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    ("colour", "values"),
    [
        ("ones", [1, 1, 1]),
        ("zeros", [0, 0, 0]),
        ("white", [2.0583, 2.1265, 2.1158]),
        ("black", [-1.9887, -1.9803, -1.7068]),
    ],
)
def test_blank_image_has_one_colour(colour, values, channels_last):
    """White is (1 - mean) / std and black -mean / std: (1 - .4914) / .2471 = 2.0583, -.4914 / .2471 = -1.9887."""
    image = Normalize(MEAN, STD, channels_last=channels_last).blank(colour, 4)
    assert image.shape == (1, 3, 4, 4)
    assert torch.allclose(image, torch.tensor(values).float().view(3, 1, 1).expand(1, 3, 4, 4), atol=1e-4)


def test_blank_white_and_black_are_those_of_normalized_pixels():
    pixels = torch.tensor([255, 0], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    normalize = Normalize(MEAN, STD)
    assert torch.equal(normalize(pack(pixels)), torch.cat([normalize.blank("white", 4), normalize.blank("black", 4)]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_normalize_is_bit_identical_on_cpu_and_gpu():
    packed = pack(every_value())
    assert torch.equal(Normalize(MEAN, STD).to("cuda")(packed.cuda()).cpu(), Normalize(MEAN, STD)(packed))
