"""The edge distributions of paulus Table 1: utilities, their structures, and how edges are weighted by them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from structgrad.experiments.paulus.graph_layout.pairs import both_ways, undirected_of
from structgrad.layers.relaxed import Relaxed
from structgrad.layers.stochastic_softmax import StochasticSoftmax
from structgrad.noise import Gumbel
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.simplex import Simplex
from structgrad.polytopes.spanning_tree import SpanningTree
from structgrad.polytopes.subset import Subset
from structgrad.regularizers.exponential import ExponentialEntropy

GUMBEL = Gumbel(centred=False)


class Edges(nn.Module, ABC):
    """Gumbel utilities of a structure, hard or relaxed by the exponential-family entropy.

    (docs/protocols/paulus.md, 1.5.)

    Args:
        polytope: the structures.
        n: how many vertices the graph has.
        temperature: of the relaxation.
        max_range: the authors' cap on the range of tempered utilities; None: none.
        difference: the step of a finite difference in place of the exact derivative (paulus, App. D); None: exact.
    """

    logits: int  # of each directed edge
    copies: int  # how often the objective counts a utility: an undirected edge stands for two directed ones

    def __init__(
        self,
        polytope: Polytope,
        n: int,
        temperature: float,
        max_range: float | None = None,
        difference: float | None = None,
    ) -> None:
        super().__init__()
        self.n = n
        relaxed = Relaxed(polytope, ExponentialEntropy(max_range), temperature, difference)
        self.layer = StochasticSoftmax(relaxed, GUMBEL)

    @abstractmethod
    def scores(self, logits: Tensor) -> Tensor:
        """The utilities' locations, from the encoder's logits ``(..., n (n - 1), logits)``."""

    @abstractmethod
    def weights(self, structure: Tensor) -> Tensor:
        """How much each directed edge counts as no edge and as edge, ``(..., n (n - 1), 2)``."""

    def forward(self, scores: Tensor, generator: torch.Generator) -> Tensor:
        """The weights of a draw: soft in training, hard in evaluation."""
        return self.weights(self.layer(scores, generator))

    def hard(self, scores: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Utilities drawn at the scores and the weights of their maximisers, without gradients."""
        utilities = self.layer.utilities(scores.detach(), generator)
        return utilities, self.weights(self.layer.polytope.argmax(utilities))

    def kl(self, scores: Tensor) -> Tensor:
        """KL(Gumbel(u) || Gumbel(0)) = ``sum u + exp(-u) - 1`` over all logits of an item, a vertex: ``(...)``."""
        return self._sum(GUMBEL.kl(scores)) / self.n

    def log_prob(self, utilities: Tensor, scores: Tensor) -> Tensor:
        """The utilities' log-density, summed in the same way, ``(...)`` (not a vertex: as released)."""
        return self._sum(GUMBEL.log_likelihood(utilities, scores))

    def _sum(self, terms: Tensor) -> Tensor:
        return self.copies * terms.sum((-2, -1) if self.logits > 1 else -1)


class IndependentDirected(Edges):
    """Each directed edge is one of two types by itself."""

    logits, copies = 2, 1

    def __init__(self, n: int, temperature: float, **options: float | None) -> None:
        super().__init__(Simplex(2), n, temperature, **options)

    def scores(self, logits: Tensor) -> Tensor:
        return logits

    def weights(self, structure: Tensor) -> Tensor:
        return structure


class Undirected(Edges):
    """A structure of undirected edges, each of which counts in both directions."""

    logits, copies = 1, 2
    number: Tensor
    pair: Tensor

    def __init__(self, polytope: Polytope, n: int, temperature: float, **options: float | None) -> None:
        super().__init__(polytope, n, temperature, **options)
        self.register_buffer("number", undirected_of(n), persistent=False)
        self.register_buffer("pair", both_ways(n), persistent=False)

    def scores(self, logits: Tensor) -> Tensor:
        return logits.squeeze(-1)[..., self.pair].mean(-1)

    def weights(self, structure: Tensor) -> Tensor:
        edge = structure.index_select(-1, self.number)
        return torch.stack([1 - edge, edge], -1)


class TopEdges(Undirected):
    """Any n - 1 edges."""

    def __init__(self, n: int, temperature: float, **options: float | None) -> None:
        super().__init__(Subset(n * (n - 1) // 2, n - 1), n, temperature, **options)


class TreeEdges(Undirected):
    """The n - 1 edges of a spanning tree."""

    def __init__(self, n: int, temperature: float, **options: float | None) -> None:
        super().__init__(SpanningTree(n), n, temperature, **options)


EDGES: dict[str, type[IndependentDirected] | type[TopEdges] | type[TreeEdges]] = {
    "indep_directed": IndependentDirected,
    "top_k": TopEdges,
    "spanning_tree": TreeEdges,
}
