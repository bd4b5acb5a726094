"""A copy of the project with its own sources, so that a test may edit the library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Sources with their compiled kernels, workflow and configuration of the checkout in an empty folder."""
    folder = tmp_path_factory.mktemp("clone")
    being_written = shutil.ignore_patterns("*.tmp.*", "*.pyc.*")  # by a test beside this one, which renames them
    for name in ("src", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=being_written)
    for name in ("Snakefile", "config.yaml", "environment.yml", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def add_task() -> Callable[[Path, str, str, Mapping[str, str]], None]:
    """Write the modules of a task, by name, into a paper's folder of a clone: no other file is touched."""

    def write(clone: Path, paper: str, task: str, modules: Mapping[str, str]) -> None:
        folder = clone / "src/structgrad/experiments" / paper / task
        folder.mkdir(parents=True)
        for name, text in {"__init__": "", **modules}.items():
            (folder / f"{name}.py").write_text(text)

    return write


@pytest.fixture(scope="module")
def python(clone: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python in the clone, with the clone's own sources."""

    def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "PYTHONPATH": str(clone / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        environment.pop("STRUCTGRAD_ROOT", None)
        done = subprocess.run(
            [sys.executable, *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{arguments} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    return run
