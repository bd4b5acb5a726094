"""MANIFEST.sha256: what a scale's results consist of, in the format that ``sha256sum -c`` reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from structgrad.errors import UserError
from structgrad.files import is_temporary, sha256, write_text
from structgrad.repro.documents import DocumentError, read_text
from structgrad.repro.planning.paths import results

NAME = "MANIFEST.sha256"
LOGS = "logs"
STORE = tuple(f"mlflow.db{end}" for end in ("", "-journal", "-wal", "-shm"))
STORE_FILES = "mlartifacts"
# what comes and goes without being a result: the disposable store, logs
LEFT_OUT = (NAME, LOGS, STORE_FILES, *STORE)


def files(scale: str) -> Iterator[Path]:
    """Every product below ``results/<scale>/``, sorted by its path there; what is no regular file is none."""
    folder = results(scale)
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    yield from sorted((path for path in paths if _is_product(path.relative_to(folder))), key=Path.as_posix)


def build(scale: str) -> str:
    """The manifest of the files that are there now."""
    folder = results(scale)
    return _text((path.relative_to(folder).as_posix(), sha256(path)) for path in files(scale))


def write(scale: str) -> Path:
    """Write :func:`build`, after everything else, and return its path."""
    path = results(scale) / NAME
    write_text(path, build(scale))
    return path


def read(scale: str) -> dict[str, str]:
    """The digest that the manifest gives each file, by the file's path below ``results/<scale>/``.

    Raises:
        UserError: there is none, a line of it is not ``digest  path``, or it is not as :func:`write` writes it: each
            file once, in order.
    """
    path = results(scale) / NAME
    try:
        text = read_text(path, follow=False)
    except DocumentError as error:
        raise UserError(f"{error}; `structgrad report --scale {scale}` writes it") from error
    listed: dict[str, str] = {}
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        match = re.fullmatch(r"([0-9a-f]{64})  ([^\r]+)", line)
        if match is None:
            raise UserError(f"{path}, line {number}: not a digest, two spaces and a path")
        if match[2] in listed:
            raise UserError(f"{path}, line {number}: {match[2]} stands there twice")
        listed[match[2]] = match[1]
    if text != _text(sorted(listed.items())):
        raise UserError(f"{path}: its lines are not those that `structgrad report` writes, in their order")
    return listed


def names(scale: str) -> Iterable[str]:
    """The files that the manifest lists; none where it cannot be read."""
    try:
        return read(scale)
    except UserError:
        return ()


def _text(entries: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in entries)


def _is_product(path: Path) -> bool:
    return path.parts[0] not in LEFT_OUT and not is_temporary(path)
