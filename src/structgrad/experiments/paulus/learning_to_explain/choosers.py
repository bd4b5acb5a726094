"""Who chooses the words that the predictor sees: a learned distribution, or one of the references."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from structgrad.experiments.paulus.learning_to_explain.batches import Batch
from structgrad.experiments.paulus.learning_to_explain.networks import Predictor, WordScorer, dropout_mask
from structgrad.experiments.paulus.learning_to_explain.subsets import Sampler
from structgrad.polytopes.subset import Subset


class Chooser(nn.Module, ABC):
    """Weights of a review's words, ``(B, n)``: soft in training, 0 or 1 at evaluation."""

    @abstractmethod
    def forward(
        self,
        x: Tensor,
        batch: Batch,
        noise: torch.Generator | None,
        dropout: torch.Generator | None,
        predictor: Predictor,
    ) -> Tensor:
        """The weights at vectors ``(B, d, n)``; without ``noise`` the mode, with ``dropout`` as in training."""


class Learned(Chooser):
    """Subsets of k words from the distribution that a network gives.

    The same entries of the vectors are dropped for all words of a review.
    """

    def __init__(self, scorer: WordScorer, sampler: Sampler, rate: float) -> None:
        super().__init__()
        self.scorer, self.sampler, self.rate = scorer, sampler, rate

    def forward(
        self,
        x: Tensor,
        batch: Batch,
        noise: torch.Generator | None,
        dropout: torch.Generator | None,
        predictor: Predictor,
    ) -> Tensor:
        if dropout is not None:
            x = x * dropout_mask((*x.shape[:2], 1), self.rate, dropout)
        words, pairs = self.scorer(x, batch.present.unsqueeze(1))
        return self.sampler(words, pairs, batch.choosable(self.sampler.k), noise, soft=self.training)


class AllWords(Chooser):
    """Every word."""

    def forward(
        self,
        x: Tensor,
        batch: Batch,
        noise: torch.Generator | None,
        dropout: torch.Generator | None,
        predictor: Predictor,
    ) -> Tensor:
        return batch.present.to(x.dtype)


class AnnotatedWords(Chooser):
    """The annotated words; every word where nobody annotated."""

    def forward(
        self,
        x: Tensor,
        batch: Batch,
        noise: torch.Generator | None,
        dropout: torch.Generator | None,
        predictor: Predictor,
    ) -> Tensor:
        return (batch.present if batch.inside is None else batch.inside).to(x.dtype)


class RandomWords(Chooser):
    """Any k words, each subset as likely as any other; the first k as the mode."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(
        self,
        x: Tensor,
        batch: Batch,
        noise: torch.Generator | None,
        dropout: torch.Generator | None,
        predictor: Predictor,
    ) -> Tensor:
        scores = x.new_zeros(batch.tokens.shape)
        if noise is not None:
            scores = torch.rand(scores.shape, generator=noise, device=x.device)
        return Subset(scores.shape[-1], self.k).argmax(scores, batch.choosable(self.k))


class LargestGradient(Chooser):
    """Every word in training; at evaluation the k words in whose vectors the prediction has the largest gradient."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(
        self,
        x: Tensor,
        batch: Batch,
        noise: torch.Generator | None,
        dropout: torch.Generator | None,
        predictor: Predictor,
    ) -> Tensor:
        if self.training:
            return batch.present.to(x.dtype)
        with torch.enable_grad():
            vectors = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(predictor(vectors, batch.present.unsqueeze(1)).sum(), vectors)
        return Subset(x.shape[-1], self.k).argmax(gradient.norm(dim=1), batch.choosable(self.k))
