"""The first rule on made-up numbers: every outcome, and both sides of every border."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import pytest

from structgrad.experiments import REGISTRY
from structgrad.repro.judging.first_rule import first_verdict, published_half_width
from structgrad.repro.judging.intervals import Measured
from structgrad.repro.judging.published import Published

PERFECT, WRONG = (REGISTRY["indelman_1a"].metric(name) for name in ("percent_sequences_perfect", "prop_wrong_mean_100"))


def printed(text, spread=""):
    return Published(text, spread, "%", "")


def verdict(metric, value, low, high, text, spread="", items=None, **more):
    return first_verdict(metric, Measured(value, low, high, 20), printed(text, spread), items, **more)


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
    down = published_half_width(PERFECT, printed("89.5"), 200, towards=-1)
    up = published_half_width(PERFECT, printed("89.5"), 200, towards=1)
    assert (down, up) == (pytest.approx(5.02, abs=0.005), pytest.approx(3.53, abs=0.005))
    reach = sqrt(2.0**2 + down**2) + 0.05
    for shift, expected in ((-1e-6, "reproduced"), (1e-6, "differs")):
        ours = 89.5 - reach - shift
        assert verdict(PERFECT, ours, ours - 1, ours + 2, "89.5", items=200) == expected


def test_squares_add_so_the_verdict_is_stricter_than_overlapping_intervals():
    assert verdict(PERFECT, 81.5, 76.5, 86.5, "89.5", items=200) == "differs"  # 86.5 > 84.48, yet 8 > 7.1


def test_impossible_count_is_given_no_width():
    assert published_half_width(PERFECT, printed("91.6"), 200, towards=-1) == 0
    assert published_half_width(PERFECT, printed("91.5"), 200, towards=-1) > 0
    assert published_half_width(PERFECT, printed("91.6"), 500, towards=-1) > 0  # 458 of 500


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
    assert first_verdict(elbo, ours, theirs, selected=True) == expected
    assert first_verdict(elbo, Measured(-1100.0, None, None, 1), theirs, selected=True) == ""


def test_unknown_items_are_given_no_width():
    assert published_half_width(PERFECT, printed("91.5"), None, towards=-1) == 0
    assert published_half_width(WRONG, printed("0.6"), 200, towards=-1) == 0


def test_published_mean_brings_its_spread_over_items():
    half = published_half_width(WRONG, printed("0.6", "4.9"), 200, towards=1)
    assert half == pytest.approx(1.959964 * 4.9 / sqrt(200))
    assert verdict(WRONG, 1.3, 1.2, 1.4, "0.6", "4.9", 200) == "reproduced"  # 0.7 <= sqrt(.1^2 + .68^2) + .05
    assert verdict(WRONG, 1.4, 1.3, 1.5, "0.6", "4.9", 200) == "differs"
    assert verdict(WRONG, 1.05, 1.0, 1.1, "0.6", "0.1", 200) == "close"


def test_nothing_to_compare_with():
    ours = Measured(90.0, 88.0, 92.0, 20)
    assert first_verdict(PERFECT, ours, None) == ""
    assert first_verdict(PERFECT, None, printed("90.0"), 200) == ""
    assert first_verdict(WRONG, Measured(0.5, None, None, 1), printed("0.5")) == ""
    assert first_verdict(PERFECT, ours, printed("932.2"), 200) == ""


def test_the_margin_of_a_correlation():
    """Outside both uncertainties and 0.03 or less away is close."""
    spearman = REGISTRY["berthet_1"].metric("spearman")
    for value, expected in ((0.78, "close"), (0.76, "differs"), (0.805, "reproduced")):
        ours = Measured(value, value - 0.005, value + 0.005, 10)
        assert first_verdict(spearman, ours, printed("0.81", "0.00"), 10) == expected
