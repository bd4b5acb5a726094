"""A run of the workflow on the cluster in the background, which a test disturbs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import clones
from one_node import OneNode

LONG = 600.0  # seconds that a busy machine may need


class Project:
    """A copy of the project with the walk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def reproduce(self, cluster: OneNode, *pairs: str) -> None:
        """Start it, with these words for ``--set``, a job for each shard."""
        words = [word for pair in (*pairs, "job_minutes=0") for word in ("--set", pair)]
        with (self.folder / "said.txt").open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "structgrad", "reproduce", "--profile", "slurm", *words],
                cwd=self.folder,
                env=clones.variables(self.folder, cluster.variables),
                stdout=said,
                stderr=said,
                text=True,
            )

    def command(self, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a subcommand here."""
        return subprocess.run(
            [sys.executable, "-m", "structgrad", *words],
            cwd=self.folder,
            env=clones.variables(self.folder, *([environment] if environment else [])),
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def said(self) -> str:
        """What the run has said so far."""
        return (self.folder / "said.txt").read_text()

    def wait(self, ready: Callable[[], Any], what: str, seconds: float = LONG) -> None:
        """Wait until something holds; a run that ends before it is told in full."""
        until = time.monotonic() + seconds
        while not ready():
            ended = self.process is not None and self.process.poll() is not None
            if (ended or time.monotonic() > until) and not ready():
                raise AssertionError(f"{'the run ended' if ended else 'no end'} while waiting for {what}:\n{self.said}")
            time.sleep(0.2)

    def end(self) -> int:
        """The exit code of the run."""
        assert self.process is not None
        try:
            return self.process.wait(LONG)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the run does not end:\n{self.said}") from None

    def stop(self) -> None:
        """End a run that a failed test has left."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def told(self, arm: str) -> list[str]:
        """What the arm's attempts said half way: their Slurm job, and the devices that they saw."""
        path = self.folder / "told" / arm
        return path.read_text().splitlines() if path.exists() else []

    def job(self, arm: str) -> str:
        """The Slurm job of the arm's last attempt that came half way."""
        return self.told(arm)[-1].partition(".")[0]

    def mark(self, what: str, arms: Iterable[str], text: str = "") -> None:
        """Make a file that the arms look for."""
        for arm in arms:
            (self.folder / what / arm).write_text(text)

    def outcomes(self, arm: str, arms: tuple[str, ...]) -> list[dict[str, Any]]:
        """What the attempts of an arm's job wrote down."""
        path = self.folder / ".work/smoke/jobs" / f"walk_{arms.index(arm) + 1}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def record(self, arm: str, below: str = "results/smoke/records") -> dict[str, Any]:
        """The arm's record."""
        return json.loads((self.folder / below / "walk/n=1" / f"{arm}.0-1.json").read_text())
