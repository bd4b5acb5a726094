"""A label-ranking data set cut into nested folds: outer ones to test on, inner ones to select on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from structgrad.data.label_ranking import LabelRanking, load, stand_in
from structgrad.experiments.berthet.label_ranking.hyper_parameters import LabelRankingParameters

OUTER_FOLDS = 10


@dataclass(frozen=True)
class Fold:
    """Row indices of one outer fold. ``fits`` are the training sets: one for each inner fold, then the whole rest.

    ``validation[i]`` belongs to ``fits[i]``; no index of ``test`` is in any of them.
    """

    test: Tensor
    fits: tuple[Tensor, ...]
    validation: tuple[Tensor, ...]


def published(config: LabelRankingParameters, setting: str) -> LabelRanking:
    """The data set, or its stand-in where the scale says so."""
    return stand_in(setting) if config.source == "stand_in" else load(setting)


def fold(rows: int, seed: int, number: int, inner: int) -> Fold:
    """Outer fold ``number`` of ten, and ``inner`` folds of the rest; the permutation depends on ``seed`` alone."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    parts = torch.tensor_split(order, OUTER_FOLDS)
    rest = torch.cat([part for index, part in enumerate(parts) if index != number])
    held_out = torch.tensor_split(rest, inner)
    fits = [torch.cat([part for index, part in enumerate(held_out) if index != i]) for i in range(inner)]
    return Fold(parts[number], (*fits, rest), held_out)


def digest(config: LabelRankingParameters, setting: str, seeds: Sequence[int]) -> str:
    """sha256 of features, ranks and seeds; the first replica's seed cuts the folds."""
    data = published(config, setting)
    content = hashlib.sha256()
    content.update(np.ascontiguousarray(data.features, "<f8").tobytes())
    content.update(np.ascontiguousarray(data.ranks, "<i8").tobytes())
    content.update(np.asarray(seeds, "<i8").tobytes())
    return content.hexdigest()
