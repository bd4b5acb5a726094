r"""The exponential-family entropy: the soft structure is the mean of a Gibbs distribution over structures."""

from __future__ import annotations

from torch import Tensor

from structgrad.arguments import real
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.exponential import ExponentialFamily
from structgrad.regularizers.base import Regularizer, unknown_pair
from structgrad.transforms import concrete


class ExponentialEntropy(Regularizer):
    r"""``R(y) = -H(p)`` of the maximum-entropy distribution with mean ``y``: ``log Z`` conjugated (paulus, section 5).

    The maximiser is the marginals ``E_p[y]`` under ``p(y) \propto exp <theta, y>``. Defined for every polytope whose
    partition function can be summed: simplex, hypercube, subsets with and without pairs, trees, arborescences.

    Args:
        max_range: caps the range of the scores as the authors' code does (15 for trees); None: no cap.
    """

    def __init__(self, max_range: float | None = None) -> None:
        if max_range is not None and not real(max_range, "max_range") > 0:
            raise ValueError(f"max_range must be positive, not {max_range}")
        self.max_range = max_range

    def maximise(self, polytope: Polytope, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        family = self._family(polytope)
        return family.marginals(self._scores(family, theta, mask), mask)

    def value(self, polytope: Polytope, y: Tensor) -> Tensor:
        """Zero, the (negative) entropy of a vertex; between vertices it has no closed form.

        Raises:
            ValueError: ``y`` is not a vertex (its entries are not all 0 or 1).
        """
        polytope._check(y, "y")
        if not bool(concrete((y == 0) | (y == 1)).all()):
            raise ValueError(f"y of shape {tuple(y.shape)} must hold vertices: between them the entropy is not known")
        return y.new_zeros(y.shape[: y.dim() - len(polytope.event_shape)])

    def potential(self, polytope: Polytope, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        family = self._family(polytope)
        return family.log_partition(self._scores(family, theta, mask), mask)

    def _family(self, polytope: Polytope) -> ExponentialFamily:
        if not isinstance(polytope, ExponentialFamily):
            raise unknown_pair(self, polytope)
        return polytope

    def _scores(self, family: ExponentialFamily, theta: Tensor, mask: Tensor | None) -> Tensor:
        if self.max_range is None:
            return theta
        family._check(theta)
        return family.capped(theta, self.max_range, family._check_mask(theta, mask))
