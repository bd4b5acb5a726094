"""The hyper-parameters of unsupervised parsing on ListOps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from structgrad.experiments.hyper_parameters import Box, Count, HyperParameters, Rate


@dataclass(frozen=True, kw_only=True)
class ListOpsParameters(HyperParameters):
    """Of Table 2 (docs/protocols/paulus.md, 2).

    Attributes:
        model: an LSTM, a graph network on the given parse, or one on edges of a latent distribution; ``reference``
            learns nothing.
        noise: of the latent distribution's utilities.
        tsv: a folder with the original files, to train on these instead of generated expressions.
        train, validation, test: expressions.
        max_depth, max_length: of an expression.
        width: of every hidden layer.
        rounds: of messages.
        messages: of the sender's state alone, or of both ends.
        dropout: of the graph network's states.
        batch_size: expressions per step.
        pool: batches that are sorted by length together.
        steps, validate_every: of the optimiser, and between validations.
        search: the box of each hyper-parameter.
    """

    model: Literal["lstm", "parse", "undirected", "directed", "spanning_tree", "arborescence", "reference"]
    noise: Literal["logistic", "gumbel", "gaussian", "negative_exponential"] | None = None
    tsv: str | None
    train: Count
    validation: Count
    test: Count
    max_depth: Count
    max_length: Count
    width: Count
    rounds: Count
    messages: Literal["node", "pairwise"]
    dropout: Rate
    batch_size: Count
    pool: Count
    steps: Count
    validate_every: Count
    search: dict[Literal["learning_rate", "weight_decay", "temperature"], Box]
