"""MANIFEST.sha256: what a scale's results consist of, in the format that ``sha256sum -c`` reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from structgrad.errors import UserError
from structgrad.files import sha256, write_text
from structgrad.repro.planning.paths import results

NAME = "MANIFEST.sha256"
# what comes and goes without being a result: the disposable store, logs, half-written files
LEFT_OUT = (NAME, "mlartifacts", "logs")


def files(scale: str) -> Iterator[Path]:
    """Every product below ``results/<scale>/``, sorted by its path there."""
    folder = results(scale)
    paths = (path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    yield from sorted((path for path in paths if _is_product(path.relative_to(folder))), key=Path.as_posix)


def build(scale: str) -> str:
    """The manifest of the files that are there now."""
    folder = results(scale)
    return "".join(f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files(scale))


def write(scale: str) -> Path:
    """Write :func:`build`, after everything else, and return its path."""
    path = results(scale) / NAME
    write_text(path, build(scale))
    return path


def read(scale: str) -> dict[str, str]:
    """The digest that the manifest gives each file, by the file's path below ``results/<scale>/``.

    Raises:
        UserError: there is none, or a line of it is not ``digest  path``.
    """
    path = results(scale) / NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read; `structgrad report --scale {scale}` writes it") from error
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if match is None:
            raise UserError(f"{path}, line {number}: not a digest, two spaces and a path")
        listed[match[2]] = match[1]
    return listed


def _is_product(path: Path) -> bool:
    return not (path.parts[0] in LEFT_OUT or path.name.startswith("mlflow.db") or path.suffix == ".tmp")
