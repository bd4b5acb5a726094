"""Soft ranking by a projection onto the permutahedron of ranks (Blondel, Teboul, Berthet and Djolonga 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.arguments import kind
from structgrad.functional._projection import Name, over_temperature, project, wide_scores
from structgrad.layers.base import Scale
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.regularizers.euclidean import Euclidean
from structgrad.transforms import opaque


@opaque
def soft_rank(x: Tensor, temperature: Scale = 1.0, regularizer: Name = "l2", descending: bool = False) -> Tensor:
    r"""The ranks 0 .. n-1 of the last dimension's entries, softly: ``P(x / t, rho)`` with ``rho = (n-1, ..., 0)``.

    (Blondel et al. 2020, section 4; the paper's ranks begin at one, and are ``descending``.) The largest entry has rank
    n-1, or 0 if ``descending``. For ``"l2"``, ``P`` is ``Relaxed(Permutahedron(n), Euclidean(), t)``; for ``"kl"`` it
    is ``P_E(z, w) = log argmax <z, y> - <y, log y - 1>`` over the permutahedron of ``e^w``: a point whose exponentials
    lie in that one, not a regularised maximiser over the permutahedron of ranks itself. Order is kept, and equal
    entries have equal ranks. For small t ranks are whole numbers; for large t all become ``(n-1) / 2`` (``"kl"``: the
    logarithm of the mean of ``e^rho``). ``O(n log n)``.

    Differentiable in ``x`` and in a temperature that is a tensor: of first order, and for ``"kl"`` of any (``"l2"`` is
    piecewise linear in x).

    >>> x = torch.tensor([3.0, 0.0, 2.0])
    >>> soft_rank(x, 0.5), soft_rank(x, 2.0), soft_rank(x, 0.5, descending=True)
    (tensor([2., 0., 1.]), tensor([1.6667, 0.1667, 1.1667]), tensor([0., 2., 1.]))

    Args:
        x: ``(..., n)``, finite.
        temperature: t > 0; a tensor holds one per item and broadcasts to the leading dimensions.
        regularizer: ``"l2"`` or ``"kl"``.
        descending: rank 0 for the largest.

    Returns:
        ``(..., n)``, in the dtype of ``x``.

    Raises:
        TypeError, ValueError: bad arguments; ``x / t`` beyond float64.
    """
    kind(descending, "descending", bool, "True or False")
    values = wide_scores(x)
    scores = over_temperature(-values if descending else values, temperature, regularizer, x, "scores")
    if regularizer == "l2":
        return Euclidean().maximise(Permutahedron(x.shape[-1]), scores).to(x.dtype)
    z, order = scores.sort(dim=-1, descending=True, stable=True)
    rho = torch.arange(x.shape[-1] - 1, -1, -1, dtype=torch.float64, device=x.device)
    y = project(z, rho.expand(z.shape), regularizer)
    return torch.zeros_like(y).scatter(-1, order, y).to(x.dtype)
