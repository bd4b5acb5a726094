"""Epochs: curves, last weights, divergence, examples and resuming, on a network of one number."""

from __future__ import annotations

from math import nan

import pytest
import torch
from torch import nn
from trainings import mean, silent

from structgrad.training.checkpoint import Checkpoint
from structgrad.training.epochs import Epochs
from structgrad.training.loop import Limits, OutOfTimeError, train
from structgrad.training.minibatches import Minibatches
from structgrad.training.results import Mean
from structgrad.training.trial import DivergedError, Trial

ROWS, SIZE, EPOCHS = 7, 3, 4  # batches of 3, 3 and 1


class Counter(Trial):
    """Its one weight is the sum of all rows that it has seen, times the number of the replica plus one.

    ``fails``: after how many updates what happens: "raise", or the "loss" or the "score" is not finite.
    """

    kept = ("batches", "updates")

    def __init__(self, replica, fails=None):
        self.replica, self.fails, self.updates = replica, fails or {}, 0
        self.batches = Minibatches(ROWS, SIZE, torch.Generator().manual_seed(replica))
        self.network = self.linear = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.linear.weight)
        self.optimizer = torch.optim.SGD(self.network.parameters(), 1.0)

    @property
    def weight(self):
        return float(self.linear.weight.detach())

    def update(self):
        rows = self.batches.next()
        self.updates += 1
        with torch.no_grad():
            self.linear.weight += float(rows.sum()) * (self.replica + 1)
        if self.updates == self.fails.get("raise"):
            raise DivergedError("scores")
        return nan if self.updates == self.fails.get("loss") else float(len(rows))

    def validate(self):
        return {"weight": nan if self.updates == self.fails.get("score") else self.weight}

    def test(self):
        return {"weight": Mean.of([self.weight])}

    def describe(self):
        return {"updates": float(self.updates)}

    def examples(self):
        return [{"replica": [float(self.replica)], "name": "first"}]


def epochs(fails=None, count=2):
    return Epochs(lambda r: Counter(r, (fails or {}).get(r)), count, ("data",), EPOCHS, 3)


def run(trainee, tmp_path, limits=None):
    train(trainee, Checkpoint(tmp_path / "state.pt", "key"), limits or Limits(1e9), silent)
    return trainee


def test_curves_are_means_and_last_weights_are_tested(tmp_path):
    done = run(epochs(), tmp_path)
    whole = sum(range(ROWS))  # every row once an epoch
    assert [mean(result.metrics["weight"]).value for result in done.results] == [EPOCHS * whole, 2 * EPOCHS * whole]
    assert [(result.length, result.stopped) for result in done.results] == [(EPOCHS, "max_epochs")] * 2
    assert done.history == {
        "epoch": [1.0, 2.0, 3.0, 4.0],
        "active": [2.0] * 4,
        "loss": [pytest.approx(ROWS / 3)] * 4,
        "weight": [1.5 * whole * epoch for epoch in (1, 2, 3, 4)],
    }
    assert [result.examples for result in done.results] == [
        [{"replica": [float(replica)], "name": "first"}] for replica in (0, 1)
    ]
    assert done.length == 2 * EPOCHS * 3


@pytest.mark.parametrize("fails", [{"raise": 8}, {"loss": 8}, {"score": 9}])
def test_what_diverges_is_tested_as_it_was_after_its_last_whole_epoch(tmp_path, fails):
    """The eighth and ninth update are of the third epoch; the other replica goes on."""
    done = run(epochs({0: fails}), tmp_path)
    first, second = done.results
    assert (first.length, first.stopped) == (9 // 3 if "score" in fails else 2, "diverged")
    assert mean(first.metrics["weight"]).value == 2 * sum(range(ROWS))
    assert (second.length, second.stopped) == (EPOCHS, "max_epochs")
    assert done.history["active"] == [2.0, 2.0, 1.0, 1.0]


def test_it_goes_on_from_every_step(tmp_path):
    whole = run(epochs({1: {"loss": 5}}), tmp_path / "whole")
    while True:
        try:
            parts = run(epochs({1: {"loss": 5}}), tmp_path / "parts", Limits(1e9, 0.0))
            break
        except OutOfTimeError:
            pass
    assert (parts.results, parts.history) == (whole.results, whole.history)


def test_minibatches_are_every_row_once_in_orders_of_their_own():
    batches = Minibatches(ROWS, SIZE, torch.Generator().manual_seed(0))
    assert len(batches) == 3
    rounds = [torch.cat([batches.next() for _ in range(3)]) for _ in range(3)]
    assert all(rows.sort().values.tolist() == list(range(ROWS)) for rows in rounds)
    assert len({tuple(rows.tolist()) for rows in rounds}) == 3
