"""One network that learns costs of terrain from shortest paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from structgrad.experiments.berthet.shortest_paths.data import Data
from structgrad.experiments.berthet.shortest_paths.examples import EXAMPLES, example
from structgrad.experiments.berthet.shortest_paths.hyper_parameters import PathParameters
from structgrad.experiments.berthet.shortest_paths.losses import loss_of
from structgrad.experiments.berthet.shortest_paths.networks import NETWORKS
from structgrad.experiments.berthet.shortest_paths.scores import scores
from structgrad.training.initial import initialise
from structgrad.training.minibatches import Minibatches
from structgrad.training.results import Example, Report
from structgrad.training.seeds import generators
from structgrad.training.trial import Trial, finite

EVALUATED = 100  # maps at a time
DECAY = 0.1  # of the learning rate


class PathTrial(Trial):
    """By Adam, whose learning rate falls after some epochs; ``seeds``: of ``init``, ``shuffle`` and ``noise``."""

    kept = ("batches", "noise", "updates", "early")

    def __init__(self, config: PathParameters, data: Data, seeds: Mapping[str, int], device: str = "cpu") -> None:
        self.config, self.data, self.device = config, data, device
        self.loss = loss_of(config)
        self.network = NETWORKS[config.network](config.width)
        init, shuffle = (generators([seeds[role]])[0] for role in ("init", "shuffle"))
        initialise(self.network, init)
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate, fused=True)
        self.batches = Minibatches(len(data.train), config.batch_size, shuffle)
        (self.noise,) = generators([seeds["noise"]], device)
        self.updates = 0
        self.early: Report | None = None  # optimal paths after so many epochs

    def update(self) -> float:
        """One step; the loss that is shown is half the squared distance of what is predicted to the true path."""
        epoch = self.updates // len(self.batches)
        decays = sum(epoch >= after for after in self.config.decay_after)
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * DECAY**decays
        rows = self.batches.next().numpy()
        y = torch.from_numpy(self.data.train.paths[rows]).to(self.device).float()
        self.network.train()
        head = self.loss.head(self.network(self.data.normalised(self.data.train.images[rows])))
        finite(head.detach(), "a cost")
        predicted, gradient = self.loss(head.detach(), y, self.noise)
        self.optimizer.zero_grad()
        head.backward(gradient / len(rows))
        self.optimizer.step()
        self.updates += 1
        return float(0.5 * (predicted - y).square().sum() / len(rows))

    def validate(self) -> dict[str, float]:
        """The metrics on the test maps, as the figure shows them; nothing is selected by them."""
        reports = self._reports()
        if self.updates == self.config.early * len(self.batches):
            self.early = reports["optimal"]
        return {name: report.value for name, report in reports.items()}

    def test(self) -> Mapping[str, Report]:
        reports = self._reports()
        return reports if self.early is None else reports | {"optimal_early": self.early}

    def describe(self) -> dict[str, float]:
        return {}

    def examples(self) -> Sequence[Example]:
        """The first test maps."""
        some = self.data.test[:EXAMPLES]
        head = self._heads(some.images)
        cells = self._cells(head)
        return [example(some, at, head[at].double().cpu().numpy(), cells[at]) for at in range(len(some))]

    def _reports(self) -> dict[str, Report]:
        cells = self._cells(self._heads(self.data.test.images))
        return scores(cells, self.data.test).report(solved=self.loss.solves)

    @torch.no_grad()
    def _heads(self, images: np.ndarray) -> Tensor:
        self.network.eval()
        parts = [images[first : first + EVALUATED] for first in range(0, len(images), EVALUATED)]
        return torch.cat([self.loss.head(self.network(self.data.normalised(part))) for part in parts])

    def _cells(self, heads: Tensor) -> np.ndarray:
        return self.loss.predict(heads).cpu().numpy().astype(np.uint8)
