"""The largest k entries, softly: a relaxed argmax over subsets."""

from __future__ import annotations

from torch import Tensor

from structgrad.functional._projection import Name, over_temperature, wide_scores
from structgrad.layers.base import Scale
from structgrad.polytopes.subset import Subset
from structgrad.regularizers.categorical import CategoricalEntropy
from structgrad.regularizers.euclidean import Euclidean
from structgrad.transforms import opaque


@opaque
def soft_top_k(x: Tensor, k: int, temperature: Scale = 1.0, regularizer: Name = "l2") -> Tensor:
    r"""A soft mask of the k largest entries: ``argmax_y <x, y> - t R(y)`` over ``0 <= y <= 1, sum y = k``.

    ``R`` is ``|y|^2 / 2`` for ``"l2"`` (a sparse mask: ``clip(x / t - tau, 0, 1)``) and ``sum y log y`` for ``"kl"``
    (all entries positive): ``Relaxed(Subset(n, k), ...)``. For small t the mask of the k largest, for large t ``k / n``
    everywhere. ``O(n log n)``. The soft k largest values are ``soft_sort(x, t, descending=True)[..., :k]``.

    >>> import torch
    >>> x = torch.tensor([3.0, 0.0, 2.0, 1.5])
    >>> soft_top_k(x, 2, 0.25), soft_top_k(x, 2, 1.0)
    (tensor([1., 0., 1., 0.]), tensor([1.0000, 0.0000, 0.7500, 0.2500]))

    Args:
        x: ``(..., n)``, finite.
        k: 0 .. n.
        temperature: t > 0; a tensor holds one per item and broadcasts to the leading dimensions.
        regularizer: ``"l2"`` or ``"kl"``.

    Returns:
        ``(..., n)``, in the dtype of ``x``; sums to k.

    Raises:
        TypeError, ValueError: bad arguments; ``x / t`` beyond float64.
    """
    scores = over_temperature(wide_scores(x), temperature, regularizer, x, "scores")
    softened = Euclidean() if regularizer == "l2" else CategoricalEntropy()
    return softened.maximise(Subset(x.shape[-1], k), scores).to(x.dtype)
