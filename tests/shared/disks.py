"""A small disk in memory, which a test can fill."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def mount(*words: str) -> None:
    """Mount, or skip the test where nobody may."""
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("only root can mount a disk")
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of that size in an empty folder."""
    mount("-t", "tmpfs", "-o", f"size={megabytes}m", "structgrad-test", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Take all the room that a disk has, to the last byte."""
    with (folder / "ballast").open("ab", buffering=0) as ballast, suppress(OSError):
        for size in (2**16, 1):
            with suppress(OSError):
                while ballast.write(b"x" * size):
                    pass


def free(folder: Path) -> None:
    """Give it back."""
    (folder / "ballast").unlink(missing_ok=True)
