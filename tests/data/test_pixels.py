"""Decoding of 16-bit images, of very large images and of camera raw files."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from daso.data import pixels
from daso.data.image_folder import read_image_folder
from daso.data.pixels import decode
from daso.errors import DataError


@pytest.mark.parametrize(("bits", "second"), [(16, 8), (12, 128), (10, 128), (8, 128)])
def test_grey_images_of_16_bits_share_one_scale(photos, bits, second, lines):
    """White of `bits` in one image also scales the middle grey of a second image: half of 4095 becomes half of 255.

    With all 16 bits, 2048 becomes 2048 / 257 = 8: a darker image is not brightened by itself.
    """
    white, grey = 2**bits - 1, 2048 if bits == 16 else 2 ** (bits - 1)
    for part, value in (("train", white), ("test", grey)):
        Image.fromarray(np.full((4, 4), value, np.uint16)).save(photos / part / "a/scan.png")
    read = read_image_folder(photos, 8)
    assert set(read.parts["train"][0][4].flat) == {255}
    assert set(read.parts["test"][0][1].flat) == {second}
    assert read.notes == ({} if bits == 16 else {"bits": bits})
    line = f"photos: grey images of 16 bits use only {bits} bits; {white} becomes white"
    assert (line in lines()) == (bits != 16)


def png_48(value: int) -> bytes:
    """Encode a PNG of 1 x 1 pixel with 16 bits per channel."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" + struct.pack(">HHH", value, value, value)))
    return b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")


def test_pgm_of_12_bits_is_scaled_by_its_stated_maximum():
    """4095 is white, and 2047 of 4095 is 127.47 of 255."""
    file = io.BytesIO(b"P5 3 1 4095\n" + np.array([0, 2047, 4095], ">u2").tobytes())
    assert decode(file, 3, 16).pixels[:, 0].tolist() == [[0, 127, 255]] * 3


def test_color_images_of_16_bits_with_dark_values_are_refused(photos):
    """Pillow reads the upper 8 bits: 255 becomes 0, 4095 becomes 15, 65535 becomes 255."""
    for value, bits in ((255, 8), (4095, 12)):
        (photos / "train/a/deep.png").write_bytes(png_48(value))
        with pytest.raises(DataError, match=f"16-bit color images use only {bits} bits per channel"):
            read_image_folder(photos, 8)
    (photos / "train/a/deep.png").write_bytes(png_48(65535))
    assert set(read_image_folder(photos, 8).parts["train"][0][4].flat) == {255}


def test_photograph_of_108_megapixels_is_read(photos, monkeypatch):
    """12,032 x 9,024; left half black, right half white, rotated by its EXIF; decoded at an eighth.

    The triangle of a row at the edge has an eighth of its area beyond the edge: 255 / 8 = 32.
    """
    image = Image.new("L", (12_032, 9_024))
    image.paste(255, (6_016, 0, 12_032, 9_024))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise: black above
    image.save(photos / "train/a/00.jpg", exif=exif)
    pixels_read = read_image_folder(photos, 8).parts["train"][0][0]
    assert (pixels_read == np.array([0, 0, 0, 32, 223, 255, 255, 255])[:, None]).all()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**8)
    with pytest.raises(DataError, match=r"00.jpg: not a readable image \(too large\); save it with at most"):
        read_image_folder(photos, 8)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "1", "L", "I;16"])
def test_reduced_large_images_look_like_full_ones(photos, mode, monkeypatch):
    """With a limit of 100 pixels: the columns of a ramp from 0 to 252 are about 4 + 32 k with or without reduction."""
    ramp = np.repeat(np.repeat(np.arange(64) * 4, 2)[None], 128, 0).astype(np.uint8)
    image = Image.fromarray(ramp.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(ramp).convert(mode)
    image.save(photos / "train/a/00.png")
    whole = read_image_folder(photos, 8).parts["train"][0][0].astype(int)
    monkeypatch.setattr(pixels, "WHOLE", 100)
    reduced = read_image_folder(photos, 8).parts["train"][0][0].astype(int)
    assert np.abs(whole - reduced).max() <= 3
    if mode != "1":
        assert whole[0, 0, 0] < 20 < 230 < whole[0, 0, 7]


def test_preview_of_a_camera_raw_file_is_never_read(photos):
    """Of a raw file and a JPEG of the same name the JPEG is read; a raw file named .tif is skipped like one."""
    preview, options = Image.new("RGB", (16, 12), "red"), {"format": "TIFF", "tiffinfo": {254: 1, 271: "CAMERA"}}
    preview.save(photos / "train/a/x.NEF", **options)
    Image.new("RGB", (30, 20), "blue").save(photos / "train/a/x.JPG")
    read = read_image_folder(photos, 8)
    assert read.parts["train"][1].tolist() == [0] * 5 + [1] * 3 + [2] * 2
    assert read.parts["train"][0][4, 2].min() > 240  # blue, sorted after 03.png
    preview.save(photos / "train/a/x.tif", **options)
    again = read_image_folder(photos, 8)
    assert (again.parts["train"][0] == read.parts["train"][0]).all()
    assert again.notes == {"skipped": {"train/a": {"camera raw": 2}}}


@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (31, 500), (500, 53), (24, 24), (257, 256), (9, 7)])
def test_crop_equals_resize_and_center_crop_of_torchvision(shape):
    transforms = pytest.importorskip("torchvision.transforms")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (shape[1], shape[0], 3), np.uint8))
    file = io.BytesIO()
    image.save(file, "PNG")
    expected = transforms.Compose([transforms.Resize(24), transforms.CenterCrop(24)])(image)
    decoded = decode(file, 24, fit="crop")
    assert (decoded.pixels == np.asarray(expected).transpose(2, 0, 1)).all()
    assert decoded.longest_side == max(shape)


def test_crop_cuts_while_pad_and_squash_keep_the_ends():
    """An image of 12 x 4: red, green and blue squares. Its center is green; squashed, each third has its color."""
    pixels = np.zeros((4, 12, 3), np.uint8)
    for k in range(3):
        pixels[:, 4 * k : 4 * k + 4, k] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    assert decode(file, 4, fit="crop").pixels[:, 0, 0].tolist() == [0, 255, 0]
    assert (decode(file, 4, fit="crop").pixels == np.array([0, 255, 0]).reshape(3, 1, 1)).all()
    padded = decode(file, 6, fit="pad").pixels  # 6 x 2 pixels between two rows of grey above and below
    assert (padded[:, [0, 1, 4, 5]] == 128).all()
    assert (padded[0, 2:4, 0] > 200).all()
    assert (padded[2, 2:4, 5] > 200).all()
    squashed = decode(file, 6).pixels
    assert squashed[0, 0, 0] > 200
    assert squashed[2, 0, 5] > 200


def test_extremely_narrow_image_is_refused_by_crop():
    """4 pixels wide at most would be 2^28 / 4 / 4 high: a file of some bytes would need gigabytes."""
    file = io.BytesIO()
    Image.new("L", (2**20, 1)).save(file, "PNG")
    with pytest.raises(
        pixels.UnreadableError, match=r"too narrow; cut it to a shape nearer to a square than 1048576 x 1"
    ):
        decode(file, 24, fit="crop")
