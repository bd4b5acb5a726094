r"""The decoder's messages over weighted edges of several types, the step's dearest part.

    m_i = sum_types e  sum_j  w_ij^e relu(V^e relu(s_j^e + r_i^e) + b^e)

with ``s^e, r^e`` the halves of the first layer on ``[sender, receiver]``: a layer on pairs is a sum of two layers on
vertices, so no pair is ever written down. On the CPU edges go through in blocks that stay in the cache; of each edge
only the second activation is kept for the backward pass, the first is made again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from structgrad.experiments.paulus.graph_layout import _messages
from structgrad.experiments.paulus.graph_layout.pairs import directed

BLOCK = 2**18  # numbers of one edge array in a block: a megabyte of float32


def messages(halves: Tensor, weight: Tensor, second: Tensor, bias: Tensor) -> Tensor:
    """``m`` ``(G, n, h)``, differentiable in every argument.

    Args:
        halves: ``s`` and ``r`` of each type, ``(G, n, types, 2, h)``.
        weight: of the directed edges, ``(G, n (n - 1), types)``.
        second: ``V``, ``(types, h, h)``.
        bias: ``b``, ``(types, h)``.
    """
    if halves.device.type != "cpu":
        return plain_messages(halves, weight, second, bias)
    keep = torch.is_grad_enabled()  # within the function nobody knows
    return _Messages.apply(halves, weight, second, bias, keep)


def plain_messages(halves: Tensor, weight: Tensor, second: Tensor, bias: Tensor) -> Tensor:
    """:func:`messages` in torch operations, on any device.

    A vertex sends to itself, too, with weight zero: all pairs are a broadcast sum, whose derivative is a sum, where
    pairs of an index would have to be gathered and scattered.
    """
    graphs, n, types, _, h = halves.shape
    senders, receivers = (index.to(halves.device) for index in directed(n))
    weights = weight.new_zeros(graphs, types, n * n).index_copy(-1, n * receivers + senders, weight.mT)
    weights = weights.view(graphs, types, n, n, 1)
    total = halves.new_zeros(graphs, n, h)
    for e in range(types):
        pairs = torch.relu(halves[:, None, :, e, 0] + halves[:, :, None, e, 1])
        message = torch.relu(nn.functional.linear(pairs, second[e], bias[e]))
        total = total + (message * weights[:, e]).sum(2)
    return total


class _Messages(Function):
    @staticmethod
    def forward(ctx: Any, halves: Tensor, weight: Tensor, second: Tensor, bias: Tensor, keep: bool) -> Tensor:
        graphs, n, types, _, h = halves.shape
        edges = n * (n - 1)
        size = max(1, BLOCK // (edges * h))
        total = halves.new_zeros(graphs, n, h)
        made = halves.new_empty(types, graphs if keep else size, n, n - 1, h)
        first = halves.new_empty(size, n, n - 1, h)
        halves, weight, second, bias = (x.detach() for x in (halves, weight, second, bias))
        weights = weight.movedim(-1, 0).contiguous().view(types, graphs, n, n - 1)
        for start in range(0, graphs, size):
            rows = slice(start, min(start + size, graphs))
            count = rows.stop - start
            for e in range(types):
                block = made[e, rows] if keep else made[e, :count]
                _messages.hidden(e, halves[rows].numpy(), first[:count].numpy())
                torch.mm(first[:count].view(-1, h), second[e].T, out=block.view(-1, h))
                _messages.gather(block.numpy(), bias[e].numpy(), weights[e, rows].numpy(), total[rows].numpy())
        ctx.save_for_backward(halves, weights, second, made if keep else None)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        halves, weights, second, made = ctx.saved_tensors
        gradient = grad_outputs[0].contiguous()
        graphs, n, types, _, h = halves.shape
        size = max(1, BLOCK // (n * (n - 1) * h))
        first, back = halves.new_empty(size, n, n - 1, h), halves.new_empty(size, n, n - 1, h)
        d_halves, d_weights, d_second = torch.empty_like(halves), torch.empty_like(weights), torch.zeros_like(second)
        d_bias = halves.new_zeros(types, h)
        for start in range(0, graphs, size):
            rows = slice(start, min(start + size, graphs))
            some, behind = first[: rows.stop - start], back[: rows.stop - start]
            for e in range(types):
                _messages.scatter(
                    made[e, rows].numpy(), gradient[rows].numpy(), weights[e, rows].numpy(),
                    d_weights[e, rows].numpy(), behind.numpy(), d_bias[e].numpy(),
                )  # fmt: skip
                _messages.hidden(e, halves[rows].numpy(), some.numpy())
                d_second[e].addmm_(behind.view(-1, h).T, some.view(-1, h))
                before = torch.mm(behind.view(-1, h), second[e], out=made[e, rows].view(-1, h))  # read no more
                _messages.spread(e, some.numpy(), before.view(some.shape).numpy(), d_halves[rows].numpy())
        return d_halves, d_weights.view(types, graphs, -1).movedim(0, -1), d_second, d_bias, None
