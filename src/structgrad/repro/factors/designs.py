"""Which combinations of levels to train, when not all of them can be."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from structgrad.errors import UserError
from structgrad.repro.factors.declared import Combination, Study

BEYOND = 2  # combinations more than a model has columns: without any, whatever it predicts looks certain


def design(study: Study, most: int) -> list[Combination]:
    """At most so many combinations, the table's own protocol first, the others in an order that is drawn once and for
    all, so that what a budget leaves out is no level.

    All of them where that is enough, else the largest generalised subset design (Surowiec et al. 2017, Analytical
    Chemistry 89) that is neither too large nor too small, else, unbalanced, the first of that order.

    Raises:
        UserError: so few cannot tell the factors apart.
    """
    every = list(study.combinations())
    if len(every) <= most:
        return _ordered(every)
    from pydoe import gsd

    sizes: Any = list(study.sizes)  # it wants a list, whatever its annotation says
    for reduction in range(2, len(every)):
        chosen = _ordered([tuple(map(int, row)) for row in np.asarray(gsd(sizes, reduction))])
        if len(chosen) < least(study):
            break
        if len(chosen) <= most and is_enough(study, chosen):
            return chosen
    drawn = _ordered(every)
    enough = next(count for count in range(1, len(every) + 1) if is_enough(study, drawn[:count]))
    if most < enough:
        raise UserError(
            f"{most} of {len(every)} combinations cannot tell {len(study.factors)} factors apart, {enough} can; "
            "raise --budget"
        )
    return drawn[:most]


def least(study: Study) -> int:
    """How many combinations a study wants: what the additive model has columns, and some to see where it does not hold,
    no fewer than a setting has cells, whose covariance these are to give; no more than there are.
    """
    return min(_columns(study) + max(BEYOND, len(study.metrics)), len(list(study.combinations())))


def is_enough(study: Study, chosen: Sequence[Combination]) -> bool:
    """Whether every factor's effect follows from these combinations, and what factors do together shows."""
    return len(chosen) >= least(study) and np.linalg.matrix_rank(columns(study, chosen)) == _columns(study)


def _columns(study: Study) -> int:
    return 1 + sum(size - 1 for size in study.sizes)


def columns(study: Study, combinations: Sequence[Combination]) -> np.ndarray:
    """The additive model's matrix ``(combinations, 1 + levels beyond the first)``: ones, then who has which level."""
    places = np.asarray(combinations)
    indicators = [places[:, f] == level for f, size in enumerate(study.sizes) for level in range(1, size)]
    return np.stack([np.ones(len(places)), *indicators], 1).astype(float)


def _ordered(chosen: Sequence[Combination]) -> list[Combination]:
    base = (0,) * len(chosen[0])
    others = [combination for combination in chosen if combination != base]
    random.Random(0).shuffle(others)
    return [base, *others]
