"""Hard samples whose gradient is a difference of two of them: what fixed and adaptive steps have in common."""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import Any

import torch
from torch import Tensor

from structgrad.arguments import count, kind
from structgrad.autograd import Node, Once, one_by_one
from structgrad.finite import in_range
from structgrad.layers._draws import noise_for
from structgrad.layers.base import Layer, Scale, fitted, hold
from structgrad.layers.finite_difference import finite_difference
from structgrad.noise import Generators, Noise
from structgrad.polytopes.base import Polytope
from structgrad.portable import column_sums
from structgrad.transforms import opaque


class PerturbAndMap(Layer):
    """``y = argmax_y <theta + tau eps, y>``, differentiated by moving ``theta`` along the gradient that arrives."""

    temperature: Scale

    def __init__(
        self, polytope: Polytope, noise: Noise, temperature: Scale, samples: int | None, two_sided: bool
    ) -> None:
        super().__init__(polytope)
        self.noise = kind(noise, "noise", Noise, "a noise")
        hold(self, "temperature", temperature)
        self.samples = None if samples is None else count(samples, "samples")
        self.two_sided = kind(two_sided, "two_sided", bool, "True or False")

    @opaque
    def forward(self, theta: Tensor, generator: Generators | None = None, mask: Tensor | None = None) -> Tensor:
        """The sampled structures at scores ``(..., *event)``: ``(..., [samples,] *event)``, vertices."""
        self.polytope._check(theta)
        self._check_step(theta)
        rank = len(self.polytope.event_shape)
        temperature = fitted(self.temperature, "temperature", theta, rank)
        eps = noise_for(self.noise, theta, rank, self.samples, generator).double()
        if isinstance(temperature, Tensor):
            temperature = self._with_samples(temperature)
        mask = self.polytope._check_mask(theta, mask)
        if mask is not None:
            mask = self._with_samples(mask).expand(eps.shape)
        return _Sampled.apply(theta, eps * temperature, mask, self)

    @abstractmethod
    def _check_step(self, theta: Tensor) -> None:
        """Raise ValueError if the step does not fit the scores."""

    @abstractmethod
    def _move(self, theta: Tensor, direction: Tensor) -> tuple[Tensor, Scale, Scale]:
        """``u``, ``s`` and ``w`` with ``lambda g = s u`` and ``lambda = s / w``.

        For scores ``(..., [1,] *event)`` and the gradient ``(..., [samples,] *event)`` that arrived, both in float64.
        """

    def _learn(self, gradient: Tensor) -> None:
        """Update the layer in a backward pass, from the gradient that it computed, float64."""

    def _with_samples(self, value: Tensor) -> Tensor:
        return value if self.samples is None else value.unsqueeze(-len(self.polytope.event_shape) - 1)


class _Sampled(Node):
    """The maximisers at the noisy scores."""

    @staticmethod
    def forward(theta: Tensor, noise: Tensor, mask: Tensor | None, layer: PerturbAndMap) -> Tensor:
        return layer.polytope.argmax(layer._with_samples(theta.detach().double()) + noise, mask).to(theta.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.layer = inputs
        ctx.save_for_backward(*tensors, output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _Difference.apply(grad_outputs[0], *ctx.saved_tensors, ctx.layer), None, None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        raise NotImplementedError("implicit MLE has no forward derivative, only one of an incoming gradient: take vjp")

    vmap = classmethod(one_by_one)  # type: ignore[assignment]


class _Difference(Once):
    refusal = "implicit MLE can be differentiated once: its derivative is a difference of two vertices"
    vmap = classmethod(one_by_one)  # type: ignore[assignment]

    @staticmethod
    def forward(
        incoming: Tensor, theta: Tensor, noise: Tensor, mask: Tensor | None, y: Tensor, layer: PerturbAndMap
    ) -> Tensor:
        scores = layer._with_samples(theta.detach().double())
        direction, step, weight = layer._move(scores, incoming.double())

        def solve(moved: Tensor) -> Tensor:
            return y.double() if moved is scores else layer.polytope.argmax(moved + noise, mask)  # y was solved forward

        above, below = finite_difference(solve, scores, direction, -step, layer.two_sided)
        quotient = (above - below) / (2 * step if layer.two_sided else step) * weight
        gradient = torch.where(above == below, 0.0, quotient)  # a step may be zero: then nothing has moved
        if layer.samples is not None:
            items, event = theta.shape[: theta.dim() - len(layer.polytope.event_shape)], layer.polytope.event_shape
            gradient = column_sums(gradient.reshape(prod(items), layer.samples, prod(event))).view(theta.shape)
        narrow = in_range(gradient, "a gradient", theta)
        layer._learn(gradient)
        return narrow
