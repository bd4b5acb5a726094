"""Artificial rankings: linear scores, noise of magnitude sigma, and the ranks of both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from structgrad.experiments.berthet.artificial_rankings.hyper_parameters import ArtificialParameters
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.portable import product


@dataclass(frozen=True)
class Rankings:
    """R data sets of n rows: features ``x`` (R, n, p), ranks 0 .. k-1 with label noise and without, (R, n, k)."""

    x: Tensor
    noisy: Tensor
    clean: Tensor

    def __getitem__(self, rows: slice) -> Rankings:
        """Some rows of every data set."""
        return Rankings(self.x[:, rows], self.noisy[:, rows], self.clean[:, rows])


@dataclass(frozen=True)
class Data:
    """The weights ``w0`` (R, p, k) behind the scores, and the rows to train, to select and to test on."""

    w0: Tensor
    train: Rankings
    validation: Rankings
    test: Rankings


def noise_level(setting: str) -> float:
    """``sigma`` of ``sigma=0.1334``."""
    return float(setting.removeprefix("sigma="))


def make(config: ArtificialParameters, setting: str, seeds: Sequence[int]) -> Data:
    """``y = ranks(x^T w0 + sigma z)``: x and z standard normal, w0 of independent signs (berthet, appendix C.2).

    One data set per seed.
    """
    sigma, labels, features = noise_level(setting), config.labels, config.features
    sizes = config.train, config.validation, config.test
    w0, rankings = [], []
    for seed in seeds:
        draw = np.random.default_rng(seed)  # normals by table, whose code is the same on every machine
        signs = torch.from_numpy(draw.choice((-1.0, 1.0), (features, labels)))
        x = torch.from_numpy(draw.standard_normal((sum(sizes), features)).astype(np.float32))
        z = torch.from_numpy(draw.standard_normal((sum(sizes), labels)))
        scores = linear_scores(x, signs)
        w0.append(signs.float())
        rankings.append((x, *(Permutahedron(labels).argmax(s).float() for s in (scores + sigma * z, scores))))
    every = Rankings(*(torch.stack(parts) for parts in zip(*rankings, strict=True)))
    first, second, _ = np.cumsum(sizes)
    return Data(torch.stack(w0), every[:first], every[first:second], every[second:])


def linear_scores(x: Tensor, weights: Tensor) -> Tensor:
    """``x w`` in float64, ``(n, k)``."""
    return product(x.double().unsqueeze(0), weights.double().unsqueeze(0)).squeeze(0)


def digest(config: ArtificialParameters, setting: str, seeds: Sequence[int]) -> str:
    """sha256 of the seeds and of all that is made from them."""
    data = make(config, setting, seeds)
    content = hashlib.sha256(np.asarray(seeds, "<i8").tobytes())
    for tensor in (data.w0, data.train.x, data.validation.x, data.test.x):
        content.update(tensor.contiguous().numpy().astype("<f4").tobytes())
    for part in (data.train, data.validation, data.test):
        content.update(part.noisy.numpy().astype("u1").tobytes())
    return content.hexdigest()
