"""The maps of a setting, published or generated, and how networks see them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from structgrad.data import user_data, warcraft
from structgrad.data.maps import Maps
from structgrad.data.terrain import terrain
from structgrad.errors import UserError
from structgrad.experiments.berthet.shortest_paths.files import PUBLISHED
from structgrad.experiments.berthet.shortest_paths.hyper_parameters import PathParameters

BLOCK = 500  # images whose pixels are summed at a time


@dataclass(frozen=True)
class Data:
    """The maps to train and to test on; ``mean`` and ``deviation`` ``(3, 1, 1)`` of the training maps' channels."""

    train: Maps
    test: Maps
    mean: Tensor
    deviation: Tensor

    def normalised(self, images: np.ndarray) -> Tensor:
        """Pixels ``(B, 96, 96, 3)`` as networks see them: ``(B, 3, 96, 96)`` float32, channels last in memory."""
        pixels = torch.from_numpy(images).to(self.mean.device).permute(0, 3, 1, 2)
        return pixels.float().sub_(self.mean).div_(self.deviation)

    def to(self, device: str) -> Data:
        """The same, with pixels normalised on another device."""
        return Data(self.train, self.test, self.mean.to(device), self.deviation.to(device))


def make(config: PathParameters, setting: str, seeds: Sequence[int]) -> Data:
    """One data set for all replicas: the published maps, or terrain that is generated from the first seed.

    Raises:
        MissingDataError: the published maps were not added.
        UserError: they are fewer than asked for.
    """
    return _make(setting == PUBLISHED, config.train, config.test, seeds[0])


@lru_cache(maxsize=1)  # a job asks for the data twice: to check its digest, and to train
def _make(published: bool, train: int, test: int, seed: int) -> Data:
    if published:
        folder = user_data.fetch(warcraft.WARCRAFT).files[0].parent
        first, second = warcraft.read(folder, "train"), warcraft.read(folder, "test")
        if train > len(first) or test > len(second):
            raise UserError(
                f"Warcraft has {len(first)} training and {len(second)} test maps, but {train} and {test} are asked for"
            )
        first, second = first[:train], second[:test]
    else:
        first, second = terrain(train, seed), terrain(test, seed + 1)
    mean, deviation = _moments(first.images)
    return Data(first, second, mean, deviation)


def _moments(images: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, from whole-numbered sums."""
    sums, squares = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for first in range(0, len(images), BLOCK):
        pixels = images[first : first + BLOCK].reshape(-1, 3).astype(np.uint32)
        sums += pixels.sum(0, dtype=np.int64)
        squares += (pixels * pixels).sum(0, dtype=np.int64)
    count = images[..., 0].size
    mean = sums / count
    deviation = np.sqrt(squares / count - mean**2)
    mean, deviation = (torch.from_numpy(part.astype(np.float32)).view(3, 1, 1) for part in (mean, deviation))
    return mean, deviation


def digest(config: PathParameters, setting: str, seeds: Sequence[int]) -> str:
    """sha256 of the published files and how many maps of them are read, or of all that is generated."""
    sizes = [config.train, config.test]
    if setting == PUBLISHED:
        added = user_data.fetch(warcraft.WARCRAFT)
        return hashlib.sha256(json.dumps([added.sha256, sizes]).encode()).hexdigest()
    data, content = make(config, setting, seeds), hashlib.sha256(json.dumps(sizes).encode())
    for part in (data.train, data.test):
        for array in (part.images, part.costs.astype("<f8"), part.paths):
            content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()
