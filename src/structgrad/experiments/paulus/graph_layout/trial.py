"""One trial of the search: a model, its optimiser, and the place in the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from structgrad.experiments.paulus.graph_layout.data import Data, Graphs
from structgrad.experiments.paulus.graph_layout.hyper_parameters import LayoutParameters
from structgrad.experiments.paulus.graph_layout.metrics import averages, recovery, report
from structgrad.experiments.paulus.graph_layout.objective import ESTIMATORS
from structgrad.training.results import Mean, Report
from structgrad.training.trial import Trial, finite

EVALUATED = 500  # graphs at a time


class LayoutTrial(Trial):
    """Adam on batches in the data's order, which is not shuffled.

    Args:
        config: the arm's.
        data: on the device that trains.
        point: the trial's learning rate and temperature, and the finite difference where that is searched.
        seeds: of the initial weights, of the noise, and of the noise of every evaluation.
        device: where to train.
    """

    kept = ("noise", "next", "at")

    def __init__(
        self, config: LayoutParameters, data: Data, point: Mapping[str, float], seeds: Mapping[str, int], device: str
    ) -> None:
        self.config, self.data, self.point, self.device = config, data, point, device
        self.batch, self.evaluated_on = config.batch_size, config.validation_graphs
        self.evaluation_seed = seeds["evaluation"]
        self.noise = torch.Generator(device).manual_seed(seeds["noise"])
        frames = data.train.frames.shape[2]
        self.farthest = config.rollout_steps[f"T={frames}"] if config.rollout == "unrolled" else 1
        model = ESTIMATORS[config.estimator](
            replace(config, difference=point.get("difference", config.difference)),
            frames,
            self.farthest,
            point.get("temperature", 1.0),  # the score function has none
            torch.Generator().manual_seed(seeds["init"]),
        )
        self.model = model.to(device)
        self.network: nn.Module = self.model
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(self.network.parameters(), point["learning_rate"])
        self.next = 0  # row of the next batch
        self.at = 0  # steps made

    def update(self) -> float:
        frames = self.data.train.frames[self.next : self.next + self.batch]
        self.next = (self.next + self.batch) % _rounded(len(self.data.train), self.batch)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        self.model.steps = reach(self.config, self.farthest, self.at)
        loss = finite(self.network(frames, self.noise), "the loss")
        loss.backward()
        if self.config.gradient_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_norm)
        self.optimizer.step()
        self.at += 1
        return float(loss.detach())

    def validate(self) -> dict[str, float]:
        return averages(self.evaluate(self.data.validation[: self.evaluated_on]))

    def test(self) -> Mapping[str, Report]:
        return self.evaluate(self.data.test)

    @torch.no_grad()
    def evaluate(self, graphs: Graphs) -> dict[str, Mean]:
        """One hard draw of edges a graph, and the bound by teacher forcing."""
        self.network.eval()
        noise = torch.Generator(self.device).manual_seed(self.evaluation_seed)
        chosen, elbo = [], []
        for start in range(0, len(graphs), EVALUATED):
            frames = graphs.frames[start : start + EVALUATED]
            scores, _ = self.model.infer(frames)
            weights = self.model.edges(scores, noise)
            chosen.append(weights[..., 1] > 0)
            elbo.append(-self.model.error(frames, weights, steps=1) - self.model.edges.kl(scores))
        return report(*recovery(torch.cat(chosen).cpu(), graphs.edges), torch.cat(elbo).cpu())

    def describe(self) -> dict[str, float]:
        return dict(self.point)


def reach(config: LayoutParameters, farthest: int, step: int) -> int:
    """How far a prediction is rolled out at a step (from 0): one step while it is forced, then ever farther."""
    after = step - config.forced_steps
    if after < 0:
        return 1
    if after >= config.growing_steps:
        return farthest
    return 1 + (farthest - 1) * after // config.growing_steps


def _rounded(rows: int, batch: int) -> int:
    """The rows, up to a whole number of batches: the last one of an epoch is smaller, and the next starts anew."""
    return -(-rows // batch) * batch
