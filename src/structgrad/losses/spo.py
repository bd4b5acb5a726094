r"""The SPO+ loss: a convex upper bound of the regret of predicted costs (Elmachtoub and Grigas 2022, Definition 3).

For true costs c, predicted costs c_hat and ``y*(c) = argmin_y <c, y>``

    l(c_hat) = -min_y <2 c_hat - c, y> + 2 <c_hat, y*(c)> - <c, y*(c)>

In scores to maximise, ``theta = -c``, and with the offset h of a polytope that has one (else ``h = 0``)

    l(theta_hat) = max_y { <2 theta_hat - theta, y> + h(y) } - <2 theta_hat - theta, y*(theta)> - h(y*(theta))
    2 [ y*(2 theta_hat - theta) - y*(theta) ]                   is a subgradient in theta_hat

It is convex in ``theta_hat`` and at least the regret (:mod:`.regret`). With ``f(theta, y) = <theta, y> + h(y)`` the
regret is at most ``max_y' { 2 f(theta_hat, y') - f(theta, y') } - 2 f(theta_hat, y) + f(theta, y)`` at
``y = y*(theta)``, as theirs is without h: two h less one leave h, so that the same solver finds the maximum.
"""

from __future__ import annotations

from math import inf

from torch import Tensor, nn

from structgrad.arguments import kind
from structgrad.autograd import envelope
from structgrad.described import Described
from structgrad.finite import in_range, largest
from structgrad.losses._targets import checked_target
from structgrad.losses._values import checked_pair, gain, refuse_lifted
from structgrad.polytopes.base import Polytope
from structgrad.transforms import opaque


class SPOPlus(Described, nn.Module):
    """The SPO+ loss of predicted scores where the true ones are known; one argmax per step, two without solutions.

    Args:
        polytope: what is decided.
        minimise: whether scores, predicted and true, are costs. With an offset h, ``<c, y> - h(y)`` is then minimised.

    >>> import torch
    >>> from structgrad.polytopes import Simplex
    >>> predicted, true = torch.tensor([2.0, 2.5, 0.0], requires_grad=True), torch.tensor([3.0, 2.0, 0.0])
    >>> loss = SPOPlus(Simplex(3))(predicted, true)
    >>> loss.item()  # at 2 predicted - true = [1, 3, 0] the second is best, by 3 - 1
    2.0
    >>> torch.autograd.grad(loss, predicted)[0]
    tensor([-2.,  2.,  0.])
    """

    def __init__(self, polytope: Polytope, minimise: bool = False) -> None:
        super().__init__()
        self.polytope = kind(polytope, "polytope", Polytope, "a polytope")
        self.minimise = kind(minimise, "minimise", bool, "True or False")

    @opaque
    def forward(
        self, theta_hat: Tensor, truth: Tensor, solution: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """The loss of each item, ``(...)``, in the dtype of ``theta_hat``.

        It is never negative, and zero where the best structure by the truth is best at ``2 theta_hat - truth`` too: the
        prediction is right by a margin.

        Args:
            theta_hat: predicted scores ``(..., *event)``; gradients go to them alone.
            truth: true scores, broadcastable to them.
            solution: the best structures by the truth, broadcastable to ``theta_hat``, where they are known; None: they
                are computed, which is one more argmax.
            mask: the polytope's.

        Raises:
            ValueError: scores that do not fit, or so large that the loss, or ``2 theta_hat - truth``, is no float; what
                the polytope refuses; over a polytope where scores above zero count as zero
                (:class:`structgrad.polytopes.GridPath`) also true costs below zero, or more than twice the predicted
                ones: there is no maximum to bound the regret by.
        """
        scores, known = checked_pair(self.polytope, theta_hat, truth, self.minimise)
        allowed = self.polytope._check_mask(theta_hat, mask)
        margin = 2 * scores.detach() - known
        margin = margin if allowed is None else margin.masked_fill(~allowed, 0.0)
        if largest(margin) == inf:
            raise ValueError(f"theta_hat of shape {tuple(theta_hat.shape)} less the truth is beyond float64")
        refuse_lifted(self.polytope, margin, "2 theta_hat - truth")
        best = self.polytope.argmax(known, mask) if solution is None else checked_target(scores, solution, "solution")
        rival = self.polytope.argmax(margin, mask)
        loss = gain(self.polytope, margin, rival, best).clamp_min(0.0)  # below by rounding alone
        return in_range(envelope(loss, scores, 2 * (rival - best.detach())), "a loss", theta_hat)
