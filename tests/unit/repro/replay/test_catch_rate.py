"""Lies planted in the committed records: how often a replay finds one, beside what is predicted."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from forging import DRAWS, SHARES, SIZES, TRIES, caught, lies, predicted
from scipy import stats

from structgrad.repro.planning.plan import load_plan

pytestmark = pytest.mark.faults
PAGE = Path(__file__).parents[4] / "docs/trust.md"


@pytest.fixture(scope="module")
def tried():
    """Of every size, each record's level and whether a lie in it is found."""
    return {size: {name: (level, found) for name, level, found in lies(load_plan("paper"), size)} for size in SIZES}


def test_of_level_1_any_lie_is_found(tried):
    for size, records in tried.items():
        first = [found for level, found in records.values() if level == 1]
        assert len(first) > 200
        assert all(first), size


def test_below_it_only_large_ones_are_told_from_chance(tried):
    shares = []
    for records in tried.values():
        others = Counter(found for level, found in records.values() if level is None)  # sealed before there were levels
        shares.append(others[True] / others.total())
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] > 0.5


def test_of_a_single_trial_of_level_2_none_is_told_from_chance(tried):
    """One replica says nothing of another, and where bits may differ nothing else tells."""
    for size, records in tried.items():
        second = [found for level, found in records.values() if level == 2]
        assert second, size
        assert not any(second), size


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("draws", DRAWS)
def test_a_replay_finds_one_as_often_as_is_predicted(tried, share, draws):
    first = {name: found for name, (level, found) in tried[1.0].items() if level == 1}
    chance = predicted(first, share, draws)
    assert stats.binomtest(caught(first, share, draws), TRIES, chance).pvalue > 1e-3


def test_the_page_says_what_was_measured(tried):
    """Its counts are of the records of its day; its chances follow from them."""
    rows = re.findall(r"^\| (\d+) % \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    first = {name: found for name, (level, found) in tried[1.0].items() if level == 1}
    assert [int(share) / 100 for share, _ in rows] == list(SHARES)
    for share, cells in rows:
        for draws, cell in zip(DRAWS, cells.split("|"), strict=True):
            measured, said = map(float, re.findall(r"[\d.]+", cell))
            assert abs(said - 100 * predicted(first, int(share) / 100, draws)) < 5  # more records have been added since
            assert abs(measured - said) < 5
