r"""The original ListOps files: one expression a line, ``label\t( ( ( [MAX 2 ) 9 ) ] )`` (Nangia & Bowman 2018)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from structgrad.errors import UserError
from structgrad.experiments.paulus.listops.expressions import Expressions, of_tokens
from structgrad.experiments.paulus.listops.vocabulary import CLASSES, IDS, PAD

BRACKETS = ("(", ")")  # of the binary tree in which the original hands operands to their operator one by one


def load(path: Path) -> Expressions:
    """The expressions of a file, with their values, which must be the file's labels.

    Raises:
        UserError: no such file; a line that is no expression, or whose value is not its label.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    labels, rows = [], []
    for number, line in enumerate(lines, 1):
        label, _, text = line.partition("\t")
        words = text.split()
        if label not in IDS or IDS[label] >= CLASSES:
            raise _refused(path, number, f"the label is {label!r}, not a digit")
        if words.count("(") != words.count(")"):
            raise _refused(path, number, "its parentheses do not match")
        symbols = [word for word in words if word not in BRACKETS]
        if unknown := sorted({*symbols} - {*IDS}):
            raise _refused(path, number, f"{unknown[0]!r} is not a symbol of ListOps")
        labels.append(IDS[label])
        rows.append([IDS[symbol] for symbol in symbols])
    tokens = np.full((len(rows), max(map(len, rows), default=1)), PAD, np.uint8)
    for row, symbols in zip(tokens, rows, strict=True):
        row[: len(symbols)] = symbols
    read = of_tokens(tokens)
    for number, (height, value, label) in enumerate(zip(read.heights, read.values, labels, strict=True), 1):
        if height < 0:
            raise _refused(path, number, "it is not one complete expression")
        if value != label:
            raise _refused(path, number, f"the label is {label}, but the expression's value is {value}")
    return read


def _refused(path: Path, number: int, why: str) -> UserError:
    return UserError(f"{path}, line {number}: {why}")
