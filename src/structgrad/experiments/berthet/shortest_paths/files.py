"""The data sets behind a setting."""

from __future__ import annotations

from structgrad.data.user_data import UserData
from structgrad.data.warcraft import WARCRAFT
from structgrad.experiments.berthet.shortest_paths.hyper_parameters import PathParameters

PUBLISHED = "Warcraft"  # the setting that learns from the published maps
USER_DATA = (WARCRAFT,)


def needed(config: PathParameters, setting: str) -> tuple[UserData, ...]:
    """The published maps where the setting is about them; none where terrain is generated."""
    return (WARCRAFT,) if setting == PUBLISHED else ()
