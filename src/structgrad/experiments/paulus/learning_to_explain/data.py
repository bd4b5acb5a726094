"""The reviews of a setting: generated, or those that a user added."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from structgrad.data import user_data
from structgrad.experiments.paulus.learning_to_explain import beer, synthetic
from structgrad.experiments.paulus.learning_to_explain.files import OF_ASPECT
from structgrad.experiments.paulus.learning_to_explain.hyper_parameters import ExplainParameters
from structgrad.experiments.paulus.learning_to_explain.reviews import ASPECTS, Corpus


def make(config: ExplainParameters, setting: str, seeds: Sequence[int]) -> Corpus:
    """The corpus; all trials of a search have the first one's seed.

    Raises:
        MissingDataError: nobody added the published reviews.
        CorruptDataError: they were changed since they were added.
    """
    sizes, aspect = (config.train, config.validation, config.test), ASPECTS.index(config.aspect)
    if config.corpus == "synthetic":
        return _synthetic(sizes, aspect, seeds[0])
    return beer.corpus(user_data.fetch(OF_ASPECT[config.aspect]).files, sizes, aspect, seeds[0])


def digest(config: ExplainParameters, setting: str, seeds: Sequence[int]) -> str:
    """sha256 of the generated reviews and vectors, or of the user's files and what cuts them."""
    content = hashlib.sha256(repr((config.train, config.validation, config.test, config.aspect, seeds[0])).encode())
    if config.corpus == "beer":
        content.update(user_data.fetch(OF_ASPECT[config.aspect]).sha256.encode())
        return content.hexdigest()
    corpus = make(config, setting, seeds)
    for part in (corpus.train, corpus.validation, corpus.test):
        for array, kind in ((part.tokens, "<i4"), (part.lengths, "<i8"), (part.ratings, "<f4"), (part.inside, "|b1")):
            content.update(np.ascontiguousarray(array, kind).tobytes())
    content.update(np.ascontiguousarray(corpus.vectors, "<f4").tobytes())
    return content.hexdigest()


@lru_cache(maxsize=2)
def _synthetic(sizes: tuple[int, int, int], aspect: int, seed: int) -> Corpus:
    return synthetic.corpus(sizes, aspect, seed)
