"""The papers' own numbers, as printed: one line per number in ``published_numbers.csv`` of each paper's folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from structgrad.experiments import PAPERS


@dataclass(frozen=True)
class Published:
    """One printed number. ``text`` and ``spread_text`` keep its digits: they say how it was rounded."""

    text: str
    spread_text: str
    unit: str
    note: str

    @property
    def value(self) -> float:
        """The printed value, in ``unit``."""
        return float(self.text)

    @property
    def spread(self) -> float | None:
        """The printed spread, or None where there is none."""
        return float(self.spread_text) if self.spread_text else None

    @property
    def decimals(self) -> int:
        """How many decimals are printed: ``100`` has none even where its neighbours have one."""
        return len(self.text.partition(".")[2])

    @property
    def rounding(self) -> float:
        """Half a unit of the last printed digit: how far rounding can have moved the value."""
        return 0.5 * 10.0**-self.decimals


Key = tuple[str, str, str, str, str]


@cache
def numbers() -> Mapping[Key, Published]:
    """Every published number by (paper, table, row, column, metric).

    Raises:
        ValueError: a file names a cell twice, or holds something that is no number.
    """
    printed: dict[Key, Published] = {}
    for paper in PAPERS:
        file = files(f"structgrad.experiments.{paper}") / "published_numbers.csv"
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []  # figures print none
        for line in csv.DictReader(lines):
            key = (paper, line["table"], line["row"], line["column"], line["metric"])
            if key in printed:
                raise ValueError(f"published_numbers.csv of {paper} names {'/'.join(key)} twice")
            printed[key] = number = Published(line["value"], line["spread"], line["unit"], line["note"])
            _ = number.value, number.spread  # a misprint in our copy shows here, not in a table
    return printed


def lookup(paper: str, table: str, setting: str, method: str | None, metric: str | None) -> Published | None:
    """The published number of a cell, or None where the paper prints none; rows may be settings or methods."""
    if method is None or metric is None:
        return None
    printed = numbers()
    as_row, as_column = (paper, table, setting, method, metric), (paper, table, method, setting, metric)
    return printed.get(as_row) or printed.get(as_column)
