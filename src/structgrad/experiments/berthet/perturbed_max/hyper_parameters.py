"""The hyper-parameters of classification through a perturbed maximum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from structgrad.experiments.hyper_parameters import Count, HyperParameters, Positive


@dataclass(frozen=True, kw_only=True)
class MaxParameters(HyperParameters):
    """Of Figure 2 (docs/protocols/berthet.md, 4), at one epsilon.

    Attributes:
        source: the published images, or packaged digits that stand in for them.
        loss: Fenchel-Young of the perturbed maximum, or of the softmax, which is cross entropy.
        epsilon: magnitude of the noise, temperature of the softmax.
        samples: perturbations per image of the first loss.
        width: channels of the first two convolutions; the others follow it.
        train, test: images, the first so many; None for all.
        scored: training images, the first so many, whose accuracy is shown.
        batch_size: images per step.
        epochs: passes over the training images.
        learning_rate: of Adam.
    """

    source: Literal["published", "stand_in"]
    loss: Literal["fenchel_young", "cross_entropy"]
    epsilon: Positive
    samples: Count = 1
    width: Count
    train: Count | None
    test: Count | None
    scored: Count
    batch_size: Count
    epochs: Count
    learning_rate: Positive
