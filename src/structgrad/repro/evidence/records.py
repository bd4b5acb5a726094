"""Records: one immutable JSON file per shard, from which everything else is derived."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

from structgrad.errors import UserError
from structgrad.files import write_text
from structgrad.repro.documents import DocumentError, parse_json, read_text, validator

SCHEMA = "structgrad.record/1"
OUTSIDE_DIGEST = ("digest", "run")
NUMBERS = ("results", "history")  # what a training gives; all else says what it was made of


class RecordError(UserError):
    """A record that is not what it claims to be."""


@cache
def _validator() -> Any:
    text = (files("structgrad.repro.evidence") / "record.schema.json").read_text(encoding="utf-8")
    return validator(json.loads(text))


def canonical(record: Mapping[str, Any]) -> bytes:
    """The bytes that the digest covers: sorted keys, no spaces, without ``digest`` and ``run``.

    ``run`` holds what two runs of one shard may differ in (times, memory, machine); all else must repeat.
    """
    content = {key: value for key, value in record.items() if key not in OUTSIDE_DIGEST}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("utf-8")


def digest(record: Mapping[str, Any]) -> str:
    """sha256 of :func:`canonical`, in hexadecimal."""
    return hashlib.sha256(canonical(record)).hexdigest()


def check(record: Any, where: str) -> dict[str, Any]:
    """``record`` itself if it follows the schema and its digest is right.

    Raises:
        RecordError: naming ``where`` and the first field that is wrong.
    """
    for error in _validator().iter_errors(record):
        field = ".".join(str(part) for part in error.absolute_path) or "record"
        raise RecordError(f"{where}: {field}: {error.message[:200]}")
    if record["digest"] != digest(record):
        raise RecordError(f"{where}: its content does not match its digest; it was changed after it was written")
    return record


def load(path: Path) -> dict[str, Any]:
    """Read and check one record; :func:`text_of`'s and :func:`parse`'s errors."""
    return parse(text_of(path), path)


def text_of(path: Path) -> str:
    """The text of a record's file.

    Raises:
        RecordError: it is no regular file, cannot be read or is not UTF-8.
    """
    try:
        return read_text(path, follow=False)
    except DocumentError as error:
        raise RecordError(str(error)) from error


def parse(text: str, path: Path) -> dict[str, Any]:
    """The record in a text, of which there is exactly one for what it says.

    Raises:
        RecordError: it is not what the schema asks for, its digest is wrong, or it is not written as :func:`save`
            writes.
    """
    try:
        record = check(parse_json(text, str(path)), str(path))
    except DocumentError as error:
        raise RecordError(str(error)) from error
    if text != _layout(record):
        raise RecordError(f"{path}: its content is sound, but not written as a record is")
    return record


def peek(path: Path, field: str) -> Any:
    """One field of a record that is taken to be sound: read from its own line, without the rest.

    Raises:
        RecordError: the file cannot be read or has no such line.
    """
    start = f" {json.dumps(field)}: "
    try:
        with path.open(encoding="utf-8") as lines:
            line = next(line for line in lines if line.startswith(start))
        return json.loads(line.removeprefix(start).rstrip().removesuffix(","))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    except (StopIteration, ValueError) as error:
        raise RecordError(f"{path}: no field {field!r} on a line of its own") from error


def save(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """Seal ``record`` with its digest and write it, one replica per line so that a change shows in a diff.

    Raises:
        RecordError: it does not follow the schema, or holds a number that is not finite.
    """
    _check_finite(record, str(path))  # a digest is of finite numbers
    sealed = {**record, "digest": digest(record)}
    check(sealed, str(path))
    write_text(path, _layout(sealed))
    return sealed


def _check_finite(value: Any, where: str, field: str = "") -> None:
    if isinstance(value, float) and not isfinite(value):
        raise RecordError(f"{where}: {field}: {value} is not a finite number")
    if isinstance(value, Mapping | list):
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            _check_finite(part, where, f"{field}.{key}" if field else str(key))


def _layout(record: Mapping[str, Any]) -> str:
    lines = []
    for key, value in record.items():
        if key == "results":
            rows = ",\n  ".join(json.dumps(row) for row in value)
            lines.append(f' "results": [\n  {rows}\n ]')
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
