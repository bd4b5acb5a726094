"""Random search: its draws, and trials that are validated, diverge, are tested at their best and resume."""

from __future__ import annotations

from dataclasses import replace
from math import log, nan

import numpy as np
import pytest
import torch
from scipy import stats
from scipys import rank_correlation
from torch import nn
from trainings import mean, silent

from structgrad.training.checkpoint import Checkpoint
from structgrad.training.loop import Limits, OutOfTimeError, train
from structgrad.training.results import Mean
from structgrad.training.search import Search, draw
from structgrad.training.trial import DivergedError, Trial, finite

BOXES = {"learning_rate": (1e-4, 3e-3), "temperature": (0.1, 10.0)}
STEPS, EVERY = 23, 5


class Noisy(Trial):
    """A least-squares fit whose batches come from a generator; the point of the search is its learning rate.

    ``fails`` says at which step what happens: "raise" in the update, "loss" not finite, "validation" not finite.
    """

    kept = ("at", "generator")

    def __init__(self, number, fails=None):
        self.number, self.fails, self.at = number, fails or {}, 0
        self.generator = torch.Generator().manual_seed(100 + number)
        self.network = nn.Linear(3, 1)
        start = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.normal_(generator=start)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.3 / (number + 1))

    def update(self):
        self.at += 1
        if self.at == self.fails.get("raise"):
            raise DivergedError("scores")
        x = torch.randn(8, 3, generator=self.generator)
        loss = ((self.network(x) - x.sum(1, keepdim=True)) ** 2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return nan if self.at == self.fails.get("loss") else float(loss.detach())

    def error(self):
        with torch.no_grad():
            return sum(float(((p - 1) ** 2).sum()) for p in self.network.parameters())

    def validate(self):
        return {"score": -self.error(), "error": nan if self.at == self.fails.get("validation") else self.error()}

    def test(self):
        error = self.error()
        return {"error": Mean(error, error**2, 1)}

    def describe(self):
        return {"learning_rate": 0.3 / (self.number + 1)}


def search(fails=None, count=3, kind=Noisy, points=1):
    fails = fails or {}

    def start(replica, point):
        number = replica * points + point
        return kind(number, fails.get(number))

    return Search(start, count, ("data", "noise"), STEPS, EVERY, "score", points)


def run(trials, tmp_path, limits=None, show=silent):
    train(trials, Checkpoint(tmp_path / "checkpoint.pt", "key"), limits or Limits(1e9), show)
    return trials


def alone(number, fails=None):
    """The curve of one trial by a plain loop: (step, score) where it is validated, before the first step, too."""
    trial, curve = Noisy(number, fails), []
    for step in range(STEPS + 1):
        if step % EVERY == 0 or step == STEPS:
            curve.append((step, trial.validate()["score"]))
        if step < STEPS:
            trial.update()
    return curve


def test_draws_are_log_uniform_in_their_boxes():
    points = [draw(BOXES, seed) for seed in range(2000)]
    shares = {}
    for name, (low, high) in BOXES.items():
        values = np.asarray([point[name] for point in points])
        assert ((low <= values) & (values <= high)).all()
        shares[name] = np.log(values / low) / log(high / low)
        assert stats.kstest(shares[name], "uniform").pvalue > 0.01
        assert stats.kstest(values, stats.loguniform(low, high).cdf).pvalue > 0.01
    assert abs(rank_correlation(*shares.values())) < 4 / np.sqrt(2000)  # one says nothing of the other


def test_a_draw_depends_on_the_seed_its_name_and_its_box_alone():
    both = draw(BOXES, 3)
    assert draw(dict(reversed(BOXES.items())), 3) == both
    assert draw({"temperature": BOXES["temperature"], "decay": (1.0, 2.0)}, 3)["temperature"] == both["temperature"]
    assert draw(BOXES, 4)["temperature"] != both["temperature"]
    wider = draw({"temperature": (0.1, 1000.0)}, 3)["temperature"]  # the same quantile of another box
    assert log(wider / 0.1) / log(1e4) == pytest.approx(log(both["temperature"] / 0.1) / log(100))
    assert draw({"temperature": (2.0, 2.0)}, 3) == {"temperature": 2.0}


def test_what_is_not_finite_has_diverged():
    value = torch.tensor([1.0, 2.0])
    assert finite(value, "scores") is value
    for bad in (nan, float("inf"), float("-inf")):
        with pytest.raises(DivergedError, match="scores is not finite"):
            finite(torch.tensor([1.0, bad]), "scores")


def test_each_trial_trains_as_if_alone_and_is_tested_at_its_best(tmp_path):
    results = run(search(), tmp_path).results
    assert len(results) == 3
    for number, result in enumerate(results):
        curve = alone(number)
        step, score = max(curve, key=lambda point: point[1])
        assert (result.length, result.stopped) == (STEPS, "max_steps")
        assert result.final == {"learning_rate": 0.3 / (number + 1), "validation": score, "best_step": float(step)}
        assert mean(result.metrics["error"]).sum == pytest.approx(-score)  # the test scores what validated best
    assert any(result.final["best_step"] < STEPS for result in results)  # else the last would do


def test_the_weights_before_the_first_step_can_be_the_best(tmp_path):
    class Worse(Noisy):
        def __init__(self, number, fails=None):
            super().__init__(number, fails)
            with torch.no_grad():
                for parameter in self.network.parameters():
                    parameter.fill_(1.0)  # the optimum of its validation
            self.optimizer.param_groups[0]["lr"] = 10.0

    (result,) = run(search(count=1, kind=Worse), tmp_path).results
    assert (result.final["best_step"], mean(result.metrics["error"]).sum) == (0.0, 0.0)


def test_what_a_trial_keeps_is_that_of_its_best_validation(tmp_path):
    """Also where it is a tensor that the trial changes in place, on its own or in a list."""

    class Counting(Noisy):
        kept = (*Noisy.kept, "seen", "several")

        def __init__(self, number, fails=None):
            super().__init__(number, fails)
            self.seen, self.several = torch.zeros(1), [torch.zeros(2)]

        def update(self):
            self.seen += 1
            self.several[0][1] += 1
            return super().update()

        def describe(self):
            return {"seen": float(self.seen), "several": float(self.several[0][1])}

    results = run(search(kind=Counting), tmp_path).results
    assert any(result.final["best_step"] < STEPS for result in results)
    for result in results:
        assert result.final["seen"] == result.final["several"] == result.final["best_step"]


def test_the_history_is_the_mean_of_the_trials_that_got_so_far(tmp_path):
    history = run(search({1: {"raise": 12}}), tmp_path).history
    curves = [dict(alone(number)) for number in range(3)]
    steps = [5, 10, 15, 20, 23]
    assert history["step"] == steps
    assert history["active"] == [3, 3, 2, 2, 2]
    for place, step in enumerate(steps):
        there = [curve[step] for number, curve in enumerate(curves) if step <= 11 or number != 1]
        assert history["score"][place] == pytest.approx(sum(there) / len(there))
    assert set(history) == {"step", "active", "loss", "score", "error"}
    assert {len(values) for values in history.values()} == {5}


def test_the_loss_is_the_mean_since_the_validation_before(tmp_path):
    history, trial = run(search(count=1), tmp_path).history, Noisy(0)
    losses = [trial.update() for _ in range(STEPS)]
    expected = [np.mean(losses[low:high]) for low, high in ((0, 5), (5, 10), (10, 15), (15, 20), (20, 23))]
    assert history["loss"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("fails", "steps"), [({"raise": 12}, 11), ({"loss": 12}, 11), ({"validation": 15}, 15), ({"raise": 1}, 0)]
)
def test_a_trial_that_diverges_is_recorded_and_leaves_its_siblings_alone(tmp_path, fails, steps):
    plain = run(search(), tmp_path / "plain")
    failing = run(search({1: fails}), tmp_path / "fails")
    assert failing.results[0] == plain.results[0]
    assert failing.results[2] == plain.results[2]
    lost = failing.results[1]
    assert (lost.length, lost.stopped) == (steps, "diverged")
    best, score = max(((s, v) for s, v in alone(1) if s <= min(steps, 14)), key=lambda point: point[1])
    assert (lost.final["best_step"], lost.final["validation"]) == (best, score)
    assert mean(lost.metrics["error"]).sum == pytest.approx(-score)
    for values in failing.history.values():
        assert np.isfinite(values).all()


def test_a_model_that_cannot_be_validated_untrained_is_a_fault_and_no_divergence(tmp_path):
    with pytest.raises(DivergedError, match="error is not finite"):
        run(search({0: {"validation": 0}}), tmp_path)


@pytest.mark.parametrize("stops", [[1], [12], [STEPS - 1], [STEPS], [STEPS + 1], [7, 30, 40, 2 * STEPS + 3]])
def test_a_resumed_search_is_the_uninterrupted_one_to_the_bit(tmp_path, stops):
    """Stopped in the middle of a trial, between two, and again and again; one of the trials diverges."""
    fails = {1: {"raise": 20}}
    plain = run(search(fails), tmp_path / "plain")
    for stop in stops:

        def interrupt(step, active, numbers, stop=stop):
            if step == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(search(fails), tmp_path, show=interrupt)
    resumed = search(fails)
    told = train(resumed, Checkpoint(tmp_path / "checkpoint.pt", "key"), Limits(1e9), silent)
    assert told[0] == len(stops)
    assert resumed.results == plain.results
    assert resumed.history == plain.history
    for ours, theirs in zip(resumed.trial.network.parameters(), plain.trial.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("fails", [{}, {1: {"raise": 12}, 5: {"raise": 1}}])
def test_of_a_grid_only_the_point_that_validates_best_is_tested(tmp_path, fails):
    tested = []

    class Watched(Noisy):
        def test(self):
            tested.append(self.number)
            return super().test()

    grid = run(search(fails, count=2, kind=Watched, points=3), tmp_path)
    every = run(search(fails, count=6), tmp_path / "every").results
    expected = []
    for first in (0, 3):
        values = [result.final["validation"] for result in every[first : first + 3]]
        place = int(np.argmax(values))
        own = {f"validation_of_point_{point}": value for point, value in enumerate(values)}
        best = every[first + place]
        expected.append(replace(best, final={**best.final, **own}))
        assert tested[first // 3] == first + place
    assert grid.results == expected
    assert len(tested) == 2
    kept = [dict(alone(number)) for number in tested]
    assert grid.history["score"][0] == pytest.approx(np.mean([curve[EVERY] for curve in kept]))


@pytest.mark.parametrize("stops", [[1], [STEPS], [STEPS + 1, 2 * STEPS], [3 * STEPS - 1], [3 * STEPS], [3 * STEPS + 5]])
def test_a_resumed_grid_is_the_uninterrupted_one_to_the_bit(tmp_path, stops):
    fails = {1: {"raise": 20}, 2: {"raise": 23}}
    plain = run(search(fails, count=2, points=3), tmp_path / "plain")
    for stop in stops:

        def interrupt(step, active, numbers, stop=stop):
            if step == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(search(fails, count=2, points=3), tmp_path, show=interrupt)
    resumed = run(search(fails, count=2, points=3), tmp_path)
    assert (resumed.results, resumed.history) == (plain.results, plain.history)


def test_a_checkpoint_a_step_and_no_time_at_all_change_nothing(tmp_path):
    plain = run(search(), tmp_path / "plain")
    for _ in range(3 * STEPS):
        trials = search()
        try:
            run(trials, tmp_path, Limits(0.0, 0.0))
            break
        except OutOfTimeError:
            continue
    assert (trials.results, trials.history) == (plain.results, plain.history)


def test_the_bar_is_told_the_trial_and_its_last_validation(tmp_path):
    shown = []
    run(search(count=2), tmp_path, show=lambda step, active, numbers: shown.append((step, active, numbers)))
    assert [numbers["trial"] for _, _, numbers in shown] == [1.0] * STEPS + [2.0] * STEPS
    assert [active for _, active, _ in shown][STEPS - 2 : STEPS + 1] == [2, 1, 1]
    assert set(shown[0][2]) == {"trial"}
    assert set(shown[6][2]) == {"trial", "loss", "score", "error"}
    assert shown[6][2]["score"] == dict(alone(0))[5]
