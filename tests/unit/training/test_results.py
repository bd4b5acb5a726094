"""Reports: means that are rounded once in any order, numbers that no replica can report, the way into a record."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from fractions import Fraction
from math import fsum, isclose
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from structgrad.experiments import Metric
from structgrad.training.checkpoint import Checkpoint
from structgrad.training.results import KINDS, Mean, Proportion, Result, report_of

NUMBERS = st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=30)
RESULT = Result(
    7,
    "patience",
    {"perfect": Proportion(3, 4), "wrong": Mean.of([0.1, 0.2, 0.3])},
    {"sigma": 0.1, "validation": -1.5},
)
UNTRAINED = Result(0, "untrained", {"perfect": Proportion(0, 1)})


@given(NUMBERS)
def test_a_mean_has_the_sums_of_fsum(numbers):
    mean = Mean.of(numbers)
    assert mean == Mean(fsum(numbers), fsum(number * number for number in numbers), len(numbers))
    assert mean.value == mean.sum / len(numbers)


@given(NUMBERS)
def test_a_sum_is_the_exact_one_rounded_once(numbers):
    mean = Mean.of(numbers)
    assert mean.sum == float(sum(map(Fraction, numbers)))
    exact = float(sum(Fraction(number) ** 2 for number in numbers))
    assert isclose(mean.sum_squares, exact, rel_tol=1e-15, abs_tol=1e-300)  # the squares were rounded, one by one


@given(NUMBERS.flatmap(lambda numbers: st.tuples(st.just(numbers), st.permutations(numbers))))
def test_the_order_does_not_matter(both):
    numbers, permuted = both
    assert Mean.of(numbers) == Mean.of(permuted)


def test_a_sum_by_hand_that_plain_addition_gets_wrong():
    numbers = [1e16, 1.0, -1e16, 1.0]
    assert sum(numbers) == 1.0
    assert Mean.of(numbers) == Mean(2.0, 2e32, 4)
    assert Mean.of(numbers).value == 0.5


def test_numbers_of_other_kinds_are_taken_as_floats():
    expected = Mean(6.0, 14.0, 3)
    kinds: list[Any] = [[1, 2, 3], torch.tensor([1, 2, 3]), torch.tensor([1.0, 2.0, 3.0]), (n for n in (3, 2, 1))]
    for numbers in kinds:
        mean = Mean.of(numbers)
        assert mean == expected
        assert [type(part) for part in (mean.sum, mean.sum_squares, mean.count)] == [float, float, int]


@pytest.mark.parametrize(
    ("successes", "trials", "said"),
    [
        (0, 0, "0 successes of 0 trials"),
        (2, 1, "2 successes of 1 trials"),
        (-1, 5, "-1 successes of 5 trials"),
        (0, -1, "0 successes of -1 trials"),
        (-2, -1, "-2 successes of -1 trials"),
    ],
)
def test_a_proportion_that_cannot_be_is_refused(successes, trials, said):
    with pytest.raises(ValueError, match=f"{said} are no proportion"):
        Proportion(successes, trials)


@pytest.mark.parametrize(("successes", "value"), [(0, 0.0), (1, 0.25), (4, 1.0)])
def test_the_value_of_a_proportion_is_its_share(successes, value):
    assert Proportion(successes, 4).value == value


def test_a_mean_of_nothing_is_refused():
    for make in (lambda: Mean.of([]), lambda: Mean(0.0, 0.0, 0), lambda: Mean(1.0, 1.0, -1)):
        with pytest.raises(ValueError, match="a mean needs at least one item"):
            make()


def test_a_record_holds_a_result_under_its_clock():
    assert RESULT.content("epoch") == {
        "epochs": 7,
        "stopped": "patience",
        "metrics": {
            "perfect": {"successes": 3, "trials": 4},
            "wrong": {"sum": fsum([0.1, 0.2, 0.3]), "sum_squares": fsum([0.1**2, 0.2**2, 0.3**2]), "count": 3},
        },
        "final": {"sigma": 0.1, "validation": -1.5},
    }
    assert UNTRAINED.content("step") == {
        "steps": 0,
        "stopped": "untrained",
        "metrics": {"perfect": {"successes": 0, "trials": 1}},
        "final": {},
    }


@given(NUMBERS, st.integers(0, 10))
def test_a_report_comes_back_from_a_record_to_the_bit(numbers, successes):
    result = Result(1, "max_steps", {"mean": Mean.of(numbers), "share": Proportion(successes, 10)})
    content = json.loads(json.dumps(result.content("step")))
    assert {name: report_of(report) for name, report in content["metrics"].items()} == result.metrics


@pytest.mark.parametrize(
    "content",
    [{}, {"successes": 1}, {"trials": 1}, {"sum": 1.0, "count": 1}, {"successes": 1, "trials": 1, "count": 1}],
)
def test_what_is_no_report_is_refused(content):
    with pytest.raises(TypeError):
        report_of(content)


def test_every_kind_of_metric_has_its_report():
    assert {"proportion": Proportion, "mean": Mean} == KINDS
    for kind in ("proportion", "mean"):
        assert Metric("name", "title", kind).kind in KINDS


def test_results_are_compared_by_value_and_cannot_be_changed():
    assert Result(7, "patience", dict(RESULT.metrics), dict(RESULT.final)) == RESULT
    assert Result(8, "patience", RESULT.metrics, RESULT.final) != RESULT
    assert Result(7, "max_epochs", RESULT.metrics, RESULT.final) != RESULT
    assert Result(7, "patience", {**RESULT.metrics, "perfect": Proportion(2, 4)}, RESULT.final) != RESULT
    assert Result(7, "patience", RESULT.metrics) != RESULT
    for owner, name in ((RESULT, "length"), (RESULT.metrics["perfect"], "trials"), (RESULT.metrics["wrong"], "sum")):
        with pytest.raises(FrozenInstanceError):
            setattr(owner, name, 1)


def test_a_checkpoint_with_results_is_loaded_as_weights_alone(tmp_path, monkeypatch):
    asked, load = [], torch.load

    def watched(*arguments, **options):
        asked.append(options)
        return load(*arguments, **options)

    monkeypatch.setattr(torch, "load", watched)
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")
    state = {"finished": {2: RESULT}, "results": [UNTRAINED, RESULT]}
    checkpoint.save(state)
    assert checkpoint.load() == state
    assert asked == [{"weights_only": True}]
