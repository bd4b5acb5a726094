"""SoftSub, or RelaxSubSample: k successive softmaxes, each without what those before it took (Xie and Ermon 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.layers._subset_sampler import SubsetSampler, logits_of
from structgrad.layers.base import Scale


class SoftSub(SubsetSampler):
    """``X = p_1 + ... + p_k`` with ``a_1 = theta + Z``, ``p_j = softmax(a_j / t)``, ``a_{j+1} = a_j + log(1 - p_j)``.

    (Xie and Ermon 2019.) ``Z`` is one standard Gumbel vector. The entries sum to k, and one may exceed 1: for k = 2 and
    temperatures up to one it stays below 1.5. By the formula itself more is possible where fewer than k scores lead all
    others by far, since what is taken off them depends on the gaps between them, and at temperatures above one. See
    :class:`SubsetSampler` for arguments and modes.

    ``log(1 - p)`` is computed from the other scores and has no floor. The authors' code keeps ``1 - p`` above the
    smallest float32, which takes at most 87 off a score: one that leads by more is chosen again and again.
    """

    def _soft(self, theta: Tensor, z: Tensor, temperature: Scale, mask: Tensor | None) -> Tensor:
        scores = theta + z
        total = torch.zeros_like(scores)
        for j in range(self.k):
            logits = logits_of(scores, temperature, mask)
            p = torch.softmax(logits, -1)
            total = total + p
            if j < self.k - 1:
                scores = scores + _log_rest(logits, p)
        return total


def _log_rest(logits: Tensor, p: Tensor) -> Tensor:
    """``log(1 - p)`` for ``p = softmax(logits)`` of two finite logits or more, however near to one p is."""
    top = logits.argmax(-1, keepdim=True)
    others = logits.scatter(-1, top, -torch.inf)
    rest = torch.logsumexp(others, -1, keepdim=True) - torch.logsumexp(logits, -1, keepdim=True)
    return torch.log1p(-p.scatter(-1, top, 0.0)).scatter_add(-1, top, rest)
