"""Lines of a text file, packed or not, and the errors that name one of them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from structgrad.errors import UserError


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbers, from 1, and lines without their ends; a name in ``.gz`` is unpacked.

    Raises:
        UserError: it cannot be read, or not to its end.
    """
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                yield number, line.rstrip("\r\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read after line {number}: {error}") from error


def wrong(path: Path, number: int, expected: str) -> UserError:
    """The error of a line in another form than expected."""
    return UserError(f"{path}, line {number}: expected {expected}")


def number_in(text: str, low: float, high: float) -> float | None:
    """The number, if it is one and lies between the ends."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if low <= value <= high else None
