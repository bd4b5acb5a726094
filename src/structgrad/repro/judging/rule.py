"""THE rule that turns a number of ours and a printed one into a verdict. Written down before any cell was judged by it.

A first rule asked whether the printed value lay within both uncertainties, so that a short run with a wide interval
"reproduced" easily: of 403 cells that it called reproduced, 234 could have hidden a difference larger than their own
margin. Its verdict is kept beside this one's (:mod:`structgrad.repro.judging.first_rule`).

Let ``d`` be ours minus the printed value and M the metric's margin. Three things blur ``d``:

1. **Our sampling**: our 95 % interval over replicas (:mod:`structgrad.repro.judging.effective`).
2. **Their sampling**, at its own level of replicas and where its meaning is known
   (:mod:`structgrad.repro.judging.printed`); where it is not, nothing is added.
3. **Their rounding**: half a unit of the last printed digit. It is a bound, not a chance, so it is added in full.

Two independent samples are compared by the interval of their difference, whose squares add side by side (Newcombe 1998,
Statistics in Medicine 17; MOVER, Zou & Donner 2008). With ``l``, ``u`` the ends of ours and ``l'``, ``u'`` of theirs,

    I = [ d - sqrt((ours - l)^2 + (u' - printed)^2) - rounding,  d + sqrt((u - ours)^2 + (printed - l')^2) + rounding ].

    reproduced     0 in I, and our half-width (u - l) / 2 is at most max(M, theirs): we are at least as precise as the
                   margin or the print. **equivalent** where all of I lies within +-M: two one-sided tests at 2.5 %
                   (Schuirmann 1987), the strong form.
    inconclusive   0 in I, but ours is wider than that, or there is one replica, which has no interval. More replicas
                   always cure it; the cell says how many, from the spread that was observed.
    shifted        I leaves 0 out but reaches into +-M.
    differs        I lies wholly outside +-M, also after Holm's correction within the table; without it, shifted.

A search of fewer trials than the paper's selects among fewer: what it gives is a lower bound, so a printed value above
its interval is inconclusive.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from scipy import stats

from structgrad.repro.judging.effective import NORMAL

ALPHA = 0.05
SLACK = 1e-9  # equality at a border is inside, whatever the last bit says
MOST = 10**6  # replicas that nobody would run


@dataclass(frozen=True)
class Ends:
    """A value and the ends of its 95 % interval; both ends are the value where its uncertainty is not known."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half the interval's length."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Difference:
    """``I``: ours minus the printed value with its interval, and what it is held against."""

    value: float
    low: float
    high: float
    ours: Ends
    printed: Ends
    rounding: float
    margin: float

    @classmethod
    def of(cls, ours: Ends, printed: Ends, rounding: float, margin: float) -> Difference:
        """The interval of the difference of two independent estimates."""
        value = ours.value - printed.value
        below = sqrt((ours.value - ours.low) ** 2 + (printed.high - printed.value) ** 2) + rounding
        above = sqrt((ours.high - ours.value) ** 2 + (printed.value - printed.low) ** 2) + rounding
        return cls(value, value - below, value + above, ours, printed, rounding, margin)

    @property
    def holds_zero(self) -> bool:
        """Whether both could be the same number."""
        return self.low <= SLACK and self.high >= -SLACK

    @property
    def within_margin(self) -> bool:
        """Whether all of it lies inside +-M: equivalence."""
        return self.low >= -self.margin - SLACK and self.high <= self.margin + SLACK

    @property
    def reaches_margin(self) -> bool:
        """Whether any of it does."""
        return self.low <= self.margin + SLACK and self.high >= -self.margin - SLACK

    @property
    def wanted(self) -> float:
        """How wide our own half may be: max(M, theirs)."""
        return max(self.margin, self.printed.half)

    @property
    def precise(self) -> bool:
        """Whether we are at least as precise as the margin or the print."""
        return self.ours.half <= self.wanted + SLACK

    @property
    def p_outside(self) -> float:
        """Two-sided p of "the difference is no more than M": 0.05 where I just touches the margin.

        The side of I that faces the margin is taken as 1.96 standard deviations of a normal.
        """
        side = self.value - self.low if self.value >= 0 else self.high - self.value
        beyond, reach = abs(self.value) - self.margin - self.rounding, side - self.rounding
        if beyond <= 0:
            return 1.0
        return 0.0 if reach <= 0 else float(2 * stats.norm.sf(beyond / (reach / NORMAL)))


def verdict_of(difference: Difference, adjusted: float | None = None) -> str:
    """The verdict; ``adjusted`` is :attr:`Difference.p_outside` after Holm's correction within the table."""
    if difference.holds_zero:
        return "reproduced" if difference.precise else "inconclusive"
    p = difference.p_outside if adjusted is None else adjusted
    return "shifted" if difference.reaches_margin or p > ALPHA else "differs"


def replicas_wanted(half: Callable[[int], float], replicas: int, wanted: float) -> int | None:
    """How many replicas would make ours precise: the smallest

        n >= replicas    with    half(n) <= wanted,

    found by bisection, as ``half(n)``, the half-width that n replicas of the observed value and spread would have by
    the verdict's own interval, falls with n. None for more than anybody would run.
    """
    counts = range(replicas, MOST + 1)
    place = bisect_left(counts, True, key=lambda n: half(n) <= wanted + SLACK)
    return counts[place] if place < len(counts) else None
