"""The grid that a replica selects from, by its accuracy on the validation images."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from structgrad.data.images import data_set_of

Point = dict[str, float]


def grid(config: Mapping[str, Any], setting: str) -> list[Point]:
    """Every combination of the values in ``config["grid"]``: one list a hyper-parameter, or one a data set."""
    lists = {name: for_data(values, setting) for name, values in config["grid"].items()}
    return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


def for_data(value: Any, setting: str) -> Any:
    """What a hyper-parameter is for the setting's data set, where it has a value for each."""
    return value[data_set_of(setting)] if isinstance(value, Mapping) else value


def k_of(setting: str) -> int:
    """``"MNIST k=5"`` as 5."""
    return int(setting.rpartition("k=")[2])


def network_of(config: Mapping[str, Any], setting: str) -> str:
    """The embedding of a setting: the ConvNet where its name says so, else that of its data set."""
    return "convnet" if "ConvNet" in setting else for_data(config["networks"], setting)
