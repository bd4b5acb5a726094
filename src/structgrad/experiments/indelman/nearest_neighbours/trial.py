"""One network that trains at one point of the grid."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from structgrad.experiments.indelman.nearest_neighbours.data import Data, Labelled
from structgrad.experiments.indelman.nearest_neighbours.hyper_parameters import NeighboursParameters
from structgrad.experiments.indelman.nearest_neighbours.losses import (
    Batch,
    Classification,
    Direct,
    NeighbourLoss,
    SoftTopK,
)
from structgrad.experiments.indelman.nearest_neighbours.neighbours import classify
from structgrad.experiments.indelman.nearest_neighbours.networks import Network, autocast
from structgrad.experiments.indelman.nearest_neighbours.settings import Point
from structgrad.experiments.indelman.nearest_neighbours.stream import Stream
from structgrad.training.initial import initialise
from structgrad.training.results import Proportion, Report
from structgrad.training.seeds import generators
from structgrad.training.trial import Trial, finite

EVALUATED = 500  # images at a time


class NeighboursTrial(Trial):
    """The embedding by Adam or SGD, the noise magnitude by plain SGD.

    Candidates are embedded once a step for all queries. Where an image's embedding depends on that image alone and few
    images have a gradient, all are embedded without one first, and those few once more with it: the same gradient for
    the time of one forward pass and of a small training step.

    ``seeds``: of ``init``, ``queries``, ``candidates`` and ``noise``.
    """

    network: Network
    kept = ("streams", "noise", "objective")

    def __init__(
        self, config: NeighboursParameters, data: Data, point: Point, seeds: Mapping[str, int], device: str = "cpu"
    ) -> None:
        self.config, self.data, self.point, self.device = config, data, point, device
        self.k, self.sizes = config.k, (config.queries, config.candidates)
        learned, classifier = config.sigma == "learned", config.objective == "classification"
        self.network = Network(config.network, data.train.images.shape[1], learned, classifier)
        init, queries, candidates = (generators([seeds[role]])[0] for role in ("init", "queries", "candidates"))
        initialise(self.network, init)
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective = self._loss()
        self.optimizer = self._optimizer()
        sigmas = list(self.network.sigma.parameters()) if self.network.sigma is not None else []
        self.plain = torch.optim.SGD(sigmas, point.get("sigma_learning_rate", 0.0), fused=True) if sigmas else None
        for parameter in self.network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self.streams = Stream(len(data.train), queries), Stream(len(data.train), candidates)
        (self.noise,) = generators([seeds["noise"]], device)
        self.embed = torch.compile(self.network) if config.compile else self.network
        self.recompute = self.objective.sparse and self.network.separate

    def update(self) -> float:
        rows = torch.cat([stream.next(size) for stream, size in zip(self.streams, self.sizes, strict=True)])
        chosen = self.data.train[rows.to(self.data.train.labels.device)]
        images = self.data.normalised(chosen.images)
        self.network.train()
        self.network.zero_grad(set_to_none=False)
        with torch.set_grad_enabled(not self.recompute):
            embeddings = self._embeddings(images)
        finite(embeddings.detach(), "an embedding")
        leaf = embeddings.detach().requires_grad_() if self.recompute else embeddings
        queries = self.sizes[0]
        sigma = None if self.network.sigma is None else self.network.sigma(images[:queries]).squeeze(-1).float()
        total, loss = self.objective(Batch(leaf, chosen.labels, queries), sigma, self.noise)
        total.backward()
        if self.recompute:
            assert leaf.grad is not None
            moved = leaf.grad.abs().amax(-1).nonzero().squeeze(-1)
            if len(moved):
                self._embeddings(images[moved]).backward(leaf.grad[moved])
        self.optimizer.step()
        if self.plain is not None:
            self.plain.step()
        return float(loss)

    def validate(self) -> dict[str, float]:
        """The share of the validation images that are classified rightly, by the nearest of some training images."""
        right = self._right(self.data.validation, self.data.train[: self.config.validation_neighbours])
        return {"accuracy": float(right.double().mean())}

    def test(self) -> Mapping[str, Report]:
        right = self._right(self.data.test, self.data.train)
        return {"test_accuracy": Proportion(int(right.sum()), len(right))}

    def describe(self) -> dict[str, float]:
        numbers = {**self.point, **self.objective.final()}
        if (sigma := self.network.eval().sigma) is not None:
            with torch.no_grad():
                magnitudes = sigma(self.data.normalised(self.data.validation.images[:EVALUATED]))
            numbers["sigma"] = float(magnitudes.mean())
        return numbers

    @torch.no_grad()
    def _right(self, images: Labelled, stored: Labelled) -> Tensor:
        """Which of the images are classified rightly: by the classifier where there is one, else by neighbours."""
        self.network.eval()
        if self.network.classifier is not None:
            labels = self.network.classifier(self._all(images)).argmax(-1)
        else:
            labels = classify(self._all(images), self._all(stored), stored.labels, self.k)
        return labels == images.labels

    def _all(self, of: Labelled) -> Tensor:
        parts = of.images.split(EVALUATED)
        return torch.cat([self._embeddings(self.data.normalised(part)) for part in parts])

    def _embeddings(self, images: Tensor) -> Tensor:
        with autocast(self.device, self.config.autocast):
            return self.embed(images)

    def _loss(self) -> NeighbourLoss:
        config, point = self.config, self.point
        match config.objective:
            case "direct":
                return Direct(
                    self.k, config.cost, point["epsilon"], config.epsilon_growth, config.epsilon_cap,
                    config.samples if config.sigma else 0,
                )  # fmt: skip
            case "classification":
                assert self.network.classifier is not None
                return Classification(self.network.classifier)
            case relaxation:
                return SoftTopK(self.k, relaxation, point["temperature"], config.samples)

    def _optimizer(self) -> torch.optim.Optimizer:
        learned, rate = self.network.weights(), self.point["learning_rate"]
        if self.config.optimizer == "adam":
            return torch.optim.Adam(learned, rate, fused=True)
        decay, momentum = self.config.weight_decay, self.config.momentum
        return torch.optim.SGD(learned, rate, momentum, weight_decay=decay, fused=True)
