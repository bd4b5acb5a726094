"""Replicas pooled, and what that says of the printed value: by hand, and against simulation."""

from math import sqrt

import numpy as np
import pytest

from structgrad.experiments import REGISTRY
from structgrad.repro.judging.printed import Print, ends_of, of_ours
from structgrad.repro.judging.published import Published
from structgrad.repro.judging.sampling import Sampling
from structgrad.training.results import Mean, Proportion

PERFECT, WRONG = (REGISTRY["indelman_1a"].metric(name) for name in ("percent_sequences_perfect", "prop_wrong_mean"))
SPEARMAN = REGISTRY["berthet_1"].metric("spearman")


def printed(text, spread=""):
    return Published(text, spread, "", "")


def test_spread_is_over_items():
    replicas = [0.0, 0.4, 0.0], [0.2], [0.0, 0.0]
    sampling = Sampling.of([Mean.of(replica) for replica in replicas], WRONG)
    flat = np.concatenate(replicas)
    assert sampling.pooled.value == pytest.approx(flat.mean())
    assert sampling.deviation == pytest.approx(flat.std())


def test_spread_over_replicas_is_that_of_their_means():
    sampling = Sampling.of([Mean.of([0.5, 0.5]), Mean.of([0.9, 0.9, 0.9])], SPEARMAN)
    assert (sampling.between, sampling.deviation) == (pytest.approx(0.2), None)


def test_items_that_share_a_network_count_less():
    """Five replicas of which one fails: the variance between them is a hundred times that of independent items."""
    shares = [Proportion(100, 100)] * 4 + [Proportion(0, 100)]
    sampling = Sampling.of(shares, PERFECT)
    assert sampling.pooled.variance == pytest.approx(5 / 4 * (4 * 20**2 + 80**2) / 500**2)
    assert sampling.design_effect == pytest.approx(sampling.pooled.variance * 500 / (0.8 * 0.2))
    ends, why = ends_of(PERFECT, printed("79.4"), Print(500, 5), sampling)
    assert ends.half > 30
    assert "count as one" in why


def test_independent_items_are_clopper_and_pearson():
    shares = [Proportion(1, 1)] * 179 + [Proportion(0, 1)] * 21
    sampling = Sampling.of(shares, PERFECT)
    assert sampling.design_effect == 1
    ends, _ = ends_of(PERFECT, printed("89.5"), Print(200, 200), sampling)
    ours = of_ours(sampling, PERFECT, Print(200, 200))
    assert (ends.low, ends.high) == pytest.approx((84.4, 93.4), abs=0.1)
    assert (ours.low, ours.high) == (ends.low, ends.high)  # the same trainings, looked at in the same way


def test_all_or_nothing_counts_replicas():
    """Nobody of five failed: one in ten or two that would have is not excluded."""
    sampling = Sampling.of([Proportion(100, 100)] * 5, PERFECT)
    known = Print(500, 5, all_or_nothing=True)
    assert of_ours(sampling, PERFECT, known).low == pytest.approx(100 * 0.025 ** (1 / 5))
    ends, why = ends_of(PERFECT, printed("100"), known, sampling)
    assert ends.low == pytest.approx(100 * 0.025 ** (1 / 5))
    assert why.endswith("no more than 5 trainings")
    nearly = Sampling.of([Proportion(k, 100) for k in (97, 98, 99, 99, 99)], PERFECT)
    assert of_ours(nearly, PERFECT, known).low < 50


def test_an_impossible_count_is_given_no_width():
    sampling = Sampling.of([Proportion(1, 1)] * 20, PERFECT)
    ends, why = ends_of(PERFECT, printed("91.6"), Print(200, 200), sampling)
    assert (ends.half, why) == (0, "91.6 is no possible count of 200")
    assert ends_of(PERFECT, printed("91.6"), Print(500, 500), sampling)[0].half > 0
    assert ends_of(PERFECT, printed("91.5"), Print(None), sampling)[0].half == 0
    assert ends_of(WRONG, printed("0.6"), Print(200, 200), sampling)[0].half == 0  # no spread


def test_a_printed_mean_over_folds_is_that_of_a_sample_of_folds():
    """+- is the population deviation of ten folds: s^2 = 10/9 of its square, and t of nine degrees."""
    folds = [Mean(value, value**2, 1) for value in (0.5, 0.6, 0.7, 0.5, 0.6, 0.7, 0.5, 0.6, 0.7, 0.6)]
    sampling = Sampling.of(folds, SPEARMAN, folds=10)
    ends, _ = ends_of(SPEARMAN, printed("0.60", f"{np.std([f.value for f in folds]):.9f}"), Print(10, 10), sampling)
    ours = of_ours(sampling, SPEARMAN, Print(10, 10))
    assert (ends.low, ends.high) == pytest.approx((ours.low, ours.high), abs=1e-6)
    assert ours.half == pytest.approx(2.262 * np.std([f.value for f in folds], ddof=1) / sqrt(10), rel=0.05)


def test_partitions_say_more_than_their_folds():
    rng = np.random.default_rng(0)
    folds = [Mean(value, value**2, 1) for value in rng.normal(0.6, 0.1, 40)]
    parts = [folds[start : start + 10] for start in range(0, 40, 10)]
    shifted = [Mean(f.value - float(np.mean([g.value for g in part])) + 0.6, 0, 1) for part in parts for f in part]
    equal = Sampling.of(shifted, SPEARMAN, folds=10)
    assert equal.pooled.variance == pytest.approx(0, abs=1e-12)  # all partitions have the same mean
    between = np.var([np.mean([fold.value for fold in part]) for part in parts], ddof=1) / 4
    assert Sampling.of(folds, SPEARMAN, folds=10).pooled.variance == pytest.approx(between)
    assert Sampling.of(folds, SPEARMAN, folds=10).pooled.replicas == 4
    few = Sampling.of(folds[:10], SPEARMAN, folds=10, fold_ratio=0.5)
    whole = Sampling.of(folds[:10], SPEARMAN, folds=10)
    assert few.pooled.variance == pytest.approx(whole.pooled.variance / 4)


def test_a_search_brings_its_standard_error():
    elbo = REGISTRY["paulus_1"].metric("elbo")
    sampling = Sampling.of([Mean(-1100.0, 1100.0**2, 1)], elbo)
    ends, why = ends_of(elbo, printed("-1130", "20"), Print(selected=True), sampling)
    assert ends.half == pytest.approx(1.96 * 20, rel=1e-4)
    assert why == "+- 20, the standard error of the selection"
