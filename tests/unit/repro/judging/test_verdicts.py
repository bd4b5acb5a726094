"""Verdicts on made-up cells: what is compared, in which words, and what Holm's correction takes back."""

from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import log, sqrt

import pytest
from scipy import stats

from structgrad.experiments import REGISTRY
from structgrad.repro.judging.cells import half_at, measured
from structgrad.repro.judging.intervals import Measured
from structgrad.repro.judging.printed import Print
from structgrad.repro.judging.published import Published, lookup
from structgrad.repro.judging.rule import Ends
from structgrad.repro.judging.sampling import Sampling
from structgrad.repro.judging.verdicts import SETTLED, VERDICTS, corrected, judge, unjudged
from structgrad.training.results import Mean, Proportion

PERFECT = REGISTRY["indelman_1a"].metric("percent_sequences_perfect")
ELBO = REGISTRY["paulus_1"].metric("elbo")
SPEARMAN = REGISTRY["berthet_1"].metric("spearman")


def printed(text, half=0.0):
    value = float(text)
    return Published(text, "", "%", ""), Ends(value, value - half, value + half), "known from elsewhere"


def judged(value, half, text, theirs=0.0, n=20, metric=PERFECT, **more):
    return judge(metric, Measured(value, value - half, value + half, n), *printed(text, theirs), **more)


def test_the_reason_spells_the_rule_out():
    told = judged(87.0, 3.0, "89.5", 4.0)
    assert (told.verdict, told.equivalent, told.wanted) == ("reproduced", False, None)
    for part in (
        "ours minus the printed 89.5 is -2.50 [-7.55, 2.55]",
        "our interval has half-width 3.00",
        "the print's 4.00 (known from elsewhere)",
        "rounding is 0.05, the margin 5",
    ):
        assert part in told.reason


def test_the_strong_form():
    assert judged(90.0, 2.0, "90.5").equivalent
    assert not judged(90.0, 2.0, "99.5").equivalent


def beta_half(value, size):
    """Half of Clopper and Pearson's interval at an effective size."""
    hits, misses = value * size, (1 - value) * size
    low = stats.beta.ppf(0.025, hits, misses + 1) if hits else 0
    high = stats.beta.ppf(0.975, hits + 1, misses) if misses else 1
    return (high - low) / 2


def size_of(value, deviation, n):
    """The effective size of n replicas of a value between 0 and 1."""
    return value * (1 - value) / (deviation**2 / n) * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, n - 1)) ** 2


def deviation(values):
    mean = sum(values) / len(values)
    return sqrt(sum((x - mean) ** 2 for x in values) / (len(values) - 1))


def means(values):
    return [Mean(x, x**2, 1) for x in values]


ALL_OR_NOTHING = Print(500, 5, all_or_nothing=True)
FAILING, ROUGH = (1.0, 1.0, 0.97, 1.0, 0.1), (0.2, 0.9, 0.5, 0.6)
PARTITIONED = [0.55, 0.65] * 5 + [0.65, 0.75] * 5 + [0.45, 0.55] * 5  # three partitions: 0.6, 0.7 and 0.5
# what ran, its metric, what is known of the print, folds, and half of our interval at n replicas in the metric's unit
GROWN = {
    "all agree": (
        [Proportion(100, 100)] * 5, PERFECT, ALL_OR_NOTHING, 0,
        lambda n: 50 * (1 - stats.binomtest(n, n).proportion_ci(method="exact").low),
    ),
    "one of five failed": (
        [Proportion(round(100 * x), 100) for x in FAILING], PERFECT, ALL_OR_NOTHING, 0,
        lambda n: 100 * beta_half(0.814, min(n, size_of(0.814, deviation(FAILING), n))),
    ),
    "shares, uncapped": (
        [Proportion(round(100 * x), 100) for x in ROUGH], PERFECT, Print(), 0,
        lambda n: 100 * beta_half(0.55, min(100 * n, size_of(0.55, deviation(ROUGH), n))),
    ),
    "one sequence each": (
        [Proportion(1, 1)] * 9 + [Proportion(0, 1)], PERFECT, Print(), 0, lambda n: 100 * beta_half(0.9, n),
    ),
    "means without bounds": (
        means((-1200, -900, -1500)), ELBO, Print(), 0, lambda n: stats.t.ppf(0.975, n - 1) * 300 / sqrt(n),
    ),
    "partitions": (
        means(PARTITIONED), SPEARMAN, Print(10, 10), 10, lambda n: 2 * beta_half(0.8, size_of(0.8, 0.1 / 2, n)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWN)
def test_the_replicas_told_decide_it_and_one_fewer_does_not(name):
    """By the verdict's own interval, which is worked out here once more."""
    reports, metric, known, folds, half = GROWN[name]
    size = folds or 1
    sampling = Sampling.of(reports, metric, folds)
    ours = measured(sampling, len(reports), metric, known)
    value, grown = str(ours.value), partial(half_at, sampling=sampling, metric=metric, known=known)
    told = judge(metric, ours, *printed(value), folds=folds, half=grown)
    assert told.verdict == "inconclusive"
    assert grown(len(reports) // size) == pytest.approx(half(len(reports) // size))
    assert told.wanted is not None
    assert told.wanted % size == 0
    count = told.wanted // size
    assert half(count) <= metric.margin < half(count - 1)
    for n, verdict in ((count - 1, "inconclusive"), (count, "reproduced")):
        wide = Measured(ours.value, ours.value - grown(n), ours.value + grown(n), n * size)
        assert judge(metric, wide, *printed(value), folds=folds).verdict == verdict
    assert told.reason.endswith(f"; {count} {'partitions of the folds' if folds else 'replicas'} would decide it")


@pytest.mark.parametrize("name", GROWN)
def test_more_replicas_are_never_less_precise(name):
    reports, metric, known, folds, _ = GROWN[name]
    sampling = Sampling.of(reports, metric, folds)
    halves = [half_at(n, sampling, metric, known) for n in range(2, 300)]
    assert all(after <= before + 1e-9 for before, after in pairwise(halves))
    grown = replace(sampling, pooled=sampling.pooled.grown(77))
    assert grown.design_effect == pytest.approx(sampling.design_effect)  # nor is the print's interval another one


def test_five_that_all_learn_need_thirty_one_more():
    """1 - 0.025^(1/n) falls to twice the margin."""
    reports, metric, known, _, _ = GROWN["all agree"]
    grown = partial(half_at, sampling=Sampling.of(reports, metric), metric=metric, known=known)
    told = judge(metric, Measured(100.0, 47.8, 100.0, 5), *printed("100"), half=grown)
    assert told.wanted == 36 == int(log(0.025) / log(0.9)) + 1


def test_a_search_of_all_trials_is_told_no_number_of_them():
    told = judged(-1100.0, 150.0, "-1100", metric=ELBO)
    assert (told.verdict, told.wanted) == ("inconclusive", None)


def test_one_replica_never_gives_a_verdict():
    for metric in (PERFECT, ELBO):
        told = judge(metric, Measured(90.0, None, None, 1), *printed("90.0"))
        assert (told.verdict, told.difference, told.wanted) == ("inconclusive", None, 2)


@pytest.mark.parametrize(
    ("value", "verdict"), [(-1300.0, "inconclusive"), (-1080.0, "inconclusive"), (-700.0, "differs")]
)
def test_a_search_of_fewer_trials_is_a_lower_bound(value, verdict):
    """Better than the print it may be called; worse, more trials might have found what it found."""
    told = judged(value, 50.0, "-1100", 10.0, n=5, metric=ELBO, trials=20)
    assert told.verdict == verdict
    assert "a search of 5 trials is a lower bound on one of 20" in told.reason
    assert "lower bound" not in judged(value, 50.0, "-1100", 10.0, metric=ELBO).reason


def test_one_trial_is_a_lower_bound_too():
    told = judge(ELBO, Measured(-1300.0, None, None, 1), *printed("-1100"), trials=20)
    assert told.reason.endswith("; a search of 1 trial is a lower bound on one of 20")


def test_holm_counts_what_is_compared():
    barely, plainly = judged(97.9, 2.8, "90.0"), judged(99.0, 1.0, "90.0")
    assert (barely.verdict, plainly.verdict) == ("differs", "differs")
    alone = corrected([barely])
    among = corrected(
        [barely, plainly, judged(90.0, 1.0, "90.0"), judge(PERFECT, Measured(1, None, None, 1), *printed("1"))]
    )
    assert alone[0].verdict == "differs"
    assert [judgement.verdict for judgement in among] == ["shifted", "differs", "reproduced", "inconclusive"]
    assert "only without Holm's correction" in among[0].reason


def test_what_cannot_be_compared():
    ours, theirs = Measured(90.0, 88.0, 92.0, 20), printed("90.0")[0]

    def verdict(*arguments):
        told = unjudged(PERFECT, *arguments)
        return told and (told.verdict, told.reason)

    assert verdict(ours, theirs, None, None) is None
    assert verdict(None, theirs, None, None) == ("not_attempted", "there is no record of it at this scale")
    assert verdict(None, theirs, None, "fetch it from there") == ("no_data", "fetch it from there")
    assert verdict(ours, None, None, None) == ("not_comparable", "the paper prints no number for this cell")
    assert verdict(ours, theirs, "five epochs", None) == ("not_comparable", "the scale cuts the protocol: five epochs")


def test_a_printed_number_that_cannot_be_is_a_misprint_whether_it_ran_or_not():
    metric = REGISTRY["indelman_2"].metric("test_accuracy")
    number = lookup("indelman", "2", "Fashion-MNIST k=3", "Direct", "test_accuracy")
    for ours in (None, Measured(93.2, 92.9, 93.5, 3)):
        told = unjudged(metric, ours, number, None, None)
        assert told is not None
        assert (told.verdict, told.reason) == ("misprint", "932.2 is printed, which lies outside 0 .. 100")


def test_words():
    assert set(SETTLED) < set(VERDICTS)


def test_folds_are_added_to_by_whole_partitions():
    told = judged(90.0, 8.0, "89.5", n=10, folds=10)
    assert (told.verdict, told.wanted) == ("inconclusive", 30)
    assert told.reason.endswith("; further partitions of the folds would decide it")
