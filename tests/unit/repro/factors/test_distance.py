"""p of a combination: uniform where it made the column, with as few replicas as studies have, trained or predicted."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from cheap_study import CHEAP, REPLICAS, as_printed, normal_responses, responses_of, study_of
from scipy import stats

from structgrad.repro.factors import distance
from structgrad.repro.factors.compatible import candidates
from structgrad.repro.factors.declared import studies
from structgrad.repro.factors.designs import columns, design
from structgrad.repro.factors.distance import LEAST, compare
from structgrad.repro.factors.effects import Lack, effects, lack_of_fit, leverage
from structgrad.repro.factors.responses import Responses
from structgrad.repro.judging.published import Published

MIXING = np.array([[2.0, 0, 0, 0], [1.5, 0.5, 0, 0], [0, 0, 1.0, 0], [0, 0, -0.8, 0.3]])  # cells of a setting depend


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(distance, "DRAWS", 2000)


def column(values: np.ndarray) -> list[Published]:
    """Printed to the last digit."""
    return [Published(f"{value:.6f}", "", "%", "") for value in values]


def holds(ps: list[float]) -> None:
    """That p is uniform, in particular near where compatible ends."""
    assert stats.kstest(ps, "uniform").pvalue > 1e-3
    assert 0.02 <= np.mean(np.array(ps) < LEAST) <= 0.09


@pytest.mark.parametrize("replicas", [3, 10, REPLICAS])
def test_p_is_uniform_for_the_true_combination(replicas):
    """With cells of a setting that depend on each other, and replicas so few that their covariance is hardly known."""
    study = replace(study_of(2), replicas=replicas)
    rng, ps = np.random.default_rng(3), []
    for _ in range(300):
        ours = 50 + np.stack([MIXING @ rng.normal(size=(4, replicas))] * 2)  # the same seeds
        theirs = 50 + (MIXING @ rng.normal(size=(4, REPLICAS))).mean(1)
        ps.append(compare(responses_of(study, [(0,), (1,)], ours), (0,), ours[0], column(theirs)).p)
    holds(ps)


def test_p_is_uniform_where_replicas_are_folds():
    """The mean of a partition's folds varies by the ratio less than folds suggest, and what another combination's folds
    do, which scatter five times as much, says nothing of these.
    """
    study, rng, ps = studies()["berthet_1"][0], np.random.default_rng(8), []
    ratio = study.experiment.arm(study.arm).fold_ratio
    base, other = list(study.combinations())[:2]
    for _ in range(300):
        folds = rng.normal(0, 0.05, (2, 5, 10))
        ours, theirs = 0.5 + folds - folds.mean(2, keepdims=True) * (1 - ratio)
        responses = responses_of(study, [base, other], np.stack([ours, 0.5 + 5 * (ours - 0.5)]))
        ps.append(compare(responses, base, ours, column(theirs.mean(1))).p)
    holds(ps)


def test_one_setting_of_which_the_print_is_exact_has_hotellings_p():
    """T^2 (R - k) / (k (R - 1)) has Fisher's F with k and R - k degrees of freedom."""
    replicas, rng = 5, np.random.default_rng(0)
    study = replace(
        study_of(2), replicas=replicas, settings=("d=5",), experiment=replace(CHEAP.experiment, published_replicas=None)
    )
    ours = 50 + np.einsum("ij,kjr->kir", MIXING[:2, :2], rng.normal(size=(2, 2, replicas)))
    mean, covariance = ours[0].mean(1), np.cov(ours[0])
    for away in (0.3, 1.0, 3.0):
        print_ = mean + away * np.sqrt(np.diag(covariance))
        told = compare(responses_of(study, [(0,), (1,)], ours), (0,), ours[0], column(print_)).p
        squared = replicas * (print_ - mean) @ np.linalg.solve(covariance, print_ - mean)
        exact = float(stats.f.sf(squared * (replicas - 2) / (2 * (replicas - 1)), 2, replicas - 2))
        assert told == pytest.approx(exact, abs=4 * sqrt(exact * (1 - exact) / 2000) + 1 / 2000)


def test_p_is_uniform_where_a_finer_metric_takes_more_items_than_the_print():
    """A hundred sequences of each of our replicas, one of each of theirs: theirs lie apart by the latter."""
    study, rng, ps = study_of(2), np.random.default_rng(4), []
    for _ in range(300):
        chances, theirs = (rng.beta(8, 3, (4, REPLICAS)) for _ in range(2))
        finer, single = (100 * rng.binomial(items, chances, (2, 4, REPLICAS)) / items for items in (100, 1))
        column = 100 * rng.binomial(1, theirs).mean(1)
        printed = [Published(f"{value:.6f}", "", "%", "") for value in column]
        told = candidates(Responses(study, [(0,), (1,)], finer, single), printed)
        ps.append(next(c for c in told if c.combination == (0,)).p)
    holds(ps)


def interacting(rng: np.random.Generator, combinations: int, alike: bool) -> np.ndarray:
    """Each combination's own distance from an additive table, ``(combinations, 4)``, in cells that depend; ``alike`` in
    both settings or not.
    """
    normal = rng.normal(size=(combinations, 4))
    return 3 * (np.tile(normal[:, :2], 2) @ np.kron(np.eye(2), MIXING[:2, :2]).T if alike else normal @ MIXING.T)


@pytest.mark.parametrize("alike", [False, True])
def test_p_of_a_combination_that_is_predicted_is_seldom_too_small(alike):
    """From a fraction, where what factors do together is as large as anything: leverage and few degrees of freedom."""
    study, rng, ps = replace(study_of(2, 2, 2, 2), replicas=10), np.random.default_rng(6), []
    every, chosen = list(study.combinations()), design(study_of(2, 2, 2, 2), 8)
    hidden = next(combination for combination in every if combination not in chosen)
    for _ in range(200):
        table = 50 + columns(study, every) @ rng.normal(0, 5, (5, 4)) + interacting(rng, len(every), alike)
        trained = table[[every.index(combination) for combination in chosen]]
        responses = normal_responses(study, chosen, trained, 0.3, int(rng.integers(2**31)))
        predicted = np.einsum("p,pcr->cr", columns(study, [hidden])[0], responses.coefficients)
        wide = lack_of_fit(responses).wider(1 + leverage(responses, hidden))
        ps.append(compare(responses, hidden, predicted, column(table[every.index(hidden)]), wide).p)
    assert np.mean(np.array(ps) < LEAST) <= 0.09
    assert np.mean(np.array(ps) < 0.5) >= 0.2  # and is no empty promise


@pytest.mark.parametrize(("sizes", "count"), [((2, 2, 2, 2), 8), ((2, 2, 2), 7), ((2, 3, 2), 8)])
def test_effects_of_a_fraction_cover_those_over_all_combinations(sizes, count):
    """Balanced or not."""
    study, rng, covered = replace(study_of(*sizes), replicas=10), np.random.default_rng(7), []
    every, chosen = list(study.combinations()), design(study_of(*sizes), count)
    for _ in range(400):
        random = rng.normal(0, 5, (columns(study, every).shape[1], 4))
        table = 50 + columns(study, every) @ random + interacting(rng, len(every), False)
        true = (np.linalg.pinv(columns(study, every)) @ table)[1:].flatten()
        trained = table[[every.index(combination) for combination in chosen]]
        told = effects(normal_responses(study, chosen, trained, 0.3, int(rng.integers(2**31))))
        covered += [effect.low <= value <= effect.high for effect, value in zip(told, true, strict=True)]
    assert 0.935 <= np.mean(covered) <= 0.975


def test_a_likelihood_is_students():
    """Of one cell, with the degrees of freedom of the replicas, or of the lack of fit where these are fewer."""
    study = replace(study_of(2), replicas=6)
    ours = normal_responses(study, [(0,), (1,)], np.full((2, 4), 50.0), 1.0)
    first, none = column(np.full(4, 51.0))[:1], [None] * 3
    for lack, free in ((None, 5), (Lack(np.eye(4), 2), 2), (Lack(np.eye(4), 30), 5)):
        told = compare(ours, (0,), ours.values[0], [*first, *none], lack)
        apart, values = 51 - ours.values[0, 0].mean(), ours.values[:, 0]
        single = (values.var(1, ddof=1) * [0.8, 0.2]).sum()
        variance = values[0].var(ddof=1) / 6 + single / REPLICAS + (lack is not None)
        assert told.likelihood == pytest.approx(stats.t.logpdf(apart, free, scale=np.sqrt(variance)), rel=1e-6)


@pytest.mark.parametrize(("missing", "compatible"), [(0.3, True), (30, False)])
def test_replicas_that_all_agree_may_be_followed_by_one_that_does_not(missing, compatible):
    study = study_of(2)
    values = np.broadcast_to(np.array([100.0, 0, 100, 0])[None, :, None], (2, 4, REPLICAS))
    told = compare(
        responses_of(study, [(0,), (1,)], values), (0,), values[0], column(np.array([100 - missing, 0, 100, 0]))
    )
    assert (told.p >= LEAST) == compatible


def test_what_is_predicted_is_within_what_the_metric_can_be():
    study = study_of(2, 2, 2, 2, 2)
    chosen = design(study, 10)
    table = np.clip(columns(study, chosen) @ np.array([[90.0, 2, 90, 2], *[[9, -1, 9, -1]] * 5]), 0, 100)
    told = candidates(normal_responses(study, chosen, table, 0.01), as_printed(study, table[0]))
    cells = np.array([candidate.cells for candidate in told if not candidate.trained])
    assert 0 <= cells.min() <= cells.max() <= 100
    assert (cells == 100).any()


def test_a_setting_that_alone_is_apart_is_told():
    study = study_of(2)
    ours = normal_responses(study, [(0,), (1,)], np.full((2, 4), 50.0), 1.0)
    beside = compare(ours, (0,), ours.values[0], as_printed(study, np.array([50, 50, 53, 50])))
    assert beside.p < LEAST
    assert beside.p_of_settings["d=10"] < LEAST <= beside.p_of_settings["d=5"]
    assert beside.p_without(["d=10"]) == beside.p_of_settings["d=5"]
    assert beside.p_without(["d=5", "d=10"]) == 1
