"""The hyper-parameters of nearest-neighbour classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from structgrad.experiments.hyper_parameters import Count, CountOrZero, HyperParameters, Positive


@dataclass(frozen=True, kw_only=True)
class NeighboursParameters(HyperParameters):
    """Of Table 2 (docs/protocols/indelman.md, 3), as they are for one data set and one k.

    Attributes:
        k: neighbours.
        source: the published images, or packaged digits that stand in for them.
        network: of the embedding.
        train, validation, test: images; None for all that are left.
        validation_neighbours: training images among which a validation looks for neighbours; None for all.
        queries, candidates: images per step.
        epochs: passes of the queries over the training images.
        validate_every: epochs between validations.
        optimizer: of the embedding; ``momentum`` and ``weight_decay`` are SGD's.
        autocast: the network in bfloat16.
        compile: the network compiled by torch.
        objective: direct loss, one of the two relaxations, or a linear classifier's cross-entropy.
        cost: how the loss enters the scores of direct loss.
        epsilon_growth, epsilon_cap: of direct loss.
        sigma: whether the noise's magnitude is learned or fixed at one; None has no noise.
        samples: perturbations per query; 0 for none.
        grid: the values of each hyper-parameter that replicas select among: ``learning_rate``, and as the objective
            has them ``epsilon``, ``sigma_learning_rate`` and ``temperature``.
    """

    k: Count
    source: Literal["published", "stand_in"]
    network: Literal["convnet", "resnet18", "preact_resnet18"]
    train: Count | None
    validation: Count
    test: Count | None
    validation_neighbours: Count | None
    queries: Count
    candidates: Count
    epochs: Positive
    validate_every: Positive
    optimizer: Literal["adam", "sgd"]
    momentum: float = 0.0
    weight_decay: float = 0.0
    autocast: bool
    compile: bool
    objective: Literal["direct", "neural_sort", "soft_sub", "classification"]
    cost: Literal["multiplicative", "additive"] = "multiplicative"
    epsilon_growth: Positive = 1.0
    epsilon_cap: Positive = 1e6
    sigma: Literal["learned", "fixed"] | None
    samples: CountOrZero = 0
    grid: dict[str, tuple[float, ...]]
