"""ListOps expressions: how they are held, and sets of them that are balanced by depth and share none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from structgrad.errors import UserError
from structgrad.experiments.paulus.listops import _grammar
from structgrad.experiments.paulus.listops.vocabulary import PAD

CHUNK = 8192
PLACES = np.int32  # holds any place in a row, and any height: a row of 2^31 symbols fits into no memory


@dataclass(frozen=True)
class Expressions:
    """N expressions: symbols ``tokens`` ``(N, L)``, their operators' places ``parents`` ``(N, L)`` (-1: none),
    and ``lengths``, ``heights`` and ``values`` ``(N,)``.

    The height of the operators' tree is the depth that the paper balances: 1 for an operator on digits.
    """

    tokens: np.ndarray
    parents: np.ndarray
    lengths: np.ndarray
    heights: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: np.ndarray | slice) -> Expressions:
        """Some of them."""
        return Expressions(*(part[rows] for part in self.parts))

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        return self.tokens, self.parents, self.lengths, self.heights, self.values


def read(tokens: np.ndarray, lengths: np.ndarray) -> Expressions:
    """Parse and evaluate rows of symbols; a row that is no expression has height -1."""
    parents, heights = np.empty(tokens.shape, PLACES), np.empty(len(tokens), PLACES)
    values = np.zeros(len(tokens), np.int8)  # digits, 0 to 9
    _grammar.parse(tokens, lengths, parents, heights, values)
    return Expressions(tokens, parents, lengths, heights, values)


def balanced(sizes: Sequence[int], max_depth: int, max_length: int, seed: int) -> list[Expressions]:
    """Sets of these sizes, each with equal numbers of every depth 1 .. ``max_depth``; no expression comes twice.

    Drawn from the grammar's distribution given depth and length, without repetition (paulus, section 8.2). A set
    whose size the depths do not divide has one more of the first ones.

    Raises:
        UserError: ``max_length`` holds no expression of that depth, or too few different ones.
    """
    if max_length < 3 * max_depth + 1:
        raise UserError(f"max_length {max_length} has no room for depth {max_depth}; at least {3 * max_depth + 1}")
    quotas = [[size // max_depth + (depth < size % max_depth) for size in sizes] for depth in range(max_depth)]
    generator = np.random.default_rng(seed)
    seen: set[bytes] = set()
    by_depth: list[list[np.ndarray]] = [[] for _ in range(max_depth)]
    missing = np.array([0, *map(sum, quotas)])  # by depth
    while missing.any():
        tokens, lengths = np.empty((CHUNK, max_length), np.uint8), np.empty(CHUNK, np.int64)
        _grammar.draw(generator, missing > 0, tokens, lengths)
        before = missing.sum()
        for row, depth in zip(tokens, read(tokens, lengths).heights, strict=True):
            key = row.tobytes()
            if missing[depth] and key not in seen:
                seen.add(key)
                by_depth[depth - 1].append(row)
                missing[depth] -= 1
        if missing.sum() == before:
            raise UserError(f"there are not {sum(sizes)} different expressions of length {max_length} and less")
    parts: list[list[np.ndarray]] = [[] for _ in sizes]
    for rows, shares in zip(by_depth, quotas, strict=True):
        # What is drawn first is short, because the short ones soon repeat: a permutation makes the sets alike.
        order = generator.permutation(len(rows))
        for part, cut in zip(parts, np.split(order, np.cumsum(shares)[:-1]), strict=True):
            part += [rows[row] for row in cut]
    return [of_tokens(np.stack(part)) for part in parts]


def of_tokens(tokens: np.ndarray) -> Expressions:
    """:func:`read` rows that are padded at the end."""
    return read(tokens, (tokens != PAD).sum(1))
