"""Whether a scale's hyper-parameters are of the kinds that their experiment declares, before anything trains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from structgrad.errors import UserError, unknown
from structgrad.experiments import Experiment

WORDS = {"truth": "true or false", "number": "a number", "str": "a word", "list": "a list", "dict": "a mapping"}


def check(experiment: Experiment, overrides: Mapping[str, Any], arms: Iterable[str]) -> None:
    """Hold overrides to what the arms declare.

    Where an experiment declares mappings by data set, a mapping may stand for one value for all, and the other way
    round. What is declared as null may be anything; null is for the trainer to judge.

    Raises:
        UserError: an unknown hyper-parameter, with the nearest right word; a value of another kind.
    """
    declared: dict[str, list[Any]] = {}
    for arm in arms:
        for name, value in experiment.config_of(arm).items():
            declared.setdefault(name, []).append(value)
    by_data_set = any(isinstance(value, dict) for values in declared.values() for value in values)
    for name, value in overrides.items():
        if name not in declared:
            raise unknown("hyper-parameter", name, declared)
        kinds = {kind for default in declared[name] for kind in _kinds(default, by_data_set)}
        if "null" not in kinds and not _kinds(value, by_data_set) <= kinds | {"null"}:
            wanted = " or ".join(WORDS[kind] for kind in sorted(kinds))
            raise UserError(f"{experiment.name}: {name} must be {wanted}, not {value!r}")


def _kinds(value: Any, by_data_set: bool) -> set[str]:
    """The kind of a value; of a mapping by data set those of its values."""
    if isinstance(value, dict):
        return {kind for part in value.values() for kind in _kinds(part, True)} if by_data_set else {"dict"}
    if isinstance(value, bool):
        return {"truth"}
    if isinstance(value, int | float):
        return {"number"}
    if isinstance(value, list | tuple):
        return {"list"}
    return {"null" if value is None else type(value).__name__}
