"""Where two versions of a file first differ: the line, and in it the column, cell or number."""

from __future__ import annotations

import csv
import json
import re
from itertools import zip_longest
from typing import Any

NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]?\d+)?")
EXCERPT = 60
DRAWING = 0.01  # points: what the last bits of another machine's logarithm may move in a drawing


def first_difference(actual: bytes, expected: bytes, suffix: str) -> str | None:
    """What differs first, in words; None where nothing does.

    ``suffix`` chooses how closely it is named: of a csv the cell and the column, of JSON the field, of anything
    else the line and column.
    """
    if actual == expected:
        return None
    try:
        ours, theirs = actual.decode("utf-8"), expected.decode("utf-8")
    except UnicodeDecodeError:
        return "it is not text any more"
    named = {".csv": _csv, ".json": _json}.get(suffix, _line)(ours, theirs)
    return named or _line(ours, theirs) or "its line ends differ"


def same_drawing(actual: bytes, expected: bytes) -> bool:
    """Whether two pages or pictures agree in everything but the last bits of their coordinates."""
    ours, theirs = (content.decode("utf-8", "replace") for content in (actual, expected))
    if NUMBER.sub("#", ours) != NUMBER.sub("#", theirs):
        return False
    pairs = zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=True)
    # coordinates have many digits; a number with fewer is a label or a value, and must be the same
    return all(a == b or (_fine(a) and _fine(b) and abs(float(a) - float(b)) <= DRAWING) for a, b in pairs)


def _fine(number: str) -> bool:
    return len(number.partition(".")[2]) >= 4


def _csv(actual: str, expected: str) -> str | None:
    ours, theirs = (list(csv.reader(text.splitlines())) for text in (actual, expected))
    heads = theirs[0] if theirs else []
    for number, (a, b) in enumerate(zip_longest(ours, theirs), start=1):
        if a == b:
            continue
        if a is None or b is None:
            return f"line {number}: {'missing' if a is None else 'one line too many'}"
        names = [*heads, *(f"column {i + 1}" for i in range(len(heads), max(len(a), len(b))))]
        for name, x, y in zip_longest(names, a, b):
            if x != y:
                return f"line {number}, {_cell(heads, b)}column {name}: says {x!r}, rebuilding gives {y!r}"
    return None


def _cell(heads: list[str], row: list[str]) -> str:
    keys = [key for key in ("paper", "table", "row", "column", "metric") if key in heads]
    if len(keys) < 5 or len(row) != len(heads):
        return ""
    return f"cell {'/'.join(row[heads.index(key)] for key in keys)}, "


def _json(actual: str, expected: str) -> str | None:
    try:
        return _field(json.loads(actual), json.loads(expected), "")
    except ValueError as error:
        return f"it is not JSON any more ({error})"


def _field(ours: Any, theirs: Any, place: str) -> str | None:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = [*theirs, *(key for key in ours if key not in theirs)]
        pairs = [(f"{place}.{key}", ours.get(key), theirs.get(key)) for key in keys]
    elif isinstance(ours, list) and isinstance(theirs, list):
        pairs = [(f"{place}[{_called(b, i)}]", a, b) for i, (a, b) in enumerate(zip_longest(ours, theirs))]
    elif ours == theirs:
        return None
    else:
        return f"{place.lstrip('.')}: says {_short(ours)}, rebuilding gives {_short(theirs)}"
    return next((named for where, a, b in pairs if (named := _field(a, b, where))), None)


def _called(item: Any, index: int) -> str:
    """An item of a list by its own name, where it has one."""
    named = item.get("@id") or item.get("id") if isinstance(item, dict) else None
    return str(named or index)


def _line(actual: str, expected: str) -> str | None:
    for number, (a, b) in enumerate(zip_longest(actual.splitlines(), expected.splitlines()), start=1):
        if a == b:
            continue
        if a is None or b is None:
            return f"line {number}: {'missing' if a is None else 'one line too many'}"
        at = next((i for i, (x, y) in enumerate(zip_longest(a, b)) if x != y), 0)
        start = max(0, at - EXCERPT // 2)
        ours, theirs = a[start : start + EXCERPT], b[start : start + EXCERPT]
        return f"line {number}, character {at + 1}: says {ours!r}, rebuilding gives {theirs!r}"
    return None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= EXCERPT else text[:EXCERPT] + "..."
