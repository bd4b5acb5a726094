"""Claims over many settings whose replicas are folds: against the paper's own counts, scipy and simulation."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

from structgrad.experiments import REGISTRY
from structgrad.repro import claims as module
from structgrad.repro.claims import claims, judge_claims
from structgrad.repro.judging.cells import collect_all
from structgrad.repro.judging.published import lookup
from structgrad.repro.judging.significance import (
    at_least,
    chance_not_negative,
    mean_of_means,
    paired,
    variance_of_mean,
)
from structgrad.repro.planning.plan import load_plan

TENFOLD = 1 / 9
SETS = ["authorship", "bodyfat", "glass", "iris", "stock", "wine"]
SHARE = {
    "id": "made-up", "experiment": "berthet_2", "sentence": "so", "where": "here", "predicate": "such",
    "metric": "spearman", "kind": "share", "share": 0.5, "tolerance": 0.05,
    "first": {"arm": "perturbed_fy"}, "second": {"arm": "squared"}, "settings": SETS,
}  # fmt: skip
MEAN = SHARE | {"kind": "mean_better"}
NOISE = np.array([0.3, -0.1, 0.2, 0.0, -0.4, 0.1, 0.25, -0.3, -0.15, 0.1]) / 10  # mean 0


@pytest.fixture
def plan(project):
    return load_plan("paper", {"experiments": ["berthet_1", "berthet_2"], "replicas": 10})


@pytest.fixture
def score(fabricate, ranked_report):
    """Write a record of ten folds with those correlations."""

    def write(plan, arm, setting, correlations, experiment="berthet_2", cut=7):
        (shard,) = plan.shards_of(experiment, setting, arm)
        fabricate(plan, shard, [ranked_report(float(c)) for c in np.resize(correlations, 10)], seeds=[cut] * 10)

    return write


@pytest.fixture
def lead(plan, score):
    """Perturbed FY ahead of the squared loss by so much at the first settings, fold by fold the same but for noise."""

    def write(leads, base=0.6, noise=NOISE / 5):
        for setting, ahead in zip(SETS, leads, strict=False):
            score(plan, "squared", setting, base + NOISE)
            score(plan, "perturbed_fy", setting, base + NOISE + ahead + noise)

    return write


def only(plan, monkeypatch, claim):
    monkeypatch.setattr(module, "claims", lambda: (claim,))
    (judged,) = judge_claims(plan, collect_all(plan))
    return judged


@pytest.mark.parametrize(
    ("table", "other", "count", "text"),
    [
        ("1", "squared", 16, "76%"),
        ("1", "blackbox", 19, "90%"),
        ("2", "squared", 19, "90%"),
        ("2", "blackbox", 21, "100%"),
    ],
)
def test_the_papers_values_give_the_papers_shares(plan, score, monkeypatch, table, other, count, text):
    """Its sentence says 76 and 90 %; its Table 1 has them."""
    name = f"berthet_{table}"
    experiment = REGISTRY[name]
    arms = {"squared": "squared", "blackbox": "blackbox_mirrored"}
    for setting in experiment.settings:
        for arm in ("perturbed_fy", arms[other]):
            printed = lookup("berthet", table, setting, experiment.arm(arm).answers, "spearman")
            assert printed is not None
            score(plan, arm, setting, printed.value + (printed.spread or 0.002) * NOISE / NOISE.std(), name)
    claim = next(c for c in claims() if c["id"] == f"berthet-{table}-similar-to-{other}")
    judged = only(plan, monkeypatch, claim)
    assert f"better or within 5% on {count} of 21 settings ({text}" in judged["reason"]
    assert sum(detail["similar_or_better"] for detail in judged["results"]) == count


def test_a_share_is_supported_not_supported_or_undecided(plan, lead, monkeypatch):
    lead([0.1, 0.1, 0.1, -0.1, -0.1, -0.1])
    judged = only(plan, monkeypatch, SHARE)
    assert judged["verdict"] == "supported"
    assert judged["reason"] == (
        "better or within 5% on 3 of 6 settings (50%, claimed 50%); 3 or more of 6 with probability 1.000; "
        "significantly better at authorship, bodyfat, glass; worse at iris, stock, wine"
    )
    assert only(plan, monkeypatch, SHARE | {"share": 0.51})["verdict"] == "not_supported"
    lead([0.1, 0.1, -0.03])  # 0.57 is exactly 5 % below 0.6: a coin
    judged = only(plan, monkeypatch, SHARE)
    assert (judged["verdict"], judged["results"][2]["chance"]) == ("undecided", pytest.approx(0.5))


def test_within_the_tolerance_is_similar_and_may_still_be_significantly_worse(plan, lead, monkeypatch):
    lead([-0.02] * 6)
    judged = only(plan, monkeypatch, SHARE)
    assert judged["verdict"] == "supported"
    assert {detail["outcome"] for detail in judged["results"]} == {"worse"}
    assert only(plan, monkeypatch, SHARE | {"tolerance": 0.0})["verdict"] == "not_supported"


def test_settings_not_run_decide_only_where_they_matter(plan, lead, monkeypatch):
    lead([0.1, 0.1, 0.1])
    judged = only(plan, monkeypatch, SHARE)
    assert (judged["verdict"], judged["missing"]) == ("supported", SETS[3:])
    assert judged["reason"].endswith("not run at iris, stock, wine")
    judged = only(plan, monkeypatch, SHARE | {"share": 0.6})
    assert judged["verdict"] == "undecided"
    assert "with probability between 0.000 and 1.000" in judged["reason"]
    lead([-0.1, -0.1, -0.1])
    assert only(plan, monkeypatch, SHARE)["verdict"] == "undecided"
    assert only(plan, monkeypatch, SHARE | {"share": 0.6})["verdict"] == "not_supported"


def test_a_correlation_below_zero_is_similar_from_below_too(plan, lead, monkeypatch):
    lead([-0.001] * 6, base=-0.06, noise=NOISE / 200)  # -0.061 against -0.06 - 0.003
    assert only(plan, monkeypatch, SHARE)["verdict"] == "supported"
    lead([-0.01] * 6, base=-0.06, noise=NOISE / 200)
    assert only(plan, monkeypatch, SHARE)["verdict"] == "not_supported"


def test_folds_that_were_cut_otherwise_say_nothing(plan, lead, score, monkeypatch):
    lead([0.1] * 6)
    for setting in SETS:
        score(plan, "squared", setting, 0.6 + NOISE, cut=8)
    judged = only(plan, monkeypatch, SHARE)
    assert judged["verdict"] == "undecided"
    assert {detail["outcome"] for detail in judged["results"]} == {"open"}
    assert only(plan, monkeypatch, MEAN)["verdict"] == "undecided"
    better = SHARE | {"kind": "better", "quantifier": "any"}
    assert only(plan, monkeypatch, better)["verdict"] == "undecided"


def test_mean_over_settings(plan, lead, monkeypatch):
    lead([0.05, 0.05, 0.05, -0.01, -0.01, -0.01])
    judged = only(plan, monkeypatch, MEAN)
    assert judged["verdict"] == "supported"
    assert judged["reason"].startswith("the mean lead over 6 settings is 0.0200 (p < 0.0001), ahead on 3")
    lead([-0.05, -0.05, -0.05, 0.01, 0.01, 0.01])
    assert only(plan, monkeypatch, MEAN)["verdict"] == "not_supported"
    lead([0.01, -0.01, 0.01, -0.01, 0.01, -0.01])
    assert only(plan, monkeypatch, MEAN)["verdict"] == "undecided"


def test_mean_over_settings_wants_them_all(plan, lead, monkeypatch):
    lead([0.1] * 5)
    judged = only(plan, monkeypatch, MEAN)
    assert (judged["verdict"], judged["reason"]) == ("undecided", "no pairs of replicas at wine")


def test_the_smallest_number_that_makes_up_the_share_is_asked_for(plan, lead, monkeypatch):
    lead([0.1] * 6)
    names = list(REGISTRY["berthet_2"].settings)
    for claimed, settings, needed in ((0.76, 21, 16), (0.9, 21, 19), (0.5, 20, 10)):
        judged = only(plan, monkeypatch, SHARE | {"share": claimed, "settings": names[:settings]})
        assert f"; {needed} or more of {settings} with" in judged["reason"]


def test_corrected_resampled_t_by_hand():
    """Nadeau & Bengio (2003): the variance of ten folds' mean is (1/10 + 1/9) s^2."""
    t = (NOISE + 0.02).mean() / np.sqrt((1 / 10 + 1 / 9) * np.var(NOISE, ddof=1))
    assert paired(NOISE + 0.02, "greater", 21, seed=1, overlap=TENFOLD) == pytest.approx(stats.t.sf(t, 9))
    assert paired(NOISE + 0.02, "less", 21, seed=1, overlap=TENFOLD) == pytest.approx(stats.t.cdf(t, 9))
    assert variance_of_mean(NOISE, 0.0) == pytest.approx(stats.sem(NOISE) ** 2)


def test_claims_about_folds_are_tested_so(plan, lead, monkeypatch):
    lead([0.01], noise=NOISE)
    t = 0.01 / np.sqrt((1 / 10 + 1 / 9) * np.var(NOISE, ddof=1))
    claim = SHARE | {"settings": ["authorship"], "tolerance": 0.0}
    (detail,) = only(plan, monkeypatch, claim)["results"]
    assert detail["p_better"] == pytest.approx(stats.t.sf(t, 9), abs=1e-6)
    assert detail["chance"] == pytest.approx(stats.t.cdf(t, 9), abs=1e-6)
    assert detail["replicas"] == "10 pairs"


def test_without_overlap_the_chance_is_the_ordinary_t():
    student: Any = stats.ttest_1samp
    expected = student(NOISE + 0.01, 0, alternative="less").pvalue
    assert chance_not_negative(NOISE + 0.01, 0.0) == pytest.approx(expected)
    assert chance_not_negative(NOISE + 0.01, TENFOLD) < expected  # surer than it may be
    assert chance_not_negative([0.0] * 10, TENFOLD) == 1
    assert chance_not_negative([-0.1] * 10, TENFOLD) == 0
    assert chance_not_negative([0.1], TENFOLD) is None


def test_at_least_is_the_tail_of_poissons_binomial():
    """Against all outcomes of six coins, and scipy's distribution."""
    chances = [0.1, 0.9, 0.5, 0.35, 0.8, 1.0]
    for count in range(8):
        expected = sum(
            np.prod([p if heads else 1 - p for p, heads in zip(chances, coins, strict=True)])
            for coins in product((0, 1), repeat=6)
            if sum(coins) >= count
        )
        assert at_least(chances, count) == pytest.approx(expected, abs=1e-12)
        assert at_least(chances, count) == pytest.approx(stats.poisson_binom(chances).sf(count - 1), abs=1e-9)
    assert at_least([], 0) == at_least(chances, -3) == 1
    assert at_least([], 1) == 0


def test_mean_of_means_by_hand():
    """Of one sample it is the t-test; of several the variances add and the degrees are Satterthwaite's."""
    value, up, down = mean_of_means([NOISE + 0.02], 0.0)
    student: Any = stats.ttest_1samp
    assert (value, up) == pytest.approx((0.02, student(NOISE + 0.02, 0, alternative="greater").pvalue))
    assert up + down == pytest.approx(1)
    samples = [NOISE + 0.02, 3 * NOISE[:6], -NOISE]
    v = [np.var(s, ddof=1) * (1 / len(s) + TENFOLD) for s in samples]
    t = np.mean([np.mean(s) for s in samples]) / (np.sqrt(sum(v)) / 3)
    degrees = sum(v) ** 2 / sum(a**2 / (len(s) - 1) for a, s in zip(v, samples, strict=True))
    assert mean_of_means(samples, TENFOLD)[1] == pytest.approx(stats.t.sf(t, degrees))
    assert mean_of_means([[0.1] * 3, [0.2] * 3], TENFOLD)[1:] == (0, 1)
    assert mean_of_means([[0.1] * 3, [-0.1] * 3], TENFOLD)[1:] == (1, 1)


def test_the_correction_holds_the_level_where_folds_are_correlated():
    """Folds whose correlation is test / (test + train), as Nadeau & Bengio assume: t without it errs far too often."""
    rng = np.random.default_rng(1)
    rho = 0.1
    folds = np.sqrt(rho) * rng.normal(size=(1500, 1)) + np.sqrt(1 - rho) * rng.normal(size=(1500, 10))
    errors = {o: np.mean([paired(f, "greater", 10**6, 1, o) <= 0.05 for f in folds]) for o in (1e-12, TENFOLD)}
    assert errors[TENFOLD] == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 1500))
    assert errors[1e-12] > 0.1
