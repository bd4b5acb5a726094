"""How often the intervals cover: simulated replicas of known means, from two to two hundred."""

from collections.abc import Callable
from math import exp, inf

import numpy as np
import pytest
from scipy import stats

from structgrad.repro.judging.effective import LEVEL, Pooled, effective_size, interval, student

SIZES = (2, 3, 5, 20, 200)
UNIT, CORRELATION = (0.0, 1.0), (-1.0, 1.0)


def shares(rng, n):
    """Replicas of a hundred test items each, which share a network."""
    return rng.binomial(100, rng.beta(87, 13, n)) / 100


Case = tuple[Callable[[np.random.Generator, int], np.ndarray], float, tuple[float, float]]
# what a replica reports, its mean, its bounds: the distributions at hand, and rougher ones
CONTINUOUS: dict[str, Case] = {
    "evidence bounds": (lambda rng, n: rng.normal(-1500, 60, n), -1500, (-inf, 0.0)),
    "correlations": (lambda rng, n: rng.normal(0.6, 0.1, n), 0.6, CORRELATION),
    "high correlations": (lambda rng, n: rng.normal(0.95, 0.01, n), 0.95, CORRELATION),
    "uniform": (lambda rng, n: rng.random(n), 0.5, UNIT),
    "skewed": (lambda rng, n: rng.beta(2, 5, n), 2 / 7, UNIT),
    "shares of a hundred": (shares, 0.87, UNIT),
    "accuracies of ten thousand": (lambda rng, n: rng.binomial(10_000, np.full(n, 0.98)) / 10_000, 0.98, UNIT),
}
# a distribution with a point mass cannot be covered closely by anything: never less is what can be had
RARE: dict[str, Case] = {
    "one sequence": (lambda rng, n: (rng.random(n) < 0.95) * 1.0, 0.95, UNIT),
    "one in ten never learns": (lambda rng, n: np.where(rng.random(n) < 0.1, 0.05, 1.0), 0.905, UNIT),
    "three in a hundred never learn": (lambda rng, n: np.where(rng.random(n) < 0.03, 0.0, 0.99), 0.9603, UNIT),
    "wrong positions, mostly none": (lambda rng, n: (rng.random(n) < 0.1) * rng.beta(1, 9, n), 0.01, UNIT),
    "long tail": (lambda rng, n: np.minimum(rng.lognormal(-4, 0.5, n), 1), exp(-4 + 0.125), UNIT),
}


def covered(draw, mean, bounds, n, most=None, samples=1000):
    rng = np.random.default_rng(n)
    ends = [interval(Pooled.of(draw(rng, n), np.ones(n)), bounds, most) for _ in range(samples)]
    return 100 * float(np.mean([low <= mean + 1e-12 and mean <= high + 1e-12 for low, high in ends]))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", CONTINUOUS)
def test_it_covers_what_it_says(name, n):
    ties = n == 2 and "of" in name.split()  # of whole numbers, which look like no spread
    assert (
        91.5 < covered(*CONTINUOUS[name], n) < (100.1 if ties else 98.5)
    )  # 93 to 97, and what 1000 samples may err by


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", RARE)
def test_rare_failures_are_never_covered_less(name, n):
    least = 88.5 if n == 20 and "wrong" in name else 91.5  # two of them wrong say little of how wrong others are
    assert covered(*RARE[name], n, most=n if "learn" in name or "one sequence" in name else None) > least


def test_student_alone_would_not():
    """The reason for the effective size: half of the samples of five have no failure, and no spread."""
    draw, mean, _ = RARE["one in ten never learns"]
    assert covered(draw, mean, (-inf, inf), 5) < 60


def test_one_replica_has_no_interval():
    with pytest.raises(ValueError, match="one replica"):
        interval(Pooled.of([0.5], [1]), UNIT)


def test_replicas_that_agree_leave_room_for_one_that_fails():
    low, high = interval(Pooled.of([100.0] * 5, [100] * 5), UNIT, most=5)
    assert (round(low, 4), high) == (0.4782, 1.0)  # 1 - 0.025^(1/5) below one: five of five
    assert interval(Pooled.of([0.0] * 20, [1] * 20), UNIT)[1] == pytest.approx(1 - 0.025 ** (1 / 20))


def test_one_item_per_replica_is_clopper_and_pearson():
    """To the letter where the items are 0 or 1; of any others the variance is an estimate, and t counts."""
    pooled = Pooled.of([1.0] * 180 + [0.0] * 20, [1] * 200)
    exact = stats.binomtest(180, 200).proportion_ci(0.95, method="exact")
    assert interval(pooled, UNIT, most=200) == pytest.approx((exact.low, exact.high))
    assert effective_size(pooled) == pytest.approx(199 * (1.96 / student(200)) ** 2, rel=1e-3)
    assert LEVEL == 0.95


def test_the_ratio_estimator_weighs_replicas_by_their_items():
    pooled = Pooled.of([5.0, 90.0], [10, 100])
    assert pooled.value == pytest.approx(95 / 110)
    assert pooled.variance == pytest.approx(2 * ((5 - 10 * 95 / 110) ** 2 + (90 - 100 * 95 / 110) ** 2) / 110**2)
