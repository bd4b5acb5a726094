"""Who chooses the words that the predictor sees: a learned distribution, or one of the references."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from structgrad.experiments.paulus.learning_to_explain.batches import Batch
from structgrad.experiments.paulus.learning_to_explain.networks import Predictor, WordScorer, dropout_mask
from structgrad.experiments.paulus.learning_to_explain.subsets import Sampler
from structgrad.polytopes.subset import Subset


@dataclass(frozen=True)
class View:
    """What a chooser may look at: vectors ``x`` of the words, ``(B, d, n)``, and the predictor that will read them.

    Without ``noise`` it chooses the mode; with ``dropout`` as in training.
    """

    x: Tensor
    batch: Batch
    noise: torch.Generator | None
    dropout: torch.Generator | None
    predictor: Predictor


class Chooser(nn.Module, ABC):
    """Weights of a review's words, ``(B, n)``: soft in training, 0 or 1 at evaluation."""

    @abstractmethod
    def forward(self, view: View) -> Tensor:
        """The weights of the words in view."""


class Learned(Chooser):
    """Subsets of k words from the distribution that a network gives.

    The same entries of the vectors are dropped for all words of a review.
    """

    def __init__(self, scorer: WordScorer, sampler: Sampler, rate: float) -> None:
        super().__init__()
        self.scorer, self.sampler, self.rate = scorer, sampler, rate

    def forward(self, view: View) -> Tensor:
        x = view.x
        if view.dropout is not None:
            x = x * dropout_mask((*x.shape[:2], 1), self.rate, view.dropout)
        words, pairs = self.scorer(x, view.batch.present.unsqueeze(1))
        return self.sampler(words, pairs, view.batch.choosable(self.sampler.k), view.noise, soft=self.training)


class AllWords(Chooser):
    """Every word."""

    def forward(self, view: View) -> Tensor:
        return view.batch.present.to(view.x.dtype)


class AnnotatedWords(Chooser):
    """The annotated words; every word where nobody annotated."""

    def forward(self, view: View) -> Tensor:
        batch = view.batch
        return (batch.present if batch.inside is None else batch.inside).to(view.x.dtype)


class RandomWords(Chooser):
    """Any k words, each subset as likely as any other; the first k as the mode."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, view: View) -> Tensor:
        scores = view.x.new_zeros(view.batch.tokens.shape)
        if view.noise is not None:
            scores = torch.rand(scores.shape, generator=view.noise, device=scores.device)
        return Subset(scores.shape[-1], self.k).argmax(scores, view.batch.choosable(self.k))


class LargestGradient(Chooser):
    """Every word in training; at evaluation the k words in whose vectors the prediction has the largest gradient."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, view: View) -> Tensor:
        if self.training:
            return view.batch.present.to(view.x.dtype)
        with torch.enable_grad():
            vectors = view.x.detach().requires_grad_()
            ratings = view.predictor(vectors, view.batch.present.unsqueeze(1))
            (gradient,) = torch.autograd.grad(ratings.sum(), vectors)
        return Subset(vectors.shape[-1], self.k).argmax(gradient.norm(dim=1), view.batch.choosable(self.k))
