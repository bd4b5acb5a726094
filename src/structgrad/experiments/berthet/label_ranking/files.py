"""The files of real data behind a setting."""

from __future__ import annotations

from structgrad.data.label_ranking import FILES
from structgrad.data.store import DataFile
from structgrad.experiments.berthet.label_ranking.hyper_parameters import LabelRankingParameters


def needed(config: LabelRankingParameters, setting: str) -> tuple[DataFile, ...]:
    """The set's file; none where the stand-in is asked for."""
    return () if config.source == "stand_in" else (FILES[setting],)
