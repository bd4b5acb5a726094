"""Data sets that nobody may pass on: whoever has one says where it lies, and it is checked and remembered.

``structgrad data add NAME PATH`` runs the data set's own check over PATH, then notes in the user's cache where its
files are and what their sha256 is. Nothing is copied. Whatever was changed afterwards is refused, as any damaged
file is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from structgrad.data.store import CorruptDataError, MissingDataError, cache
from structgrad.errors import UserError
from structgrad.files import sha256, write_text


@dataclass(frozen=True)
class UserData:
    """A data set for which no address can be given.

    Args:
        name: as ``structgrad data add`` has it.
        title: what it is, for people, and why it cannot be downloaded.
        expected: its files, each with the form that is expected of it.
        check: reads what lies at a path strictly and returns the files that it consists of.
        parts: where it may be added without some of its parts: what a setting needs, words of which one must stand in
            the name of a file.

    ``check`` raises a :class:`UserError` that names the file, the line and the expected form.
    """

    name: str
    title: str
    expected: Mapping[str, str] = field(hash=False)
    check: Callable[[Path], tuple[Path, ...]]
    parts: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """What stands for it where files of data are listed."""
        return "/".join((self.name, *self.parts[:1])).rstrip(".")

    @property
    def advice(self) -> str:
        """How to get it, on any machine."""
        files = ", ".join(self.expected)
        return f"{self.title}; whoever has it runs `structgrad data add {self.name} PATH` ({files})"


@dataclass(frozen=True)
class Added:
    """A data set that was added: its files, and one sha256 over theirs."""

    files: tuple[Path, ...]
    sha256: str


def add(data: UserData, path: Path) -> Added:
    """Check what lies at ``path`` and remember it in place of what was added under the name before.

    Raises:
        UserError: there is nothing, or not the data set in its form; what was added before stays.
    """
    path = path.absolute()
    try:
        there = path.exists()
    except OSError as error:  # a name that no file may have
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if not there:
        raise UserError(f"{path}: there is no such file or folder; expected: {_form(data)}")
    digests = {str(file.absolute()): _sha256(file) for file in sorted(data.check(path))}
    write_text(_note(data), json.dumps({"name": data.name, "files": digests}, indent=1) + "\n")
    return _added(digests)


def find(data: UserData) -> Added | None:
    """The data set if it was added on this machine, with the part that is needed.

    Raises:
        CorruptDataError: a file of it is gone or was changed since.
        UserError: a file cannot be read.
    """
    note = _note(data)
    if not note.is_file():
        return None
    try:
        digests = {str(file): str(digest) for file, digest in json.loads(note.read_text("utf-8"))["files"].items()}
    except (ValueError, KeyError, AttributeError) as error:
        raise CorruptDataError(f"{note} is damaged: run `structgrad data add {data.name} PATH` again") from error
    if data.parts and not any(part in Path(file).name for file in digests for part in data.parts):
        return None
    for file, digest in digests.items():
        if not Path(file).is_file() or _sha256(Path(file)) != digest:
            told = "was changed since" if Path(file).is_file() else "is no longer there"
            raise CorruptDataError(
                f"{file} {told} it was added as {data.name}: nothing was trained on it. "
                f"Run `structgrad data add {data.name} PATH` again"
            )
    return _added(digests)


def fetch(data: UserData) -> Added:
    """The data set that was added.

    Raises:
        MissingDataError: it was not; the line says what would be.
        CorruptDataError: a file of it is gone or was changed since.
    """
    added = find(data)
    if added is None:
        raise MissingDataError(data, "it was not added, or not this part of it")
    return added


def _added(digests: Mapping[str, str]) -> Added:
    """The digest knows names and contents, not the folder that they lie in."""
    named = sorted((Path(file).name, digest) for file, digest in digests.items())
    return Added(tuple(map(Path, digests)), hashlib.sha256(json.dumps(named).encode()).hexdigest())


def _note(data: UserData) -> Path:
    return cache() / "added" / f"{data.name}.json"


def _form(data: UserData) -> str:
    return "; ".join(f"{file} ({form})" for file, form in data.expected.items())


def _sha256(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
