r"""Polytopes whose exponential family can be summed: log-partition, marginals and their products with the Hessian.

With ``p(y) \propto exp(<theta, y>)`` over the vertices, ``log Z(theta) = log sum_y exp <theta, y>`` has the mean
``mu(theta) = E_p[y]`` as its gradient (the marginals; paulus section 5, eq. 8), the covariance of ``y`` as its Hessian.

Each structure brings a plain form of ``log Z`` in torch operations, which any device runs and which may be
differentiated as often as one likes, and for the CPU compiled kernels of ``mu`` and of the Hessian-vector product. A
first derivative of the marginals takes the kernel; a second one goes through the plain form.
"""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from structgrad.finite import in_range
from structgrad.polytopes._range import HUGE, bounded
from structgrad.polytopes.base import Polytope


class ExponentialFamily(Polytope):
    """A polytope with ``log_partition`` and ``marginals``. All arithmetic inside is float64.

    Marginals are right at any finite scores on the CPU; a log-partition that the dtype of the scores does not hold is
    refused. The plain forms (other devices, higher derivatives) keep logarithms in one float: chains and trees with
    equally good structures lose the digits of their shares as scores grow, all of them from 1e16 on.
    """

    adds_weights: bool = False  # whether the sums over structures add scores, which must then not overflow

    def log_partition(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        r"""``log sum_y exp <theta, y>``, ``(...)``, in the dtype of ``theta``; its gradient is :meth:`marginals`.

        Raises:
            ValueError: what :meth:`argmax` refuses; a value beyond the range of the dtype.
        """
        scores, bounds, allowed = self._checked(theta, mask)
        value = _LogPartition.apply(bounds, self, allowed)
        if bounds is not scores:  # all structures that matter have the same sum of what was taken off
            taken = (scores - bounds).detach() * self._argmax(bounds.detach(), allowed)
            value = value + taken.flatten(1).sum(1)
        return in_range(value.view(self._leading(theta)), "a log-partition", theta)

    def marginals(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        r"""``E[y]`` under ``p(y) \propto exp <theta, y>``, ``(..., *event_shape)``, in the dtype of ``theta``."""
        _, bounds, allowed = self._checked(theta, mask)
        return _Marginals.apply(bounds, self, allowed).view(theta.shape).to(theta.dtype)

    def capped(self, theta: Tensor, max_range: float, mask: Tensor | None = None) -> Tensor:
        """``max(theta, max(theta) - max_range)``: the authors' guard against ill-conditioned scores.

        The largest score is that of the structure's own coordinates; the gradient flows through it too. Ours needs no
        such guard: it is there to reproduce theirs (paulus' released code, ``max_range`` 15).
        """
        if not theta.numel():
            return theta
        event = tuple(range(-len(self.event_shape), 0))
        allowed = theta if mask is None else theta.masked_fill(~mask, -torch.inf)
        return theta.maximum(allowed.amax(event, keepdim=True) - max_range)

    @abstractmethod
    def _plain_log_partition(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        """``log Z`` ``(B,)`` of float64 scores ``(B, *event_shape)`` on any device, by differentiable operations.

        Derivatives of any order must be finite; entries out of the mask get a zero derivative.
        """

    @abstractmethod
    def _kernel_marginals(self, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """``log Z`` ``(B,)`` and marginals ``(B, *event_shape)`` of float64 scores in CPU memory."""

    @abstractmethod
    def _kernel_product(self, theta: Tensor, mask: Tensor | None, direction: Tensor) -> Tensor:
        """The Hessian of ``log Z`` times ``direction``, both ``(B, *event_shape)`` float64 in CPU memory."""

    def _checked(self, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Float64 scores ``(B, *event_shape)``, the same as the kernels take them (:mod:`._range`), and the mask."""
        size = self._check(theta)
        mask = self._check_mask(theta, mask)
        batch = prod(self._leading(theta))
        flat = theta.double().reshape(batch, *self.event_shape).contiguous()
        allowed = None if mask is None else mask.reshape(batch, *self.event_shape).contiguous()
        bounds = _Bounded.apply(flat, self, allowed) if self.adds_weights and size > HUGE else flat
        return flat, bounds, allowed

    def _leading(self, theta: Tensor) -> torch.Size:
        return theta.shape[: theta.dim() - len(self.event_shape)]

    def _plain_marginals(self, theta: Tensor, mask: Tensor | None, create_graph: bool) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            scores = theta if theta.requires_grad else theta.detach().requires_grad_()
            log_partition = self._plain_log_partition(scores, mask)
            (marginals,) = torch.autograd.grad(log_partition.sum(), scores, create_graph=create_graph)
        return log_partition, marginals


class _Bounded(Function):
    """Scores within range, with the derivatives of the scores: structures keep their differences or lie far apart."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, family: ExponentialFamily, mask: Tensor | None) -> Tensor:
        return bounded(theta, len(family.event_shape), mask)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        return grad_outputs[0], None, None


class _LogPartition(Function):
    @staticmethod
    def forward(ctx: Any, theta: Tensor, family: ExponentialFamily, mask: Tensor | None) -> Tensor:
        ctx.family, ctx.mask = family, mask
        if theta.device.type == "cpu":
            log_partition, marginals = family._kernel_marginals(theta, mask)
        else:
            log_partition, marginals = family._plain_marginals(theta, mask, create_graph=False)
        ctx.save_for_backward(theta, marginals)
        return log_partition.detach()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        theta, marginals = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: somebody will differentiate the marginals
            marginals = _Marginals.apply(theta, ctx.family, ctx.mask)
        return grad_outputs[0].view(-1, *(1,) * (theta.dim() - 1)) * marginals, None, None


class _Marginals(Function):
    @staticmethod
    def forward(ctx: Any, theta: Tensor, family: ExponentialFamily, mask: Tensor | None) -> Tensor:
        ctx.family, ctx.mask = family, mask
        ctx.set_materialize_grads(False)  # a potential's first derivative sends None: there is nothing to do then
        ctx.save_for_backward(theta)
        if theta.device.type == "cpu":
            return family._kernel_marginals(theta, mask)[1]
        return family._plain_marginals(theta, mask, create_graph=False)[1]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, None, None]:
        (theta,) = ctx.saved_tensors
        if grad_outputs[0] is None:
            return None, None, None
        direction = grad_outputs[0].contiguous()
        if theta.device.type == "cpu" and not torch.is_grad_enabled():
            return ctx.family._kernel_product(theta, ctx.mask, direction), None, None
        again = torch.is_grad_enabled()  # create_graph: somebody will differentiate this product
        with torch.enable_grad():
            scores = theta if again else theta.detach().requires_grad_()
            marginals = ctx.family._plain_marginals(scores, ctx.mask, create_graph=True)[1]
            (product,) = torch.autograd.grad(marginals, scores, direction, create_graph=again)
        if theta.device.type == "cpu":  # the kernel's value, with the derivatives of the plain form
            exact = ctx.family._kernel_product(theta.detach(), ctx.mask, direction.detach())
            product = product + (exact - product).detach()
        return product, None, None
