r"""Implicit maximum likelihood: hard samples, with a difference of two of them as their gradient.

(Niepert, Minervini and Franceschi 2021, Algorithm 1.) With noise ``eps``, a temperature tau and the gradient ``g`` of
the loss that arrives at the sample,

    y       = argmax_y <theta + tau eps, y>                          (perturb and MAP)
    theta'  = theta - lambda g                                       (the target distribution's scores)
    d/dtheta = [ y - argmax_y <theta' + tau eps, y> ] / lambda       (the same eps)

In expectation that is the difference quotient ``[mu(theta) - mu(theta - lambda g)] / lambda`` of the mean structure
``mu(theta) = E y`` against the direction g (Domke 2010), whose limit for small lambda is the product of the Jacobian of
``mu`` with g. The algorithm in the paper leaves ``1 / lambda`` to the learning rate. Two-sided, the quotient is central
(Minervini, Franceschi and Niepert 2023):

    d/dtheta = [ argmax <theta + lambda g + tau eps, y> - argmax <theta - lambda g + tau eps, y> ] / (2 lambda)

Without noise it is the interpolation of Vlastelica et al. (2020), :class:`structgrad.losses.Blackbox`.
"""

from __future__ import annotations

from torch import Tensor

from structgrad.layers._perturb_and_map import PerturbAndMap
from structgrad.layers.base import Scale, fitted, hold, over_event
from structgrad.noise import Gumbel, Noise
from structgrad.polytopes.base import Polytope

STANDARD_GUMBEL = Gumbel(centred=False)


class ImplicitMLE(PerturbAndMap):
    r"""Hard samples ``argmax_y <theta + tau eps, y>`` with the gradient of implicit maximum likelihood.

    Draws in ``train()`` and in ``eval()`` mode alike; the most probable structure is the polytope's ``argmax``.
    Scores and noise are added in float64. Noise is added as it is, also where its ``utilities`` do otherwise. Moved
    scores are not kept to a domain: over :class:`structgrad.polytopes.GridPath` those above zero count as zero.

    >>> import torch
    >>> from structgrad.polytopes import Subset
    >>> theta = torch.tensor([2.0, 1.0, 0.0, -1.0], requires_grad=True)
    >>> y = ImplicitMLE(Subset(4, 2), step=4.0, temperature=1e-6)(theta, torch.Generator().manual_seed(0))
    >>> y.tolist()
    [1.0, 1.0, 0.0, 0.0]
    >>> y[1].backward()      # a loss that the second raises: the third would take its place
    >>> theta.grad.tolist()
    [0.0, 0.25, -0.25, 0.0]

    Args:
        polytope: what is sampled.
        noise: eps; :class:`structgrad.noise.SumOfGamma` is the paper's for structures with k ones.
        step: lambda > 0, in units of score per unit of the ``g`` that arrives: a loss that is a mean over items or
            samples sends a smaller one. A tensor holds one per item. Small: most differences are zero, and the others
            large; large: biased, and in the limit the structure that ``-g`` alone likes best takes part.
        temperature: tau > 0; a tensor holds one per item and broadcasts to the leading dimensions.
        samples: draws per item, in a dimension before the event's; None: one draw, no such dimension. Each has its own
            ``g``, and their gradients are added up.
        two_sided: the central difference, for one solve more.

    Raises:
        ValueError: an argument out of its range; when called, bad scores or mask, or generators that do not fit; in the
            backward pass, moved scores or a gradient beyond the range of their type.
    """

    step: Scale

    def __init__(
        self,
        polytope: Polytope,
        noise: Noise = STANDARD_GUMBEL,
        step: Scale = 1.0,
        temperature: Scale = 1.0,
        samples: int | None = None,
        two_sided: bool = False,
    ) -> None:
        super().__init__(polytope, noise, temperature, samples, two_sided)
        hold(self, "step", step)

    def _check_step(self, theta: Tensor) -> None:
        fitted(self.step, "step", theta, len(self.polytope.event_shape))

    def _move(self, theta: Tensor, direction: Tensor) -> tuple[Tensor, Scale, Scale]:
        step = over_event(self.step, len(self.polytope.event_shape))
        return direction, self._with_samples(step) if isinstance(step, Tensor) else step, 1.0
