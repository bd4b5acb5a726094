"""L2X's relaxation of a k-subset: the largest of k independent Gumbel-softmaxes (Chen et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.layers._subset_sampler import SubsetSampler, logits_of
from structgrad.layers.base import Scale


class L2X(SubsetSampler):
    """``X_i = max_j softmax((theta + Z_j) / t)_i`` over k independent standard Gumbel vectors ``Z_1..Z_k``.

    (Chen et al. 2018.) The entries sum to between 1 and k. See :class:`SubsetSampler` for arguments and modes.
    """

    def __init__(self, k: int, temperature: Scale = 1.0) -> None:
        super().__init__(k, temperature)
        self._draws = k

    def _soft(self, theta: Tensor, z: Tensor, temperature: Scale, mask: Tensor | None) -> Tensor:
        if isinstance(temperature, Tensor):
            temperature = temperature.unsqueeze(-1)
        mask = None if mask is None else mask.unsqueeze(-2)
        return torch.softmax(logits_of(theta.unsqueeze(-2) + z, temperature, mask), -1).amax(-2)
