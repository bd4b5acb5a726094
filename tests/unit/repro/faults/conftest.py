"""A finished project on a small disk of its own, which a test can fill or make read-only."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import disks
import pytest

from structgrad.repro.cli import main
from structgrad.repro.planning.plan import Plan, load_plan

MEGABYTES = 16


@dataclass(frozen=True)
class Disk:
    """A disk and the finished project on it."""

    folder: Path
    plan: Plan

    def fill(self) -> None:
        """Take all the room that there is."""
        disks.fill(self.folder)

    def free(self) -> None:
        """Give it back."""
        disks.free(self.folder)

    def read_only(self) -> None:
        """Let nobody write there."""
        disks.mount("-o", "remount,ro", str(self.folder))


@pytest.fixture
def disk(finished: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk in memory with the finished project; skipped where nobody may mount one (root may)."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with disks.mounted(folder, MEGABYTES):
        root = folder / "project"
        shutil.copytree(tmp_path / "finished", root)
        monkeypatch.setenv("STRUCTGRAD_ROOT", str(root))
        yield Disk(folder, load_plan(finished.scale, finished.config))


Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(options: list[str], capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a subcommand here: its exit code, and all that it said on standard error."""

    def run(*words: str) -> tuple[int, str]:
        code = 0
        capsys.readouterr()
        try:
            main([*words, "--scale", "paper", *options])
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
        return code, capsys.readouterr().err

    return run
