"""One network that trains with one point of the random search."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from structgrad.experiments.paulus.listops.batches import Shuffle, batch_of, sorted_batches
from structgrad.experiments.paulus.listops.data import Data
from structgrad.experiments.paulus.listops.edges import Sampler
from structgrad.experiments.paulus.listops.expressions import Expressions
from structgrad.experiments.paulus.listops.hyper_parameters import ListOpsParameters
from structgrad.experiments.paulus.listops.metrics import Tally, averages, joined, report, tally
from structgrad.experiments.paulus.listops.model import (
    EdgeScorer,
    GraphClassifier,
    LatentEdges,
    LSTMClassifier,
    TrueEdges,
)
from structgrad.training.initial import initialise
from structgrad.training.results import Report
from structgrad.training.search import draw
from structgrad.training.seeds import generators
from structgrad.training.trial import Trial, finite

EVALUATED = 250  # expressions at a time


class ListOpsTrial(Trial):
    """Cross-entropy alone, AdamW with a constant learning rate.

    ``seeds``: of ``init``, ``shuffle``, ``noise``, ``dropout``, ``evaluation`` and ``search``.
    """

    kept = ("batches", "noise", "dropout")

    def __init__(self, config: ListOpsParameters, data: Data, seeds: Mapping[str, int], device: str = "cpu") -> None:
        self.data, self.device, self.evaluation = data, device, seeds["evaluation"]
        self.point = draw(config.search, seeds["search"])
        self.network: nn.Module = build(config, self.point.get("temperature", 1.0))
        initialise(self.network, *generators([seeds["init"]]))
        self.network.to(device)
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.network.parameters(), self.point["learning_rate"], weight_decay=self.point["weight_decay"], fused=True
        )
        shuffle, self.noise, self.dropout = (
            *generators([seeds["shuffle"]]),
            *generators([seeds["noise"], seeds["dropout"]], device),
        )
        self.batches = Shuffle(data.train.lengths, config.batch_size, config.pool, shuffle)

    def update(self) -> float:
        batch = batch_of(self.data.train, self.batches.next(), self.device)
        if not self.network.training:  # it takes one step in seventy to say so to every module
            self.network.train()
        logits, _ = self.network(batch, self.noise, self.dropout)
        loss = finite(nn.functional.cross_entropy(logits, batch.values), "the loss")
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def validate(self) -> dict[str, float]:
        return averages(self.evaluate(self.data.validation))

    def test(self) -> Mapping[str, Report]:
        return report(self.evaluate(self.data.test))

    @torch.no_grad()
    def evaluate(self, expressions: Expressions) -> Tally:
        """Hard samples of the edges, one an expression."""
        self.network.eval()
        (noise,) = generators([self.evaluation], self.device)
        return joined(
            tally(batch, *self.network(batch, noise, self.dropout))
            for batch in sorted_batches(expressions, EVALUATED, self.device)
        )

    def describe(self) -> dict[str, float]:
        return dict(self.point)


def build(config: ListOpsParameters, temperature: float) -> nn.Module:
    """The network of an arm, by its ``model``: ``lstm``, ``parse`` or a distribution over edges."""
    width, model = config.width, config.model
    if model == "lstm":
        return LSTMClassifier(width)
    if model == "parse":
        edges: nn.Module = TrueEdges()
    else:
        assert config.noise is not None
        edges = LatentEdges(EdgeScorer(width), Sampler(model, config.noise, temperature))
    return GraphClassifier(edges, width, config.rounds, config.messages == "pairwise", config.dropout)
