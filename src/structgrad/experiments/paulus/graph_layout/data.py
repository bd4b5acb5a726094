"""Graph layouts: trees whose vertices start at random and move by single steps of a force-directed layout."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from structgrad.experiments.paulus.graph_layout._spring import roll
from structgrad.experiments.paulus.graph_layout.hyper_parameters import LayoutParameters
from structgrad.experiments.paulus.graph_layout.pairs import undirected_of
from structgrad.parallel import run_kernel
from structgrad.polytopes.spanning_tree import SpanningTree


@dataclass(frozen=True)
class Graphs:
    """N graphs: ``frames`` (N, n, T, 2), where vertices are over time, and ``trees`` (N, n (n - 1) / 2) of 0 and 1."""

    frames: Tensor
    trees: Tensor

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, rows: slice) -> Graphs:
        return Graphs(self.frames[rows], self.trees[rows])

    @property
    def edges(self) -> Tensor:
        """The trees as directed edges, ``(N, n (n - 1))`` boolean."""
        return self.trees[:, undirected_of(self.frames.shape[1])] > 0


@dataclass(frozen=True)
class Data:
    """The graphs to train, to select and to test on."""

    train: Graphs
    validation: Graphs
    test: Graphs


def frames_of(setting: str) -> int:
    """``T`` of ``T=10``."""
    return int(setting.removeprefix("T="))


def make(config: LayoutParameters, setting: str, seeds: Sequence[int]) -> Data:
    """The maximum spanning trees of iid Gumbel weights, from standard normal positions that are no frame.

    (paulus' released code; docs/protocols/paulus.md, 1.1.) One data set for all replicas, from the first seed.

    A maximum spanning tree depends on nothing but the order of the weights, and a Gumbel is an increasing function of a
    uniform: so uniforms it is, which have the same bits on every machine.
    """
    return _make(config.vertices, (config.train, config.validation, config.test), setting, seeds[0])


@lru_cache(maxsize=1)  # a job needs its data twice: for the digest and to train on
def _make(n: int, sizes: tuple[int, ...], setting: str, seed: int) -> Data:
    draw = np.random.default_rng(seed)
    weights = torch.from_numpy(draw.random((sum(sizes), n * (n - 1) // 2)))
    trees = SpanningTree(n).argmax(weights)
    frames = layout(trees, draw.standard_normal((sum(sizes), n, 2)), frames_of(setting))
    every = Graphs(torch.from_numpy(frames), trees.to(torch.uint8))  # indicators, 0 or 1
    first, second, _ = np.cumsum(sizes)
    return Data(every[:first], every[first:second], every[second:])


def layout(trees: Tensor, start: np.ndarray, steps: int, dtype: type = np.float32) -> np.ndarray:
    """The positions ``(N, n, steps, 2)`` after each of so many steps; the arithmetic is float64."""
    adjacent = SpanningTree(start.shape[1]).matrix(trees).to(torch.bool).numpy()
    frames = np.empty((len(start), start.shape[1], steps, 2), dtype)
    run_kernel(roll, adjacent, start, frames)
    return frames


def digest(config: LayoutParameters, setting: str, seeds: Sequence[int]) -> str:
    """sha256 of the seed, the trees and the frames; all trials share one data set."""
    data = make(config, setting, seeds)
    content = hashlib.sha256(np.asarray(seeds[:1], "<i8").tobytes())
    for part in (data.train, data.validation, data.test):
        content.update(part.trees.numpy().astype("u1").tobytes())
        content.update(part.frames.numpy().astype("<f4").tobytes())
    return content.hexdigest()
