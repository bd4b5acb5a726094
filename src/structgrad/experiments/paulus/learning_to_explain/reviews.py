"""Reviews of which some words are annotated, and what a corpus of them consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ASPECTS = ("appearance", "aroma", "palate", "taste")  # in the order of the published files
PAD = 0  # the word of padding, whose vector is zero
LONGEST = 350  # words; what is longer is cut


@dataclass(frozen=True, eq=False)
class Reviews:
    """``tokens`` and ``inside`` ``(N, n)``, padded at the end; ``lengths`` and ``ratings`` ``(N,)``, these from 0 to 1.

    ``inside`` says which words are annotated as about the aspect; None where nobody annotated.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    ratings: np.ndarray
    inside: np.ndarray | None

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: np.ndarray | slice) -> Reviews:
        inside = None if self.inside is None else self.inside[rows]
        return Reviews(self.tokens[rows], self.lengths[rows], self.ratings[rows], inside)


@dataclass(frozen=True, eq=False)
class Corpus:
    """``annotated`` are the reviews on which precision is measured; ``vectors`` ``(words, d)`` float32, row 0 zero.

    ``words`` are None where they may not be shown.
    """

    train: Reviews
    validation: Reviews
    test: Reviews
    annotated: Reviews
    vectors: np.ndarray
    words: tuple[str, ...] | None


def padded(rows: Sequence[Sequence[int]], ratings: Sequence[float], inside: Sequence[Sequence[int]] | None) -> Reviews:
    """Reviews of lists of words, cut to :data:`LONGEST`; ``inside`` has a 0 or 1 for each word."""
    lengths = np.array([min(len(row), LONGEST) for row in rows], np.int64)
    tokens = np.full((len(rows), int(lengths.max(initial=1))), PAD, np.int32)
    within = None if inside is None else np.zeros(tokens.shape, bool)
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        tokens[number, :length] = row[:length]
        if within is not None and inside is not None:
            within[number, :length] = inside[number][:length]
    return Reviews(tokens, lengths, np.asarray(ratings, np.float32), within)
