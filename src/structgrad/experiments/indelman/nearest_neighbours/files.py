"""The files of real data behind a setting."""

from __future__ import annotations

from structgrad.data.images import data_set_of, files_of
from structgrad.data.store import DataFile
from structgrad.experiments.indelman.nearest_neighbours.hyper_parameters import NeighboursParameters


def needed(config: NeighboursParameters, setting: str) -> tuple[DataFile, ...]:
    """The data set's files; none where the stand-in is asked for."""
    return () if config.source == "stand_in" else files_of(data_set_of(setting))
