"""The printed numbers, and which cells stand beside them."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from structgrad.experiments import REGISTRY, Metric
from structgrad.repro.judging.published import lookup, numbers


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


def test_every_printed_number_of_an_experiment_has_exactly_one_answer():
    answers = [
        number
        for experiment in REGISTRY.values()
        for setting, arm, metric in product(experiment.settings, experiment.arms, experiment.metrics)
        if experiment.is_answer(setting, arm, metric)
        and (number := lookup(experiment.paper, experiment.table, setting, arm.answers, metric.published))
    ]
    tables = {(experiment.paper, experiment.table) for experiment in REGISTRY.values()}
    of_tables = [number for (paper, table, *_), number in numbers().items() if (paper, table) in tables]
    assert sorted(map(id, answers)) == sorted(map(id, of_tables))
    assert (len(answers), len(numbers())) == (415, 417)
