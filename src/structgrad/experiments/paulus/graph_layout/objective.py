"""What is minimised: the negative evidence lower bound of an item, a vertex, without its constants.

    -ELBO = sum (predicted - true)^2 / (2 variance) / n + KL(U || U at 0) / n

with one draw of edges an item (docs/protocols/paulus.md, 1.4). Three estimates of its gradient: through relaxed edges,
or through hard ones by REINFORCE and NVIL (paulus, App. C; docs/protocols/paulus.md, 1.8).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from structgrad.experiments.paulus.graph_layout.decoder import Decoder, rollout
from structgrad.experiments.paulus.graph_layout.edges import EDGES
from structgrad.experiments.paulus.graph_layout.encoder import Encoder
from structgrad.experiments.paulus.graph_layout.hyper_parameters import LayoutParameters
from structgrad.experiments.paulus.graph_layout.layers import default_linear
from structgrad.losses.score_function import NVIL, ScoreFunction
from structgrad.training.trial import finite

VARIANCE = 5e-5


def nll(predicted: Tensor, frames: Tensor) -> Tensor:
    """The error of predictions ``(B, n, T - 1, 2)`` of ``(B, n, T, 2)`` without its first frame, a vertex: ``(B,)``."""
    return (predicted - frames[:, :, 1:]).square().sum((1, 2, 3)) / (2 * VARIANCE * frames.shape[1])


class Softmax(nn.Module):
    """Encoder, edges and decoder; the stochastic softmax trick: the objective at relaxed edges.

    Args:
        config: what the arm trains with; ``difference`` is the trial's own where it is searched.
        frames: T.
        steps: how far a prediction is rolled out in training.
        temperature: of the relaxation.
        generator: what the initial weights are drawn from.
    """

    def __init__(
        self, config: LayoutParameters, frames: int, steps: int, temperature: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        assert config.edges is not None
        kind, n, width = EDGES[config.edges], config.vertices, config.width
        self.steps = steps
        self.edges = kind(n, temperature, max_range=config.max_range, difference=config.difference)
        self.encoder = Encoder(frames, width, kind.logits, generator)
        self.decoder = Decoder(width, generator)

    def forward(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a batch ``(B, n, T, 2)``."""
        scores, _ = self.infer(frames)
        return (self.error(frames, self.edges(scores, generator), self.steps) + self.edges.kl(scores)).mean()

    def infer(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """The scores of the edges and the encoder's features.

        Raises:
            DivergedError: a score is not finite.
        """
        logits, features = self.encoder(frames)
        return self.edges.scores(finite(logits, "a logit")), features

    def error(self, frames: Tensor, weights: Tensor, steps: int) -> Tensor:
        """:func:`nll` of a rollout under edge weights ``(B, n (n - 1), 2)``."""
        return nll(rollout(self.decoder, frames, weights, steps), frames)


class Reinforce(Softmax):
    """The score function with a baseline, over one draw of hard edges an item or several."""

    def __init__(self, config: LayoutParameters, *others: Any) -> None:
        super().__init__(config, *others)
        self.samples = config.samples
        self.score = ScoreFunction(config.baseline, config.baseline_decay)

    def forward(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        scores, _ = self.infer(frames)
        return (self.score(*self._draws(frames, scores, generator)) + self.edges.kl(scores)).mean()

    def _draws(self, frames: Tensor, scores: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Error and log-density of each draw, ``(samples, B)``."""
        several = scores.expand(self.samples, *scores.shape)
        utilities, weights = self.edges.hard(several, generator)
        errors = self.error(frames.repeat(self.samples, 1, 1, 1), weights.flatten(0, 1), self.steps)
        return errors.view(self.samples, -1), self.edges.log_prob(utilities, several)


class Nvil(Reinforce):
    """The same with a second baseline, a network on the encoder's features that learns to predict the error."""

    def __init__(self, config: LayoutParameters, frames: int, steps: int, temperature: float, generator: Any) -> None:
        super().__init__(config, frames, steps, temperature, generator)
        n, width = config.vertices, config.width
        self.baseline = NVIL(
            nn.Sequential(
                nn.Flatten(),
                default_linear(n * (n - 1) * width, width, generator),
                nn.ReLU(),
                default_linear(width, 1, generator),
            ),
            config.baseline_decay,
        )

    def forward(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        scores, features = self.infer(frames)
        terms = self.baseline(*self._draws(frames, scores, generator), features)
        return (terms.surrogate + terms.regression / self.edges.n + self.edges.kl(scores)).mean()


ESTIMATORS: dict[str, type[Softmax]] = {"softmax": Softmax, "reinforce": Reinforce, "nvil": Nvil}
