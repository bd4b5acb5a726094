"""The verdict rule on made-up numbers: every outcome, and both sides of every border."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import sqrt
from typing import Any

import pytest
from scipy import stats

from structgrad.experiments import REGISTRY, Metric
from structgrad.repro.judging.intervals import Measured
from structgrad.repro.judging.published import Published, lookup, numbers
from structgrad.repro.judging.verdicts import VERDICTS, judge, published_half_width

PERFECT, WRONG = (REGISTRY["indelman_1a"].metric(name) for name in ("percent_sequences_perfect", "prop_wrong_mean_100"))


def printed(text, spread=""):
    return Published(text, spread, "%", "")


def verdict(metric, value, low, high, text, spread="", items=None, **more):
    return judge(metric, Measured(value, low, high, 20), printed(text, spread), items, **more).verdict


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("90.0", "reproduced"),
        ("92.0", "reproduced"),  # our upper end
        ("92.05", "close"),  # two decimals: rounding 0.005
        ("92.1", "close"),  # one decimal: 92 + 0.05 < 92.1
        ("92", "reproduced"),
        ("95.0", "close"),  # the margin itself
        ("95.1", "differs"),
        ("87.0", "reproduced"),  # our lower end: the sides have their own widths
        ("86.9", "close"),
        ("84.9", "differs"),
    ],
)
def test_interval_rounding_and_margin(published, expected):
    assert verdict(PERFECT, 90.0, 87.0, 92.0, published) == expected


def test_rounding_is_half_a_unit_of_what_is_printed():
    assert (printed("100").rounding, printed("99.5").rounding, printed("0.14").rounding) == (0.5, 0.05, 0.005)
    assert verdict(PERFECT, 92.5, 92.5, 92.5, "93") == "reproduced"
    assert verdict(PERFECT, 92.49, 92.49, 92.49, "93") == "close"
    assert verdict(PERFECT, 92.5, 92.5, 92.5, "93.0") == "close"


def test_published_proportion_brings_its_wilson_width_towards_us():
    """179 of 200: Wilson [84.48, 93.03]; above ours it faces us with 5.02, below with 3.53."""
    down, _ = published_half_width(PERFECT, printed("89.5"), 200, towards=-1)
    up, _ = published_half_width(PERFECT, printed("89.5"), 200, towards=1)
    assert (down, up) == (pytest.approx(5.02, abs=0.005), pytest.approx(3.53, abs=0.005))
    reach = sqrt(2.0**2 + down**2) + 0.05
    for shift, expected in ((-1e-6, "reproduced"), (1e-6, "differs")):
        ours = 89.5 - reach - shift
        assert verdict(PERFECT, ours, ours - 1, ours + 2, "89.5", items=200) == expected


def test_squares_add_so_the_verdict_is_stricter_than_overlapping_intervals():
    assert verdict(PERFECT, 81.5, 76.5, 86.5, "89.5", items=200) == "differs"  # 86.5 > 84.48, yet 8 > 7.1


def test_impossible_count_is_given_no_width():
    half, why = published_half_width(PERFECT, printed("91.6"), 200, towards=-1)
    assert half == 0
    assert "no possible count" in why
    assert published_half_width(PERFECT, printed("91.5"), 200, towards=-1)[0] > 0
    assert published_half_width(PERFECT, printed("91.6"), 500, towards=-1)[0] > 0  # 458 of 500


@pytest.mark.parametrize(
    ("published", "spread", "expected"),
    [
        (-1130.0, "20", "reproduced"),  # 30 below ours: 10 of ours and 1.96 * 20 allow 40
        (-1141.0, "20", "close"),
        (-1111.0, "", "close"),  # without a spread only ours and the rounding
        (-1110.0, "", "reproduced"),
        (-1201.0, "20", "differs"),
    ],
)
def test_the_spread_of_a_search_is_a_standard_error_of_its_own(published, spread, expected):
    elbo = replace(REGISTRY["paulus_1"].metric("elbo"), factor=100.0, bounds=(0.0, 1.0))
    ours, theirs = Measured(-1100.0, -1110.0, -1080.0, 8), printed(f"{published:g}", spread)
    told = judge(elbo, ours, theirs, selected=True)
    assert told.verdict == expected
    if spread:
        reach = sqrt(10**2 + (stats.norm.ppf(0.975) * 20) ** 2) + theirs.rounding
        assert told.allowed == pytest.approx(reach)
    assert (
        "one trial gives a search no interval"
        in judge(elbo, Measured(-1100.0, None, None, 1), theirs, selected=True).reason
    )


def test_unknown_items_are_given_no_width():
    assert published_half_width(PERFECT, printed("91.5"), None, towards=-1)[0] == 0
    assert published_half_width(WRONG, printed("0.6"), 200, towards=-1)[0] == 0


def test_published_mean_brings_its_spread_over_items():
    half, _ = published_half_width(WRONG, printed("0.6", "4.9"), 200, towards=1)
    assert half == pytest.approx(1.959964 * 4.9 / sqrt(200))
    assert verdict(WRONG, 1.3, 1.2, 1.4, "0.6", "4.9", 200) == "reproduced"  # 0.7 <= sqrt(.1^2 + .68^2) + .05
    assert verdict(WRONG, 1.4, 1.3, 1.5, "0.6", "4.9", 200) == "differs"
    assert verdict(WRONG, 1.05, 1.0, 1.1, "0.6", "0.1", 200) == "close"


def test_without_a_record_it_is_not_attempted_or_without_data():
    assert judge(PERFECT, None, printed("90.0"), 200).verdict == "not_attempted"
    missing = judge(PERFECT, None, printed("90.0"), 200, missing_data="fetch it from there")
    assert (missing.verdict, missing.reason) == ("no_data", "fetch it from there")


def test_nothing_to_compare_with():
    ours = Measured(90.0, 88.0, 92.0, 20)
    assert judge(PERFECT, ours, None).verdict == "not_comparable"
    cut = judge(PERFECT, ours, printed("90.0"), 200, cut="five epochs")
    assert cut.verdict == "not_comparable"
    assert "five epochs" in cut.reason
    assert judge(WRONG, Measured(0.5, None, None, 1), printed("0.5")).verdict == "not_comparable"


def test_a_printed_number_that_is_impossible_is_not_compared():
    metric = REGISTRY["indelman_2"].metric("test_accuracy")
    misprint = lookup("indelman", "2", "Fashion-MNIST k=3", "Direct", "test_accuracy")
    found = judge(metric, Measured(93.2, 92.9, 93.5, 3), misprint, 10_000)
    assert (found.verdict, found.distance) == ("not_comparable", None)
    assert found.reason == "932.2 is printed, which lies outside 0 .. 100"


def test_reason_spells_the_rule_out():
    told = judge(PERFECT, Measured(87.0, 81.5, 91.3, 200), printed("89.5"), 200)
    for part in ("2.50 above ours", "4.30^2 [our interval]", "5.02^2 [179 of 200", "0.05 [rounding]", "close is 5"):
        assert part in told.reason
    assert told.distance == pytest.approx(2.5)
    assert told.allowed == pytest.approx(sqrt(4.3**2 + 5.02**2) + 0.05, abs=0.01)


def test_the_margin_of_a_correlation_shows_in_the_reason():
    """Outside both uncertainties and 0.03 or less away is close."""
    spearman = REGISTRY["berthet_1"].metric("spearman")
    for value, expected in ((0.78, "close"), (0.76, "differs"), (0.805, "reproduced")):
        told = judge(spearman, Measured(value, value - 0.005, value + 0.005, 10), printed("0.81", "0.00"), 10)
        assert told.verdict == expected
    told = judge(spearman, Measured(0.78, 0.775, 0.784, 10), printed("0.81", "0.01"), 10)
    for part in ("0.030 above ours", "0.004^2 [our interval]", "0.006^2 [0.01 over", "0.005 [round", "close is 0.03"):
        assert part in told.reason


def test_a_compared_metric_has_a_margin_and_its_reason():
    lacking: list[dict[str, Any]] = [{}, {"margin": 1.0}, {"why_margin": "because"}]
    for given in lacking:
        with pytest.raises(ValueError, match="metric score is set beside printed numbers"):
            Metric("score", "score", "mean", published="score", **given)
    assert Metric("score", "score", "mean").margin is None


def test_every_answer_has_a_number():
    for experiment in REGISTRY.values():
        for arm in experiment.arms:
            where = [(experiment.paper, experiment.table, setting, arm.answers) for setting in experiment.settings]
            printed = [any(lookup(*place, metric.published) for metric in experiment.metrics) for place in where]
            assert any(printed) == (arm.answers is not None)
    assert len(VERDICTS) == 6


def test_every_number_of_a_table_is_set_beside_a_cell_whichever_way_the_paper_prints_it():
    for experiment in REGISTRY.values():
        places = product(experiment.settings, experiment.arms, experiment.metrics)
        beside = {lookup(experiment.paper, experiment.table, s, arm.answers, m.published) for s, arm, m in places}
        printed = {
            number for (*table, _, _, _), number in numbers().items() if table == [experiment.paper, experiment.table]
        }
        assert printed <= beside
    assert numbers()["paulus", "1", "Spanning Tree", "T=10", "elbo"] == lookup(
        "paulus", "1", "T=10", "Spanning Tree", "elbo"
    )


def test_published_numbers_keep_what_is_printed():
    typo = numbers()["indelman", "2", "Direct", "Fashion-MNIST k=3", "test_accuracy"]
    assert typo.value == 932.2
    assert "TYPO" in typo.note
    cell = lookup("indelman", "1b", "d=100", "Direct Stochastic Learning", "prop_wrong_mean")
    assert cell is not None
    assert (cell.value, cell.spread, cell.decimals) == (0.14, 0.6, 2)
    assert lookup("indelman", "1a", "d=5", None, "prop_wrong_mean") is None
    assert lookup("indelman", "1a", "d=7", "Direct", "prop_wrong_mean") is None
