"""The images of a configuration: normalised, with a part of the training set held out for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from structgrad.data import digits, images
from structgrad.data.images import data_set_of
from structgrad.errors import UserError
from structgrad.experiments.indelman.nearest_neighbours.hyper_parameters import NeighboursParameters

# Means and standard deviations of the channels, as in NeuralSort's code, which leaves MNIST in [0, 1].
NORMALISATION = {
    "MNIST": ((0.0,), (1.0,)),
    "Fashion-MNIST": ((0.2860,), (0.3530,)),
    "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}


@dataclass(frozen=True)
class Labelled:
    """``images`` ``(N, C, H, W)`` uint8 and their ``labels`` ``(N,)`` int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice) -> Labelled:
        if isinstance(rows, slice):
            return Labelled(self.images[rows], self.labels[rows])
        return Labelled(self.images.index_select(0, rows), self.labels.index_select(0, rows))  # copies whole rows

    def to(self, device: str) -> Labelled:
        """The same on another device."""
        return Labelled(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Data:
    """The images to train on (which are also the neighbours at test), to select on and to test on.

    ``mean`` and ``deviation`` ``(C, 1, 1)`` are those of the channels, in [0, 1].
    """

    train: Labelled
    validation: Labelled
    test: Labelled
    mean: Tensor
    deviation: Tensor

    def normalised(self, images: Tensor) -> Tensor:
        """Pixels as the networks see them: float32, channels last."""
        scaled = images.float().div_(255).sub_(self.mean).div_(self.deviation)
        return scaled.contiguous(memory_format=torch.channels_last)

    def to(self, device: str) -> Data:
        """The same on another device."""
        train, validation, test = (part.to(device) for part in (self.train, self.validation, self.test))
        return Data(train, validation, test, self.mean.to(device), self.deviation.to(device))


def make(config: NeighboursParameters, setting: str, seeds: Sequence[int]) -> Data:
    """One data set for all replicas: the first seed splits the published training set; the test set is the published.

    Where ``train`` or ``test`` ask for fewer images than there are, they are the first ones after the split.

    Raises:
        UserError: the data is missing or damaged, or has not as many images as asked for.
    """
    sizes = config.train, config.validation, config.test
    return _make(config.source, data_set_of(setting), sizes, seeds[0])


@lru_cache(maxsize=1)  # a job asks for the data twice: to check its digest, and to train
def _make(source: str, name: str, sizes: tuple[int | None, int, int | None], seed: int) -> Data:
    whole = digits.digits() if source == "stand_in" else images.load(name)
    train, validation, test = sizes
    published, tested = (
        Labelled(torch.from_numpy(pixels), torch.from_numpy(labels))
        for pixels, labels in ((whole.train, whole.train_labels), (whole.test, whole.test_labels))
    )
    if validation + (train or 1) > len(published) or (test or 1) > len(tested):
        raise UserError(
            f"{name} has {len(published)} training and {len(tested)} test images, "
            f"but {train or 'at least 1'} + {validation} and {test or 'at least 1'} are asked for"
        )
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(published)))
    rest = order[validation:]
    mean, deviation = (torch.tensor(values).view(-1, 1, 1) for values in NORMALISATION[name])
    return Data(published[rest[:train]], published[order[:validation]], tested[:test], mean, deviation)


def digest(config: NeighboursParameters, setting: str, seeds: Sequence[int]) -> str:
    """sha256 of every pixel and label, in order."""
    data = make(config, setting, seeds)
    content = hashlib.sha256()
    for part in (data.train, data.validation, data.test):
        content.update(np.asarray(part.images.shape, "<i8").tobytes())
        content.update(part.images.contiguous().numpy().tobytes())
        content.update(part.labels.numpy().astype("u1").tobytes())
    return content.hexdigest()
