"""Hyper-parameters: one frozen, typed, documented class per experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

Count = Annotated[int, Gt(0)]
CountOrZero = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
Rate = Annotated[float, Ge(0), Lt(1)]  # how often something is left out
Box = tuple[Positive, Positive]  # of a search, log-uniform between its ends


@dataclass(frozen=True, kw_only=True)
class HyperParameters:
    """All that a training depends on beside its seeds: the fields of a subclass are what arms and scales may set, those
    with a default what some arms lack.

    The plan reads them from the arms' and the scale's mappings and refuses a wrong name or kind before anything trains
    (:mod:`structgrad.repro.planning.hyper_parameters`). Trainers see nothing else.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
