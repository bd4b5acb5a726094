"""The corpus of an aspect from the files that a user added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from structgrad.errors import UserError
from structgrad.experiments.paulus.learning_to_explain import published, tab_separated
from structgrad.experiments.paulus.learning_to_explain.layouts import (
    ANNOTATIONS,
    PASSED_ON,
    PUBLISHED,
    VECTORS,
    passed_on_name,
    published_name,
)
from structgrad.experiments.paulus.learning_to_explain.published import Review
from structgrad.experiments.paulus.learning_to_explain.reviews import ASPECTS, Corpus, Reviews, padded

LEAST = 7 / 8  # of the 80 000 to train on: three of the four published files are recalled to have 70 000
UNKNOWN = 1  # the word of all that have no vector; its own is zero, as padding's


def corpus(files: Sequence[Path], sizes: tuple[int, int, int], aspect: int, seed: int) -> Corpus:
    """Up to ``sizes[0]`` reviews to train on, the first ones, and up to the other sizes of those held out.

    Of the published layout the held-out reviews are halved by a permutation that depends on the seed, and precision is
    measured on the annotated ones, which are others; the other layout has a file for each part. The words stay with the
    user: none are named.
    """
    by_name = {path.name: path for path in files}
    words, vectors = published.vectors(by_name[VECTORS])
    places = {word: UNKNOWN + 1 + place for place, word in enumerate(words)}
    table = np.concatenate([np.zeros((UNKNOWN + 1, vectors.shape[1]), np.float32), vectors])

    def numbered(some: Iterable[Review]) -> Reviews:
        rows, ratings, inside = [], [], []
        for review in some:
            rows.append([places.get(word, UNKNOWN) for word in review.words])
            ratings.append(review.rating)
            inside.append(review.inside)
        marks = None if None in inside else inside
        return padded(rows, ratings, marks)  # type: ignore[arg-type]

    if published_name(aspect, "train") in by_name:
        train, held_out = (
            numbered(published.reviews(by_name[published_name(aspect, part)], aspect)) for part in PUBLISHED
        )
        order = np.random.default_rng(seed).permutation(len(held_out))
        half = len(order) // 2
        validation, test = held_out[order[:half]], held_out[order[half:]]
        annotated = numbered(published.annotated(by_name[ANNOTATIONS], aspect))
    else:
        train, validation, test = (
            numbered(tab_separated.reviews(by_name[passed_on_name(aspect, part)], annotated=part == "test"))
            for part in PASSED_ON
        )
        annotated = test
    first, second, third = sizes
    if len(train) < LEAST * first or not len(validation) or not len(test):
        there = f"{len(train)} to train on and {len(validation) + len(test)} held out"
        raise UserError(
            f"the reviews of {ASPECTS[aspect]} that were added are {there}; expected at least {LEAST * first:.0f} "
            "and some. Run `structgrad data add beer PATH` with the whole of them"
        )
    return Corpus(train[:first], validation[:second], test[:third], annotated, table, None)
