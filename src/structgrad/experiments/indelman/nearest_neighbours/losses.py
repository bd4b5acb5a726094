"""What each arm minimises: a number whose gradient moves the embeddings of queries and candidates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from structgrad.experiments.indelman.nearest_neighbours.distances import euclidean, squared
from structgrad.layers.neural_sort import NeuralSort
from structgrad.layers.soft_sub import SoftSub
from structgrad.losses.direct import DirectLoss
from structgrad.noise import Gumbel
from structgrad.polytopes.subset import Subset
from structgrad.training.state import Stateful


@dataclass(frozen=True)
class Batch:
    """Embeddings ``(Q + C, D)`` and labels ``(Q + C,)`` of Q queries and C candidates, the queries first."""

    embeddings: Tensor
    labels: Tensor
    count: int

    @property
    def pair(self) -> tuple[Tensor, Tensor]:
        """The embeddings of queries ``(Q, D)`` and candidates ``(C, D)``."""
        queries, candidates = self.embeddings.split([self.count, len(self.embeddings) - self.count])
        return queries, candidates

    @property
    def same(self) -> Tensor:
        """Which candidates have the query's class, ``(Q, C)``, 0 or 1."""
        queries, candidates = self.labels[: self.count], self.labels[self.count :]
        return (queries.unsqueeze(-1) == candidates).to(self.embeddings.dtype)


class NeighbourLoss(Stateful, ABC):
    """A loss over the neighbours of queries. ``sparse``: few of the embeddings have a gradient."""

    sparse = False

    @abstractmethod
    def __call__(self, batch: Batch, sigma: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A scalar to differentiate, the mean over queries, and the loss to show.

        Args:
            batch: the embeddings.
            sigma: noise magnitudes ``(Q,)`` where the arm learns them.
            generator: of the noise.
        """

    def final(self) -> dict[str, float]:
        """Numbers to record."""
        return {}


class Direct(NeighbourLoss):
    r"""Direct loss over the k-subset with the largest scores ``theta = mu + sigma gamma``, ``mu_i = -|h_i - h_q|``.

    With ``y_i = 1`` where candidate i has the query's class and ``eps < 0``, the loss-perturbed argmax is that of

        theta_i + |eps| |h_i - h_q| y_i    ("multiplicative": distances of the right class shrink by 1 - |eps|),
        theta_i + |eps| y_i                ("additive": the loss is minus the number of right neighbours).

    The paper's formula, taken literally, has the opposite sign in the first and pushes right neighbours away
    (docs/protocols/indelman.md, 3.4). The monitored loss, which decides whether eps grows, is the share of wrong
    neighbours.

    Args:
        k: neighbours.
        cost: ``multiplicative`` or ``additive``.
        epsilon, growth, cap: see :class:`structgrad.losses.direct.DirectLoss`.
        samples: perturbations per query; 0 for none. Where sigma is not learned it is 1.
    """

    sparse = True
    kept = ("epsilon",)

    def __init__(self, k: int, cost: str, epsilon: float, growth: float, cap: float, samples: int) -> None:
        self.k, self.multiplicative, self.samples = k, cost == "multiplicative", samples
        self.growth, self.cap = growth, cap
        self.epsilon = torch.tensor([epsilon], dtype=torch.float64)

    def __call__(self, batch: Batch, sigma: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        mu, same = -euclidean(*batch.pair), batch.same
        cost = mu.detach() * same if self.multiplicative else -same
        noise = Gumbel() if self.samples else None
        polytope = Subset(mu.shape[-1], self.k)
        direct = DirectLoss(polytope, noise, max(1, self.samples), self.growth, self.cap)

        def wrong(y: Tensor, _: slice, items: slice) -> Tensor:
            right = (y * same[items].unsqueeze(-2)).sum(-1).double() / self.k
            return 1 - right.mean(-1)

        if noise is not None and sigma is None:
            sigma = mu.new_ones(len(mu))
        sigmas = None if sigma is None else sigma.unsqueeze(0)
        step = direct(mu.unsqueeze(0), cost.unsqueeze(0), self.epsilon.to(mu.device), wrong, sigmas, generator)
        self.epsilon = step.epsilon.cpu()
        return step.surrogate.sum() / len(mu), step.loss.mean()

    def final(self) -> dict[str, float]:
        return {"epsilon": float(self.epsilon)}


class SoftTopK(NeighbourLoss):
    """``-sum_i y_i p_i``, p being a relaxation of the k-subset at scores ``-|h_i - h_q|^2`` (NeuralSort's code).

    Args:
        k: neighbours.
        relaxation: ``neural_sort``, whose first k rows are summed, or ``soft_sub`` (RelaxSubSample).
        temperature: of the relaxation.
        samples: perturbations per query by standard Gumbel noise; 0 for none.
    """

    def __init__(self, k: int, relaxation: str, temperature: float, samples: int) -> None:
        self.k = k
        if relaxation == "soft_sub":
            self.layer: nn.Module = SoftSub(k, temperature)
        else:
            noise = Gumbel(centred=False) if samples else None
            self.layer = NeuralSort(temperature, k, noise, samples or None)
        self.rows = relaxation == "neural_sort"

    def __call__(self, batch: Batch, sigma: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = self.layer(-squared(*batch.pair), generator)
        if self.rows:
            chosen = chosen.sum(-2)
        if chosen.dim() > 2:  # samples
            chosen = chosen.mean(-2)
        loss = -(chosen * batch.same).sum(-1).mean()
        return loss, 1 + loss.detach() / self.k


class Classification(NeighbourLoss):
    """Cross-entropy of a linear classifier on the embeddings of queries and candidates alike: no neighbours at all."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    def __call__(self, batch: Batch, sigma: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        loss = cross_entropy(self.layer(batch.embeddings), batch.labels)
        return loss, loss.detach()
