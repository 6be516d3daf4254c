"""Usual implementations of views, one image at a time: torchvision on tensors, Pillow in DataLoaders."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision import transforms
from torchvision.transforms import v2

from daso.aliases import ImageArray, IntArray
from tools.bench import pillow

Transform = Callable[[Any], Any]


class Views(NamedTuple):
    """Transforms for the two views of an image."""

    weak: Transform
    strong: Transform


def on_tensors(size: int, augment: Mapping[str, Any]) -> Views:
    """Return torchvision's v2 transforms on uint8 (3, H, W).

    Its RandAugment draws one operation per call, so a batch would get the same one. As in FixMatch's code, each of the
    two operations is skipped with probability 1/2; the pool has the same names.
    """
    crop = v2.RandomCrop(size, padding=augment["pad"], padding_mode="reflect")
    weak = v2.Compose([v2.RandomHorizontalFlip(), crop] if augment["flip"] else [crop])
    operation = v2.RandomApply([v2.RandAugment(num_ops=1, magnitude=10)], p=0.5)
    area = (augment["cutout"] / size) ** 2
    erase = v2.RandomErasing(p=1.0, scale=(area, area), ratio=(1.0, 1.0), value=127)
    return Views(weak, v2.Compose([weak, operation, operation, erase]))


def on_pillow(size: int, augment: Mapping[str, Any]) -> Views:
    """Return the views of FixMatch's and DASO's PyTorch code: torchvision's flip and crop, and the pool in Pillow."""
    crop = transforms.RandomCrop(size, padding=augment["pad"], padding_mode="reflect")
    weak = transforms.Compose([transforms.RandomHorizontalFlip(), crop] if augment["flip"] else [crop])
    return Views(weak, transforms.Compose([weak, Operations(augment)]))


def on_bare_pillow(size: int, augment: Mapping[str, Any]) -> Views:
    """Return views with Pillow and numpy alone, written for speed."""
    weak = FlipCrop(augment)
    return Views(weak, transforms.Compose([weak, Operations(augment)]))


class FlipCrop:
    """Transform that flips with probability 1/2, reflect-pads and crops."""

    def __init__(self, augment: Mapping[str, Any]) -> None:
        self.flip, self.pad = augment["flip"], augment["pad"]

    def __call__(self, image: Image.Image) -> Image.Image:
        """Transform one image."""
        corner = random.randint(0, 2 * self.pad), random.randint(0, 2 * self.pad)
        return pillow.flip_crop(image, self.flip and random.random() < 0.5, *corner, self.pad)


class Operations:
    """Transform that applies two operations of the pool, each with probability 1/2, then Cutout."""

    def __init__(self, augment: Mapping[str, Any]) -> None:
        self.ops, self.side = list(augment["ops"]), augment["cutout"]

    def __call__(self, image: Image.Image) -> Image.Image:
        """Transform one image."""
        for op in random.choices(self.ops, k=2):
            if random.random() < 0.5:
                image = pillow.OPERATIONS[op](image, random.randint(1, 9), random.choice((-1, 1)))
        width, height = image.size
        return pillow.cutout(image, random.random() * width, random.random() * height, self.side)


def to_input(mean: Sequence[float], std: Sequence[float]) -> Transform:
    """Return the transform from a view to a normalised float tensor."""
    transform: Transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    return transform


def to_bytes(view: Transform) -> Transform:
    """Return a view of a Pillow image as uint8 (3, H, W), which a DataLoader can collate."""
    transform: Transform = transforms.Compose([view, transforms.PILToTensor()])
    return transform


class ViewDataset(Dataset[tuple[tuple[Tensor, ...], int]]):
    """Dataset of uint8 images (n, H, W, 3): one or more views of each, and its label."""

    def __init__(self, images: ImageArray, labels: IntArray, views: Sequence[Transform]) -> None:
        self.images, self.labels, self.views = images, labels, views

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[tuple[Tensor, ...], int]:
        """Return the views (3, H, W) and the label of one image."""
        image = Image.fromarray(self.images[index])
        return tuple(view(image) for view in self.views), int(self.labels[index])


def endless(dataset: ViewDataset, batch_size: int, workers: int, *, pin: bool) -> Iterator[Any]:
    """Return an endless iterator of shuffled batches; its workers exit when it is deleted."""
    sampler = RandomSampler(dataset, num_samples=2**24)
    loader = DataLoader(dataset, batch_size, sampler=sampler, num_workers=workers, pin_memory=pin, drop_last=True)
    return iter(loader)


class Batches:
    """Batches of a step on the device, (x, y, weak, strong), from two DataLoaders with `workers` workers each."""

    def __init__(self, config: Mapping[str, Any], views: Views, workers: int, device: torch.device) -> None:
        dataset, batch = config["dataset"], config["protocol"]["batch_size"]
        end = to_input(dataset["mean"], dataset["std"])
        weak, strong = (transforms.Compose([view, end]) for view in views)
        images, labels = random_images(2000, dataset["image_size"], dataset["num_classes"])
        pin, self.device = device.type == "cuda", device
        self.labeled = endless(ViewDataset(images, labels, [weak]), batch, workers, pin=pin)
        mu = config["method"]["unlabeled_ratio"]
        self.unlabeled = endless(ViewDataset(images, labels, [weak, strong]), batch * mu, workers, pin=pin)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        return self

    def __next__(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the next batch."""
        ((x,), y), ((weak, strong), _) = next(self.labeled), next(self.unlabeled)
        x, y, weak, strong = (tensor.to(self.device, non_blocking=True) for tensor in (x, y, weak, strong))
        return x, y, weak, strong


def random_images(n: int, size: int, classes: int) -> tuple[ImageArray, IntArray]:
    """Return random uint8 pixels (n, H, W, 3) and classes (n,)."""
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (n, size, size, 3), dtype=np.uint8), draw.integers(0, classes, n)
