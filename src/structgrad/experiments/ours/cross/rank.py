"""Label ranking: the ranks of k labels from a row's features."""

from __future__ import annotations

from torch import Tensor

from structgrad.experiments.ours.cross.data import Data, Examples
from structgrad.experiments.ours.cross.task import Embed, Task
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.portable import dots
from structgrad.regularizers.euclidean import Euclidean


class Rank(Task):
    """Affine scores of the labels, the largest of which gets rank k - 1.

    Loss: ``|y - y*|^2 / (k - 1)``, which is linear on rankings since all are of one length. Quality: Spearman's
    correlation, ``1 - 6 |y - y*|^2 / (k (k^2 - 1))``.
    """

    def __init__(self, data: Data, hidden: int) -> None:
        super().__init__(data)
        self.labels = data.train.y.shape[-1]
        self.polytope, self.widths = Permutahedron(self.labels), (data.train.x.shape[-1], self.labels)
        self.regularizer = Euclidean()

    def cost(self, y: Tensor) -> Tensor:
        return 1 - y * (2 / (self.labels - 1))  # -2 y / (k - 1), moved so that it sums to zero

    def scores(self, embed: Embed, *inputs: Tensor) -> Tensor:
        return embed(inputs[0])

    def quality(self, theta: Tensor, part: Examples) -> Tensor:
        gap = self.polytope.argmax(theta) - part.truth
        return 1 - dots(gap, gap) * (6 / (self.labels * (self.labels**2 - 1)))

    def unlearned(self, part: Examples) -> Tensor:
        """The mean ranks of the training rows, for every row: Borda's ranking."""
        return self.data.train.y.mean(0).expand(1, len(part), -1)
