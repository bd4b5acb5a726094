"""Rows as csv, the same bytes on every system."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any


def comma_separated(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A header and its rows, lines ended by a line feed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
