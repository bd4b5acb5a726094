"""The files of real data behind a setting."""

from __future__ import annotations

from structgrad.data.images import files_of
from structgrad.data.store import DataFile
from structgrad.experiments.berthet.perturbed_max.hyper_parameters import MaxParameters


def needed(config: MaxParameters, setting: str) -> tuple[DataFile, ...]:
    """CIFAR-10's files; none where the stand-in is asked for."""
    return () if config.source == "stand_in" else files_of("CIFAR-10")
