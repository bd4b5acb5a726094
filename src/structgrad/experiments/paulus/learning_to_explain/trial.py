"""One network that trains with one point of the random search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from structgrad.experiments.paulus.learning_to_explain.batches import Shuffle, batch_of, sorted_batches
from structgrad.experiments.paulus.learning_to_explain.explainer import build
from structgrad.experiments.paulus.learning_to_explain.hyper_parameters import ExplainParameters
from structgrad.experiments.paulus.learning_to_explain.metrics import Tally, choice, error, joined, tally
from structgrad.experiments.paulus.learning_to_explain.reviews import Corpus, Reviews
from structgrad.training.initial import initialise
from structgrad.training.results import Report
from structgrad.training.search import draw
from structgrad.training.seeds import generators
from structgrad.training.trial import Trial, finite

EVALUATED = 250  # reviews at a time
SHOWN, SHORT = 2, 90  # reviews that a record shows, of no more words than these


class ExplainTrial(Trial):
    """Mean squared error of the rating, Adam, a learning rate that falls linearly to ``decay`` of itself.

    ``seeds``: of ``init``, ``shuffle``, ``noise``, ``dropout``, ``evaluation`` and ``search``.
    """

    kept = ("batches", "noise", "dropout", "at")

    def __init__(
        self, config: ExplainParameters, corpus: Corpus, seeds: Mapping[str, int], device: str = "cpu"
    ) -> None:
        self.config, self.corpus, self.device, self.evaluation = config, corpus, device, seeds["evaluation"]
        self.point = draw({name: config.search[name] for name in config.searched}, seeds["search"])
        difference = self.point.get("difference", config.difference)
        self.explainer = build(config, corpus.vectors, self.point.get("temperature", 1.0), difference)
        self.network: nn.Module = self.explainer
        initialise(self.network, *generators([seeds["init"]]))
        self.network.to(device)
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(
            self.network.parameters(), self.point["learning_rate"], weight_decay=self.point["weight_decay"]
        )
        shuffle, self.noise, self.dropout = (
            *generators([seeds["shuffle"]]),
            *generators([seeds["noise"], seeds["dropout"]], device),
        )
        self.batches = Shuffle(corpus.train.lengths, config.batch_size, config.pool, shuffle)
        self.at = 0

    def update(self) -> float:
        batch = batch_of(self.corpus.train, self.batches.next(), self.config.k, self.device)
        fallen = 1 - (1 - self.point["decay"]) * self.at / self.config.steps
        for group in self.optimizer.param_groups:
            group["lr"] = self.point["learning_rate"] * fallen
        self.network.train()
        ratings, _ = self.explainer(batch, self.noise, self.dropout)
        loss = finite(nn.functional.mse_loss(ratings, batch.ratings), "the loss")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.at += 1
        return float(loss.detach())

    def validate(self) -> dict[str, float]:
        """With one hard sample a review; precision is not looked at: the published reviews to validate on have none."""
        whole = self.evaluate(self.corpus.validation[: self.config.validation_reviews])
        return {"minus_mse": -error(whole).value, "mse_x100": error(whole).value, "run_length": _runs(whole)}

    def test(self) -> Mapping[str, Report]:
        """With one hard sample a review (the main reading), and with the most probable subset."""
        reports: dict[str, Report] = {}
        for ending, sampled in (("", True), ("_mode", False)):
            found = {"mse_x100": error(self.evaluate(self.corpus.test, sampled))}
            found |= choice(self.evaluate(self.corpus.annotated, sampled))
            reports |= {name + ending: report for name, report in found.items()}
        del reports["run_length_mode"]
        return reports

    @torch.no_grad()
    def evaluate(self, reviews: Reviews, sampled: bool = True) -> Tally:
        """Hard subsets of every review."""
        self.network.eval()
        noise = generators([self.evaluation], self.device)[0] if sampled else None
        rows, tallies = [], []
        for some, batch in sorted_batches(reviews, EVALUATED, self.config.k, self.device):
            rows.append(some)
            tallies.append(tally(batch, *self.explainer(batch, noise)))
        return joined(rows, tallies)

    @torch.no_grad()
    def examples(self) -> Sequence[Mapping[str, Any]]:
        """The first short test reviews: words, the places of the annotated ones and of those in a hard sample."""
        words, reviews = self.corpus.words, self.corpus.annotated
        if words is None or reviews.inside is None:
            return ()
        rows = np.flatnonzero((reviews.lengths <= SHORT) & reviews.inside.any(1))[:SHOWN]
        if not len(rows):
            return ()
        self.network.eval()
        batch = batch_of(reviews, rows, self.config.k, self.device)
        weights = self.explainer(batch, *generators([self.evaluation], self.device))[1]
        return [
            {
                "words": [words[token] for token in reviews.tokens[row, : reviews.lengths[row]]],
                "inside": np.flatnonzero(reviews.inside[row]).tolist(),
                "chosen": np.flatnonzero(chosen[: reviews.lengths[row]] > 0.5).tolist(),
            }
            for row, chosen in zip(rows, weights.cpu().numpy(), strict=True)
        ]

    def describe(self) -> dict[str, float]:
        return dict(self.point)


def _runs(whole: Tally) -> float:
    report = choice(whole)["run_length"]
    return report.value
