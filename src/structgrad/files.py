"""A user's files: where they are, their digests, and writing them whole: a reader never sees a half."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from structgrad.errors import UserError


def of_user(path: str, setting: str) -> Path:
    """A path that the user gave by that setting, with ``~`` for a home.

    Raises:
        UserError: there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # ~someone, or ~ for a user without a home
        raise UserError(f"{setting}: {path!r} names the home of a user who is not here") from error


def user_cache() -> Path:
    """Where the user's caches are: ``$XDG_CACHE_HOME``, by default ``~/.cache``."""
    return of_user(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "XDG_CACHE_HOME")


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` through a temporary neighbour and a rename (atomic on one file system)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"no space left to write {path}; free some and run again, nothing was lost") from error
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    finally:  # also after an interrupt; gone already where the rename was reached
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Refuse a folder where :func:`write_bytes` would fail; before work whose outcome is to be written there.

    Raises:
        UserError: it cannot be made, or nothing can be written into it.
    """
    probe = folder / f".writable.{os.getpid()}.tmp"
    write_bytes(probe, b"")
    probe.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether a file is one of :func:`write_bytes` that a kill left behind, or is being written."""
    return path.name.startswith(".") and path.suffix == ".tmp"


def write_text(path: Path, text: str) -> None:
    """:func:`write_bytes` for text, in UTF-8 with the line ends given."""
    write_bytes(path, text.encode("utf-8"))


def sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
