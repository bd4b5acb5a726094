"""The first rule's intervals against textbooks, scipy's own, hand calculation, and their coverage in simulation."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

from structgrad.repro.judging import first_intervals
from structgrad.repro.judging.first_intervals import clopper_pearson, mean, proportion, wilson
from structgrad.repro.judging.intervals import Measured, expanded_level

# Newcombe 1998, Statistics in Medicine 17:857-872, Table I
NEWCOMBE = [
    (81, 263, (0.2527, 0.3676), (0.2553, 0.3662)),
    (15, 148, (0.0578, 0.1617), (0.0624, 0.1605)),
    (0, 20, (0.0000, 0.1684), (0.0000, 0.1611)),
    (1, 29, (0.0009, 0.1776), (0.0061, 0.1718)),
]


@pytest.mark.parametrize(("successes", "trials", "exact", "score"), NEWCOMBE)
def test_binomial_intervals_are_the_textbooks(successes, trials, exact, score):
    assert clopper_pearson(successes, trials) == pytest.approx(exact, abs=6e-5)
    assert wilson(successes, trials) == pytest.approx(score, abs=6e-5)


@pytest.mark.parametrize("successes", range(8))
def test_clopper_pearson_is_scipys_for_whole_counts(successes):
    theirs = stats.binomtest(successes, 7).proportion_ci(0.95, method="exact")
    assert clopper_pearson(successes, 7) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_one_trial_a_replica_is_plain_clopper_pearson():
    ours = proportion([1] * 179 + [0] * 21, [1] * 200)
    assert (ours.low, ours.high) == clopper_pearson(179, 200)
    assert (ours.value, ours.n) == (0.895, 200)


def test_clustered_trials_by_hand():
    """p = 0.94, var = 5/4 * 40 / 500^2 = 2e-4; n* = 0.0564 / 2e-4 * (1.96473 / 2.77645)^2 = 141.21."""
    ours = proportion([90, 94, 98, 96, 92], [100] * 5)
    effective = 0.0564 / 2e-4 * (1.964729 / 2.776445) ** 2
    assert effective == pytest.approx(141.21, abs=0.01)
    assert (ours.low, ours.high) == pytest.approx(clopper_pearson(0.94 * effective, effective), abs=1e-6)


def test_clusters_that_agree_too_well_gain_nothing():
    assert proportion([50, 50], [100, 100]).low == clopper_pearson(100, 200)[0]
    assert proportion([50, 50, 51], [100] * 3).low == pytest.approx(clopper_pearson(151, 300)[0])


def test_all_right_has_the_exact_bound_of_all_its_trials():
    ours = proportion([100] * 5, [100] * 5)
    assert (ours.low, ours.high) == (pytest.approx(0.025 ** (1 / 500)), 1.0)


def test_a_single_replica_has_wilsons_interval_of_its_own_trials():
    ours, z = proportion([93], [100]), 1.959963984540054
    assert ours.low is not None
    assert ours.high is not None
    for end in (ours.low, ours.high):  # where the score test has its critical value
        assert (ours.value - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / 100)
    assert (ours.low < ours.value < ours.high, ours.n) == (True, 1)


def test_clustered_interval_covers_where_the_naive_one_does_not():
    rng = np.random.default_rng(1)
    truth, covered, naive, rounds = 0.85, 0, 0, 400
    for _ in range(rounds):
        successes = rng.binomial(100, rng.beta(17, 3, size=5))
        ours: Any = proportion(successes.tolist(), [100] * 5)
        low, high = clopper_pearson(float(successes.sum()), 500)
        covered += ours.low <= truth <= ours.high
        naive += low <= truth <= high
    assert covered / rounds >= 0.93
    assert naive / rounds < 0.7


def items(*replicas):
    data = [np.asarray(replica, dtype=float) for replica in replicas]
    return [x.sum() for x in data], [len(x) for x in data]


def test_few_replicas_reach_to_the_ends_of_all_resamples():
    """With three replicas Student's factor widens the level beyond 1 - 2/27, so every resample counts."""
    replicas = [0.0, 0.4, 0.0], [0.2], [0.1, 0.7]
    sums, counts = items(*replicas)
    ratios = [sum(sums[i] for i in draw) / sum(counts[i] for i in draw) for draw in product(range(3), repeat=3)]
    assert expanded_level(3) > 1 - 2 / 27
    ours = mean(*items(*replicas), seed=3)
    assert (ours.low, ours.high) == (pytest.approx(min(ratios)), pytest.approx(max(ratios)))


def test_expanded_level_tends_to_the_level():
    """The tails of few replicas are Phi(-sqrt(n / (n - 1)) t[n-1]); of many, the level's own."""
    assert (1 - expanded_level(5)) / 2 == pytest.approx(stats.norm.cdf(-np.sqrt(5 / 4) * 2.776445), rel=1e-4)
    assert expanded_level(100_000) == pytest.approx(0.95, abs=1e-4)


def test_equal_replicas_have_no_width_and_one_has_no_interval():
    flat = mean(*items([0.25], [0.25], [0.25]), seed=1)
    assert (flat.value, flat.low, flat.high) == (0.25, 0.25, 0.25)
    single = mean(*items([0.0, 0.5]), seed=1)
    assert (single.value, single.low, single.high, single.n) == (0.25, None, None, 1)


def test_bootstrap_repeats_for_its_seed():
    data = items(*np.random.default_rng(0).exponential(size=(6, 4)))
    first = mean(*data, seed=5)
    first_intervals._bootstrap.cache_clear()
    assert mean(*data, seed=5) == first
    assert mean(*data, seed=6) != first


@pytest.mark.parametrize("groups", [5, 40])
def test_mean_interval_covers(groups, monkeypatch):
    monkeypatch.setattr(first_intervals, "RESAMPLES", 2000)
    rng = np.random.default_rng(groups)
    rounds, covered = 200, 0
    for _ in range(rounds):
        ours: Any = mean(*items(*rng.gamma(2.0, size=(groups, 1)).repeat(3, axis=1)), seed=1)
        covered += ours.low <= 2.0 <= ours.high
    first_intervals._bootstrap.cache_clear()
    assert 0.89 <= covered / rounds <= 0.99


def test_scaled_scales_everything_but_n():
    assert Measured(0.25, 0.2, 0.3, 2, 0.1).scaled(100) == Measured(25, 20, 30, 2, 10)
