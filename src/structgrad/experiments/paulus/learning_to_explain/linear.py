"""A linear model on counts of words, whose order it does not see."""

from __future__ import annotations

import numpy as np

from structgrad.experiments.paulus.learning_to_explain.reviews import PAD, Corpus, Reviews
from structgrad.training.results import Mean

PENALTIES = (1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)
FREQUENT = 2000  # words that are counted


def error(corpus: Corpus) -> Mean:
    """Squared errors on the test reviews of ridge regression; the penalty is the one that validates best."""
    seen = np.bincount(corpus.train.tokens.ravel(), minlength=len(corpus.vectors))
    seen[PAD] = 0
    words = np.argsort(-seen, kind="stable")[:FREQUENT]
    train, validation, test = (_counts(part, words) for part in (corpus.train, corpus.validation, corpus.test))
    centre, level = train.mean(0), float(corpus.train.ratings.mean(dtype=np.float64))
    gram = (train - centre).T @ (train - centre)
    moment = (train - centre).T @ (corpus.train.ratings - level)

    def errors(counts: np.ndarray, ratings: np.ndarray, penalty: float) -> np.ndarray:
        weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), moment)
        return np.square(level + (counts - centre) @ weights - ratings)

    best = min(PENALTIES, key=lambda penalty: errors(validation, corpus.validation.ratings, penalty).mean())
    return Mean.of(errors(test, corpus.test.ratings, best).tolist())


def _counts(reviews: Reviews, words: np.ndarray) -> np.ndarray:
    """How often each of the ``words`` stands in each review, ``(N, words)``."""
    size = int(max(words.max(), reviews.tokens.max())) + 1
    flat = np.arange(len(reviews))[:, None] * size + reviews.tokens
    return np.bincount(flat.ravel(), minlength=len(reviews) * size).reshape(len(reviews), size)[:, words].astype(float)
