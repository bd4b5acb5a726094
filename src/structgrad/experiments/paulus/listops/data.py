"""The data of a configuration: generated, or the original ListOps files, in three sets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from structgrad.errors import UserError
from structgrad.experiments.paulus.listops import tsv
from structgrad.experiments.paulus.listops.expressions import Expressions, balanced
from structgrad.experiments.paulus.listops.hyper_parameters import ListOpsParameters

FILES = ("train_d20s.tsv", "test_d20s.tsv")  # as the original release calls them


@dataclass(frozen=True)
class Data:
    """The expressions to train, to select and to test on."""

    train: Expressions
    validation: Expressions
    test: Expressions


def make(config: ListOpsParameters, setting: str, seeds: Sequence[int]) -> Data:
    """The data of a configuration: one data set for all trials, whose seeds are therefore the same.

    Raises:
        UserError: what is asked for does not exist, or a file is not as it should be.
    """
    sizes = config.train, config.validation, config.test
    return _make(config.tsv, sizes, config.max_depth, config.max_length, seeds[0])


@lru_cache(maxsize=1)  # a job asks for the data twice: to check its digest, and to train
def _make(folder: str | None, sizes: tuple[int, ...], max_depth: int, max_length: int, seed: int) -> Data:
    if folder is None:
        return Data(*balanced(sizes, max_depth, max_length, seed))
    train, test = (_capped(tsv.load(Path(folder) / name), max_depth, max_length) for name in FILES)
    training, validation, testing = sizes
    if len(train) < training + validation or len(test) < testing:
        raise UserError(
            f"{folder} has {len(train)} and {len(test)} expressions of depth 1 to {max_depth} and length at most "
            f"{max_length}, but {training} + {validation} and {testing} are asked for"
        )
    return Data(train[:training], train[training : training + validation], test[:testing])


def _capped(expressions: Expressions, max_depth: int, max_length: int) -> Expressions:
    """Those within the caps, in rows of that length."""
    inside = (expressions.heights >= 1) & (expressions.heights <= max_depth) & (expressions.lengths <= max_length)
    tokens, parents, *rest = expressions[inside].parts
    return Expressions(tokens[:, :max_length], parents[:, :max_length], *rest)


def digest(config: ListOpsParameters, setting: str, seeds: Sequence[int]) -> str:
    """sha256 of every symbol, in order."""
    data = make(config, setting, seeds)
    content = hashlib.sha256()
    for part in (data.train, data.validation, data.test):
        content.update(np.asarray(part.tokens.shape, "<i8").tobytes())
        content.update(np.ascontiguousarray(part.tokens, "u1").tobytes())
    return content.hexdigest()
