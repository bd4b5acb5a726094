"""The networks: one scores the words of a review, the other predicts its rating from those that are chosen."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Convolution(nn.Conv1d):
    """Over three words and their vectors, with as many places as words; ReLU, and zero at padding.

    So a review's numbers do not depend on how far its batch is padded.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x).relu() * present


class WordScorer(nn.Module):
    """Scores of words ``(B, n)`` and, if asked for, of pairs of neighbours ``(B, n - 1)``, from vectors ``(B, d, n)``.

    ``simple``: one convolution of one filter over single words; ``complex``: two of ``width`` filters over three words
    before it. Three filters in place of one give a pair's score, ``phi_i + phi'_i phi'_{i+1}``.
    """

    def __init__(self, inputs: int, width: int, layers: int, pairs: bool) -> None:
        super().__init__()
        sizes = [inputs] + [width] * layers
        self.hidden = nn.ModuleList(map(Convolution, sizes[:-1], sizes[1:]))
        self.out = nn.Conv1d(sizes[-1], 3 if pairs else 1, 1)

    def forward(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor | None]:
        for convolution in self.hidden:
            x = convolution(x, present)
        words, *others = self.out(x).unbind(1)
        if not others:
            return words, None
        first, second = others
        return words, first[:, :-1] + second[:, :-1] * second[:, 1:]


class Predictor(nn.Module):
    """A rating ``(B,)`` from 0 to 1 from the vectors of the chosen words ``(B, d, n)``, those of the others being zero.

    Two convolutions over three words, the largest value of each filter, two dense layers, a sigmoid.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first, self.second = Convolution(inputs, width), Convolution(width, width)
        self.dense, self.out = nn.Linear(width, width), nn.Linear(width, 1)

    def forward(self, x: Tensor, present: Tensor, dropped: Tensor | None = None) -> Tensor:
        """``dropped`` ``(B, width)`` scales the filters' values in training."""
        pooled = self.second(self.first(x, present), present).amax(-1)
        if dropped is not None:
            pooled = pooled * dropped
        return self.out(F.relu(self.dense(pooled))).squeeze(-1).sigmoid()


def dropout_mask(shape: tuple[int, ...], rate: float, generator: torch.Generator) -> Tensor:
    """Zero at the rate, else ``1 / (1 - rate)``."""
    kept = torch.rand(shape, generator=generator, device=generator.device) >= rate
    return kept / (1 - rate)
