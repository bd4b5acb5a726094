"""What an exponential family sums, as nodes that autograd may differentiate any number of times.

Values and first derivatives of marginals are the kernels'; further derivatives are those of the plain form, as is
everything where the scores lie on another device and a few of its operations say it all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from structgrad.autograd import Itemwise
from structgrad.polytopes._tensors import on_cpu

if TYPE_CHECKING:
    from structgrad.polytopes.exponential import ExponentialFamily


class LogPartition(Itemwise):
    """``log Z`` and, for its derivative, the marginals."""

    @staticmethod
    def forward(family: ExponentialFamily, mask: Tensor | None, theta: Tensor) -> tuple[Tensor, Tensor]:
        if _by_kernel(family, theta):
            log_partition, marginals = on_cpu(family._kernel_marginals, theta, mask)
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
            parts.append(Marginals.apply(ctx.family, mask, theta, direction))
        return None, None, sum(parts[1:], *parts[:1]) if parts else None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> tuple[Tensor, Tensor]:
        (mask, theta, marginals), tangent = ctx.saved_tensors, grad_inputs[2]
        return (marginals * tangent).flatten(1).sum(1), Marginals.apply(ctx.family, mask, theta, tangent)


class Marginals(Itemwise):
    """The derivative of ``log Z`` of order ``1 + len(directions)``, along these in all of its arguments but one.

    It is a symmetric multilinear map. So its own derivative in the scores is the next one, along one direction more,
    and that in a direction is itself, along the new direction in place of that one.
    """

    @staticmethod
    def forward(family: ExponentialFamily, mask: Tensor | None, theta: Tensor, *directions: Tensor) -> Tensor:
        if len(directions) > 1 or not _by_kernel(family, theta):
            return family._plain_marginals(theta, mask, *directions)[1]
        if directions:
            return on_cpu(family._kernel_product, theta, mask, directions[0].contiguous())
        return on_cpu(family._kernel_marginals, theta, mask)[1]

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


class Entropy(Itemwise):
    """``log Z - <theta, mu>``, whose derivative is minus the Hessian of ``log Z`` along the scores themselves."""

    @staticmethod
    def forward(family: ExponentialFamily, mask: Tensor | None, theta: Tensor) -> Tensor:
        if _by_kernel(family, theta):
            return on_cpu(family._kernel_entropy, theta, mask)
        log_partition, marginals = family._plain_marginals(theta, mask)
        return (log_partition - (theta * marginals).flatten(1).sum(1)).clamp_min(0.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.family, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, None, Tensor]:
        gradient = Entropy._gradient(ctx)
        return None, None, grad_outputs[0].view(-1, *(1,) * (gradient.dim() - 1)) * gradient

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        return (Entropy._gradient(ctx) * grad_inputs[2]).flatten(1).sum(1)

    @staticmethod
    def _gradient(ctx: Any) -> Tensor:
        mask, theta = ctx.saved_tensors
        along = theta if mask is None else theta.masked_fill(~mask, 0.0)
        return -Marginals.apply(ctx.family, mask, theta, along)


def _by_kernel(family: ExponentialFamily, theta: Tensor) -> bool:
    return theta.device.type == "cpu" or not family.closed


def _moved(ctx: Any, *along: Tensor | None) -> list[Tensor | None]:
    """The derivatives of a :class:`Marginals` in its scores and in each of its directions, along these if any."""
    mask, theta, *directions = ctx.saved_tensors
    others = [directions, *([*directions[:i], *directions[i + 1 :]] for i in range(len(directions)))]
    return [
        None if direction is None else Marginals.apply(ctx.family, mask, theta, *rest, direction)
        for rest, direction in zip(others, along, strict=True)
    ]
