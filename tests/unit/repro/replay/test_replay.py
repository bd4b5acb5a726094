"""Replay: who is drawn, what a second training says, and how often a forgery is caught."""

from __future__ import annotations

import json
from collections import Counter
from math import comb

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from structgrad.errors import UserError
from structgrad.experiments import REGISTRY
from structgrad.repro.cli import cli
from structgrad.repro.evidence.records import load, save
from structgrad.repro.planning.paths import results
from structgrad.repro.replay.drawing import bound, draw
from structgrad.repro.replay.outcomes import judge

NAMES = {f"record {n}": 1.0 + n for n in range(10)}


def test_everybody_draws_the_same():
    assert draw(NAMES, 4, "abc") == draw(dict(reversed(NAMES.items())), 4, "abc")
    assert draw(NAMES, 4, "abc") != draw(NAMES, 4, "abd")
    assert sorted(draw(NAMES, 99, "abc")) == sorted(NAMES)


def test_every_record_is_as_likely_as_any_other():
    counts = Counter(name for seed in range(3000) for name in draw(NAMES, 3, str(seed)))
    assert stats.chisquare([counts[name] for name in NAMES]).pvalue > 1e-3
    pairs = Counter(frozenset(draw(NAMES, 2, str(seed))) for seed in range(9000))
    assert len(pairs) == 45
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-3


def test_what_is_cheap_is_drawn_more_often():
    first = Counter(draw(NAMES, 1, str(seed), minutes=1.0)[0] for seed in range(6000))
    weights = np.array([1 / took for took in NAMES.values()])
    expected = 6000 * weights / weights.sum()
    assert stats.chisquare([first[name] for name in NAMES], expected).pvalue > 1e-3


def test_a_draw_keeps_to_its_minutes():
    seconds = {f"record {n}": 30.0 for n in range(10)}
    assert len(draw(seconds, 10, "abc", minutes=2.0)) == 4
    assert len(draw(seconds, 3, "abc", minutes=2.0)) == 3
    assert len(draw(seconds, 10, "abc", minutes=0.1)) == 1


def test_what_it_proves():
    assert bound(59) < 0.05 < bound(58)
    assert bound(4) == pytest.approx(1 - 0.05 ** (1 / 4))
    assert bound(0) == 1
    assert bound(20, 20) == 1
    assert bound(20, 1) == pytest.approx(stats.beta.ppf(0.95, 2, 19))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_forgeries_are_caught_as_often_as_predicted(share):
    """1, 5 and 20 % of 100 records are forged; whoever replays ten catches one of them as often as is computed."""
    records = {f"record {n}": 1.0 for n in range(100)}
    forged = set(list(records)[: round(100 * share)])
    caught = sum(bool(forged & set(draw(records, 10, str(seed)))) for seed in range(2000))
    predicted = 1 - comb(100 - len(forged), 10) / comb(100, 10)
    assert stats.binomtest(caught, 2000, predicted).pvalue > 1e-3


# What a second training says


def record_of(values, trials=1000, level=3, sources="a", curve=0.5):
    metrics = [{"test_accuracy": {"successes": round(v * trials), "trials": trials}} for v in values]
    return {
        "level": level, "provenance": {"source_digest": sources}, "history": {"loss": [curve]},
        "results": [{"replica": n, "metrics": m, "final": {}} for n, m in enumerate(metrics)],
    }  # fmt: skip


KNN = REGISTRY["indelman_2"]


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (record_of([0.9, 0.91]), record_of([0.9, 0.91]), "identical"),
        (record_of([0.9, 0.91]), record_of([0.9, 0.91], sources="b"), "identical"),
        (record_of([0.9, 0.91]), record_of([0.91, 0.905]), "equal"),
        (record_of([0.9, 0.91, 0.9]), record_of([0.8, 0.81, 0.8]), "conflict"),
        (record_of([0.9, 0.9]), record_of([0.901, 0.901]), "equal"),  # replicas that agree by luck
        (record_of([0.9, 0.91], level=1), record_of([0.9, 0.911], level=1), "conflict"),
        (record_of([0.9, 0.91], level=1), record_of([0.9, 0.911], level=1, sources="b"), "equal"),
        (record_of([0.9]), record_of([0.2]), "undecided"),
        (record_of([0.9], level=1), record_of([0.2], level=1), "conflict"),
        (record_of([1.0, 1.0]), record_of([0.0, 0.0]), "conflict"),
        (
            record_of([0.9], curve=0.5),
            record_of([0.9], curve=0.5000000000000002),
            "equal",
        ),  # another machine's rounding
        (record_of([0.9], curve=0.5, level=1), record_of([0.9], curve=0.5000000000000002, level=1), "conflict"),
    ],
)
def test_the_outcome_of_a_replay(before, now, verdict):
    outcome = judge(before, now, KNN)
    assert outcome.verdict == verdict
    assert bool(outcome.why) == (verdict != "identical")


def test_equal_trainings_are_rarely_in_conflict():
    rng = np.random.default_rng(0)
    draws = 0.9 + 0.03 * rng.standard_normal((2, 2000, 5))
    pairs = zip(*(map(record_of, np.clip(side, 0, 1)) for side in draws), strict=True)
    conflicts = sum(judge(before, now, KNN).verdict == "conflict" for before, now in pairs)
    assert conflicts <= 9  # of 2000 at one in a thousand; more than 9 have p < 1e-4


def test_records_without_a_common_metric():
    other = record_of([0.9, 0.8])
    for result in other["results"]:
        result["metrics"] = {"speed": {"successes": 1, "trials": 1}}
    assert judge(record_of([0.9, 0.8]), other, KNN).verdict == "conflict"


# The command


def test_honest_records_are_confirmed(trained, tiny):
    told = CliRunner().invoke(cli, ["audit", "--replay", "5", "--seed", "abc", *tiny])
    assert told.exit_code == 0, told.output
    assert "replaying 2 of 2 records of scale smoke, drawn by 'abc'" in told.output
    assert told.output.count("identical  indelman_1a/d=5/") == 2
    assert "2 of 2 match: fewer than 78 % of the 2 records are made up, with 95 % confidence" in told.output


def test_a_forged_record_is_in_conflict_and_stays_as_it_was(trained, tiny):
    path = results("smoke") / "records/indelman_1a/d=5/direct.0-1.json"
    record = load(path)
    record["history"]["loss"][0] += 1e-9  # a digit that nobody sees
    forged = save(record, path)
    told = CliRunner().invoke(cli, ["audit", "--replay", "2", "--seed", "abc", "--json", *tiny])
    assert told.exit_code == 1
    said = json.loads(told.stdout)
    (conflict,) = [one for one in said["outcomes"] if one["verdict"] == "conflict"]
    assert conflict["record"] == forged["digest"]
    assert "history.loss.0" in conflict["why"]
    assert said["draw"]["seed"] == "abc"
    assert said["made_up_below"] == pytest.approx(bound(2, 1))
    assert load(path) == forged


def test_who_asks_wrongly(trained, tiny):
    for words, message in (
        (["--seed", "abc"], "how many? --replay N"),
        (["--replay", "0"], "0 is not in the range"),
        (["--replay", "1", "--minutes", "0"], "not in the range"),
    ):
        told = CliRunner().invoke(cli, ["audit", *words, *tiny])
        assert isinstance(told.exception, UserError | SystemExit)
        assert message in f"{told.output}{told.exception}"


def test_nothing_to_replay(project, tiny):
    told = CliRunner().invoke(cli, ["audit", "--replay", "1", *tiny])
    assert isinstance(told.exception, UserError)
    assert "no record of scale smoke can be trained anew" in str(told.exception)
