"""What an exponential family sums, as functions that autograd may differentiate any number of times.

On the CPU values and first derivatives of marginals are the kernels'; further derivatives are those of the plain form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import Function

from structgrad.polytopes._range import bounded

if TYPE_CHECKING:
    from structgrad.polytopes.exponential import ExponentialFamily


class Bounded(Function):
    """Scores within range, with the derivatives of the scores: structures keep their differences or lie far apart."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, family: ExponentialFamily, mask: Tensor | None) -> Tensor:
        return bounded(theta, len(family.event_shape), mask)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        return grad_outputs[0], None, None


class LogPartition(Function):
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
            marginals = Marginals.apply(theta, ctx.family, ctx.mask)
        return grad_outputs[0].view(-1, *(1,) * (theta.dim() - 1)) * marginals, None, None


class Marginals(Function):
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


class Entropy(Function):
    @staticmethod
    def forward(ctx: Any, theta: Tensor, family: ExponentialFamily, mask: Tensor | None) -> Tensor:
        ctx.family, ctx.mask = family, mask
        ctx.save_for_backward(theta)
        if theta.device.type == "cpu":
            return family._kernel_entropy(theta, mask)
        log_partition, marginals = family._plain_marginals(theta, mask, create_graph=False)
        return (log_partition.detach() - (theta * marginals).flatten(1).sum(1)).clamp_min(0.0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        (theta,) = ctx.saved_tensors
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            scores = theta if again else theta.detach().requires_grad_()
            along = scores if ctx.mask is None else scores.masked_fill(~ctx.mask, 0.0)
            marginals = Marginals.apply(scores, ctx.family, ctx.mask)
            (product,) = torch.autograd.grad(marginals, scores, along, create_graph=again)
        return -grad_outputs[0].view(-1, *(1,) * (theta.dim() - 1)) * product, None, None
