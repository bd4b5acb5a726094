"""The verdict on one cell: the rule applied to ours and the printed value, and how it came about in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor, log10

from structgrad.experiments import Metric
from structgrad.repro.judging.intervals import Measured
from structgrad.repro.judging.published import Published
from structgrad.repro.judging.rule import Difference, Ends, replicas_wanted, verdict_of
from structgrad.repro.judging.sampling import PARTITIONS
from structgrad.repro.judging.significance import holm


@dataclass(frozen=True)
class Verdict:
    """A verdict as people read it.

    Attributes:
        mark: says it without a colour.
        words: in a count of printed numbers.
        meaning: in a legend.
    """

    mark: str
    words: str
    meaning: str


# In the order of a reader's interest: what was compared comes first.
VERDICTS: Mapping[str, Verdict] = {
    "reproduced": Verdict(
        "✓", "reproduced", "both could be the same number, and ours is as precise as the margin or the print"
    ),
    "inconclusive": Verdict(
        "?", "inconclusive", "both could be the same number, but ours is not precise enough to say so"
    ),
    "shifted": Verdict("≈", "shifted", "not the same number, but perhaps within the metric's margin"),
    "differs": Verdict("✗", "differing", "beyond the metric's margin"),
    "misprint": Verdict("!", "misprinted", "what is printed cannot be"),
    "not_comparable": Verdict("·", "protocol cut", "nothing to hold it against: a cut protocol, or no printed number"),
    "not_attempted": Verdict("–", "not run", "not run at this scale"),
    "no_data": Verdict("∅", "no data", "its data set was not there"),
}
NO_EXPERIMENT = "no_experiment"  # of a printed number that nothing here produces yet
OUTCOMES: Mapping[str, Verdict] = {
    **VERDICTS,
    NO_EXPERIMENT: Verdict("+", "no experiment yet", "printed, but no experiment here covers it yet"),
}
APART = ("shifted", "differs")
SETTLED = ("reproduced", *APART)  # more replicas of the same would hardly change it


@dataclass(frozen=True)
class Judgement:
    """A verdict and how it came about.

    Attributes:
        verdict: one of :data:`VERDICTS`.
        reason: the rule's arithmetic, or why nothing is compared.
        difference: ours minus the printed value; None where they are not compared.
        equivalent: reproduced in the strong form.
        wanted: how many replicas would decide it, where it is inconclusive and that can be said; of folds of one
            partition, those of the fewest partitions that tell.
        first: what the first rule said; empty where it compared nothing.
    """

    verdict: str
    reason: str
    difference: Difference | None = None
    equivalent: bool = False
    wanted: int | None = None
    first: str = ""


def is_misprint(published: Published, metric: Metric) -> bool:
    """Whether what is printed cannot be: a share below 0 or above 100 %."""
    return metric.kind == "proportion" and not 0 <= published.value <= metric.factor


def unjudged(
    metric: Metric, ours: Measured | None, published: Published | None, cut: str | None, missing_data: str | None
) -> Judgement | None:
    """The verdict where nothing is to be compared, or None.

    Args:
        metric: what the cell holds.
        ours: None without a record.
        published: None where the paper prints nothing.
        cut: what the scale cuts besides replicas; None for a comparable block.
        missing_data: how to get the data set that was not there; None if nothing was missing.
    """
    if published is not None and is_misprint(published, metric):
        return Judgement("misprint", f"{published.text} is printed, which lies outside 0 .. {metric.factor:g}")
    if ours is None:
        if missing_data is not None:
            return Judgement("no_data", missing_data or VERDICTS["no_data"].meaning)
        return Judgement("not_attempted", "there is no record of it at this scale")
    if published is None:
        return Judgement("not_comparable", "the paper prints no number for this cell")
    return Judgement("not_comparable", f"the scale cuts the protocol: {cut}") if cut is not None else None


def judge(
    metric: Metric,
    ours: Measured,
    published: Published,
    printed: Ends,
    why: str,
    *,
    trials: int | None = None,
    folds: int = 0,
    half: Callable[[int], float] | None = None,
) -> Judgement:
    """The verdict on a cell that is compared, before Holm's correction.

    Args:
        metric: what the cell holds, with its margin.
        ours: in the metric's unit.
        published: the printed value, in the same unit.
        printed: the same with its interval.
        why: where that interval comes from.
        trials: of the paper's search, where ours is one of fewer.
        folds: how many replicas are the folds of one partition; 0 where they are independent.
        half: what our half-width would be with so many replicas (partitions, where they are folds); None of a search,
            which with more trials is another one.
    """
    assert metric.margin is not None  # what is set beside printed numbers has one
    if ours.low is None or ours.high is None:
        what = "trial" if trials else "replica"
        reason = f"one {what} has no interval; two at least are wanted{_bound(ours.n, trials)}"
        return Judgement("inconclusive", reason, wanted=2)
    difference = Difference.of(Ends(ours.value, ours.low, ours.high), printed, published.rounding, metric.margin)
    verdict, wanted, note = verdict_of(difference), None, ""
    worse = difference.value < 0 if metric.higher_is_better else difference.value > 0
    if trials and (worse or difference.holds_zero):
        verdict = "inconclusive"
    elif verdict == "inconclusive" and folds and ours.n < PARTITIONS * folds:
        wanted, note = PARTITIONS * folds, "; further partitions of the folds would decide it"
    elif verdict == "inconclusive" and half is not None:
        size, units = (folds, "partitions of the folds") if folds else (1, "replicas")
        count = replicas_wanted(half, ours.n // size, difference.wanted)
        wanted, note = count and count * size, f"; {count} {units} would decide it" if count else ""
    reason = _in_words(difference, published, why) + note + _bound(ours.n, trials)
    return Judgement(verdict, reason, difference, verdict == "reproduced" and difference.within_margin, wanted)


def corrected(judgements: Sequence[Judgement]) -> list[Judgement]:
    """The judgements of one table after Holm's correction: what differs only without it is shifted."""
    compared = [judgement.difference for judgement in judgements if judgement.difference is not None]
    adjusted = iter(holm([difference.p_outside for difference in compared]))
    settled = []
    for judgement in judgements:
        p = next(adjusted) if judgement.difference is not None else None
        if judgement.verdict == "differs" and judgement.difference is not None:
            verdict = verdict_of(judgement.difference, p)
            note = "" if verdict == "differs" else f"; beyond the margin only without Holm's correction (p = {p:.2g})"
            judgement = replace(judgement, verdict=verdict, reason=judgement.reason + note)
        settled.append(judgement)
    return settled


def _bound(ours: int, trials: int | None) -> str:
    """What a search of fewer trials than the paper's says of one of as many."""
    ran = "1 trial" if ours == 1 else f"{ours} trials"
    return f"; a search of {ran} is a lower bound on one of {trials}" if trials else ""


def _in_words(difference: Difference, published: Published, why: str) -> str:
    margin = difference.margin
    digits = max(2, 1 - floor(log10(margin)))  # a tenth of the margin shows

    def text(number: float) -> str:
        return f"{number:.{digits}f}"

    return (
        f"ours minus the printed {published.text} is {text(difference.value)} "
        f"[{text(difference.low)}, {text(difference.high)}]: our interval has half-width {text(difference.ours.half)}, "
        f"the print's {text(difference.printed.half)} ({why}), "
        f"rounding is {published.rounding:g}, the margin {margin:g}"
    )
