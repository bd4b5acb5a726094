"""The rule on numbers made for it: each verdict, its borders, and what more replicas would do."""

from math import sqrt

import pytest
from scipy import stats

from structgrad.repro.judging.rule import Difference, Ends, replicas_wanted, verdict_of


def difference(ours, half, printed=0.0, theirs=0.0, rounding=0.0, margin=5.0):
    return Difference.of(
        Ends(ours, ours - half, ours + half), Ends(printed, printed - theirs, printed + theirs), rounding, margin
    )


@pytest.mark.parametrize(
    ("ours", "half", "theirs", "verdict", "equivalent"),
    [
        (1.0, 3.0, 0.0, "reproduced", True),  # I = -2 .. 4
        (3.0, 4.0, 0.0, "reproduced", False),  # -1 .. 7
        (3.0, 6.0, 0.0, "inconclusive", False),  # wider than the margin
        (3.0, 6.0, 7.0, "reproduced", False),  # but not than the print
        (4.0, 3.0, 0.0, "shifted", False),  # 1 .. 7
        (1.0, 0.5, 0.0, "shifted", True),  # 0.5 .. 1.5: another number, and within the margin all the same
        (9.0, 3.0, 0.0, "differs", False),  # 6 .. 12
        (9.0, 3.0, 4.0, "shifted", False),  # 9 +- 5: reaches 5 less a rounding
        (0.0, 5.0, 0.0, "reproduced", True),  # all borders belong to the inside
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_verdicts(ours, half, theirs, verdict, equivalent, sign):
    of = difference(sign * ours, half, theirs=theirs)
    assert verdict_of(of) == verdict
    assert of.within_margin == equivalent


def test_both_samplings_add_as_squares_and_rounding_in_full():
    of = difference(2.0, 3.0, theirs=4.0, rounding=0.05)
    assert (of.low, of.high) == pytest.approx((2 - 5 - 0.05, 2 + 5 + 0.05))


def test_each_side_has_its_own_ends():
    of = Difference.of(Ends(90.0, 80.0, 92.0), Ends(95.0, 94.0, 99.0), 0.5, 5.0)
    assert of.low == pytest.approx(-5 - sqrt(10**2 + 4**2) - 0.5)
    assert of.high == pytest.approx(-5 + sqrt(2**2 + 1**2) + 0.5)


def test_p_is_a_twentieth_where_the_interval_touches_the_margin():
    assert difference(8.0, 3.0).p_outside == pytest.approx(0.05)
    assert difference(8.0, 2.0).p_outside == pytest.approx(2 * stats.norm.sf(3 / (2 / stats.norm.ppf(0.975))))
    assert difference(4.0, 1.0).p_outside == 1.0
    assert difference(8.0, 0.0).p_outside == 0.0


def test_holm_takes_a_difference_back():
    of = difference(9.0, 3.0)
    assert verdict_of(of, adjusted=0.04) == "differs"
    assert verdict_of(of, adjusted=0.06) == "shifted"


def width(n):
    """Half of what Student gives n replicas of deviation 10."""
    return float(stats.t.ppf(0.975, n - 1)) * 10 / sqrt(n)


@pytest.mark.parametrize(("replicas", "wanted"), [(2, 0.5), (2, 5.0), (5, 9.0), (10, 7.1)])
def test_it_takes_the_fewest_replicas_that_are_precise(replicas, wanted):
    count = replicas_wanted(width, replicas, wanted)
    assert count is not None
    assert width(count) <= wanted < width(count - 1)


def test_enough_replicas_are_enough_and_what_nobody_would_run_is_not_told():
    assert replicas_wanted(width, 70, 5.0) == 70
    assert replicas_wanted(width, 7, 0.0) is None
    assert replicas_wanted(lambda n: 10**6 / n, 2, 1.0) == 10**6
    assert replicas_wanted(lambda n: 10**6 / n, 2, 0.99) is None
