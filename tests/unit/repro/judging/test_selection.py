"""The bootstrap of a search's selection: against every resample there is, random ones, and what a table shows."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from math import sqrt
from typing import Any

import numpy as np
import pytest

from structgrad.repro.commands.training_bar import TrainingBar
from structgrad.repro.evidence.records import RecordError
from structgrad.repro.judging.cells import collect, collect_all
from structgrad.repro.judging.intervals import expanded_level
from structgrad.repro.judging.selection import ScoredTrial, Selection, exchanged, selected
from structgrad.repro.report.explain import as_text, explain
from structgrad.repro.report.page import build_report
from structgrad.repro.tables.layouts import to_html, to_latex, to_markdown
from structgrad.repro.tables.panels import tables

# Ties in both validation and test.
TRIALS = [ScoredTrial(*trial) for trial in ((3.0, 10.0), (5.0, 12.0), (5.0, 7.0), (1.0, 20.0), (4.0, 12.0))]


def resampled(trials):
    """The test value of the best (validation, test) of every resample: a plain loop over all N^N of them."""
    found = []
    for drawn in product(range(len(trials)), repeat=len(trials)):
        best = min(drawn)
        for trial in sorted(drawn):
            if trials[trial][0] > trials[best][0]:
                best = trial
        found.append(trials[best][1])
    return np.asarray(found)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_chances_are_those_of_all_resamples(count):
    trials = TRIALS[:count]
    found, all_of_them = Selection.of(trials), resampled(trials)
    assert found.mean == pytest.approx(all_of_them.mean(), rel=1e-12)
    assert found.deviation == pytest.approx(all_of_them.std(), rel=1e-12)
    for value in set(found.values):
        chance = sum(p for v, p in zip(found.values, found.chances, strict=True) if v == value)
        assert chance == pytest.approx((all_of_them == value).mean(), rel=1e-12)
    for level in (0.5, 0.9, 0.99):
        low, high = found.interval(level)
        tail = (1 - level) / 2
        assert (all_of_them < low).mean() <= tail < (all_of_them <= low).mean()
        assert (all_of_them > high).mean() <= tail < (all_of_them >= high).mean()


def test_of_equal_validations_the_first_trial_counts():
    assert Selection.of([ScoredTrial(1.0, 5.0), ScoredTrial(1.0, 6.0)]).mean == pytest.approx(0.75 * 5 + 0.25 * 6)
    assert selected([{"final": {"validation": v}} for v in (1.0, 3.0, 3.0)]) == 1


def test_random_resamples_agree():
    """Twenty trials, too many to enumerate: 20,000 of the paper's resamples, by z-score."""
    rng = np.random.default_rng(7)
    trials = rng.normal(size=(20, 2)) @ [[1.0, 0.5], [0.0, 0.5]]
    found = Selection.of([ScoredTrial(float(v), float(t)) for v, t in trials])
    drawn = rng.integers(20, size=(20_000, 20))
    best = drawn[np.arange(len(drawn)), trials[drawn, 0].argmax(axis=1)]
    values = trials[best, 1]
    assert abs(values.mean() - found.mean) < 4 * values.std() / sqrt(len(values))
    spread = ((values - values.mean()) ** 2).std() / sqrt(len(values))
    assert abs(values.var() - found.deviation**2) < 4 * spread


def test_an_estimate_has_an_interval_from_two_trials_on():
    alone = Selection.of([ScoredTrial(1.0, 5.0)]).estimate()
    assert (alone.value, alone.low, alone.high, alone.n, alone.spread) == (5.0, None, None, 1, None)
    two = Selection.of([ScoredTrial(1.0, 5.0), ScoredTrial(2.0, 9.0)]).estimate()
    assert (two.value, two.low, two.high) == (8.0, 5.0, 9.0)
    thirty = Selection.of([ScoredTrial(float(k), float(k)) for k in range(30)])
    many, (low, high) = thirty.estimate(), thirty.interval(expanded_level(30))
    assert (many.low, many.high) == (low, high)
    assert many.low is not None
    assert 20 < many.low < many.value < 29 == many.high


def leads(first, second):
    """What the first search selects more than the second, for every split of the trials of both: a plain loop."""
    pool = [*first, *second]
    found = []
    for chosen in combinations(range(len(pool)), len(first)):
        rest = [trial for place, trial in enumerate(pool) if place not in chosen]
        found.append(Selection.of([pool[place] for place in chosen]).mean - Selection.of(rest).mean)
    return np.asarray(found)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 4), (3, 3), (5, 2), (4, 4)])
def test_searches_are_compared_over_all_splits_of_their_trials(n, m):
    rng = np.random.default_rng([n, m])
    pool = [ScoredTrial(float(v), float(v + e)) for v, e in rng.normal(size=(n + m, 2))]
    first, second = pool[:n], pool[n:]
    lead = Selection.of(first).mean - Selection.of(second).mean
    up, down = exchanged(first, second, seed=1)
    assert up == pytest.approx((leads(first, second) >= lead - 1e-9).mean())
    assert down == pytest.approx((leads(first, second) <= lead + 1e-9).mean())
    assert exchanged(second, first, seed=1) == pytest.approx((down, up))


def test_between_equal_searches_each_chance_is_as_likely():
    """Over all splits of six trials the p are 1/20, 2/20, ... 1: below 5 % in 5 of a hundred cases, not in 18."""
    pool = [ScoredTrial(float(v), float(v + e)) for v, e in np.random.default_rng(3).normal(size=(6, 2))]
    found = []
    for chosen in combinations(range(6), 3):
        rest = [trial for place, trial in enumerate(pool) if place not in chosen]
        found.append(exchanged([pool[place] for place in chosen], rest, seed=1)[0])
    assert sorted(found) == pytest.approx([k / 20 for k in range(1, 21)])


@pytest.mark.parametrize(("n", "floor"), [(1, 1 / 2), (2, 1 / 6), (3, 1 / 20), (4, 1 / 70)])
def test_few_trials_cannot_be_sure(n, floor):
    better, worse = ([ScoredTrial(start + k, start + k) for k in range(n)] for start in (100.0, 0.0))
    assert exchanged(better, worse, seed=1) == (pytest.approx(floor), 1.0)
    assert exchanged(worse, better, seed=1) == (1.0, pytest.approx(floor))
    assert exchanged(worse, worse, seed=1)[0] > 0.5


def test_many_trials_are_split_at_random():
    """Nine against nine have 48,620 splits, of which ten thousand are drawn: by z-score against all of them."""
    rng = np.random.default_rng(5)
    pool = [ScoredTrial(float(v), float(v + e)) for v, e in rng.normal(size=(18, 2))]
    first, second = pool[:9], pool[9:]
    up, down = exchanged(first, second, seed=1)
    lead = Selection.of(first).mean - Selection.of(second).mean
    expected = (leads(first, second) >= lead - 1e-9).mean()
    assert 0.05 < expected < 0.95
    assert abs(up - expected) < 4 * sqrt(expected * (1 - expected) / 10_000) + 1e-4
    assert up + down == pytest.approx(1.0, abs=1e-3)
    assert exchanged(first, second, seed=1) == (up, down)
    assert exchanged(first, second, seed=2) != (up, down)


def cell_of(plan, arm, metric="elbo", setting="T=10") -> Any:
    names = (arm, metric, setting)
    return next(c for c in collect(plan, "fake") if (c.arm.name, c.metric.name, c.setting) == names)


def test_a_cell_of_a_search_is_what_its_selection_scores(searched):
    tree = [(-1100.0, -1090.0), (-1050.0, -1060.0), (-1350.0, -1340.0), (-1300.0, -1310.0)]
    ours, expected = cell_of(searched, "tree").estimate, resampled(tree)  # over four records; the diverged one counts
    assert (ours.value, ours.spread) == (pytest.approx(expected.mean()), pytest.approx(expected.std()))
    assert (ours.low, ours.high, ours.n) == (-1340.0, -1060.0, 4)
    precision = cell_of(searched, "tree", "edge_precision").estimate
    assert precision.value == pytest.approx(
        100 * resampled([(-1100, 0.92), (-1050, 0.9), (-1350, 0.3), (-1300, 0.8)]).mean()
    )
    reference = cell_of(searched, "chance").estimate
    assert (reference.value, reference.low, reference.n) == (-9000.0, None, 1)
    assert cell_of(searched, "tree", setting="T=20").estimate is None


def test_the_published_standard_error_widens_the_verdict(searched):
    told = cell_of(searched, "tree").judgement
    assert told.verdict == "reproduced"
    assert "+- 110, the standard error of the selection" in told.reason


def test_explain_lists_the_trials(searched, project):
    told = explain(searched, cell_of(searched, "tree").id)
    assert [trial["selected"] for trial in told["trials"]] == [False, True, False, False]
    assert told["trials"][2] == {
        "trial": 2, "validation": -1350.0, "value": -1340.0, "stopped": "diverged", "steps": 400, "selected": False,
        "point": {"learning_rate": pytest.approx(0.003)},
    }  # fmt: skip
    text = as_text(told)
    assert "trial 1     validation elbo -1050, test -1060.000; max_steps after 400; learning_rate 0.002 (sel" in text
    assert "diverged after 400" in text
    assert "spread over the selection" in text
    assert explain(searched, cell_of(searched, "chance").id)["trials"] == []


def test_tables_and_report_say_what_diverged(searched):
    table = tables(searched, collect_all(searched))["fake"]
    assert table.scale_line.endswith("1 of 10 trials diverged; their best weights before that are tested.")
    for shown in (to_markdown(table), to_html(table), to_latex(table)):
        assert "trials, one of which is selected" in shown
        assert "1 of 10 trials diverged" in shown
    page = build_report(searched, collect_all(searched)).decode()
    assert "mean steps" in page
    assert "<td>400, trial 2 diverged after 400</td>" in page
    assert "of a search those of the selected trial" in page


def test_fewer_trials_than_the_papers_are_called_a_lower_bound(searched):
    part = searched.experiments["fake"]
    known = replace(part, experiment=replace(part.experiment, published_replicas=20))
    few = replace(searched, experiments={"fake": known})
    table = tables(few, collect_all(few))["fake"]
    assert "A search of 4 trials is a lower bound on the paper's of 20." in table.scale_line
    compared = [cell for cell in table.cells if cell.judgement.difference is not None and not cell.arm.reference]
    assert len(compared) == 4
    for cell in compared:
        assert "a search of 4 trials is a lower bound on one of 20" in cell.judgement.reason
    as_many = tables(searched, collect_all(searched))["fake"]
    assert "lower bound" not in as_many.scale_line
    cut = replace(few, experiments={"fake": replace(known, comparable=False)})
    assert "lower bound" not in tables(cut, collect_all(cut))["fake"].scale_line


def test_a_trial_without_its_validation_is_no_evidence(searched, fabricate):
    shard = next(shard for shard in searched.shards if shard.arm == "tree")
    results = [
        {
            "replica": 0,
            "steps": 1,
            "stopped": "max_steps",
            "metrics": {"elbo": {"sum": 0.0, "sum_squares": 0.0, "count": 1}},
            "final": {},
        }
    ]
    fabricate(searched, shard, [{}], changes={"results": results})
    with pytest.raises(RecordError, match=r"replica 0: a trial without final\.validation"):
        collect(searched, "fake")


def test_a_running_search_is_told_in_trials_and_steps(searched, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    shown = TrainingBar("fake/T=10/tree/0-3", 4, searched.experiments["fake"].experiment, every=0.0)
    shown(450, 3, {"trial": 2.0, "elbo": -1234.5})
    shown.close()
    told = "fake/T=10/tree/0-3: step 450, 3 of 4 trials train, trial 2, elbo -1.23e+03"
    assert capsys.readouterr().err.strip() == told
