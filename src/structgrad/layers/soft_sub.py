"""SoftSub, or RelaxSubSample: k successive softmaxes, each without what those before it took (Xie and Ermon 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.layers._subset_sampler import SubsetSampler
from structgrad.layers.base import Scale

TINY = torch.finfo(torch.float32).tiny  # the authors' floor under 1 - p


class SoftSub(SubsetSampler):
    """``X = p_1 + ... + p_k`` with ``a_1 = theta + Z``, ``p_j = softmax(a_j / t)``, ``a_{j+1} = a_j + log(1 - p_j)``.

    (Xie and Ermon 2019; their code keeps ``1 - p`` above the smallest float32.) ``Z`` is one standard Gumbel
    vector. The entries sum to k; one may exceed 1 slightly. See :class:`SubsetSampler` for arguments and modes.
    """

    def _soft(self, theta: Tensor, z: Tensor, temperature: Scale) -> Tensor:
        scores = theta + z
        total = torch.zeros_like(scores)
        for _ in range(self.k):
            p = torch.softmax(scores / temperature, -1)
            total = total + p
            scores = scores + torch.log((1 - p).clamp_min(TINY))
        return total
