"""The hyper-parameters of learning to explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from structgrad.experiments.hyper_parameters import Box, Count, HyperParameters, Positive, Rate

Searched = Literal["learning_rate", "weight_decay", "decay", "temperature", "difference"]


@dataclass(frozen=True, kw_only=True)
class ExplainParameters(HyperParameters):
    """Of Table 3 (docs/protocols/paulus.md, 4).

    Attributes:
        corpus: the synthetic one, or the reviews that a user adds.
        aspect: whose rating is explained.
        k: words that explain it.
        model: how the words are chosen: by a network of one or three convolutions, or by a reference; ``linear`` counts
            all words.
        relaxation: of the k-subset, in training.
        train, validation, test: reviews; of the published ones no more than these, and half of those held out.
        scorer_width, predictor_width: filters of their convolutions.
        dropout: of the scorer's input and the predictor's filters.
        batch_size: reviews per step.
        pool: batches that are sorted by length together.
        steps, validate_every: of the optimiser, and between validations.
        validation_reviews: how many of them each validation looks at.
        difference: the step of a finite difference in place of the exact derivative (paulus, appendix D).
        search: the box of each hyper-parameter.
        searched: of these, what the arm has.
    """

    corpus: Literal["synthetic", "beer"]
    aspect: Literal["appearance", "aroma", "palate", "taste"]
    k: Count
    model: Literal["simple", "complex", "all_words", "annotated_words", "random_words", "largest_gradient", "linear"]
    relaxation: Literal["l2x", "soft_sub", "euclidean", "categorical", "binary", "exponential", "correlated"] | None = (
        None
    )
    train: Count
    validation: Count
    test: Count
    scorer_width: Count
    predictor_width: Count
    dropout: Rate
    batch_size: Count
    pool: Count
    steps: Count
    validate_every: Count
    validation_reviews: Count
    difference: Positive | None
    search: dict[Searched, Box]
    searched: tuple[Searched, ...]
