"""A copy of the project with its own sources, so that a test may edit the library."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import clones
import pytest


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Sources with their compiled kernels, workflow and configuration of the checkout in an empty folder."""
    folder = clones.copy_to(tmp_path_factory.mktemp("clone"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def add_task() -> Callable[[Path, str, str, Mapping[str, str]], None]:
    """Write the modules of a task, by name, into a paper's folder of a clone: no other file is touched."""
    return clones.add_task


@pytest.fixture(scope="module")
def python(clone: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python in the clone, with the clone's own sources."""

    def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=clone,
            env=clones.variables(clone),
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{arguments} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    return run
