"""One network that learns to classify images at one epsilon."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from structgrad.data.images import CLASSES
from structgrad.experiments.berthet.perturbed_max.data import Data, pixels
from structgrad.experiments.berthet.perturbed_max.hyper_parameters import MaxParameters
from structgrad.experiments.berthet.perturbed_max.losses import SMOOTHED
from structgrad.experiments.berthet.perturbed_max.networks import glorot, vanilla_cnn
from structgrad.training.minibatches import Minibatches
from structgrad.training.results import Mean, Proportion, Report
from structgrad.training.seeds import generators
from structgrad.training.trial import Trial, finite

EVALUATED = 500  # images at a time


class MaxTrial(Trial):
    """By Adam; ``seeds``: of ``init``, ``shuffle``, ``noise`` and ``evaluation``."""

    kept = ("batches", "noise")

    def __init__(self, config: MaxParameters, data: Data, seeds: Mapping[str, int], device: str = "cpu") -> None:
        self.config, self.data, self.device = config, data, device
        self.smoothed = SMOOTHED[config.loss](config)
        self.network = vanilla_cnn(config.width, *data.train.shape[1:3])
        init, shuffle = (generators([seeds[role]])[0] for role in ("init", "shuffle"))
        glorot(self.network, init)
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate, fused=True)
        self.batches = Minibatches(len(data.train), config.batch_size, shuffle)
        (self.noise,) = generators([seeds["noise"]], device)
        self.evaluation = seeds["evaluation"]

    def update(self) -> float:
        """One step; what is shown is the squared distance of the prediction to the label, as in the authors' code."""
        rows = self.batches.next().to(self.data.train_labels.device)
        y = _one_hot(self.data.train_labels[rows])
        theta = self.network(pixels(self.data.train.index_select(0, rows)))
        finite(theta.detach(), "a score")
        predicted = self.smoothed(theta.detach(), self.noise)
        self.optimizer.zero_grad()
        theta.backward((predicted - y) / len(rows))
        self.optimizer.step()
        return float((predicted - y).square().sum() / len(rows))

    def validate(self) -> dict[str, float]:
        """Both accuracies, as the figure shows them; nothing is selected by them."""
        return {
            f"{name}_accuracy": float((self._scores(images).argmax(-1) == labels).double().mean())
            for name, (images, labels) in self._parts().items()
        }

    def test(self) -> Mapping[str, Report]:
        reports: dict[str, Report] = {}
        (generator,) = generators([self.evaluation], self.device)
        for name, (images, labels) in self._parts().items():
            scores = self._scores(images)
            right = int((scores.argmax(-1) == labels).sum())
            parts = zip(scores.split(EVALUATED), labels.split(EVALUATED), strict=True)
            squared = [
                (self.smoothed.at_test(theta, generator) - _one_hot(some)).square().sum(-1) for theta, some in parts
            ]
            reports[f"{name}_accuracy"] = Proportion(right, len(labels))
            reports[f"{name}_squared"] = Mean.of(torch.cat(squared).tolist())
        return reports

    def describe(self) -> dict[str, float]:
        """The spread of the scores of the first test images, which epsilon is to be held against."""
        return {"score_deviation": float(self._scores(self.data.test[:EVALUATED]).std())}

    def _parts(self) -> dict[str, tuple[Tensor, Tensor]]:
        some = slice(0, self.config.scored)
        return {
            "train": (self.data.train[some], self.data.train_labels[some]),
            "test": (self.data.test, self.data.test_labels),
        }

    @torch.no_grad()
    def _scores(self, images: Tensor) -> Tensor:
        return torch.cat([self.network(pixels(part)) for part in images.split(EVALUATED)])


def _one_hot(labels: Tensor) -> Tensor:
    return one_hot(labels, CLASSES).float()
