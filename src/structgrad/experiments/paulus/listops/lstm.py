"""LSTMs side by side over sequences of symbols."""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from structgrad.experiments.paulus.listops import _lstm
from structgrad.portable.types import compiled


class SymbolLSTM(nn.Module):
    """D independent one-layer LSTMs of h units, each over its own order of the same symbols.

    The input of an LSTM is one of few embedded symbols, so what the gates make of it is computed once a symbol and
    looked up. On a CPU torch's own LSTM takes several times as long: one autograd node an operation and step, and one
    LSTM after the other.
    """

    def __init__(self, symbols: int, width: int, hidden: int, count: int = 1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.input = nn.Parameter(torch.empty(count, width, 4 * hidden))
        self.recurrent = nn.Parameter(torch.empty(count, hidden, 4 * hidden))
        self.bias = nn.Parameter(torch.empty(count, 1, 4 * hidden))
        self.scale: Tensor  # tanh x = 2 sigmoid(2 x) - 1, so that all gates are sigmoids
        self.register_buffer("scale", torch.tensor([1.0, 1.0, 2.0, 1.0]).repeat_interleave(hidden), persistent=False)

    def start(self, generator: torch.Generator) -> None:
        """Draw the weights as torch's LSTM does: uniform within ``1 / sqrt(units)``."""
        bound = 1 / sqrt(self.recurrent.shape[1])
        for parameter in self.parameters(recurse=False):
            nn.init.uniform_(parameter, -bound, bound, generator)

    def forward(self, tokens: Tensor, places: Tensor, ways: int = 1) -> Tensor:
        """The state after each symbol of ``tokens`` ``(D, B, n)``, at its one of ``places``, each once in a row;
        ``ways`` LSTMs in a row make one vector: ``(D / ways, B, n, ways h)``.
        """
        table = (self.embedding.weight @ self.input + self.bias) * self.scale
        return recurrence(table, tokens, places, self.recurrent * self.scale, ways)


def recurrence(table: Tensor, tokens: Tensor, places: Tensor, weight: Tensor, ways: int) -> Tensor:
    """``c = f c' + i u, h = o tanh c`` with ``(i, f, u, o) = (s, s, 2 s - 1, s)(table[token] + h' W)``, s the sigmoid.

    Args:
        table: what each symbol adds to the gates, ``(D, symbols, 4 h)``.
        tokens, places: ``(D, B, n)``.
        weight: ``(D, h, 4 h)``.
        ways: how many LSTMs in a row make one vector.

    Returns:
        All h at their places, ``(D / ways, B, n, ways h)``; differentiable once.
    """
    if compiled(table, weight):
        order = (part.permute(2, 0, 1).contiguous() for part in (tokens, places))
        return _Compiled.apply(table, *order, weight, ways)
    first = table.shape[1] * torch.arange(len(table), device=tokens.device)
    gates = nn.functional.embedding((tokens + first.view(-1, 1, 1)).permute(2, 0, 1), table.flatten(0, 1))
    states = _Plain.apply(gates, weight).permute(1, 2, 0, 3)
    placed = torch.zeros_like(states).scatter(2, places.unsqueeze(-1).expand_as(states), states)
    return placed.unflatten(0, (-1, ways)).permute(0, 2, 3, 1, 4).flatten(-2)


class _Compiled(Function):
    """Products by torch, all between them by compiled kernels."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, tokens: Tensor, places: Tensor, weight: Tensor, ways: int) -> Tensor:
        (n, count, rows), h = tokens.shape, weight.shape[1]
        gates = table.new_empty(n, count, rows, 4 * h)
        cells, squashed, states = table.new_empty(3, n, count, rows, h)
        vectors = table.new_empty(count // ways, rows, n, ways * h)
        parts = (table.contiguous(), tokens, places, gates, cells, squashed, states, vectors)
        arrays = [part.detach().numpy() for part in parts]
        for t, (gate, before) in enumerate(zip(gates, (None, *states[:-1]), strict=True)):
            if before is not None:
                torch.bmm(before, weight, out=gate)
            _lstm.forward(t, *arrays)
        ctx.save_for_backward(table, tokens, places, weight, gates, cells, squashed, states)
        return vectors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        table, tokens, places, weight, gates, cells, squashed, states = ctx.saved_tensors
        transposed = weight.mT.contiguous()
        in_table, in_weight = torch.zeros_like(table), torch.zeros_like(weight)
        from_next, in_cells = weight.new_zeros(2, *states.shape[1:])
        slopes = torch.empty_like(gates[0])
        of_output = grad_outputs[0].contiguous()
        parts = (tokens, places, gates, cells, squashed, of_output, from_next, in_cells, slopes, in_table)
        arrays = [part.detach().numpy() for part in parts]
        for t in reversed(range(len(gates))):
            _lstm.backward(t, *arrays)
            if t:
                in_weight.baddbmm_(states[t - 1].mT, slopes)
                torch.bmm(slopes, transposed, out=from_next)
        return in_table, None, None, in_weight, None


class _Plain(Function):
    """In torch operations, on any device, from gates without their recurrent part ``(n, D, B, 4 h)``."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor) -> Tensor:
        steps, *leading, wide = gates.shape
        units = wide // 4
        states, cells, squashed = gates.new_empty(3, steps, *leading, units)
        acts = torch.empty_like(gates)
        for t in range(steps):
            act = gates[t] if t == 0 else torch.baddbmm(gates[t], states[t - 1], weight)
            i, f, u, o = torch.sigmoid(act, out=acts[t]).split(units, -1)
            torch.mul(i, u.mul_(2).sub_(1), out=cells[t])
            if t:
                cells[t].addcmul_(f, cells[t - 1])
            torch.sigmoid(2 * cells[t], out=squashed[t]).mul_(2).sub_(1)
            torch.mul(o, squashed[t], out=states[t])
        ctx.save_for_backward(weight, acts, cells, states, squashed)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        weight, acts, cells, states, squashed = ctx.saved_tensors
        units = cells.shape[-1]
        i, f, u, o = acts.split(units, -1)
        # What a step multiplies the incoming derivatives by c and h with, for all steps at once.
        into_cell = o * (1 - squashed**2)
        before = torch.cat([torch.zeros_like(cells[:1]), cells[:-1]])
        slopes = torch.cat([u * i * (1 - i), before * f * (1 - f), i * (1 - u**2) / 2, squashed * o * (1 - o)], -1)
        by_cell, by_state = slopes.unflatten(-1, (4, units)).split((3, 1), -2)
        d_state, d_cell = grad_outputs[0][-1], torch.zeros_like(cells[0])
        transposed = weight.mT.contiguous()
        for t in range(len(acts) - 1, -1, -1):
            d_cell = torch.addcmul(d_cell, d_state, into_cell[t])
            by_cell[t].mul_(d_cell.unsqueeze(-2))
            by_state[t].mul_(d_state.unsqueeze(-2))
            if t:
                d_cell = d_cell * f[t]
                d_state = torch.baddbmm(grad_outputs[0][t - 1], slopes[t], transposed)
        d_weight = torch.einsum("tdbh,tdbg->dhg", states[:-1], slopes[1:])
        return slopes, d_weight
