r"""Fenchel-Young losses: a convex loss for every layer that is the gradient of a potential.

With ``F`` the layer's potential and ``F*`` its conjugate,

    L(theta, y) = F(theta) + F*(y) - <theta, y>,        d/dtheta L = layer(theta) - y

(Blondel et al. 2020; berthet, Definition 4.1, where ``F`` is the perturbed maximum and ``F* = eps Omega``). Convex in
``theta``, never negative, and zero exactly where ``layer(theta) = y``. No derivative of the layer is needed.
"""

from __future__ import annotations

from torch import Tensor, nn

from structgrad.arguments import choice, kind
from structgrad.described import Described
from structgrad.finite import in_range
from structgrad.layers.base import Layer
from structgrad.losses._targets import checked_target
from structgrad.losses._values import heights
from structgrad.noise import Generators
from structgrad.portable import wide
from structgrad.transforms import opaque


class FenchelYoung(Described, nn.Module):
    """The Fenchel-Young loss of a layer; callers whose scores are costs (minimisation) negate them.

    Where the layer knows no conjugate (perturbed layers) ``F*(y)`` is left out; where the polytope has an offset h,
    ``-h(y)`` stands in its place. The loss is then right up to a constant in ``theta``: gradients, and differences
    between two ``theta`` for one ``y``, are those of the true loss, its values are not, nor is a gradient in the
    layer's own scale (sigma, temperature), on which ``F*`` depends.

    Args:
        layer: what predicts. One that is not the gradient of a potential is refused when called.
        conjugate: False leaves ``F*(y)`` out although the layer knows it, as soft targets of an exponential-family
            entropy need (it is known at vertices only).

    >>> import torch
    >>> from structgrad.layers import Relaxed
    >>> from structgrad.polytopes import Simplex
    >>> from structgrad.regularizers import Euclidean
    >>> loss = FenchelYoung(Relaxed(Simplex(3), Euclidean()))
    >>> theta = torch.tensor([2.0, 0.5, 0.0], requires_grad=True)
    >>> loss(theta, torch.tensor([1.0, 0.0, 0.0])).item()  # zero: the target leads by the margin
    0.0
    >>> value = loss(theta, torch.tensor([0.0, 1.0, 0.0]))
    >>> value.item(), torch.autograd.grad(value, theta)[0].tolist()  # the layer's output less the target
    (1.5, [1.0, -1.0, 0.0])
    """

    def __init__(self, layer: Layer, conjugate: bool = True) -> None:
        super().__init__()
        self.layer = kind(layer, "layer", Layer, "a layer, such as Perturbed(polytope)")
        self.conjugate = choice(conjugate, "conjugate")

    @opaque
    def forward(
        self, theta: Tensor, y: Tensor, generator: Generators | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """The loss of each item, ``(...)``, in the dtype of ``theta``; exact to that dtype's rounding of ``F``.

        The gradient in ``theta`` is ``layer(theta, generator, mask) - y`` for the same draws (of a layer whose noise
        multiplies, the mean of the noise times the solutions less ``y``): a Monte-Carlo potential
        gives the Monte-Carlo gradient (berthet, eq. 6), and differentiating that again goes through the layer.

        Args:
            theta: scores ``(..., *event)``.
            y: targets, vertices or points of the polytope, broadcastable to ``theta``.
            generator: the layer's randomness; a layer that draws nothing needs none.
            mask: the polytope's; ``y`` must be zero where it is False.

        Raises:
            ValueError: a target of another shape; what the layer refuses.
        """
        scores = wide(kind(theta, "theta", Tensor, "a tensor (torch.as_tensor makes one)"))
        y = checked_target(scores, y)
        event = tuple(range(-len(self.layer.polytope.event_shape), 0))
        loss = self.layer.potential(scores, generator, mask) - (scores * y).sum(event)
        dual = self.layer.conjugate(y) if self.conjugate else None
        if dual is None:
            offset = heights(
                self.layer.polytope, y
            )  # of the targets' value, as the potential holds it of the best one's
            dual = None if offset is None else -offset.to(loss.dtype)
        return in_range(loss if dual is None else loss + dual, "a loss", theta)
