r"""Polytopes whose exponential family can be summed: log-partition, marginals, entropy and exact draws.

With ``p(y) \propto exp(<theta, y>)`` over the vertices, ``log Z(theta) = log sum_y exp <theta, y>`` has the mean
``mu(theta) = E_p[y]`` as its gradient (the marginals; paulus section 5, eq. 8), the covariance of ``y`` as its Hessian.

Each structure brings a plain form of ``log Z`` in torch operations, which any device runs and which may be
differentiated as often as one likes, and for the CPU compiled kernels of ``mu`` and of the Hessian-vector product, to
which scores of other devices make the way there and back unless the plain form is a few operations. A first
derivative of the marginals takes the kernel; a second one goes through the plain form. Draws come from the same
recursions, walked backwards, and the entropy adds up what each of their steps decides, so that nothing cancels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from structgrad.arguments import count, kind
from structgrad.autograd import constant
from structgrad.finite import all_finite, in_range
from structgrad.generators import Generators, checked_generators, draw_each
from structgrad.polytopes._exponential import Entropy, LogPartition, Marginals
from structgrad.polytopes._range import HUGE, Bounded
from structgrad.polytopes._tensors import on_cpu
from structgrad.polytopes.base import Polytope
from structgrad.transforms import check_draws, opaque


class ExponentialFamily(Polytope):
    """A polytope with ``log_partition`` and ``marginals``. All arithmetic inside is float64.

    Marginals are right at any finite scores; a log-partition that the dtype of the scores does not hold is refused. The
    plain forms (higher derivatives) keep logarithms in one float: chains and trees with equally good structures lose
    the digits of their shares as scores grow, all of them from 1e16 on.
    """

    closed: bool = False  # whether the plain form is a few operations, which other devices than the CPU then do
    adds_weights: bool = False  # whether the sums over structures add scores, which must then not overflow

    @opaque
    def log_partition(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        r"""``log sum_y exp <theta, y>``, ``(...)``, in the dtype of ``theta``; its gradient is :meth:`marginals`.

        Raises:
            ValueError: what :meth:`argmax` refuses; a value beyond the range of the dtype.
        """
        scores, bounds, allowed = self._checked(theta, mask)
        value = LogPartition.apply(self, allowed, bounds)[0]
        if bounds is not scores:  # all structures that matter have the same sum of what was taken off
            taken = (scores - bounds).detach() * constant(self._argmax, bounds.detach(), allowed)
            value = value + taken.flatten(1).sum(1)
        return in_range(value.view(self._leading(theta)), "a log-partition", theta)

    @opaque
    def marginals(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        r"""``E[y]`` under ``p(y) \propto exp <theta, y>``, ``(..., *event_shape)``, in the dtype of ``theta``."""
        _, bounds, allowed = self._checked(theta, mask)
        return Marginals.apply(self, allowed, bounds).view(theta.shape).to(theta.dtype)

    @opaque
    def sample(self, theta: Tensor, samples: int | None, generator: Generators, mask: Tensor | None = None) -> Tensor:
        r"""Independent draws ``(..., samples, *event_shape)`` from ``p(y) \propto exp <theta, y>``, without gradient.

        Exact, in a number of steps that the sizes bound, at any finite scores. Uniforms come from ``generator`` and a
        kernel on the CPU makes structures of them, for any device.

        Args:
            theta: scores, ``(..., *event_shape)``.
            samples: draws per item, in a dimension before the event's; None: one draw, no such dimension.
            generator: one, or a sequence with one for each index of the first dimension.
            mask: as in :meth:`argmax`.

        Raises:
            TypeError, ValueError: what :meth:`argmax` refuses; no whole number of samples; generators that do not fit.
            RuntimeError: within ``torch.func.vmap`` without ``randomness="same"``.

        >>> from structgrad.polytopes import Subset
        >>> y = Subset(5, 2).sample(torch.zeros(3, 5), 4, torch.Generator().manual_seed(0))
        >>> y.shape, y.sum(-1).unique().tolist()
        (torch.Size([3, 4, 5]), [2.0])
        """
        self._check_shape(theta)
        number = 1 if samples is None else count(samples, "samples")
        _, bounds, allowed = self._checked(theta.detach(), mask)
        leading = self._leading(theta)
        generator = checked_generators(generator, theta.shape, len(leading), "sampling")
        check_draws()
        each = self._uniforms()

        def uniforms() -> Tensor:
            drawn = draw_each(_uniform, (*leading, number, each), generator, torch.float64)
            return drawn.cpu().reshape(prod(leading), number, each).contiguous()

        def structures(scores: Tensor, mask: Tensor | None, uniforms: Tensor) -> Tensor:
            return on_cpu(self._kernel_sample, scores, mask, uniforms)

        drawn = constant(structures, bounds, allowed, constant(uniforms))
        inner = () if samples is None else (number,)
        return drawn.view(*leading, *inner, *self.event_shape).to(theta.dtype)

    def log_prob(self, theta: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """``log p(y) = <theta, y> - log Z(theta)``, differentiable.

        Args:
            theta: scores, ``(..., *event_shape)``.
            y: finite numbers, which are not checked to be structures: of the shape of ``theta``, or
                ``(..., samples, *event)`` as :meth:`sample` draws them.
            mask: the coordinates that may be used; those of ``y`` must be among them.

        Returns:
            ``(...)`` or ``(..., samples)``, in the dtype of ``theta``.

        Raises:
            TypeError, ValueError: what :meth:`log_partition` refuses; ``y`` of another shape, or not of real numbers.
        """
        self._check_shape(theta)
        kind(y, "y", Tensor, "a tensor of structures")
        if y.is_complex() or y.is_meta or not all_finite(y.double()):
            raise ValueError(f"y of shape {tuple(y.shape)} must hold finite real numbers, not {y.dtype} with others")
        log_partition, scores = self.log_partition(theta.double(), mask), theta.double()
        if y.dim() == theta.dim() + 1:
            log_partition, scores = log_partition.unsqueeze(-1), scores.unsqueeze(-1 - len(self.event_shape))
        samples = y.shape[len(log_partition.shape) - 1 : len(log_partition.shape)] if y.dim() > theta.dim() else ()
        if y.shape != (*self._leading(theta), *samples, *self.event_shape):
            raise ValueError(f"y of shape {tuple(y.shape)} does not fit theta of shape {tuple(theta.shape)}")
        value = (scores * y).flatten(log_partition.dim()).sum(-1) - log_partition
        return in_range(value, "a log-probability", theta)

    @opaque
    def entropy(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        r"""``H(p) = log Z(theta) - <theta, mu(theta)>`` in nats, ``(...)``; its gradient is ``-Cov(y) theta``.

        On the CPU it is summed over the steps that decide about a structure, of terms that do not grow with the scores;
        the plain form (other devices) is the difference above, and zero where rounding makes it negative. The gradient
        is right to within the rounding of the scores.

        >>> from structgrad.polytopes import SpanningTree
        >>> round(float(SpanningTree(4).entropy(torch.zeros(6)).exp()), 4)  # 4^2 trees, all alike
        16.0
        """
        _, bounds, allowed = self._checked(theta, mask)
        return Entropy.apply(self, allowed, bounds).view(self._leading(theta)).to(theta.dtype)

    def kl(self, theta: Tensor, other: Tensor, mask: Tensor | None = None) -> Tensor:
        r"""``KL(p_theta || p_other) = log Z(other) - <other, mu(theta)> - H(p_theta)``, ``(...)``, in nats.

        The Bregman divergence ``log Z(other) - log Z(theta) - <other - theta, mu(theta)>`` of the log-partition. It is
        right to within the rounding of sums of ``other``, and zero where that would make it negative.

        Raises:
            TypeError, ValueError: what :meth:`log_partition` refuses; scores of two shapes.
        """
        self._check_shape(theta)
        self._check_shape(other, "other")
        if other.shape != theta.shape:
            raise ValueError(f"other of shape {tuple(other.shape)} does not fit theta of shape {tuple(theta.shape)}")
        self._check(other, "other")
        log_partition, marginals = self.log_partition(other.double(), mask), self.marginals(theta.double(), mask)
        inner = (other.double() * marginals).flatten(log_partition.dim()).sum(-1)
        value = log_partition - inner - self.entropy(theta.double(), mask)
        return in_range(value + (value.detach().clamp_min(0.0) - value.detach()), "a divergence", theta)

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

    @abstractmethod
    def _kernel_entropy(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        """``H(p)`` ``(B,)``, at least zero, of float64 scores in CPU memory."""

    @abstractmethod
    def _kernel_sample(self, theta: Tensor, mask: Tensor | None, uniforms: Tensor) -> Tensor:
        """Boolean structures ``(B, M, *event_shape)`` from uniforms ``(B, M, _uniforms())``, in CPU memory."""

    @abstractmethod
    def _uniforms(self) -> int:
        """How many numbers from [0, 1) a draw takes."""

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


def _uniform(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return torch.rand(tuple(shape), generator=generator, dtype=torch.float64, device=generator.device)
