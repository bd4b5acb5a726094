r"""The squared error of a layer, "perturbed + squared" in berthet's experiments.

    L(theta, y) = 1/2 |layer(theta) - y|^2,        d/dtheta L = J(theta)^T (layer(theta) - y)

Not convex in ``theta``, and its gradient (berthet, eq. 4) needs the layer's derivative ``J``, which a perturbed layer
estimates by Proposition 3.1.
"""

from __future__ import annotations

from torch import Tensor, nn

from structgrad.arguments import choice, kind
from structgrad.described import Described
from structgrad.layers.base import Layer
from structgrad.losses._targets import checked_target
from structgrad.noise import Generators
from structgrad.portable import wide
from structgrad.transforms import opaque


class SquaredError(Described, nn.Module):
    """Half the squared distance between a layer's output and the target.

    With a Monte-Carlo layer of M samples the residual and the product with ``J`` share their draws, as in the authors'
    code: value and gradient then have a bias ``O(1/M)``, that of the value being the samples' variance over 2M.

    Args:
        layer: what predicts.
        independent: draw twice and take ``1/2 <layer(theta) - y, layer'(theta) - y>``, whose value (which may be
            negative) and gradient are unbiased, for twice the solver calls. Layers that draw nothing do not need it.
    """

    def __init__(self, layer: Layer, independent: bool = False) -> None:
        super().__init__()
        self.layer = kind(layer, "layer", Layer, "a layer, such as Perturbed(polytope)")
        self.independent = choice(independent, "independent")

    @opaque
    def forward(
        self, theta: Tensor, y: Tensor, generator: Generators | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """The loss of each item, ``(...)``; arguments and errors as in :class:`~.fenchel_young.FenchelYoung`."""
        scores = wide(kind(theta, "theta", Tensor, "a tensor (torch.as_tensor makes one)"))
        y = checked_target(scores, y)
        event = tuple(range(-len(self.layer.polytope.event_shape), 0))
        structures = self.layer(scores, generator, mask)
        if structures.shape != y.shape:
            shapes = f"{tuple(structures.shape)} of scores {tuple(y.shape)}"
            raise ValueError(f"layer makes structures {shapes}: a squared error needs one per item (samples=None)")
        first = structures - y
        second = self.layer(scores, generator, mask) - y if self.independent else first
        return ((first * second).sum(event) / 2).to(theta.dtype)
