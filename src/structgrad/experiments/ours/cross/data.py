"""The data of each setting, cut into what is trained, selected and tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from structgrad.data import label_ranking
from structgrad.data.digits import digits
from structgrad.data.maps import SIDE, TILE, Maps
from structgrad.data.terrain import terrain
from structgrad.experiments.ours.cross.hyper_parameters import CrossParameters

SHARES = 0.6, 0.2  # of a label-ranking set's rows: trained and validated on; the rest is to test on
HELD_OUT = 300  # digits of the training part to validate on
POOLED = 2, 4  # pixels along a side of what is averaged into one feature: of a map, of a digit


@dataclass(frozen=True, eq=False)
class Examples:
    """N inputs ``x`` float32, what is known of their structures, ``y``, and what these are judged by, ``truth``.

    ========== ================================ ========================= ===================
    task       x                                y                         truth
    ========== ================================ ========================= ===================
    sort       numbers ``(N, d)``               permutations ``(N, d, d)`` as y
    rank       features ``(N, p)``              ranks ``(N, k)``           as y
    paths      pixels of cells ``(N, 144, 48)`` paths ``(N, 12, 12)``      costs of cells
    neighbours pixels ``(N, 49)``               classes ``(N,)``           as y
    ========== ================================ ========================= ===================
    """

    x: Tensor
    y: Tensor
    truth: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice | Tensor) -> Examples:
        return Examples(self.x[rows], self.y[rows], self.truth[rows])


@dataclass(frozen=True)
class Data:
    """What is trained, selected and tested on."""

    train: Examples
    validation: Examples
    test: Examples


def make(config: CrossParameters, setting: str, seeds: Sequence[int]) -> Data:
    """The data of a setting: one data set for all trials, whose seeds are therefore the same.

    Raises:
        UserError: a label-ranking set that there is not.
        MissingDataError: one that cannot be had.
    """
    sizes = config.train, config.validation, config.test
    return _make(setting, sizes, config.source, seeds[0])


@lru_cache(maxsize=1)  # a job asks for the data twice: to check its digest, and to train
def _make(setting: str, sizes: tuple[int, int, int], source: str, seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)
    return MAKERS[setting.split()[0]](setting.split()[-1], sizes, source, generator)


def digest(config: CrossParameters, setting: str, seeds: Sequence[int]) -> str:
    """sha256 of all inputs and targets, in order."""
    data = make(config, setting, seeds)
    content = hashlib.sha256()
    for part in (data.train, data.validation, data.test):
        for tensor in (part.x, part.y, part.truth):
            content.update(np.asarray(tensor.shape, "<i8").tobytes())
            content.update(np.ascontiguousarray(tensor.numpy(), "<f8").tobytes())
    return content.hexdigest()


def _sequences(name: str, sizes: tuple[int, ...], source: str, generator: torch.Generator) -> Data:
    """Uniform numbers; ``y[i, j] = 1`` where number i is the j-th largest."""
    x = torch.rand(sum(sizes), int(name.removeprefix("d=")), generator=generator)
    order = x.argsort(dim=-1, descending=True, stable=True)
    y = torch.zeros(*x.shape, x.shape[-1]).scatter_(-2, order.unsqueeze(-2), 1.0)
    return _cut(Examples(x, y, y), sizes)


def _rankings(name: str, sizes: tuple[int, ...], source: str, generator: torch.Generator) -> Data:
    known = label_ranking.stand_in(name) if source == "stand_in" else label_ranking.load(name)
    rows = torch.randperm(len(known.features), generator=generator)
    x, y = (torch.from_numpy(part).float()[rows] for part in (known.features, known.ranks))
    train, validation = (int(len(x) * share) for share in SHARES)
    return _cut(Examples(x, y, y), (train, validation, len(x) - train - validation))


def _maps(name: str, sizes: tuple[int, ...], source: str, generator: torch.Generator) -> Data:
    maps = terrain(sum(sizes), generator.initial_seed())
    paths, costs = (torch.from_numpy(part) for part in (maps.paths, maps.costs))
    return _cut(Examples(_cells(maps), paths.float(), costs), sizes)


def _cells(maps: Maps) -> Tensor:
    """The pixels of each cell, averaged over 2 x 2 and scaled to [-1, 1], ``(N, 144, 48)``."""
    block = POOLED[0]
    side = TILE // block
    pixels = torch.from_numpy(maps.images.reshape(-1, SIDE, side, block, SIDE, side, block, 3).astype(np.int64))
    return _scaled(pixels.sum((3, 6)).transpose(2, 3).reshape(len(maps), SIDE**2, side * side * 3), block)


def _digits(name: str, sizes: tuple[int, ...], source: str, generator: torch.Generator) -> Data:
    """The packaged digits, averaged over 4 x 4 pixels: 49 numbers an image."""
    images = digits()
    block = POOLED[1]
    side = images.train.shape[-1] // block

    def examples(pixels: np.ndarray, labels: np.ndarray) -> Examples:
        whole = torch.from_numpy(pixels.astype(np.int64)).view(-1, side, block, side, block).sum((2, 4))
        classes = torch.from_numpy(labels)
        return Examples(_scaled(whole.flatten(1), block), classes, classes)

    known = examples(images.train, images.train_labels)
    known = known[torch.randperm(len(known), generator=generator)]
    return Data(known[HELD_OUT:], known[:HELD_OUT], examples(images.test, images.test_labels))


def _scaled(sums: Tensor, block: int) -> Tensor:
    """Sums of ``block`` x ``block`` pixels of 0 .. 255, in [-1, 1]."""
    return (sums.double() / (127.5 * block * block) - 1).float()


def _cut(examples: Examples, sizes: Sequence[int]) -> Data:
    train, validation, _ = sizes
    return Data(examples[:train], examples[train : train + validation], examples[train + validation :])


Maker = Callable[[str, tuple[int, int, int], str, torch.Generator], Data]
MAKERS: Mapping[str, Maker] = {"sort": _sequences, "rank": _rankings, "paths": _maps, "neighbours": _digits}
