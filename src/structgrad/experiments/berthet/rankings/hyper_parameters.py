"""What both rankings' hyper-parameters have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from structgrad.experiments.hyper_parameters import Count, HyperParameters, Positive

Loss = Literal[
    "squared",
    "fenchel_young",
    "perturbed_squared",
    "perturbed_squared_plain",
    "blackbox",
    "blackbox_of_batch",
    "blackbox_mirrored_of_batch",
    "reference",
]


@dataclass(frozen=True, kw_only=True)
class RankingParameters(HyperParameters):
    """Of linear scores that learn ranks at every point of a grid (docs/protocols/berthet.md).

    Attributes:
        loss: what is minimised (:data:`structgrad.experiments.berthet.rankings.losses.LOSSES`); ``reference`` learns
            nothing.
        learning_rates: of Adam; the grid's first axis.
        epsilons: magnitudes of the noise, the grid's second axis, of losses that perturb.
        lambdas: steps of the blackbox interpolation, the grid's second axis, of losses that interpolate.
        samples: perturbations per item.
        batch_size: items per step.
        epochs: passes over the training rows.
    """

    loss: Loss
    learning_rates: tuple[Positive, ...]
    epsilons: tuple[Positive, ...] = ()
    lambdas: tuple[Positive, ...] = ()
    samples: Count
    batch_size: Count
    epochs: Count
