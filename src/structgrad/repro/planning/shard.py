"""What one job runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from structgrad.repro.planning.paths import results

SHARD_ID = r"([^/]+)/([^/]+)/([^/]+)/(0|[1-9][0-9]*)-(0|[1-9][0-9]*)"  # each range of replicas has one name


def folder_of(setting: str) -> str:
    """A setting without blanks: in names of files, and where a shell would split it."""
    return setting.replace(" ", "_")


@dataclass(frozen=True)
class Shard:
    """What one job runs: replicas ``first`` .. ``first + count - 1`` of one arm x setting."""

    scale: str
    experiment: str
    setting: str
    arm: str
    first: int
    count: int

    @property
    def span(self) -> str:
        """The replicas as ``first-last``."""
        return f"{self.first}-{self.first + self.count - 1}"

    @property
    def id(self) -> str:
        """Such as ``indelman_1a/d=25/direct/0-199``."""
        return f"{self.experiment}/{self.folder}/{self.arm}/{self.span}"

    @property
    def folder(self) -> str:
        """The setting as files and the command line have it: ``MNIST_k=5`` for ``MNIST k=5``."""
        return folder_of(self.setting)

    @property
    def path(self) -> Path:
        """Where the shard's record lies."""
        return results(self.scale) / "records" / self.experiment / self.folder / f"{self.arm}.{self.span}.json"

    @property
    def log(self) -> Path:
        """What became of its trainings, one after the other."""
        return results(self.scale) / "logs" / "train" / self.experiment / self.folder / f"{self.arm}.{self.span}.log"

    @property
    def note(self) -> Path:
        """What stands in the record's place where its data could not be had: one line that says how to get it."""
        return self.path.with_suffix(".no_data")

    @property
    def left_out(self) -> bool:
        """Whether it is not trained because its data could not be had."""
        return self.note.is_file() and not self.path.is_file()
