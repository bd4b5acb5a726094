"""The text format of the label-ranking sets: ``A1,...,Ap,ranking``, then p numbers and ``b>c>a``, best first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite

import numpy as np

from structgrad.errors import UserError

NUMBERS = re.compile(r"[-+.0-9eE,]+")  # what float() takes beside it ("nan", "1_0", blanks) is not the format's


class FormatError(UserError):
    """A file that is not in the format: which, where, and what is wrong."""


@dataclass(frozen=True, eq=False)
class LabelRanking:
    """``features`` (n, p) float64 and ``ranks`` (n, k) int64, a permutation of 0 .. k-1 in every row.

    Ranks ascend: the best label has k - 1, the worst 0, so that they are the maximiser of ``<theta, y>`` over the
    permutahedron for scores that are larger for better labels. Labels stand in alphabetical order.
    """

    features: np.ndarray
    ranks: np.ndarray


def canonical(raw: bytes) -> bytes:
    """A file's content with LF line ends, one of them last, and without columns after ``ranking``.

    Copies in circulation differ in their line ends, and some repeat the ranking as one column per label.
    """
    lines = raw.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    header = lines[0].split(b",")
    if b"ranking" in header:
        width = header.index(b"ranking") + 1
        lines = [b",".join(line.split(b",")[:width]) for line in lines] if width < len(header) else lines
    return b"\n".join(lines) + b"\n"


def parse(content: bytes, where: str) -> LabelRanking:
    """Read a canonical content, strictly.

    Raises:
        FormatError: naming ``where``, the line and what is wrong: a header of other columns, a number that is none or
            not finite, a row of another length, a ranking with ties, or one of other labels than the first.
    """
    try:
        lines = content.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FormatError(f"{where}, line {line}: not plain text") from error
    columns = lines[0].split(",") if lines else []
    features = len(columns) - 1
    if features < 1 or columns != [*(f"A{number}" for number in range(1, features + 1)), "ranking"]:
        raise FormatError(f"{where}, line 1: the columns are not A1, A2, ... and ranking")
    if len(lines) < 2:
        raise FormatError(f"{where}: no rows")
    labels = sorted(lines[1].rpartition(",")[2].split(">"))
    rows, ranks, known = list[list[float]](), list[list[int]](), dict[str, list[int]]()
    for line, text in enumerate(lines[1:], start=2):
        numbers, _, ranking = text.rpartition(",")
        if ranking not in known:
            known[ranking] = _ranks(ranking, labels, f"{where}, line {line}")
        rows.append(_numbers(numbers, features, f"{where}, line {line}"))
        ranks.append(known[ranking])
    return LabelRanking(np.array(rows, dtype=np.float64), np.array(ranks, dtype=np.int64))


def _numbers(text: str, count: int, where: str) -> list[float]:
    try:
        if NUMBERS.fullmatch(text) is None:
            raise ValueError(text)
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise FormatError(f"{where}: not numbers and a ranking") from error
    if len(values) != count:
        raise FormatError(f"{where}: {len(values)} features instead of {count}")
    if not all(map(isfinite, values)):
        raise FormatError(f"{where}: a number is not finite")
    return values


def _ranks(ranking: str, labels: list[str], where: str) -> list[int]:
    order = ranking.split(">")
    if len(order) < 2 or len(set(order)) < len(order) or not all(re.fullmatch(r"\w+", label) for label in order):
        raise FormatError(f"{where}: {ranking!r} is not a strict ranking such as b>c>a")
    if sorted(order) != labels:
        raise FormatError(f"{where}: {ranking!r} does not rank the labels {', '.join(labels)}")
    return [len(order) - 1 - order.index(label) for label in labels]
