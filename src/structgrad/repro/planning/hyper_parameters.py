"""An experiment's hyper-parameters, read from what its arms and a scale say, before anything trains."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from structgrad.errors import UserError, unknown
from structgrad.experiments import Experiment
from structgrad.experiments.hyper_parameters import HyperParameters
from structgrad.repro.planning.resolve import resolved

UNKNOWN = "unexpected_keyword_argument"  # pydantic's name for a field that the class does not have


def read(experiment: Experiment, config: Mapping[str, Any], setting: str) -> Any:
    """The typed hyper-parameters of a mapping at a setting.

    Raises:
        UserError: an unknown hyper-parameter, with the nearest right word; one that is missing or of the wrong kind.
    """
    from pydantic import ValidationError

    content = resolved(experiment, config, setting)
    try:
        return _reader(experiment.hyper_parameters).validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == UNKNOWN:
            known = [field.name for field in fields(experiment.hyper_parameters)]
            raise unknown("hyper-parameter", name, known) from error
        if first["type"].startswith("missing"):
            raise UserError(f"{experiment.name}: {name} is missing") from error
        message = first["msg"].removeprefix("Input ")
        raise UserError(f"{experiment.name}: {name} {message}, not {json.dumps(first['input'])}") from error


@cache
def _reader(kind: type[HyperParameters]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
