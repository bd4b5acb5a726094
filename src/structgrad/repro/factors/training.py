"""How a study's budget is spent: what one combination takes says how many more can be afforded."""

from __future__ import annotations

import time

from structgrad.errors import UserError
from structgrad.parallel import set_threads
from structgrad.repro.factors.checking import further, wanted
from structgrad.repro.factors.declared import Study
from structgrad.repro.factors.designs import design
from structgrad.repro.factors.runs import known, pending, train_all, trained
from structgrad.repro.factors.study import answer, trained_combinations
from structgrad.repro.progress import stage


def spend(study: Study, seconds: float) -> int:
    """Train the combinations that the time allows; how many runs of their design are left.

    The table's own protocol comes first, in every cell: what it takes is what a combination is taken to cost. What was
    trained before costs nothing and stays. What time is left goes to the column's further cells (:func:`try_further`).

    Raises:
        UserError: the time is too short for a design that tells the factors apart.
    """
    set_threads(1)
    base = (0,) * len(study.factors)
    name = f"{study.experiment.name}, {study.arm}"
    with stage(f"training {name}: the table's own protocol", len(study.settings), "runs") as told:
        for setting in study.settings:
            trained(study, base, setting)
            told()
    cost = sum(run.seconds for setting in study.settings if (run := known(study, base, setting)))
    total = len(list(study.combinations()))
    try:
        chosen = design(study, min(total, len(trained_combinations(study)) + int(seconds / max(cost, 1e-3))))
    except UserError as error:
        raise UserError(f"{name}: a combination takes {cost / 60:.1f} min, and {error}") from error
    started, left = time.monotonic(), len(list(pending(study, chosen)))
    with stage(f"training {len(chosen)} of {total} combinations", left, "runs") as told:
        left = train_all(study, chosen, seconds, told)
    if left or not study.checks:
        return left
    return try_further(study, seconds - (time.monotonic() - started))


def try_further(study: Study, seconds: float) -> int:
    """Train the likeliest compatible combinations on the column's further cells; how many runs are left.

    Raises:
        UserError: the column has no further cells, or too little is trained to say what is compatible.
    """
    set_threads(1)
    name = f"{study.experiment.name}, {study.arm}"
    if not study.checks:
        raise UserError(f"{name}: the column has no further cells; without --further the budget trains combinations")
    told_so_far = answer(study)
    if told_so_far is None:
        raise UserError(f"{name}: too little is trained to say what is compatible; give the budget without --further")
    beyond, tried = further(study), wanted(study, told_so_far.candidates)
    left = len(list(pending(beyond, tried)))
    with stage("trying what is compatible on further cells", left, "runs") as told:
        return train_all(beyond, tried, seconds, told)
