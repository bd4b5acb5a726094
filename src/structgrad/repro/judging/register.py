"""The register: in which commit a claim, main reading or margin got its present meaning, before or after results.

``register.yaml`` of each paper's folder has three mappings:

    claims      by the claim's id
    readings    by experiment/printed column: which arm answers it, at which settings
    margins     by experiment/metric

Each entry is ``{fixed: <commit>}``, and ``after_results: true`` where records of the cells that it speaks of existed
before that commit: were committed before it, or had been trained by then. A reading whose arm was another one before
names that one as ``original``; both are judged and shown. A test recomputes all of it from the repository's history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from structgrad.experiments import PAPERS, Arm, Experiment, Metric
from structgrad.repro.documents import parse_yaml

PARTS = ("claims", "readings", "margins")


@dataclass(frozen=True)
class Entry:
    """When something was fixed.

    Attributes:
        fixed: the commit.
        after_results: whether results of what it speaks of existed by then.
        original: of a reading, the arm that answered the column before.
    """

    fixed: str
    after_results: bool = False
    original: str | None = None

    @property
    def words(self) -> str:
        """``fixed in 0c5fa69b, after results``."""
        return f"fixed in {self.fixed}, {'after' if self.after_results else 'before'} results"


@cache
def register() -> Mapping[str, Mapping[str, Entry]]:
    """The entries of every paper, by part and key; a paper without ``register.yaml`` has none.

    Raises:
        ValueError: a file that names another part, or one key twice.
    """
    entries: dict[str, dict[str, Entry]] = {part: {} for part in PARTS}
    for paper in PAPERS:
        file = files(f"structgrad.experiments.{paper}") / "register.yaml"
        content: Mapping[str, Any] = parse_yaml(file.read_text(encoding="utf-8"), str(file)) if file.is_file() else {}
        for part, own in content.items():
            if part not in entries or set(own) & set(entries[part]):
                raise ValueError(f"register.yaml of {paper}: {part}: not one of {', '.join(PARTS)}, or entered twice")
            entries[part] |= {key: Entry(**entry) for key, entry in own.items()}
    return entries


def of_claim(identity: str) -> Entry | None:
    """The entry of a claim."""
    return register()["claims"].get(identity)


def of_reading(experiment: Experiment, arm: Arm) -> Entry | None:
    """The entry of the reading of the column that an arm answers."""
    return register()["readings"].get(f"{experiment.name}/{arm.answers}")


def of_margin(experiment: Experiment, metric: Metric) -> Entry | None:
    """The entry of a metric's margin."""
    return register()["margins"].get(f"{experiment.name}/{metric.name}")


def original_of(experiment: Experiment, setting: str, arm: Arm) -> Arm | None:
    """The arm that answered the column first, where a main reading took its place at the setting."""
    entry = of_reading(experiment, arm)
    if entry is None or entry.original is None or not arm.is_main(setting) or arm.name == entry.original:
        return None
    return experiment.arm(entry.original)
