"""What a setting such as ``Fashion-MNIST ConvNet k=5`` makes of a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from structgrad.data.images import data_set_of
from structgrad.errors import UserError

Point = dict[str, float]


def resolved(config: Mapping[str, Any], setting: str) -> dict[str, Any]:
    """The configuration with one value where there is one for each data set, and k.

    A value may be a mapping from what stands before ``k=`` in the setting (``Fashion-MNIST ConvNet``) or from the data
    set alone (``Fashion-MNIST``); the first goes before.

    Raises:
        UserError: a mapping has neither.
    """
    column, _, k = setting.rpartition(" k=")

    def value(name: str, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        for key in (column, data_set_of(setting)):
            if key in given:
                return given[key]
        raise UserError(f"{name} has no value for {setting}, only for {', '.join(given)}")

    plain = {name: value(name, given) for name, given in config.items() if name != "grid"}
    return plain | {"grid": {name: value(name, given) for name, given in config["grid"].items()}, "k": int(k)}


def points(grid: Mapping[str, Sequence[float]]) -> list[Point]:
    """Every combination of the values of each hyper-parameter."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
