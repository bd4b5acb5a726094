"""Typed hyper-parameters of an arm, as a plan reads them, with some changed."""

from __future__ import annotations

from typing import Any

from structgrad.experiments import Experiment
from structgrad.repro.planning.hyper_parameters import read


def parameters_of(experiment: Experiment, arm: str, setting: str, **changes: Any) -> Any:
    return read(experiment, experiment.config_of(arm) | changes, setting)
