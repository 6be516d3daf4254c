"""Encode the views of a store's images once with a frozen encoder; rows that exist are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from daso.aliases import ImageArray, IntArray
from daso.augment.packed import COLOURS, Normalize, pack
from daso.augment.views import Augmentation
from daso.data.features import VIEW_KINDS, FeatureRows, HalfArray, pixel_digests, row_name
from daso.data.store import Store
from daso.draw import Draw
from daso.errors import DataError
from daso.models.network import Encoder, Preprocessing

Item = TypeVar("Item")
VIEW_SEED = 0  # of all views, so that all runs share them
# Images of a forward pass, the last one filled up: the features of an image do not depend on how many others there are.
FORWARD_IMAGES = {"cpu": 16, "cuda": 256}
BLOCK = 64  # images whose views are rendered, encoded and written at once


class View(NamedTuple):
    """View of an image to be encoded."""

    name: bytes  # of its row
    image: Tensor  # packed (S, S)


def encode_store(
    encoder: Encoder, preprocessing: Preprocessing, augmentation: Augmentation, store: Store, rows: FeatureRows
) -> dict[str, IntArray]:
    """Encode the views of all images that `rows` lacks; return the rows of each part, (n, V), of test images (n, 1).

    The random numbers of a view follow from the image's pixels and the number of the view alone, so an image has the
    same views wherever it lies.
    """
    contents = {part: _contents(store, part) for part in store.parts}
    views = {part: range(len(VIEW_KINDS) if part == "train" else 1) for part in store.parts}
    missing = {part: _missing(contents[part], views[part], rows) for part in store.parts}
    total = sum(map(len, missing.values()))
    logging.info("%s: %d of %d images are encoded, the others were before", store.dataset, total, store.images_total)
    encode = _Forward(encoder, preprocessing)
    with tqdm(total=total, desc=store.dataset, unit=" images", disable=None) as progress:
        for part, images in missing.items():
            for block in _batches(images, BLOCK):
                digests = [contents[part][i] for i in block]
                pending = list(_render(augmentation, store.images(part, block), digests, views[part], rows))
                if pending:  # an image may be in both parts
                    rows.append([view.name for view in pending], encode([view.image for view in pending]))
                progress.update(len(block))
    names = {part: [row_name(content, view) for content in contents[part] for view in views[part]] for part in views}
    return {
        part: np.array([rows.numbers[name] for name in names[part]], np.int64).reshape(-1, len(views[part]))
        for part in store.parts
    }


def encode_blanks(encoder: Encoder, preprocessing: Preprocessing, augmentation: Augmentation) -> HalfArray:
    """Return the features float16 (C, D) of the blank image of each colour, in the order of `COLOURS`."""
    encode = _Forward(encoder, preprocessing)
    return encode.normalized([encode.normalize.blank(colour, augmentation.view_size)[0] for colour in COLOURS])


def _contents(store: Store, part: str) -> list[bytes]:
    """Return the digest of each image of a part, read in blocks."""
    blocks = _batches(range(store.parts[part]["images"]), BLOCK)
    return [content for block in blocks for content in pixel_digests(store.images(part, block))]


def _missing(contents: Sequence[bytes], views: range, rows: FeatureRows) -> list[int]:
    """Return the images, each content once, that lack the row of a view."""
    first = {content: image for image, content in reversed(list(enumerate(contents)))}
    return [
        image
        for content, image in sorted(first.items(), key=lambda item: item[1])
        if any(row_name(content, view) not in rows.numbers for view in views)
    ]


def _render(
    augmentation: Augmentation, images: ImageArray, contents: Sequence[bytes], views: range, rows: FeatureRows
) -> Iterator[View]:
    """Yield the views of a block of images that have no row."""
    packed = pack(torch.from_numpy(np.ascontiguousarray(images)))[:, None]  # a step of one image each, for its draws
    steps = torch.tensor([int.from_bytes(content[:8], "little", signed=True) for content in contents])
    for view in views:
        names = [row_name(content, view) for content in contents]
        todo = [i for i, name in enumerate(names) if name not in rows.numbers]
        if not todo:
            continue
        draw = Draw(VIEW_SEED, f"views/{view}", steps[todo])
        kind = VIEW_KINDS[view]
        render = {"weak": augmentation.weak, "strong": augmentation.strong}
        rendered = augmentation.plain(packed[todo]) if kind == "plain" else render[kind](packed[todo], draw)
        yield from (View(names[i], image) for i, image in zip(todo, rendered[:, 0], strict=True))


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[first : first + size] for first in range(0, len(items), size))


class _Forward:
    """Forward passes of a frozen encoder on one device, always with the same number of images."""

    def __init__(self, encoder: Encoder, preprocessing: Preprocessing) -> None:
        self.device = next(encoder.parameters()).device
        self.encoder = encoder.eval().requires_grad_(False).to(memory_format=encoder.layout)
        channels_last = encoder.layout == torch.channels_last
        self.normalize = Normalize(preprocessing.mean, preprocessing.std, channels_last=channels_last).to(self.device)
        self.batch = FORWARD_IMAGES[self.device.type]

    def __call__(self, images: Sequence[Tensor]) -> HalfArray:
        """Return the features float16 (n, D) of packed images (S, S); raises DataError if one is not finite."""
        return self._features(images, self.normalize)

    def normalized(self, images: Sequence[Tensor]) -> HalfArray:
        """Return the features float16 (n, D) of normalized images (3, S, S); raises DataError if one is not finite."""
        return self._features(images, lambda batch: batch)

    @torch.inference_mode()
    def _features(self, images: Sequence[Tensor], normalize: Callable[[Tensor], Tensor]) -> HalfArray:
        results = []
        for part in _batches(images, self.batch):
            batch = torch.stack([*part, *[part[-1]] * (self.batch - len(part))]).to(self.device)
            inputs = normalize(batch).contiguous(memory_format=self.encoder.layout)
            results.append(self.encoder(inputs)[: len(part)].half().cpu())
        features = torch.cat(results)
        if not bool(features.isfinite().all()):
            raise DataError("features: not finite in 16 bits; use other weights or a different network")
        return np.asarray(features.numpy())
