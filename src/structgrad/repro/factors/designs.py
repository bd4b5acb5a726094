"""Which combinations of levels to train, when not all of them can be."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from structgrad.errors import UserError
from structgrad.repro.factors.declared import Combination, Study


def design(study: Study, most: int) -> list[Combination]:
    """At most so many combinations, the table's own protocol first, the others in an order that is drawn once and for
    all, so that what a budget leaves out is no level.

    All of them where that is enough, else a generalised subset design (Surowiec et al. 2017, Analytical Chemistry 89),
    the largest from which every factor's effect follows.

    Raises:
        UserError: so few cannot tell the factors apart.
    """
    every = list(study.combinations())
    if len(every) <= most:
        return _ordered(every)
    from pydoe import gsd

    sizes: Any = list(study.sizes)  # it wants a list, whatever its annotation says
    least = 1 + sum(size - 1 for size in study.sizes)
    for reduction in range(2, len(every)):
        chosen = _ordered([tuple(map(int, row)) for row in np.asarray(gsd(sizes, reduction))])
        if len(chosen) < least:
            break
        if len(chosen) <= most and np.linalg.matrix_rank(columns(study, chosen)) == least:
            return chosen
    raise UserError(
        f"{most} of {len(every)} combinations cannot tell {len(study.factors)} factors apart: at least {least} are "
        "wanted, and mostly more; raise --budget"
    )


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
