"""NeuralSort: the sorting permutation relaxed row by row (Grover, Wang, Zweig and Ermon 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from structgrad.arguments import count, kind
from structgrad.described import Described
from structgrad.finite import in_range
from structgrad.layers._draws import checked_scores, noise_for
from structgrad.layers.base import Scale, fitted, hold, over_event
from structgrad.noise import Generators, Noise
from structgrad.transforms import opaque


class NeuralSort(Described, nn.Module):
    r"""``P_i = softmax([(n + 1 - 2i) s - A_s 1] / t)``, ``i = 1..n``, with ``(A_s)_jk = |s_j - s_k|``.

    (Grover et al. 2019.) Row ``i`` chooses the ``i``-th largest of the scores ``s``; as ``t -> 0`` the rows
    become the permutation that sorts them in descending order. Rows sum to one, columns need not. ``A_s 1`` takes a
    sort and a running sum, not the ``n x n`` matrix, so memory is that of the rows asked for. In ``eval()`` mode the
    rows are one-hot, without gradient; of equal scores the first one comes first.

    With noise the scores are perturbed before: for standard Gumbel noise the permutation has the Plackett-Luce
    distribution with log-weights ``s``.

    Args:
        temperature: t > 0; a tensor holds one per item and broadcasts to the leading dimensions.
        top: how many rows; None: all.
        noise: perturbs the scores; None: deterministic.
        samples: draws per item, in a dimension before the last two; None: one draw, no such dimension.

    Raises:
        ValueError: an argument out of its range; when called, bad scores, or generators that do not fit.
    """

    temperature: Scale

    def __init__(
        self,
        temperature: Scale = 1.0,
        top: int | None = None,
        noise: Noise | None = None,
        samples: int | None = None,
    ) -> None:
        super().__init__()
        if noise is not None:
            kind(noise, "noise", Noise, "a noise, or None")
        if noise is None and samples is not None:
            raise ValueError(f"samples must be None without noise, not {samples}")
        hold(self, "temperature", temperature)
        self.top, self.noise = None if top is None else count(top, "top"), noise
        self.samples = None if samples is None else count(samples, "samples")

    @opaque
    def forward(self, scores: Tensor, generator: Generators | None = None) -> Tensor:
        """The relaxed rows of the permutation for scores ``(..., n)``: ``(..., [samples,] top, n)``."""
        checked_scores(scores, "scores")
        wide = scores.double()  # before the noise is added: halves would keep little of it
        n = scores.shape[-1]
        top = n if self.top is None else self.top
        if top > n:
            raise ValueError(f"scores of shape {tuple(scores.shape)} have no {top} rows")
        if self.noise is not None:
            z = noise_for(self.noise, scores, 1, self.samples, generator)
            wide = self.noise.utilities(wide if self.samples is None else wide.unsqueeze(-2), z.double())
        if not self.training:
            order = wide.detach().sort(dim=-1, descending=True, stable=True).indices[..., :top]
            return torch.zeros((*order.shape, n), dtype=scores.dtype, device=scores.device).scatter(
                -1, order.unsqueeze(-1), 1.0
            )
        weights = n + 1 - 2 * torch.arange(1, top + 1, dtype=wide.dtype, device=wide.device)
        logits = weights.unsqueeze(-1) * wide.unsqueeze(-2) - distances(wide).unsqueeze(-2)
        temperature = fitted(self.temperature, "temperature", scores, 1)
        temperature = over_event(temperature, 1 if self.samples is None else 2)
        logits = in_range(logits / temperature, "scores over the temperature", wide)
        return torch.softmax(logits, -1).to(scores.dtype)


def distances(scores: Tensor) -> Tensor:
    """``sum_k |s_j - s_k|`` for each of the scores ``(..., n)``, by sorting: ``O(n log n)`` and no matrix.

    The derivative is that of the sum (the sign of zero is zero), so equal scores are treated alike.
    """
    ordered, _ = scores.sort(dim=-1)
    below = torch.searchsorted(ordered.detach(), scores.detach().contiguous())
    above = torch.searchsorted(ordered.detach(), scores.detach().contiguous(), right=True)
    running = nn.functional.pad(ordered.cumsum(-1), (1, 0))  # of the k smallest
    less, more = running.gather(-1, below), running[..., -1:] - running.gather(-1, above)
    return scores * (below + above - scores.shape[-1]) - less + more
