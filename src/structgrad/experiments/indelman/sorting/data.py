"""Sequences of numbers to sort, uniform on [0, 1), and what sorting them means."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from structgrad.experiments.indelman.sorting.hyper_parameters import SortingParameters
from structgrad.training.seeds import generators


@dataclass(frozen=True)
class Sequences:
    """``x`` (R, n, d) and, for each sorted position j, ``order`` (R, n, d): the index of its element in x.

    Descending, as in the authors' code; nothing depends on the direction but the mirror image of the data.
    """

    x: Tensor
    order: Tensor

    @property
    def sorted(self) -> Tensor:
        """``s_j = x[order_j]``, (R, n, d)."""
        return self.x.gather(-1, self.order)

    def __getitem__(self, replicas: Tensor | slice) -> Sequences:
        return Sequences(self.x[replicas], self.order[replicas])

    def to(self, device: str) -> Sequences:
        """The same on another device."""
        return Sequences(self.x.to(device), self.order.to(device))


def sequences(x: Tensor) -> Sequences:
    """The sorting problem of ``x``; equal numbers keep their order."""
    return Sequences(x, x.argsort(dim=-1, descending=True, stable=True))


@dataclass(frozen=True)
class Data:
    """A replica's training set, the published test sequences, and the further ones."""

    train: Sequences
    test: Sequences
    extra: Sequences

    def __getitem__(self, replicas: Tensor | slice) -> Data:
        return Data(self.train[replicas], self.test[replicas], self.extra[replicas])

    def to(self, device: str) -> Data:
        """The same on another device."""
        return Data(self.train.to(device), self.test.to(device), self.extra.to(device))


def make(config: SortingParameters, setting: str, seeds: Sequence[int]) -> Data:
    """The data of each replica from its own seed: training set, test set and further test set, in that order."""
    d = dimension(setting)
    sizes = config.train_sequences, config.test_sequences, config.extra_test_sequences
    drawn = torch.stack([torch.rand(sum(sizes), d, generator=g) for g in generators(seeds)])
    return Data(*(sequences(part) for part in drawn.split(sizes, dim=1)))


def digest(config: SortingParameters, setting: str, seeds: Sequence[int]) -> str:
    """sha256 of the numbers of all replicas, so that a record names the data that made it."""
    data = make(config, setting, seeds)
    content = hashlib.sha256()
    for part in (data.train, data.test, data.extra):
        content.update(part.x.numpy().astype("<f4").tobytes())
    return content.hexdigest()


def dimension(setting: str) -> int:
    """``"d=25"`` as 25."""
    return int(setting.removeprefix("d="))
