"""From an experiment to the functions in its package, imported on demand, so that planning imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from structgrad.errors import UserError
from structgrad.experiments import REGISTRY, Experiment


def trainer(experiment: Experiment) -> Callable[..., Any]:
    """What trains a shard of it: ``train.train``."""
    return import_module(f"{experiment.package}.train").train


def digester(experiment: Experiment) -> Callable[..., str]:
    """What gives the sha256 of its data from typed hyper-parameters: ``data.digest``."""
    return import_module(f"{experiment.package}.data").digest


def resolved(experiment: Experiment, config: Mapping[str, Any], setting: str) -> dict[str, Any]:
    """What of an arm's hyper-parameters a setting has: ``settings.resolved``, or all of them where there is none.

    What is resolved already stays as it is. A value of another data set is no part of it, and may change.
    """
    settings = _settings(experiment.package)
    return settings.resolved(config, setting) if settings else dict(config)


def has_values(experiment: Experiment, config: Mapping[str, Any], setting: str) -> bool:
    """Whether it can be :func:`resolved`: what differs between data sets has a value for that of the setting."""
    try:
        resolved(experiment, config, setting)
    except UserError:
        return False
    return True


@cache
def _settings(package: str) -> Any:
    name = f"{package}.settings"
    return import_module(name) if find_spec(name) else None


def files(experiment: Experiment) -> Callable[..., Any] | None:
    """What names the files of real data behind a setting: ``files.needed``; None where all data is generated."""
    module = _files(experiment.package)
    return module.needed if module else None


def user_data_sets() -> dict[str, Any]:
    """The data sets that a user may add, by name: what ``files.USER_DATA`` of any experiment declares.

    Raises:
        ValueError: two of one name that differ.
    """
    found: dict[str, Any] = {}
    for package in dict.fromkeys(experiment.package for experiment in REGISTRY.values()):
        for data in getattr(_files(package), "USER_DATA", ()):
            if found.setdefault(data.name, data) != data:
                raise ValueError(f"two different data sets are called {data.name}")
    return found


def _files(package: str) -> Any:
    name = f"{package}.files"
    return import_module(name) if find_spec(name) else None
