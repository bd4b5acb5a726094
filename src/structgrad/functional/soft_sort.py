"""Soft sorting by a projection onto the permutahedron of what is sorted (Blondel, Teboul, Berthet, Djolonga 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.arguments import kind
from structgrad.functional._projection import Name, over_temperature, project, wide_scores
from structgrad.layers.base import Scale
from structgrad.transforms import opaque


@opaque
def soft_sort(x: Tensor, temperature: Scale = 1.0, regularizer: Name = "l2", descending: bool = False) -> Tensor:
    r"""The entries of the last dimension in order, softly: ``P(rho / t, x)`` with ``rho = (n-1, ..., 0)``.

    (Blondel et al. 2020, section 4.) ``P`` is the projection ``P_Q`` onto the permutahedron of x for ``"l2"``, and
    ``P_E`` by way of exponentials for ``"kl"``. The result is monotone, in ``O(n log n)``. Neighbours in the order that
    are no further apart than ``1 / t`` stay as they are, those further apart are drawn together: for small t the result
    is the sorted x itself, to the bit; for large t all entries become the mean of x (``"kl"``: ``log mean exp x``).
    ``"l2"`` keeps the sum of the entries, ``"kl"`` that of their exponentials. Ascending order is the descending one
    reversed.

    Differentiable in ``x`` and in a temperature that is a tensor: of first order, and for ``"kl"`` of any (``"l2"`` is
    piecewise linear in x).

    >>> x = torch.tensor([3.0, 0.0, 2.0])
    >>> soft_sort(x, 0.5), soft_sort(x, 1e6).round(decimals=3)
    (tensor([0., 2., 3.]), tensor([1.6670, 1.6670, 1.6670]))
    >>> soft_sort(x, 2.0), soft_sort(x, 2.0, descending=True)      # further apart than 1/2: drawn together
    (tensor([1.1667, 1.6667, 2.1667]), tensor([2.1667, 1.6667, 1.1667]))

    Args:
        x: ``(..., n)``, finite.
        temperature: t > 0; a tensor holds one per item and broadcasts to the leading dimensions.
        regularizer: ``"l2"`` or ``"kl"``.
        descending: the largest first. Its first k entries are soft top-k values.

    Returns:
        ``(..., n)``, in the dtype of ``x``.

    Raises:
        TypeError, ValueError: bad arguments; ``rho / t`` beyond float64.
    """
    kind(descending, "descending", bool, "True or False")
    w = wide_scores(x).sort(dim=-1, descending=True, stable=True).values
    rho = torch.arange(w.shape[-1] - 1, -1, -1, dtype=torch.float64, device=w.device)
    y = project(over_temperature(rho.expand(w.shape), temperature, regularizer, x, "ranks"), w, regularizer)
    return (y if descending else y.flip(-1)).to(x.dtype)
