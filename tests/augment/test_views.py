import pytest
import torch
from PIL import Image

from daso.augment.packed import pack
from daso.augment.randaugment import COLOURS, MOVES
from daso.augment.views import Augmentation
from daso.draw import Draw
from daso.errors import ParamsError

OPS = (*COLOURS, *MOVES)
CIFAR = {"size": 32, "flip": True, "pad": 4, "ops": OPS, "cutout": 16}
DIGITS = {"size": 8, "flip": False, "pad": 1, "ops": ("rotate", "translate_x", "brightness", "sharpness"), "cutout": 2}
MAP = torch.arange(32 * 32, dtype=torch.int32).view(32, 32)  # each pixel says where it came from


def steps(first, count):
    return Draw(0, "u/view", torch.arange(first, first + count))


def batches(images, t, b):
    return pack(images[torch.arange(t * b) % len(images)]).view(t, b, *images.shape[-2:])


def close(counts, probabilities):
    """Chi-square of counts within six standard deviations: below df + 6 sqrt(2 df)."""
    counts, expected = counts.double(), torch.as_tensor(probabilities).double() * counts.sum()
    df = len(counts) - 1
    return float(((counts - expected) ** 2 / expected).sum()) < df + 6 * (2 * df) ** 0.5


def resized(image, options):
    side = options.get("resize", options["size"])
    return image.resize((side, side), Image.Resampling.BILINEAR) if "resize" in options else image


def by_pillow(image, draws, i, options, reference, pillow):
    """One strong view, one image at a time, from the same draws."""
    flip, (top, left) = draws["flip"][i], draws["crop"][i]
    image = pillow.flip_crop(pillow.image(image), flip and options["flip"], top, left, options["pad"])
    after = options.get("operations") == "after"
    image = resized(image, options) if after else image
    for slot in range(2):
        if draws[f"apply{slot}"][i] < 0.5:
            level, sign = draws[f"level{slot}"][i] + 1, (1, -1)[draws[f"sign{slot}"][i]]
            image = reference[options["ops"][draws[f"op{slot}"][i]]](image, level, sign)
    x, y = (place * image.size[0] for place in draws["cutout"][i])
    image = pillow.cutout(image, x, y, options["cutout"])
    return pillow.packed(image if after else resized(image, options))


def drawn(draw, batch, options):
    """All draws of a chunk of steps as lists over its images."""
    shapes = {"flip": (2, batch, 1), "crop": (2 * options["pad"] + 1, batch, 2)}
    for slot in range(2):
        shapes |= {f"op{slot}": (len(options["ops"]), batch), f"level{slot}": (9, batch), f"sign{slot}": (2, batch)}
    draws = {name: draw(name).integers(*shape).flatten(0, 1).tolist() for name, shape in shapes.items()}
    draws["flip"] = [flip for (flip,) in draws["flip"]]
    draws["cutout"] = draw("cutout").uniform(batch, 2).flatten(0, 1).tolist()
    return draws | {f"apply{slot}": draw(f"apply{slot}").uniform(batch).flatten().tolist() for slot in range(2)}


@pytest.mark.parametrize("options", [CIFAR, DIGITS], ids=["32", "8"])
def test_strong_is_the_same_pipeline_in_pillow(photo_tiles, digits, reference, pillow, options):
    images = batches(photo_tiles(32) if options is CIFAR else digits, 6, 200)
    draw = steps(1000, 6)
    result = Augmentation(**options).strong(images, draw).flatten(0, 1)
    draws = drawn(draw, 200, options)
    for i, (before, after) in enumerate(zip(images.flatten(0, 1), result, strict=True)):
        assert torch.equal(after, by_pillow(before, draws, i, options, reference, pillow)), i


def test_weak_is_the_same_pipeline_in_pillow(photo_tiles, pillow):
    images, draw = batches(photo_tiles(32), 4, 100), steps(7, 4)
    draws = drawn(draw, 100, CIFAR)
    result = Augmentation(**CIFAR).weak(images, draw).flatten(0, 1)
    for i, (before, after) in enumerate(zip(images.flatten(0, 1), result, strict=True)):
        expected = pillow.flip_crop(pillow.image(before), draws["flip"][i], *draws["crop"][i], 4)
        assert torch.equal(after, pillow.packed(expected))


@pytest.mark.parametrize("view", ["weak", "strong"])
def test_a_step_is_the_same_alone_and_in_any_chunk(photo_tiles, view):
    """Eleven steps of 64 images are more than one part of what a CPU takes at once."""
    images, render = batches(photo_tiles(32), 11, 64), getattr(Augmentation(**CIFAR), view)
    whole = render(images, steps(20, 11))
    assert torch.equal(torch.cat([render(images[i : i + 1], steps(20 + i, 1)) for i in range(11)]), whole)
    assert torch.equal(torch.cat([render(images[:7], steps(20, 7)), render(images[7:], steps(27, 4))]), whole)


@pytest.mark.parametrize("view", ["weak", "strong"])
def test_an_image_depends_on_its_own_place_alone(photo_tiles, view):
    images, render = batches(photo_tiles(32), 2, 96), getattr(Augmentation(**CIFAR), view)
    assert torch.equal(render(images, steps(0, 2))[:, :40], render(images[:, :40].contiguous(), steps(0, 2)))


def test_other_streams_seeds_and_steps_give_other_views():
    augmentation, image = Augmentation(**CIFAR), MAP.expand(1, 64, 32, 32)
    draws = [Draw(0, "a", torch.tensor([0])), Draw(0, "a", torch.tensor([1])), Draw(0, "b", torch.tensor([0]))]
    views = [augmentation.weak(image, draw) for draw in [*draws, Draw(1, "a", torch.tensor([0]))]]
    for i, one in enumerate(views):
        assert not any(torch.equal(one, other) for other in views[:i])


def test_views_leave_their_argument(photo_tiles):
    images = batches(photo_tiles(32), 1, 64)
    before = images.clone()
    Augmentation(**CIFAR).weak(images, steps(0, 1))
    Augmentation(**CIFAR).strong(images, steps(0, 1))
    assert torch.equal(images, before)


def test_flips_and_corners_are_equally_frequent():
    """Pixel (16, 16) of the result shows column 12..20 of row 12..20; the next one tells a flip."""
    result = Augmentation(**CIFAR).weak(MAP.expand(50, 400, 32, 32), steps(0, 50)).flatten(0, 1)
    flipped = result[:, 16, 17] < result[:, 16, 16]
    row, column = result[:, 16, 16] // 32, result[:, 16, 16] % 32
    column = torch.where(flipped, 31 - column, column)
    assert int(row.min()) == int(column.min()) == 12
    assert int(row.max()) == int(column.max()) == 20
    assert close(torch.bincount(flipped.long()), [1 / 2] * 2)
    joint = (flipped * 9 + row - 12) * 9 + column - 12
    assert close(torch.bincount(joint, minlength=162), [1 / 162] * 162)


def test_no_flip_where_none_is_wanted():
    result = Augmentation(**CIFAR | {"flip": False}).weak(MAP.expand(5, 400, 32, 32), steps(0, 5))
    assert bool((result[..., 16, 17] > result[..., 16, 16]).all())


def bare(**options):
    """A pool alone: no flip, no crop, no Cutout."""
    return Augmentation(size=32, flip=False, pad=0, cutout=0, **options)


def test_half_of_the_operations_are_carried_out_at_all_levels_and_both_signs():
    """Levels 1..9 move by 0..8 pixels of 32: by 0 with probability 1/2 + 1/18, by every other of -8..8 with 1/36."""
    result = bare(ops=["translate_x"], num_ops=1).strong(MAP.expand(50, 400, 32, 32), steps(0, 50))
    shift = (result[..., 0, 16] - 16).flatten() + 8
    expected = [1 / 36] * 17
    expected[8] = 1 / 2 + 1 / 18
    assert close(torch.bincount(shift, minlength=17), expected)


def test_two_slots_are_drawn_with_replacement_and_independently():
    """A slot moves rows with probability 1/2 * 1/2 * 8/9 = 2/9, columns with 2/9, nothing with 5/9.

    Rows alone are seen to be moved when one slot moves them and the other nothing, or both move them and do not cancel:
    of the 16 moves by -8..8, one does.
    """
    result = bare(ops=["translate_x", "translate_y"]).strong(MAP.expand(50, 400, 32, 32), steps(0, 50))
    columns, rows = result[..., 16, 16] % 32 != 16, result[..., 16, 16] // 32 != 16
    one = 2 * (2 / 9) * (5 / 9) + (2 / 9) ** 2 * 15 / 16
    both = 2 * (2 / 9) ** 2
    seen = torch.bincount((2 * rows.long() + columns.long()).flatten(), minlength=4)
    assert close(seen, [1 - 2 * one - both, one, one, both])


def test_every_operation_is_as_frequent_as_any():
    """Of the first slot's programs; identity is not told from an operation that is left out: 1/2 + 1/28."""
    augmentation = bare(ops=OPS)
    for slot in (0, 1):
        program, value = augmentation._slot(steps(0, 100), slot, 200)
        moved = program == 1
        assert close(torch.bincount(value[moved].long(), minlength=90), [1 / 90] * 90)
        counts = torch.bincount(program)
        assert close(counts[counts > 0], [1 / 2 + 1 / 28, 5 / 28, *[1 / 28] * 8])


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_the_probability_of_an_operation_is_an_option(probability):
    result = bare(ops=["solarize"], num_ops=1, op_probability=probability).strong(
        MAP.expand(1, 200, 32, 32), steps(0, 1)
    )
    assert bool((result == MAP).all()) == (probability == 0)
    assert bool((result != MAP).any(-1).any(-1).all()) == (probability == 1)


def test_the_centre_of_cutout_is_uniform():
    """The first column is 0 for centres below 9, then 1, 2, ..., 23, a 32nd each; rows likewise."""
    augmentation = Augmentation(size=32, flip=False, pad=0, ops=[], cutout=16)
    grey = augmentation.strong(torch.zeros(50, 400, 32, 32, dtype=torch.int32), steps(0, 50)).flatten(0, 1) > 0
    assert bool(grey.any(-1).any(-1).all())
    for axis in (1, 2):
        first = grey.any(axis).long().argmax(-1)
        assert close(torch.bincount(first, minlength=24), [9 / 32, *[1 / 32] * 23])


def test_without_cutout_and_operations_strong_is_weak(photo_tiles):
    images = batches(photo_tiles(32), 2, 50)
    augmentation = Augmentation(size=32, flip=True, pad=4, ops=[], cutout=0)
    assert torch.equal(augmentation.strong(images, steps(0, 2)), augmentation.weak(images, steps(0, 2)))


def test_ninety_six_pixels(photo_tiles, reference, pillow):
    """Parts of 56 images; the seventh crosses the border of a step."""
    options = {**CIFAR, "size": 96, "pad": 12}
    images, draw = batches(photo_tiles(96), 2, 60), steps(3, 2)
    draws = drawn(draw, 60, options)
    result = Augmentation(**options).strong(images, draw).flatten(0, 1)
    for i, (before, after) in enumerate(zip(images.flatten(0, 1), result, strict=True)):
        assert torch.equal(after, by_pillow(before, draws, i, options, reference, pillow)), i


STL = CIFAR | {"size": 96, "resize": 32}


@pytest.mark.parametrize("operations", ["before", "after"])
def test_strong_views_are_resized_after_or_before_the_operations(photo_tiles, reference, pillow, operations):
    """96 pixels, two parts: operations, their moves and a cutout of 16 pixels are those of 96 or of 32 pixels."""
    options = STL | {"operations": operations}
    images, draw = batches(photo_tiles(96), 2, 60), steps(5, 2)
    draws = drawn(draw, 60, options)
    result = Augmentation(**options).strong(images, draw)
    assert result.shape == (2, 60, 32, 32)
    for i, (before, after) in enumerate(zip(images.flatten(0, 1), result.flatten(0, 1), strict=True)):
        assert torch.equal(after, by_pillow(before, draws, i, options, reference, pillow)), i


@pytest.mark.parametrize("operations", ["before", "after"])
def test_weak_views_are_cropped_and_then_resized(photo_tiles, pillow, operations):
    images, draw = batches(photo_tiles(96), 2, 60), steps(5, 2)
    draws, augmentation = drawn(draw, 60, STL), Augmentation(**STL, operations=operations)
    weak, plain = augmentation.weak(images, draw).flatten(0, 1), augmentation.plain(images).flatten(0, 1)
    for i, before in enumerate(images.flatten(0, 1)):
        expected = pillow.flip_crop(pillow.image(before), draws["flip"][i], *draws["crop"][i], 4)
        assert torch.equal(weak[i], pillow.packed(resized(expected, STL)))
        assert torch.equal(plain[i], pillow.packed(resized(pillow.image(before), STL)))


def test_plain_views_of_images_that_keep_their_size_are_the_images():
    assert Augmentation(**CIFAR).plain(MAP[None]).data_ptr() == MAP.data_ptr()


def test_under_deterministic_algorithms(photo_tiles):
    images, augmentation = batches(photo_tiles(32), 2, 100), Augmentation(**CIFAR)
    expected = augmentation.strong(images, steps(0, 2))
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(augmentation.strong(images, steps(0, 2)), expected)
    finally:
        torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ops": ["rotat"]}, "did you mean 'rotate'"),
        ({"pad": 32}, "augment.pad: 32 pixels cannot be reflected in images of 32"),
        ({"pad": -1}, "augment.pad: -1"),
        ({"cutout": -1}, "augment.cutout: -1"),
    ],
)
def test_what_cannot_be_built(wrong, message):
    with pytest.raises(ParamsError, match=message):
        Augmentation(**CIFAR | wrong)


def test_images_of_another_size_are_refused():
    with pytest.raises(ParamsError, match="image_size: 32, but the images have 8 x 8 pixels"):
        Augmentation(**CIFAR).weak(torch.zeros(1, 4, 8, 8, dtype=torch.int32), steps(0, 1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("view", ["weak", "strong"])
@pytest.mark.parametrize("options", [CIFAR, STL], ids=["32", "96"])
def test_the_gpu_gives_the_same_pixels_and_does_not_wait(photo_tiles, view, options):
    images, render = batches(photo_tiles(options["size"]), 64, 128), getattr(Augmentation(**options), view)
    expected, on_gpu = render(images, steps(0, 64)), images.cuda()
    render(on_gpu, steps(0, 64))  # the tables go to the device once
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = render(on_gpu, steps(0, 64))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(result.cpu(), expected)
    assert torch.equal(render(on_gpu, steps(0, 64)._replace(t=torch.arange(64).cuda())).cpu(), expected)
