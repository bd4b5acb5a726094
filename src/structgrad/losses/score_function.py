r"""The score-function estimator (REINFORCE, Williams 1992) with the baselines of paulus' App. C.

For draws ``x`` of a density ``p_theta`` and a loss that may depend on ``theta`` itself,

    d E[loss(x)] = E[ d loss(x) + (loss(x) - b) d log p_theta(x) ]

for any baseline ``b`` that does not depend on ``x``: it changes the variance alone. The gradient is taken through a
surrogate whose value is the loss, element by element: its mean is what one minimises, and the gradient of each element
is one draw of the estimate, from which :func:`structgrad.estimate.mean_of` takes a standard error. (Draws that share a
leave-one-out baseline are not independent; the items that they belong to are.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from structgrad.arguments import kind, real
from structgrad.described import Described
from structgrad.transforms import concrete

BASELINES = ("ema", "batch", "leave_one_out", None)


class MovingAverage(Described, nn.Module):
    """``v <- decay v + (1 - decay) mean(x)`` from ``v = 0``, in a buffer, so that it is checkpointed.

    It moves in training mode and before it is used, as the authors' does; in evaluation mode it stands.
    """

    value: Tensor

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__()
        if not 0 <= real(decay, "decay") < 1:
            raise ValueError(f"decay must lie in [0, 1), not {decay}")
        self.decay = decay
        self.register_buffer("value", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """The average after ``x`` was taken in, a scalar."""
        if self.training and x.numel():
            self.value = self.decay * self.value + (1 - self.decay) * concrete(x).mean().to(self.value)
        return self.value.to(x)


class ScoreFunction(Described, nn.Module):
    """The surrogate of REINFORCE.

    With B independent losses in a call, ``batch`` and ``ema`` contain a loss's own share: they multiply the expected
    score part of the gradient by exactly ``1 - 1/B`` and ``1 - (1 - decay)/B``. None and ``leave_one_out`` are
    unbiased.

    Args:
        baseline: ``leave_one_out``: the mean of the other samples of the same item (Kool et al. 2019); ``batch``: the
            mean of all losses of the call; ``ema``: their :class:`MovingAverage`; None: zero.
        decay: of the moving average.
    """

    def __init__(self, baseline: str | None = "ema", decay: float = 0.99) -> None:
        super().__init__()
        if baseline not in BASELINES:
            raise ValueError(f"baseline must be one of {BASELINES}, not {baseline!r}")
        self.baseline = baseline
        self._decay = decay
        self.average = MovingAverage(decay) if baseline == "ema" else None

    def forward(self, loss: Tensor, log_prob: Tensor, dim: int = 0) -> Tensor:
        """``loss`` with the gradient ``d loss + (loss - b) d log_prob``, element by element.

        Args:
            loss: of each draw, any shape; its own gradient passes unscaled.
            log_prob: ``log p_theta`` of each draw, same shape, differentiable; the draws themselves are constants.
            dim: the dimension along which an item's samples lie, at least two; ``leave_one_out`` alone reads it.

        Raises:
            ValueError: losses and log-probabilities of different shapes; fewer than two samples to leave one out of.
        """
        _check(loss, log_prob)
        return _surrogate(loss, log_prob, self._advantage(loss.detach(), dim))

    def _advantage(self, loss: Tensor, dim: int) -> Tensor:
        if self.baseline == "leave_one_out":
            samples = loss.shape[dim] if loss.dim() else 1
            if samples < 2:
                raise ValueError(f"loss of shape {tuple(loss.shape)} needs two samples or more along dimension {dim}")
            return (loss - loss.mean(dim, keepdim=True)) * (samples / (samples - 1))  # = loss - mean of the others
        if self.baseline == "batch":
            return loss - loss.mean()
        return loss if self.average is None else loss - self.average(loss)


class NVILTerms(NamedTuple):
    """What :class:`NVIL` minimises: the sum of both, the second in any weight. Both have the shape of the losses."""

    surrogate: Tensor
    regression: Tensor


class NVIL(Described, nn.Module):
    """REINFORCE with a baseline that looks at the input: ``b = ema + network(features)`` (Mnih & Gregor 2014).

    The average contains the losses themselves and shrinks the score part as that of :class:`ScoreFunction` does.

    Args:
        network: maps features to one number per item, ``(..., 1)``, where losses are ``(...)`` or, with several samples
            per item, ``(samples, ...)``.
        decay: of the moving average of the losses.
    """

    def __init__(self, network: nn.Module, decay: float = 0.99) -> None:
        super().__init__()
        self.network = kind(network, "network", nn.Module, "a module")
        self._decay = decay
        self.average = MovingAverage(decay)

    def forward(self, loss: Tensor, log_prob: Tensor, features: Tensor) -> NVILTerms:
        """The surrogate as in :class:`ScoreFunction`, and ``(stopgrad(loss - ema) - network(features))^2``.

        The regression trains the network, and through the features whatever made them, as in the authors' code; callers
        who do not want that detach them.

        Raises:
            ValueError: losses and log-probabilities of different shapes; a prediction that does not fit them.
        """
        _check(loss, log_prob)
        kind(features, "features", Tensor, "a tensor (torch.as_tensor makes one)")
        centred = loss.detach() - self.average(loss)
        prediction = self.network(features)
        items = loss.shape[loss.dim() - prediction.dim() + 1 :]
        if prediction.shape != (*items, 1):
            raise ValueError(f"network(features) {tuple(prediction.shape)} does not fit losses {tuple(loss.shape)}")
        prediction = prediction.squeeze(-1)
        surrogate = _surrogate(loss, log_prob, centred - prediction.detach())
        return NVILTerms(surrogate, (centred - prediction).square())


def _surrogate(loss: Tensor, log_prob: Tensor, advantage: Tensor) -> Tensor:
    """``loss``, bit for bit, with ``advantage d log_prob`` added to its gradient."""
    return loss + advantage * (log_prob - log_prob.detach())


def _check(loss: Tensor, log_prob: Tensor) -> None:
    for value, name in ((loss, "loss"), (log_prob, "log_prob")):
        kind(value, name, Tensor, "a tensor (torch.as_tensor makes one)")
    if loss.shape != log_prob.shape:
        raise ValueError(f"loss {tuple(loss.shape)} and log_prob {tuple(log_prob.shape)} differ in shape")
