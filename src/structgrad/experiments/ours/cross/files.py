"""The files of real data behind a setting."""

from __future__ import annotations

from structgrad.data.label_ranking import FILES
from structgrad.data.store import DataFile
from structgrad.experiments.ours.cross.hyper_parameters import CrossParameters


def needed(config: CrossParameters, setting: str) -> tuple[DataFile, ...]:
    """A label-ranking set's file; none where the stand-in is asked for, or data is generated or packaged."""
    kind, name = setting.split()[0], setting.split()[-1]
    return (FILES[name],) if kind == "rank" and config.source == "published" else ()
