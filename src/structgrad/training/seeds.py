"""Seeds from named axes: adding an arm, a setting or a replica changes no other number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import torch


def seed_for(experiment: str, setting: str, arm: str | None, replica: int, role: str) -> int:
    """A 63-bit seed that depends on these five names alone.

    ``arm=None`` gives a seed that all arms share: data and initial weights, so that arms are compared pairwise.
    """
    axes = json.dumps(["structgrad", experiment, setting, arm, replica, role])
    return int.from_bytes(hashlib.sha256(axes.encode("utf-8")).digest()[:8], "big") >> 1


def seeds_for(
    experiment: str, setting: str, arm: str | None, first: int, count: int, role: str, per_data_set: int = 1
) -> list[int]:
    """:func:`seed_for` for replicas ``first`` .. ``first + count - 1``.

    So many replicas in a row as share a data set (the folds of one partition, the trials of a search) have the data
    seed of the first of them.
    """
    together = per_data_set if role == "data" else 1
    return [seed_for(experiment, setting, arm, r // together * together, role) for r in range(first, first + count)]


def generators(seeds: Sequence[int], device: str = "cpu") -> list[torch.Generator]:
    """One generator per seed (on the CPU, torch's generator uses the seed's low 32 bits)."""
    return [torch.Generator(device).manual_seed(seed) for seed in seeds]


def of_replica(seeds: Mapping[str, Sequence[int]], replica: int) -> dict[str, int]:
    """One replica's seed per role."""
    return {role: each[replica] for role, each in seeds.items()}
