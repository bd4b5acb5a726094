"""Verdicts on made-up cells: what is compared, in which words, and what Holm's correction takes back."""

import pytest

from structgrad.experiments import REGISTRY
from structgrad.repro.judging.intervals import Measured
from structgrad.repro.judging.published import Published, lookup
from structgrad.repro.judging.rule import Ends, replicas_wanted
from structgrad.repro.judging.verdicts import SETTLED, VERDICTS, corrected, judge, unjudged

PERFECT = REGISTRY["indelman_1a"].metric("percent_sequences_perfect")
ELBO = REGISTRY["paulus_1"].metric("elbo")


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


def test_too_few_replicas_are_told_how_many_it_takes():
    told = judged(90.0, 8.0, "89.5", n=5)
    assert told.verdict == "inconclusive"
    assert told.wanted == 9
    assert told.reason.endswith("; 9 replicas would decide it")


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
    told = judged(90.0, 8.0, "89.5", n=40, folds=10)
    assert told.difference is not None
    partitions = replicas_wanted(4, told.difference.ours.half, told.difference.wanted)
    assert partitions is not None
    assert (told.verdict, told.wanted) == ("inconclusive", 10 * partitions)
    assert told.reason.endswith(f"; {partitions} partitions of the folds would decide it")
