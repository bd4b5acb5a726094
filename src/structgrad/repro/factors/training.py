"""How a study's budget is spent: what one combination takes says how many more can be afforded."""

from __future__ import annotations

import time

from structgrad.errors import UserError
from structgrad.parallel import set_threads
from structgrad.repro.factors.checking import further, wanted
from structgrad.repro.factors.declared import Study
from structgrad.repro.factors.designs import design, is_enough
from structgrad.repro.factors.runs import known, pending, train_all, trained
from structgrad.repro.factors.study import answer, trained_combinations
from structgrad.repro.progress import stage


def spend(study: Study, seconds: float) -> int:
    """Train what the time allows; how many runs are left.

    1. A design that tells the factors apart, as large as the time allows, where none is trained. The table's own
       protocol comes first, in every cell: what it takes is what a combination is taken to cost.
    2. The likeliest of the combinations that are compatible but only predicted, one after the other: what was trained
       changes what the others are predicted to be.
    3. What is compatible on the column's further cells (:func:`try_further`).
    4. Of what is left, the likeliest; then 2 again.

    What was trained before costs nothing and stays.

    Raises:
        UserError: the time is too short for a design that tells the factors apart.
    """
    set_threads(1)
    started = time.monotonic()
    if not is_enough(study, list(trained_combinations(study))) and (left := _train_design(study, seconds)):
        return left
    while (told := answer(study)) is not None:
        left = list(pending(study, list(study.combinations())))
        there = list(pending(further(study), wanted(study, told.candidates)))
        rest = seconds - (time.monotonic() - started)
        if not (left or there) or rest <= 0:
            return len(left) + len(there)
        untrained = [combination for combination, _ in left]
        ordered = [candidate for candidate in told.candidates if candidate.combination in untrained]
        compatible = [candidate.combination for candidate in ordered if candidate.is_compatible]
        if there and not compatible:
            try_further(study, rest)
        else:
            following = [*compatible, *(candidate.combination for candidate in ordered), *untrained][0]
            with stage(f"training {study.words(following)}", len(study.settings), "runs") as done:
                train_all(study, [following], rest, done)
    return 0


def try_further(study: Study, seconds: float) -> int:
    """Train the likeliest compatible combinations on the column's further cells; how many runs are left.

    Raises:
        UserError: the column has no further cells, it cannot be held against the print, or too little is trained to
            say what is compatible.
    """
    set_threads(1)
    name = f"{study.experiment.name}, {study.arm}"
    if not study.checks:
        raise UserError(f"{name}: the column has no further cells; without --further the budget trains combinations")
    if study.incomparable:
        raise UserError(f"{name}: not held against the print ({study.incomparable}), so nothing is tried further")
    told_so_far = answer(study)
    if told_so_far is None:
        raise UserError(f"{name}: too little is trained to say what is compatible; give the budget without --further")
    beyond, tried = further(study), wanted(study, told_so_far.candidates)
    left = len(list(pending(beyond, tried)))
    with stage("trying what is compatible on further cells", left, "runs") as told:
        return train_all(beyond, tried, seconds, told)


def _train_design(study: Study, seconds: float) -> int:
    name, started = f"{study.experiment.name}, {study.arm}", time.monotonic()
    base = (0,) * len(study.factors)
    with stage(f"training {name}: the table's own protocol", len(study.settings), "runs") as told:
        for setting in study.settings:
            trained(study, base, setting)
            told()
    cost = sum(run.seconds for setting in study.settings if (run := known(study, base, setting)))
    total, before = len(list(study.combinations())), len(trained_combinations(study))
    rest = seconds - (time.monotonic() - started)
    try:
        chosen = design(study, int(min(total, before + max(0.0, rest) / max(cost, 1e-3))))
    except UserError as error:
        raise UserError(f"{name}: a combination takes {cost / 60:.1f} min, and {error}") from error
    left = len(list(pending(study, chosen)))
    with stage(f"training {len(chosen)} of {total} combinations", left, "runs") as told:
        return train_all(study, chosen, rest, told)
