"""What a cluster's controller says: how long it remembers jobs, whether there is accounting, what partitions."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from structgrad.errors import UserError

PATIENCE = 60  # seconds for an answer


@dataclass(frozen=True)
class Partition:
    """A partition: its name, whether jobs go there by default, its time limit, its GPUs in the cluster's words."""

    name: str
    default: bool
    limit: str
    gres: str


@dataclass(frozen=True)
class Controller:
    """``min_job_age``: seconds that it remembers a job which has ended; ``accounting``: whether sacct answers."""

    min_job_age: int
    accounting: bool
    partitions: tuple[Partition, ...]


def ask() -> Controller:
    """What the controller of this cluster says.

    Raises:
        UserError: there is none, or it does not answer.
    """
    config = said("scontrol", "show", "config")
    if config is None:
        raise UserError("Slurm's controller does not answer (scontrol show config); try again when it does")
    age = re.search(r"^MinJobAge\s*=\s*(\d+)", config, flags=re.MULTILINE)
    accounting = said("sacct", "--noheader", "--allocations", "--starttime", "now") is not None
    return Controller(int(age[1]) if age else 0, accounting, _partitions())


def said(*words: str) -> str | None:
    """What a command says; None where it fails, is not there, or does not answer."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _partitions() -> tuple[Partition, ...]:
    found: dict[str, Partition] = {}
    for line in (said("sinfo", "--noheader", "--format=%P|%l|%G") or "").splitlines():
        name, limit, gres = line.split("|")
        plain = name.removesuffix("*")
        known = found.get(plain)
        words = gres if known is None or known.gres == "(null)" else known.gres
        found[plain] = Partition(plain, name.endswith("*"), limit, words)
    return tuple(found.values())
