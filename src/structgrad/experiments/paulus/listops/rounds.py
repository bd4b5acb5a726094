r"""Rounds of message passing as one node of autograd: each product over all symbols of a batch at once.

With states ``h``, edges ``X`` and dropout's factors ``d``, a round is

    u = relu(W1 h + b1),    a = Wa (W2 u + b2),    z = relu(Ws h + c + X a),    h' = (W3 z + b3) d.

``Wa`` and ``W2``, between which all is linear, are one matrix. In turn 0 the states are those of few embedded symbols:
what they send and keep is computed once a symbol and looked up. Autograd's own derivative takes twice as long: it sums
up a gradient for every use of a weight, and passes over the states several times more on the way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from structgrad.experiments.paulus.listops.wiring import Wiring


class Weights(NamedTuple):
    """Of a round: the message's ``W1, b1, W2, b2`` and the update's ``[Ws Wa], c, W3, b3``."""

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor
    w_both: Tensor
    c: Tensor
    w3: Tensor
    b3: Tensor


def rounds(wiring: Wiring, embedding: Tensor, factors: Tensor | None, weights: Weights) -> Tensor:
    """The first symbols' states ``(B, w)`` after all turns, differentiable in edges, embedding and weights.

    Args:
        wiring: who hears whom, and for how many turns.
        embedding: a state for every symbol, ``(symbols, w)``.
        factors: dropout's, the same in every turn ``(B, w)``; None: no dropout.
        weights: the same in every turn.
    """
    return _Rounds.apply(wiring, factors, wiring.edges, embedding, *weights)


class _Rounds(Function):
    @staticmethod
    def forward(
        ctx: Any, wiring: Wiring, factors: Tensor | None, edges: Tensor | None, embedding: Tensor, *given: Tensor
    ) -> Tensor:
        w = Weights(*given)
        of_state, of_sum = w.w_both.chunk(2, -1)
        merged, bias = of_sum @ w.w2, of_sum @ w.b2
        ctx.wiring, ctx.turns = wiring, []
        state = embedding
        for turn in range(wiring.turns):
            hidden = torch.addmm(w.b1, state, w.w1.T).relu_()
            sent = torch.addmm(bias, hidden, merged.T)
            total = torch.addmm(w.c, state if turn == 0 else wiring.hearers(state, turn), of_state.T)
            if turn == 0:
                sent, total = sent[wiring.senders], total[wiring.hearers(wiring.senders, 0)]
            active = wiring.hear(sent, total, turn).relu_()
            ctx.turns.append((state, hidden, sent, active))
            state = torch.addmm(w.b3, active, w.w3.T)
            if factors is not None:
                wiring.scale(state, factors, turn)
        ctx.save_for_backward(factors, *given)
        return state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        factors, *given = ctx.saved_tensors
        w, wiring = Weights(*given), ctx.wiring
        of_state, of_sum = w.w_both.chunk(2, -1)
        merged = of_sum @ w.w2
        to = Weights(*map(torch.zeros_like, w))
        to_state, to_sum = to.w_both.chunk(2, -1)
        to_merged, to_bias = torch.zeros_like(merged), torch.zeros_like(w.b2)
        slope = grad_outputs[0].clone()
        for turn in reversed(range(wiring.turns)):
            state, hidden, sent, active = ctx.turns.pop()
            if factors is not None:
                wiring.scale(slope, factors, turn)
            to.w3.addmm_(slope.T, active)
            to.b3.add_(slope.sum(0))
            total = _before_relu(slope @ w.w3, active)
            back = wiring.send_back(sent, total, turn)
            if turn == 0:
                total, back = wiring.by_symbol(total), wiring.by_symbol(back)
            to_state.addmm_(total.T, state if turn == 0 else wiring.hearers(state, turn))
            to.c.add_(total.sum(0))
            to_merged.addmm_(back.T, hidden)
            to_bias.add_(back.sum(0))
            back = _before_relu(back @ merged, hidden)
            to.w1.addmm_(back.T, state)
            to.b1.add_(back.sum(0))
            slope = back @ w.w1
            (slope if turn == 0 else wiring.hearers(slope, turn)).addmm_(total, of_state)
        to_sum.copy_(to_merged @ w.w2.T + torch.outer(to_bias, w.b2))
        to.w2.copy_(of_sum.T @ to_merged)
        to.b2.copy_(of_sum.T @ to_bias)
        return None, None, wiring.slopes, slope, *to


def _before_relu(slope: Tensor, active: Tensor) -> Tensor:
    """The derivative before a ReLU, from that by its result ``active``."""
    return torch.ops.aten.threshold_backward(slope, active, 0)
