"""The sides of a claim: which arm of which experiment stands on each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from structgrad.experiments import Arm, Experiment


def sides(claim: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """The claim's sides as {experiment, arm} or {experiment, column}."""
    return [{"experiment": claim["experiment"], **claim[key]} for key in ("first", "second") if key in claim]


def arm_of(side: Mapping[str, str], setting: str, experiment: Experiment) -> Arm:
    """The arm of a side at a setting: the one that it names, or the main reading of the column that it names."""
    if "arm" in side:
        return experiment.arm(side["arm"])
    return next(arm for arm in experiment.arms if arm.answers == side["column"] and arm.is_main(setting))
