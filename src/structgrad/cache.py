"""Where compiled kernels are kept: a folder that can be written, found once, before numba looks for one.

numba keeps what it compiles in NUMBA_CACHE_DIR, beside the sources, or in the user's cache, and refuses to compile at
all where none of them can be written: an installation that is read-only, for a user without a home. A private folder
among the temporary files does then. It is named to numba by its own variable, so that kernels need not know, and so
that processes started from here use it and do not say it again.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
HERE = Path(__file__).parent


def settle() -> None:
    """Name a folder to numba where it would find none."""
    if place() is not None:
        return
    try:
        folder = private_folder("structgrad-kernels")
    except OSError:
        _say("compiled kernels can be kept nowhere, not even among temporary files: set TMPDIR to a folder for them")
        return
    os.environ[VARIABLE] = str(folder)
    if "numba" in sys.modules:  # it read the variable when it was imported
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    _say(f"{HERE} cannot be written: compiled kernels are kept in {folder}; set {VARIABLE} to keep them elsewhere")


def place() -> Path | None:
    """The folder where numba keeps kernels as things stand; None if there is none."""
    named = os.environ.get(VARIABLE)
    if named and writable(Path(named)):
        return Path(named)
    beside = [folder / "__pycache__" for folder in _packages()]
    if all(map(writable, beside)):
        return HERE / "polytopes" / "__pycache__"
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache")) / "numba"
    if sys.platform == "darwin":
        users = Path("~/Library/Caches/numba")
    return _of_user(users)


def writable(folder: Path) -> bool:
    """Whether a file can be made in a folder, or in the nearest one above it that exists; permissions do not tell."""
    try:
        while not folder.exists():
            folder = folder.parent
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def private_folder(name: str) -> Path:
    """A folder among the temporary files that is this user's alone: what lies in it will be run.

    Raises:
        OSError: none can be made.
    """
    folder = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
        if mine and writable(folder):
            return folder
    except FileExistsError:  # a file or link of that name, of another user
        pass
    return Path(tempfile.mkdtemp(prefix=f"{name}-"))


def _packages() -> Iterator[Path]:
    yield HERE
    yield from (path for path in HERE.rglob("*/") if path.name != "__pycache__" and (path / "__init__.py").exists())


def _of_user(folder: Path) -> Path | None:
    try:
        folder = folder.expanduser()
    except RuntimeError:  # a user without a home; numba would make a folder named ~ wherever it is started
        return None
    return folder if writable(folder) else None


def _say(text: str) -> None:
    logging.getLogger("structgrad").warning("structgrad: %s", text)
