import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daso.data.folder_digest import digest_folder
from daso.data.image_folder import read_image_folder
from daso.errors import DataError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def folder(save_image, tmp_path):
    """Save two classes: cat has the training images a.png and b.bmp, dog has one; each has one test image."""
    save_image("own/train/dog/x.webp", BLUE)
    save_image("own/train/cat/b.bmp", GREEN)
    save_image("own/train/cat/a.png", RED)
    save_image("own/test/dog/y.png", BLUE)
    save_image("own/test/cat/z.png", GREEN)
    return tmp_path / "own"


def pack(folder: Path, prefix: str = "") -> Path:
    path = folder.with_name("own.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


def equal(a, b) -> bool:
    return a.classes == b.classes and all(
        (a.parts[part][i] == b.parts[part][i]).all() for part in ("train", "test") for i in (0, 1)
    )


def test_classes_and_files_are_sorted(folder):
    read = read_image_folder(folder, 4)
    images, labels = read.parts["train"]
    assert read.classes == ("cat", "dog")
    assert labels.tolist() == [0, 0, 1]
    assert labels.dtype == np.int64
    assert images.shape == (3, 3, 4, 4)
    assert images.dtype == np.uint8
    assert images[:2, :, 0, 0].tolist() == [list(RED), list(GREEN)]
    assert images[2, 2].min() > 240  # lossy WebP
    assert read.parts["test"][1].tolist() == [0, 1]


@pytest.mark.parametrize("prefix", ["", "data/"])
def test_zip_equals_the_folder(folder, prefix):
    assert equal(read_image_folder(pack(folder, prefix), 4), read_image_folder(folder, 4))


def test_one_top_folder_is_skipped(folder, tmp_path):
    expected = read_image_folder(folder, 4)
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer/README.txt").write_text("text")
    folder.rename(tmp_path / "outer/inner")
    assert equal(read_image_folder(tmp_path / "outer", 4), expected)


def test_images_are_resized_with_antialiasing(save_image, folder, tmp_path):
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(folder / "train/cat/a.png")
    images = read_image_folder(folder, 4).parts["train"][0]
    assert (
        images[0] == np.asarray(Image.fromarray(stripes).resize((4, 4), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    ).all()
    # Without antialiasing a row would be constant: 0, 200 or their mean 100. With a triangle of four pixels, weights
    # 1 3 3 1 over 8, an inner pixel is (200 + 3 * 200) / 8 = 100 too; at the left edge the weights are 3 3 1 over 7:
    # (3 * 200 + 1 * 200) / 7 = 114.
    assert images[0, 0, 0].tolist() == [114, 100, 100, 86]


@pytest.mark.parametrize(
    ("mode", "color", "pixel"),
    [
        ("L", 7, [7, 7, 7]),
        ("1", 1, [255] * 3),
        ("I;16", 7 * 257, [7, 7, 7]),
        ("I;16", 65535, [255] * 3),
        ("I;16", 300, [1, 1, 1]),  # 300 / 257 = 1.17
        ("RGBA", (1, 2, 3, 0), [255] * 3),
        ("RGBA", (10, 20, 30, 255), [10, 20, 30]),
        ("RGBA", (0, 100, 255, 51), [204, 224, 255]),  # a fifth of the color, four fifths of 255
        ("LA", (0, 51), [204] * 3),
        ("CMYK", (0, 255, 255, 0), [255, 0, 0]),
    ],
)
def test_every_mode_becomes_rgb(save_image, folder, mode, color, pixel):
    save_image("own/train/cat/a.tif" if mode == "CMYK" else "own/train/cat/a.png", color, mode=mode)
    if mode == "CMYK":
        (folder / "train/cat/a.png").unlink()
    if mode == "I;16":  # white in the other part scales all images
        save_image("own/test/cat/white.png", 65535, mode=mode)
    assert read_image_folder(folder, 4).parts["train"][0][0, :, 0, 0].tolist() == pixel


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_first_frame_of_an_animation_is_read(folder, suffix):
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, GREEN)]
    options = {"save_all": True, "append_images": frames[1:], "duration": 50, "lossless": True}
    frames[0].save(folder / f"train/cat/0.{suffix}", **options)
    assert read_image_folder(folder, 4).parts["train"][0][0, :, 2, 2].tolist() == list(RED)


def test_palette_with_a_transparent_color(folder):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([*GREEN, *RED])
    image.putpixel((2, 0), 0)
    image.save(folder / "train/cat/a.png", transparency=1)
    assert read_image_folder(folder, 4).parts["train"][0][0, :, 0, [0, 2]].tolist() == [[255] * 3, list(GREEN)]


def test_big_endian_tiff_of_16_bits(save_image, folder):
    Image.fromarray(np.full((4, 4), 9 * 257, ">u2")).save(folder / "train/cat/a.tif")
    Image.fromarray(np.full((4, 4), 65535, ">u2")).save(folder / "train/cat/white.tif")
    (folder / "train/cat/a.png").unlink()
    assert read_image_folder(folder, 4).parts["train"][0][0].tolist() == np.full((3, 4, 4), 9).tolist()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_images_of_32_bits_are_refused(save_image, folder, mode):
    save_image("own/train/cat/c.tif", 900, mode=mode)
    with pytest.raises(
        DataError, match=rf"own: train/cat/c.tif: not .* \(32 bits per pixel\); mode {mode} does not define white"
    ):
        read_image_folder(folder, 4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_exif_orientation_is_applied(folder, suffix, orientation):
    """The file holds the pixels of an upright image as rotated or mirrored by a camera; red is at its top left."""
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :8, 0] = 255
    upright[8:, :8, 2] = 255
    inverse = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
    inverse |= {6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
    image = Image.fromarray(upright)
    if orientation in inverse:
        image = image.transpose(Image.Transpose[inverse[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(
        folder / f"train/cat/0.{suffix}", exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {})
    )
    actual = read_image_folder(folder, 16).parts["train"][0][0].transpose(1, 2, 0)
    assert np.abs(actual.astype(int) - upright).max() <= (3 if suffix == "jpg" else 0)


def test_aspect_ratio_is_not_kept(save_image, folder):
    image = np.zeros((4, 16, 3), np.uint8)
    image[:, 8:] = 200
    Image.fromarray(image).save(folder / "train/cat/a.png")
    assert read_image_folder(folder, 4).parts["train"][0][0, 0, 0].tolist() == [0, 25, 175, 200]


def test_class_without_test_images_is_kept(folder):
    shutil.rmtree(folder / "test/cat")
    read = read_image_folder(folder, 4)
    assert read.classes == ("cat", "dog")
    assert read.parts["test"][1].tolist() == [1]
    assert read.parts["test"][0].shape == (1, 3, 4, 4)


def test_empty_class_and_folder_named_like_an_image_are_skipped(folder):
    expected = read_image_folder(folder, 4)
    for name in ("train/cow", "test/cow", "train/cat/x.png"):
        (folder / name).mkdir()
    assert equal(read_image_folder(folder, 4), expected)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda f: shutil.rmtree(f / "test"), r"missing class folders in test/; expected train/<class>/<image>"),
        (lambda f: shutil.rmtree(f / "train"), "missing class folders in train/"),
        (lambda f: [shutil.rmtree(f / "train/cat"), shutil.rmtree(f / "train/dog")], "missing class folders in train/"),
        (lambda f: (f / "test/dog").rename(f / "test/cow"), "test/ has the class 'cow', which is missing in train/"),
    ],
)
def test_invalid_folders_are_refused(folder, edit, match, zipped):
    edit(folder)
    with pytest.raises(DataError, match=match):
        read_image_folder(pack(folder) if zipped else folder, 4)


def test_zip_with_backslashes_equals_the_folder(folder):
    """As written by some programs on Windows, with entries of folders; a changed image changes the digest."""
    path, digests = folder.with_name("windows.zip"), []
    for color in (RED, BLUE):
        Image.new("RGB", (4, 4), color).save(folder / "train/cat/a.png")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("train\\cat\\", b"")
            for file in filter(Path.is_file, folder.rglob("*")):
                archive.writestr(str(file.relative_to(folder)).replace("/", "\\"), file.read_bytes())
        assert equal(read_image_folder(path, 4), read_image_folder(folder, 4))
        digests.append(digest_folder(path))
        assert digests[-1] == digest_folder(pack(folder))
    assert digests[0] != digests[1]


def test_missing_path_and_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        read_image_folder(tmp_path / "nowhere", 4)
    (tmp_path / "file").write_text("text")
    with pytest.raises(DataError, match="file: neither a folder nor a readable zip"):
        read_image_folder(tmp_path / "file", 4)


def test_damaged_zip_names_the_image(folder):
    path = pack(folder)
    content = path.read_bytes()
    start = content.index(b"BM")  # b.bmp is stored uncompressed
    path.write_bytes(content[:start] + b"BM" + b"\xff" * 8 + content[start + 10 :])
    with pytest.raises(DataError, match="train/cat/b.bmp: not a readable image"):
        read_image_folder(path, 4)
