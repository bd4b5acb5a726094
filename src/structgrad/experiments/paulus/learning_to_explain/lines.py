"""Lines of a text file, packed or not, and the errors that name one of them."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from structgrad.errors import UserError

NUMBER = re.compile(r"[-+.0-9eE]+")  # what float() takes beside it ("nan", "1_0", blanks) is no file's


def lines(path: Path, form: str) -> Iterator[tuple[int, str]]:
    """Numbers, from 1, and lines without their ends; a name in ``.gz`` is unpacked.

    Raises:
        UserError: it cannot be read, not to its end, or holds none; a line that is not UTF-8. ``form`` is what the
            error says a line should be.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                yield number, _text(path, number, line, form)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read after line {number} ({error}); expected lines of {form}") from error
    if not number:
        raise UserError(f"{path} is empty; expected lines of {form}")


def wrong(path: Path, number: int, expected: str) -> UserError:
    """The error of a line in another form than expected."""
    return UserError(f"{path}, line {number}: expected {expected}")


def number_in(text: str, low: float, high: float) -> float | None:
    """The number, if it is one and lies between the ends."""
    try:
        value = float(text) if NUMBER.fullmatch(text) else low - 1
    except ValueError:
        return None
    return value if low <= value <= high else None


def _text(path: Path, number: int, line: bytes, form: str) -> str:
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}, line {number}: not UTF-8 text (byte {error.start + 1}); expected {form}") from error
