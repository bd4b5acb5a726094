"""A copy of the project with its own sources, so that a test may edit the library and run the workflow."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_to(folder: Path) -> Path:
    """Sources with their compiled kernels, workflow and configuration of the checkout, in an empty folder."""
    being_written = shutil.ignore_patterns("*.tmp.*", "*.pyc.*")  # by a test beside this one, which renames them
    for name in ("src", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=being_written)
    for name in ("Snakefile", "config.yaml", "environment.yml", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def add_task(clone: Path, paper: str, task: str, modules: Mapping[str, str]) -> None:
    """Write the modules of a task, by name, into a paper's folder of a clone: no other file is touched."""
    folder = clone / "src/structgrad/experiments" / paper / task
    folder.mkdir(parents=True)
    for name, text in {"__init__": "", **modules}.items():
        (folder / f"{name}.py").write_text(text)


def variables(clone: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a command in the clone: its own sources, and this Python."""
    kept = {key: value for key, value in environment.items() if key != "STRUCTGRAD_ROOT"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return kept | {"PYTHONPATH": str(clone / "src"), "PATH": path}
