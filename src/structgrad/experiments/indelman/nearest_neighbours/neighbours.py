"""Exact nearest neighbours, and the class that most of them have."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from structgrad.data.images import CLASSES
from structgrad.polytopes.subset import Subset

MEMORY = 256 << 20  # bytes for the distances of a block of queries
NUMBERS = 8 + 8 + 4 + 4  # bytes that a distance takes at a time: twice in float64, twice in float32
NOTHING = 1e-12  # a squared distance is zero where it is less than this of the squared norms


@torch.no_grad()
def classify(queries: Tensor, stored: Tensor, labels: Tensor, k: int, memory: int = MEMORY) -> Tensor:
    """The class of each of ``queries`` ``(M, D)``: that of most of the k nearest rows of ``stored`` ``(N, D)``.

    Distances are Euclidean, computed in float64 and compared in float32, so that rows which rounding alone tells apart
    are equally far; of those the first are taken, and of classes with as many neighbours the smallest.

    Args:
        labels: the classes ``(N,)`` of the stored rows.
        k: between 1 and N.
        memory: bytes for the distances of a block of queries; changes no number.

    Returns:
        Classes ``(M,)``.
    """
    subset = Subset(len(stored), k)
    stored, classes = stored.double(), one_hot(labels, CLASSES).float()
    norms = (stored**2).sum(-1)
    predicted = []
    for part in queries.double().split(max(1, memory // (NUMBERS * len(stored)))):
        scale = (part**2).sum(-1, keepdim=True) + norms
        distances = torch.addmm(scale, part, stored.mT, alpha=-2)
        distances = distances.masked_fill_(distances < NOTHING * scale, 0.0).float()
        votes = subset.argmax(distances.neg_()) @ classes
        predicted.append((votes * CLASSES - torch.arange(CLASSES, device=votes.device)).argmax(-1))
    return torch.cat(predicted)
