"""The hyper-parameters of learning to sort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from structgrad.experiments.hyper_parameters import Count, HyperParameters, Positive

Method = Literal["direct", "gumbel_sinkhorn", "no_solver"]


@dataclass(frozen=True, kw_only=True)
class SortingParameters(HyperParameters):
    """Of Tables 1a and 1b (docs/protocols/indelman.md, 2).

    Attributes:
        train_sequences, test_sequences, extra_test_sequences: per replica; the extra ones are for the finer metrics.
        hidden: width of the scores' hidden layer.
        learning_rate: of Adam, for the scores.
        max_epochs: optimiser steps at most; each sees the whole training set.
        patience: steps without a better loss after which a replica stops; None never stops.
        samples: perturbations per sequence; of Gumbel-Sinkhorn draws of the permutation.
        noise_scale: of the Gumbel noise.
        sigma: whether the noise's magnitude is learned or fixed at one; None has no noise.
        sigma_learning_rate: of plain gradient descent on the magnitude's network.
        epsilon: the first step of the finite difference; each time that the loss does not fall it grows by the factor
            ``epsilon_growth``, up to ``epsilon_cap``.
        cost: how the task loss enters the scores (:data:`structgrad.experiments.indelman.sorting.direct.COSTS`).
        temperature, sinkhorn_iterations: of the relaxed permutation.
        training_set: of Gumbel-Sinkhorn: fresh sequences at every step, or one fixed set.
        initial_weights: torch's default, or Glorot's with biases at zero.
        tested_weights: the last ones, or those of the lowest monitored loss.
    """

    train_sequences: Count
    test_sequences: Count
    extra_test_sequences: Count
    hidden: Count
    learning_rate: Positive
    max_epochs: Count
    patience: Count | None
    samples: Count = 1
    noise_scale: Positive = 1.0
    sigma: Literal["learned", "fixed"] | None = None
    sigma_learning_rate: Positive | None = None
    epsilon: float | None = None
    epsilon_growth: Positive = 1.0
    epsilon_cap: Positive = 1e6
    cost: Literal["column_squares", "element_squares", "exact"] = "column_squares"
    temperature: Positive = 1.0
    sinkhorn_iterations: Count = 20
    training_set: Literal["fresh", "fixed"] | None = None
    initial_weights: Literal["torch", "glorot"] = "torch"
    tested_weights: Literal["last", "best"] = "last"

    @property
    def method(self) -> Method:
        """How it trains: what an arm's hyper-parameters are made for."""
        if self.training_set is not None:
            return "gumbel_sinkhorn"
        return "no_solver" if self.epsilon is None else "direct"
