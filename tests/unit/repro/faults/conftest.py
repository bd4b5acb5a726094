"""A finished project on a small disk of its own, which a test can fill or make read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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
        """Take all the room that there is, to the last byte."""
        with (self.folder / "ballast").open("ab", buffering=0) as ballast, suppress(OSError):
            for size in (2**16, 1):
                with suppress(OSError):
                    while ballast.write(b"x" * size):
                        pass

    def free(self) -> None:
        """Give it back."""
        (self.folder / "ballast").unlink(missing_ok=True)

    def read_only(self) -> None:
        """Let nobody write there."""
        _mount("-o", "remount,ro", str(self.folder))


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(finished: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk in memory with the finished project; skipped where nobody may mount one (root may)."""
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("only root can mount a disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={MEGABYTES}m", "structgrad-test", str(folder))
    try:
        root = folder / "project"
        shutil.copytree(tmp_path / "finished", root)
        monkeypatch.setenv("STRUCTGRAD_ROOT", str(root))
        yield Disk(folder, load_plan(finished.scale, finished.config))
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


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
