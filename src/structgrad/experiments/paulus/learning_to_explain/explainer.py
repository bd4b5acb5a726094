"""A chooser and a predictor over the corpus' word vectors, which are not trained."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from structgrad.experiments.paulus.learning_to_explain.batches import Batch
from structgrad.experiments.paulus.learning_to_explain.choosers import (
    AllWords,
    AnnotatedWords,
    Chooser,
    LargestGradient,
    Learned,
    RandomWords,
    View,
)
from structgrad.experiments.paulus.learning_to_explain.hyper_parameters import ExplainParameters
from structgrad.experiments.paulus.learning_to_explain.networks import Predictor, WordScorer, dropout_mask
from structgrad.experiments.paulus.learning_to_explain.subsets import Sampler

LAYERS = {"simple": 0, "complex": 2}  # before the one that scores


class Explainer(nn.Module):
    """Predicts a review's rating from the words that it chooses (paulus, section 8.3)."""

    vectors: Tensor

    def __init__(self, vectors: np.ndarray, chooser: Chooser, width: int, rate: float) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.from_numpy(vectors), persistent=False)
        self.chooser, self.predictor, self.rate = chooser, Predictor(vectors.shape[1], width), rate

    def forward(
        self, batch: Batch, noise: torch.Generator | None, dropout: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Ratings ``(B,)`` and the weights of the words ``(B, n)``; without ``noise`` the mode."""
        x = self.vectors[batch.tokens].mT.contiguous()
        weights = self.chooser(View(x, batch, noise, dropout, self.predictor))
        dropped = None
        if dropout is not None:
            dropped = dropout_mask((len(x), self.predictor.dense.in_features), self.rate, dropout)
        return self.predictor(x * weights.unsqueeze(1), batch.present.unsqueeze(1), dropped), weights


def build(config: ExplainParameters, vectors: np.ndarray, temperature: float, difference: float | None) -> Explainer:
    """The network of an arm, by its ``model``."""
    return Explainer(
        vectors, _chooser(config, vectors.shape[1], temperature, difference), config.predictor_width, config.dropout
    )


def _chooser(config: ExplainParameters, inputs: int, temperature: float, difference: float | None) -> Chooser:
    match config.model:
        case "all_words":
            return AllWords()
        case "annotated_words":
            return AnnotatedWords()
        case "random_words":
            return RandomWords(config.k)
        case "largest_gradient":
            return LargestGradient(config.k)
    assert config.relaxation is not None
    pairs = config.relaxation == "correlated"
    scorer = WordScorer(inputs, config.scorer_width, LAYERS[config.model], pairs)
    return Learned(scorer, Sampler(config.relaxation, config.k, temperature, difference), config.dropout)
