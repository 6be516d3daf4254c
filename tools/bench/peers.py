"""Weak and strong views as users write them: torchvision on tensors, Pillow in a DataLoader; one image at a time."""

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

from daso.records import ImageArray, IntArray
from tools.bench import pillow

Transform = Callable[[Any], Any]


class Views(NamedTuple):
    """The two views of one image."""

    weak: Transform
    strong: Transform


def on_tensors(size: int, augment: Mapping[str, Any]) -> Views:
    """The v2 transforms of torchvision on uint8 (3, H, W).

    Its RandAugment draws one operation a call, so it cannot take a batch. As in FixMatch's practice each of two
    operations is left out with probability 1/2; the pool has the same names.
    """
    crop = v2.RandomCrop(size, padding=augment["pad"], padding_mode="reflect")
    weak = v2.Compose([v2.RandomHorizontalFlip(), crop] if augment["flip"] else [crop])
    operation = v2.RandomApply([v2.RandAugment(num_ops=1, magnitude=10)], p=0.5)
    area = (augment["cutout"] / size) ** 2
    erase = v2.RandomErasing(p=1.0, scale=(area, area), ratio=(1.0, 1.0), value=127)
    return Views(weak, v2.Compose([weak, operation, operation, erase]))


def on_pillow(size: int, augment: Mapping[str, Any]) -> Views:
    """As FixMatch's and DASO's PyTorch codes do: torchvision's flip and crop of Pillow images, the pool in Pillow."""
    crop = transforms.RandomCrop(size, padding=augment["pad"], padding_mode="reflect")
    weak = transforms.Compose([transforms.RandomHorizontalFlip(), crop] if augment["flip"] else [crop])
    return Views(weak, transforms.Compose([weak, Operations(augment)]))


def on_bare_pillow(size: int, augment: Mapping[str, Any]) -> Views:
    """Pillow and numpy alone, written for speed."""
    weak = FlipCrop(augment)
    return Views(weak, transforms.Compose([weak, Operations(augment)]))


class FlipCrop:
    """Flip with probability 1/2, reflect-pad, crop."""

    def __init__(self, augment: Mapping[str, Any]) -> None:
        self.flip, self.pad = augment["flip"], augment["pad"]

    def __call__(self, image: Image.Image) -> Image.Image:
        """One image."""
        corner = random.randint(0, 2 * self.pad), random.randint(0, 2 * self.pad)
        return pillow.flip_crop(image, self.flip and random.random() < 0.5, *corner, self.pad)


class Operations:
    """Two operations of the pool, each carried out with probability 1/2, then Cutout."""

    def __init__(self, augment: Mapping[str, Any]) -> None:
        self.ops, self.side = list(augment["ops"]), augment["cutout"]

    def __call__(self, image: Image.Image) -> Image.Image:
        """One image."""
        for op in random.choices(self.ops, k=2):
            if random.random() < 0.5:
                image = pillow.OPERATIONS[op](image, random.randint(1, 9), random.choice((-1, 1)))
        width, height = image.size
        return pillow.cutout(image, random.random() * width, random.random() * height, self.side)


def to_input(mean: Sequence[float], std: Sequence[float]) -> Transform:
    """What follows the views: a float tensor, normalised."""
    both: Transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    return both


def to_bytes(view: Transform) -> Transform:
    """A view of a Pillow image as uint8 (3, H, W), which a DataLoader can put into batches."""
    both: Transform = transforms.Compose([view, transforms.PILToTensor()])
    return both


class ViewsOf(Dataset[tuple[tuple[Tensor, ...], int]]):
    """Images uint8 (n, H, W, 3) as one or more views each, and their labels."""

    def __init__(self, images: ImageArray, labels: IntArray, views: Sequence[Transform]) -> None:
        self.images, self.labels, self.views = images, labels, views

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[tuple[Tensor, ...], int]:
        """Views (3, H, W) and the label of one image."""
        image = Image.fromarray(self.images[index])
        return tuple(view(image) for view in self.views), int(self.labels[index])


def endless(dataset: ViewsOf, batch_size: int, workers: int, *, pin: bool) -> Iterator[Any]:
    """Shuffled batches without end; the workers end when the iterator is let go of."""
    sampler = RandomSampler(dataset, num_samples=2**24)
    loader = DataLoader(dataset, batch_size, sampler=sampler, num_workers=workers, pin_memory=pin, drop_last=True)
    return iter(loader)


class Batches:
    """What a step reads, out of two DataLoaders, each with so many workers: (x, y, weak, strong) on the device."""

    def __init__(self, config: Mapping[str, Any], views: Views, workers: int, device: torch.device) -> None:
        dataset, batch = config["dataset"], config["protocol"]["batch_size"]
        end = to_input(dataset["mean"], dataset["std"])
        weak, strong = (transforms.Compose([view, end]) for view in views)
        images, labels = random_images(2000, dataset["image_size"], dataset["num_classes"])
        pin, self.device = device.type == "cuda", device
        self.labeled = endless(ViewsOf(images, labels, [weak]), batch, workers, pin=pin)
        mu = config["method"]["unlabeled_ratio"]
        self.unlabeled = endless(ViewsOf(images, labels, [weak, strong]), batch * mu, workers, pin=pin)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        return self

    def __next__(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The next batch."""
        ((x,), y), ((weak, strong), _) = next(self.labeled), next(self.unlabeled)
        x, y, weak, strong = (tensor.to(self.device, non_blocking=True) for tensor in (x, y, weak, strong))
        return x, y, weak, strong


def random_images(n: int, size: int, classes: int) -> tuple[ImageArray, IntArray]:
    """Random pixels uint8 (n, H, W, 3) and classes (n,)."""
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (n, size, size, 3), dtype=np.uint8), draw.integers(0, classes, n)
