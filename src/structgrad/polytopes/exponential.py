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

from structgrad.autograd import Itemwise, constant
from structgrad.finite import in_range
from structgrad.polytopes._range import HUGE, Bounded
from structgrad.polytopes.base import Polytope
from structgrad.transforms import opaque


class ExponentialFamily(Polytope):
    """A polytope with ``log_partition`` and ``marginals``. All arithmetic inside is float64.

    Marginals are right at any finite scores on the CPU; a log-partition that the dtype of the scores does not hold is
    refused. The plain forms (other devices, higher derivatives) keep logarithms in one float: chains and trees with
    equally good structures lose the digits of their shares as scores grow, all of them from 1e16 on.
    """

    adds_weights: bool = False  # whether the sums over structures add scores, which must then not overflow

    @opaque
    def log_partition(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        r"""``log sum_y exp <theta, y>``, ``(...)``, in the dtype of ``theta``; its gradient is :meth:`marginals`.

        Raises:
            ValueError: what :meth:`argmax` refuses; a value beyond the range of the dtype.
        """
        scores, bounds, allowed = self._checked(theta, mask)
        value = _LogPartition.apply(self, allowed, bounds)[0]
        if bounds is not scores:  # all structures that matter have the same sum of what was taken off
            taken = (scores - bounds).detach() * constant(self._argmax, bounds.detach(), allowed)
            value = value + taken.flatten(1).sum(1)
        return in_range(value.view(self._leading(theta)), "a log-partition", theta)

    @opaque
    def marginals(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        r"""``E[y]`` under ``p(y) \propto exp <theta, y>``, ``(..., *event_shape)``, in the dtype of ``theta``."""
        _, bounds, allowed = self._checked(theta, mask)
        return _Marginals.apply(self, allowed, bounds).view(theta.shape).to(theta.dtype)

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
        bounds = Bounded.apply(flat, allowed) if self.adds_weights and size > HUGE else flat
        return flat, bounds, allowed

    def _leading(self, theta: Tensor) -> torch.Size:
        return theta.shape[: theta.dim() - len(self.event_shape)]

    def _plain_marginals(self, theta: Tensor, mask: Tensor | None, *directions: Tensor) -> tuple[Tensor, Tensor]:
        """``log Z`` and its derivative of order ``1 + len(directions)`` along these, by the plain form."""
        with torch.enable_grad():
            scores = theta.detach().requires_grad_()
            log_partition = derivative = self._plain_log_partition(scores, mask)
            for rest, direction in enumerate((torch.ones_like(log_partition), *directions), -len(directions)):
                (derivative,) = torch.autograd.grad(derivative, scores, direction, create_graph=rest < 0)
        return log_partition.detach(), derivative.detach()


class _LogPartition(Itemwise):
    """``log Z`` and, for its derivative, the marginals."""

    @staticmethod
    def forward(family: ExponentialFamily, mask: Tensor | None, theta: Tensor) -> tuple[Tensor, Tensor]:
        if theta.device.type == "cpu":
            log_partition, marginals = family._kernel_marginals(theta, mask)
            return log_partition.detach(), marginals
        return family._plain_marginals(theta, mask)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.family, *tensors = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, output[1])
        ctx.save_for_forward(*tensors, output[1])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[None, None, Tensor | None]:
        mask, theta, marginals = ctx.saved_tensors  # the last an output: it carries this very node into second ones
        weight, direction = grad_outputs
        parts = []
        if weight is not None:
            parts.append(weight.view(-1, *(1,) * (theta.dim() - 1)) * marginals)
        if direction is not None:
            parts.append(_Marginals.apply(ctx.family, mask, theta, direction))
        return None, None, sum(parts[1:], *parts[:1]) if parts else None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> tuple[Tensor, Tensor]:
        (mask, theta, marginals), tangent = ctx.saved_tensors, grad_inputs[2]
        return (marginals * tangent).flatten(1).sum(1), _Marginals.apply(ctx.family, mask, theta, tangent)


class _Marginals(Itemwise):
    """The derivative of ``log Z`` of order ``1 + len(directions)``, along these in all of its arguments but one.

    It is a symmetric multilinear map. So its own derivative in the scores is the next one, along one direction more,
    and that in a direction is itself, along the new direction in place of that one.
    """

    @staticmethod
    def forward(family: ExponentialFamily, mask: Tensor | None, theta: Tensor, *directions: Tensor) -> Tensor:
        if theta.device.type != "cpu" or len(directions) > 1:
            return family._plain_marginals(theta, mask, *directions)[1]
        if directions:
            return family._kernel_product(theta, mask, directions[0].contiguous())
        return family._kernel_marginals(theta, mask)[1]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.family, *tensors = inputs
        ctx.set_materialize_grads(False)  # a potential's first derivative sends None: there is nothing to do then
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        direction, wanted = grad_outputs[0], ctx.needs_input_grad[2:]
        if direction is None:
            return (None,) * (2 + len(wanted))
        return None, None, *_moved(ctx, *(direction if want else None for want in wanted))

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        return sum(part for part in _moved(ctx, *grad_inputs[2:]) if part is not None)  # type: ignore[return-value]


def _moved(ctx: Any, *along: Tensor | None) -> list[Tensor | None]:
    """The derivatives of a :class:`_Marginals` in its scores and in each of its directions, along these if any."""
    mask, theta, *directions = ctx.saved_tensors
    others = [directions, *([*directions[:i], *directions[i + 1 :]] for i in range(len(directions)))]
    return [
        None if direction is None else _Marginals.apply(ctx.family, mask, theta, *rest, direction)
        for rest, direction in zip(others, along, strict=True)
    ]
