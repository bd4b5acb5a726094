"""Nearest neighbours: the class of an image, by the k nearest of others in an embedding that is learned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from structgrad.experiments.ours.cross.data import Data, Examples
from structgrad.experiments.ours.cross.task import Batch, Embed, Task
from structgrad.polytopes.subset import Subset
from structgrad.portable import dots
from structgrad.regularizers.exponential import ExponentialEntropy

K, CLASSES = 5, 10
CANDIDATES = 10  # of each class, in a batch
WIDTH = 16  # of the embedding


class Neighbours(Task):
    """Scores are minus squared distances ``|h_q - h_c|^2`` of an image to each of the candidates, of which k are taken.

    A batch has images and other ones as candidates, as many of each class. Target: the candidates of the image's class
    share the k places evenly, a point of the polytope. Loss: neighbours of another class, ``k - <same, y>``. Quality:
    whether most of the k nearest training images are of the image's class; of equally frequent classes the first wins.
    """

    def __init__(self, data: Data, hidden: int) -> None:
        super().__init__(data)
        self.polytope, self.regularizer = Subset(CANDIDATES * CLASSES, K), ExponentialEntropy()
        self.widths = (data.train.x.shape[-1], hidden, WIDTH)
        self.stored = Subset(len(data.train), K)

    def batch(self, size: int, generators: Sequence[torch.Generator]) -> Batch:
        rows = torch.stack([self._drawn(size, generator) for generator in generators])
        candidates, images = rows.split([CANDIDATES * CLASSES, size], 1)
        x, classes = self.data.train.x, self.data.train.y
        same = (classes[images].unsqueeze(-1) == classes[candidates].unsqueeze(1)).float()
        return Batch((x[images], x[candidates]), same * (K / CANDIDATES), self.cost(same))

    def _drawn(self, size: int, generator: torch.Generator) -> Tensor:
        """Rows of the candidates, class by class, then those of the images."""
        order = torch.randperm(len(self.data.train), generator=generator)
        classes = self.data.train.y[order]
        first = torch.stack([(classes == c).nonzero()[:CANDIDATES, 0] for c in range(CLASSES)]).flatten()
        others = torch.ones(len(order), dtype=torch.bool).index_fill(0, first, False)
        return torch.cat([order[first], order[others][:size]])

    def cost(self, y: Tensor) -> Tensor:
        return -y

    def scores(self, embed: Embed, *inputs: Tensor) -> Tensor:
        images, candidates = (embed(x) for x in inputs)
        return -(images.unsqueeze(-2) - candidates.unsqueeze(-3)).square().sum(-1)

    def judged_scores(self, embed: Embed, part: Examples) -> Tensor:
        return _minus_distances(*(embed(some.x.unsqueeze(0)) for some in (part, self.data.train)))

    def quality(self, theta: Tensor, part: Examples) -> Tensor:
        chosen = self.stored.argmax(theta)
        votes = chosen @ torch.nn.functional.one_hot(self.data.train.y, CLASSES).to(chosen)  # whole numbers: exact
        return (votes.argmax(-1) == part.truth).double()

    def unlearned(self, part: Examples) -> Tensor:
        """Minus the squared distances of the pixels."""
        return _minus_distances(part.x.unsqueeze(0), self.data.train.x.unsqueeze(0))


def _minus_distances(images: Tensor, stored: Tensor) -> Tensor:
    """``(R, N, stored)``, image by image: all differences at once would take too much memory."""
    rows = []
    for image in images.unbind(1):
        gap = image.unsqueeze(1) - stored
        rows.append(-dots(gap, gap))
    return torch.stack(rows, 1)
