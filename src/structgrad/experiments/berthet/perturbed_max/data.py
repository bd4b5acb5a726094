"""The images, and how networks see them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from structgrad.data import digits, images
from structgrad.errors import UserError
from structgrad.experiments.berthet.perturbed_max.hyper_parameters import MaxParameters


@dataclass(frozen=True)
class Data:
    """Images ``(N, C, H, W)`` uint8, channels last in memory, and their classes ``(N,)``, to train and to test on."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    def to(self, device: str) -> Data:
        """The same on another device."""
        parts = self.train, self.train_labels, self.test, self.test_labels
        return Data(*(part.to(device) for part in parts))


def pixels(images: Tensor) -> Tensor:
    """From 0 to 1, float32 (the authors' code)."""
    return images.float().div_(255)


def make(config: MaxParameters, setting: str, seeds: Sequence[int]) -> Data:
    """The same images for all replicas and settings: the first of the published ones, in their order.

    Raises:
        UserError: the data is missing or damaged, or has not as many images as asked for.
    """
    return _make(config.source, config.train, config.test)


@lru_cache(maxsize=1)  # a job asks for the data twice: to check its digest, and to train
def _make(source: str, train: int | None, test: int | None) -> Data:
    whole = digits.digits() if source == "stand_in" else images.load("CIFAR-10")
    sizes = len(whole.train), len(whole.test)
    if (train or 1) > sizes[0] or (test or 1) > sizes[1]:
        raise UserError(
            f"there are {sizes[0]} training and {sizes[1]} test images, but {train} and {test} are asked for"
        )
    parts = whole.train[:train], whole.train_labels[:train], whole.test[:test], whole.test_labels[:test]
    first, first_labels, second, second_labels = (torch.from_numpy(np.ascontiguousarray(part)) for part in parts)
    last = torch.channels_last
    return Data(
        first.contiguous(memory_format=last), first_labels, second.contiguous(memory_format=last), second_labels
    )


def digest(config: MaxParameters, setting: str, seeds: Sequence[int]) -> str:
    """sha256 of every pixel and label, in order."""
    data, content = make(config, setting, seeds), hashlib.sha256()
    for part, labels in ((data.train, data.train_labels), (data.test, data.test_labels)):
        content.update(np.asarray(part.shape, "<i8").tobytes())
        content.update(part.contiguous().numpy().tobytes())
        content.update(labels.numpy().astype("u1").tobytes())
    return content.hexdigest()
