"""A claim on the printed numbers alone: does the paper's own table say what the claim says?

Numbers are taken as printed, for a further reading, too, those of the column that it answers. The outcome is

    holds        the predicate is true of them
    fails        it is not: the claim asks more than the sentence says, or the sentence is wrong about its own table
    open         it turns on digits that are not printed (two equal numbers), or on a misprint
    not_printed  the paper prints no numbers that it could be held against

and ``precise`` says whether the paper could have told it from chance: true where the printed "+-" decides it
(one-sided, 5 %, Holm over the settings, normal), false where that or rounding does not, null where the meaning of the
"+-" does not allow a test. Of a search "+-" is the standard error itself; of single items the standard error is theirs
over the root of their number; folds and trainings that learn all or nothing have none that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, fsum, log, sqrt
from typing import Any

import numpy as np
from scipy import stats

from structgrad.experiments import Experiment, Metric
from structgrad.repro.claims.sides import arms_of, sides
from structgrad.repro.claims.values import Claim
from structgrad.repro.judging.numbers import number
from structgrad.repro.judging.published import Published, lookup
from structgrad.repro.judging.significance import ALPHA, ROUNDING, holm
from structgrad.repro.judging.verdicts import is_misprint

OUTCOMES = ("holds", "fails", "open", "not_printed")
PRECISE = {
    True: "its precision decides it",
    False: "its precision cannot decide it",
    None: "what its precision decides is not known",
}


@dataclass(frozen=True)
class Number:
    """A printed number, turned so that higher is better, with its rounding, "+-" and standard error if known."""

    value: float
    rounding: float
    spread: float | None
    error: float | None


@dataclass(frozen=True)
class Lead:
    """How far a printed number is ahead of another or a threshold, what rounding can move, the standard error."""

    value: float
    rounding: float
    error: float | None

    @property
    def certain(self) -> bool:
        """Whether no rounding can turn it."""
        return abs(self.value) > ROUNDING and abs(self.value) >= self.rounding - ROUNDING


Leads = Mapping[str, Lead]
Answer = tuple[str, bool | None]


def on_print(claim: Claim, experiments: Mapping[str, Experiment]) -> dict[str, Any]:
    """``{outcome, precise, says}``; see the module."""
    numbers = {setting: _numbers(claim, setting, experiments) for setting in claim.get("settings", ())}
    known = {setting: pair for setting, pair in numbers.items() if pair is not None}
    if not known or claim["kind"] not in _KINDS:  # no paper prints several settings of one arm that a claim is about
        return {"outcome": "not_printed", "precise": None, "says": "the paper prints no numbers for it"}
    unknown = [setting for setting in numbers if setting not in known]
    steadier = claim["kind"] == "steadier"
    leads = {setting: (_of_spreads(*pair) if steadier else _lead(claim, pair)) for setting, pair in known.items()}
    outcome, precise = _KINDS[claim["kind"]](claim, leads, known, unknown)
    where: dict[str, list[str]] = {"ahead": [], "behind": [], "equal": [], "not printed": unknown}
    for setting, lead in leads.items():
        sign = "equal" if abs(lead.value) <= ROUNDING else "ahead" if lead.value > 0 else "behind"
        where[sign].append(setting)
    told = "; ".join(f"{word} at {', '.join(at)}" for word, at in where.items() if at)
    return {"outcome": outcome, "precise": precise, "says": f"{told}; {PRECISE[precise]}"}


def _numbers(claim: Claim, setting: str, experiments: Mapping[str, Experiment]) -> list[Number] | None:
    """The printed numbers of the sides, of several columns the best; None where one is missing or a misprint, or where
    both sides are the same.
    """
    numbers, keys = [], []
    for side in sides(claim) if claim["experiment"] is not None else ():
        experiment = experiments[side["experiment"]]
        metric, arms = experiment.metric(claim["metric"]), arms_of(side, setting, experiment)
        columns = [arm.answers for arm in arms]
        printed = [lookup(experiment.paper, experiment.table, setting, name, metric.published) for name in columns]
        known = [each for each in printed if each is not None and not is_misprint(each, metric)]
        if len(known) < len(printed):
            return None
        keys.append((experiment.name, *columns))
        turned = [_turned(each, _standard_error(experiment, metric, each), metric.higher_is_better) for each in known]
        numbers.append(max(turned, key=lambda number: number.value))
    return numbers if numbers and len(set(keys)) == len(keys) else None


def _turned(printed: Published, error: float | None, higher_is_better: bool) -> Number:
    value = printed.value if higher_is_better else -printed.value
    return Number(value, printed.rounding, printed.spread, error)


def _standard_error(experiment: Experiment, metric: Metric, printed: Published) -> float | None:
    if experiment.selected_by:
        return printed.spread
    items = experiment.published_items.get(metric.name)
    if items is None or experiment.folds or experiment.all_or_nothing:
        return None
    if metric.kind == "proportion":  # Agresti and Coull's, which a share of 100 % has, too
        share = (printed.value / metric.factor * items + 2) / (items + 4)
        return metric.factor * sqrt(share * (1 - share) / (items + 4))
    return printed.spread / sqrt(items) if printed.spread is not None else None


def _lead(claim: Claim, pair: Sequence[Number]) -> Lead:
    first = pair[0]
    if claim["kind"] in ("below", "above"):
        sign = 1 if claim["kind"] == "above" else -1
        return Lead(sign * (first.value - float(claim["threshold"])), first.rounding, first.error)
    second = pair[1]
    error = None if first.error is None or second.error is None else sqrt(first.error**2 + second.error**2)
    return Lead(first.value - second.value, first.rounding + second.rounding, error)


def _of_spreads(first: Number, second: Number) -> Lead:
    if first.spread is None or second.spread is None:
        return Lead(0.0, 0.0, None)
    return Lead(second.spread - first.spread, 0.0, None)


def _each(claim: Claim, leads: Leads, known: object, unknown: Sequence[str]) -> Answer:
    if any(lead.value < -ROUNDING for lead in leads.values()):
        return "fails", _decided(claim, leads, behind=True)
    if unknown or any(abs(lead.value) <= ROUNDING for lead in leads.values()):
        return "open", False
    return "holds", _decided(claim, leads, every=True)


def _better(claim: Claim, leads: Leads, known: object, unknown: Sequence[str]) -> Answer:
    if claim["quantifier"] == "each":
        return _each(claim, leads, known, unknown)
    if any(lead.value < -ROUNDING for lead in leads.values()):
        return "fails", _decided(claim, leads, behind=True)
    if unknown or all(abs(lead.value) <= ROUNDING for lead in leads.values()):
        return "open", False
    return "holds", _decided(claim, leads)


def _share(claim: Claim, leads: Leads, known: Mapping[str, Sequence[Number]], unknown: Sequence[str]) -> Answer:
    needed, tolerance = ceil(float(claim["share"]) * len(claim["settings"])), float(claim["tolerance"])

    def count(moved: int) -> int:
        return sum(
            lead.value + moved * lead.rounding + tolerance * abs(known[setting][1].value) >= -ROUNDING
            for setting, lead in leads.items()
        )

    if count(0) >= needed:
        return "holds", None if count(-1) >= needed else False
    if count(0) + len(unknown) >= needed:
        return "open", False
    return "fails", None if count(1) + len(unknown) < needed else False


def _alike(claim: Claim, leads: Leads, known: object, unknown: Sequence[str]) -> Answer:
    over = [abs(lead.value) - float(claim["threshold"]) for lead in leads.values()]
    rounding = max(lead.rounding for lead in leads.values())
    if max(over) > -ROUNDING:
        return "fails", None if max(over) > rounding else False
    return ("open", False) if unknown else ("holds", None if max(over) < -rounding else False)


def _mean_better(claim: Claim, leads: Leads, known: object, unknown: Sequence[str]) -> Answer:
    return _of_sum(leads, [1 / len(leads)] * len(leads), unknown)


def _widening(claim: Claim, leads: Leads, known: object, unknown: Sequence[str]) -> Answer:
    places = np.asarray([log(float(number(setting))) for setting in leads])
    weights = (places - places.mean()) / ((places - places.mean()) ** 2).sum()
    return _of_sum(leads, weights.tolist(), unknown)


def _of_sum(leads: Leads, weights: Sequence[float], unknown: Sequence[str]) -> Answer:
    """Of a weighted sum of leads that is to be above zero."""
    pairs = list(zip(weights, leads.values(), strict=True))
    total = fsum(weight * lead.value for weight, lead in pairs)
    if unknown or abs(total) <= ROUNDING:
        return "open", False
    outcome = "holds" if total > 0 else "fails"
    if abs(total) < fsum(abs(weight) * lead.rounding for weight, lead in pairs):
        return outcome, False
    errors = [weight * lead.error for weight, lead in pairs if lead.error is not None]
    if len(errors) < len(pairs):
        return outcome, None
    return outcome, bool(stats.norm.sf(abs(total) / sqrt(fsum(error**2 for error in errors))) <= ALPHA)


def _decided(claim: Claim, leads: Leads, *, every: bool = False, behind: bool = False) -> bool | None:
    """Whether the leads (with ``behind``: the lags) are more than chance and rounding: every one of them, or any."""
    sign = -1 if behind else 1
    if every and not all(lead.certain for lead in leads.values()):
        return False
    if not any(lead.certain and sign * lead.value > 0 for lead in leads.values()):
        return False
    if any(lead.error is None for lead in leads.values()):
        return None
    ps = [_p(sign * lead.value, lead.error or 0.0) for lead in leads.values()]
    adjusted = holm([*ps, *[1.0] * (len(claim["settings"]) - len(ps))])[: len(ps)]
    return (all if every else any)(p <= ALPHA for p in adjusted)


def _p(lead: float, error: float) -> float:
    if error <= ROUNDING:
        return 0.0 if lead > ROUNDING else 1.0
    return float(stats.norm.sf(lead / error))


_KINDS: Mapping[str, Callable[[Claim, Leads, Mapping[str, Sequence[Number]], Sequence[str]], Answer]] = {
    "better": _better,
    "below": _each,
    "above": _each,
    "steadier": _each,
    "alike": _alike,
    "share": _share,
    "mean_better": _mean_better,
    "widening": _widening,
}
