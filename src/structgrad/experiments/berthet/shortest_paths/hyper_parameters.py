"""The hyper-parameters of learning costs from shortest paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from structgrad.experiments.hyper_parameters import Count, HyperParameters, Positive


@dataclass(frozen=True, kw_only=True)
class PathParameters(HyperParameters):
    """Of Figure 6 (docs/protocols/berthet.md, 5).

    Attributes:
        loss: what is minimised; ``reference`` learns nothing: it has the true costs.
        network: the first five layers of ResNet18, or the small convolutional network of the released configuration.
        width: channels of the network's layers.
        train, test: maps; of the published ones the first so many.
        epsilon: magnitude of the noise of the Fenchel-Young loss.
        samples: perturbations per map of that loss.
        interpolation: lambda of the blackbox loss, on the gradient of the mean Hamming loss of a batch.
        batch_size: maps per step.
        epochs: passes over the training maps.
        learning_rate: of Adam.
        decay_after: epochs after each of which the learning rate falls to a tenth.
        early: epochs that are a few, after which optimal paths are counted once.
    """

    loss: Literal["fenchel_young", "blackbox", "squared", "reference"]
    network: Literal["resnet", "cnn"] = "resnet"
    width: Count
    train: Count
    test: Count
    epsilon: Positive | None = None
    samples: Count = 1
    interpolation: Positive | None = None
    batch_size: Count
    epochs: Count
    learning_rate: Positive
    decay_after: tuple[Count, ...]
    early: Count
