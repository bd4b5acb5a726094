"""The networks: an LSTM, and message passing over edges that are sampled or given (paulus, section 8.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from structgrad.experiments.paulus.listops.batches import Batch
from structgrad.experiments.paulus.listops.lstm import SymbolLSTM
from structgrad.experiments.paulus.listops.vocabulary import CLASSES, COUNT


class EdgeSource(Protocol):
    """What gives edges ``(B, n, n)``, of weights in [0, 1]: from operators i to operands j, or symmetric."""

    def __call__(self, batch: Batch, generator: torch.Generator) -> Tensor: ...


class MLP(nn.Module):
    """Two linear layers and a ReLU between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


class LSTMClassifier(nn.Module):
    """One LSTM from left to right; an MLP reads its last state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = SymbolLSTM(COUNT, width, width)
        self.readout = MLP(width, width, CLASSES)

    def forward(self, batch: Batch, noise: torch.Generator, dropout: torch.Generator) -> tuple[Tensor, None]:
        """Logits ``(B, 10)``; there are no edges."""
        states = self.lstm(batch.tokens.unsqueeze(0))[:, 0]
        last = (batch.lengths - 1).view(1, -1, 1).expand(1, -1, states.shape[-1])
        return self.readout(states.gather(0, last)[0]), None


class GraphClassifier(nn.Module):
    """Rounds of message passing over the edges, with shared weights; an MLP reads the first symbol's state.

    A round: messages ``m = MLP(h_j)``, or ``MLP([h_i, h_j])`` where they are pairwise; ``a_i = sum_j X_ij m``, from
    operands to operators; ``h_i = MLP([h_i, a_i])``. Of the last round only the first symbol's part is computed.
    """

    def __init__(self, edges: EdgeSource, width: int, rounds: int, pairwise: bool, dropout: float) -> None:
        super().__init__()
        self.edges, self.rounds, self.dropout, self.pairwise = edges, rounds, dropout, pairwise
        self.embedding = nn.Embedding(COUNT, width)
        self.message = MLP((1 + pairwise) * width, width, width)
        self.update = MLP(2 * width, width, width)
        self.readout = MLP(width, width, CLASSES)

    def forward(self, batch: Batch, noise: torch.Generator, dropout: torch.Generator) -> tuple[Tensor, Tensor]:
        """Logits ``(B, 10)`` and the edges that they were made with ``(B, n, n)``."""
        states = self.embedding(batch.tokens)
        edges = heard = self.edges(batch, noise).to(states.dtype)
        kept = self._kept(states, dropout)
        for turn in range(self.rounds):
            if turn == self.rounds - 1:
                heard = heard[:, :1]
            states = self._round(states, heard) * kept
        return self.readout(states[:, 0]), edges

    def _round(self, states: Tensor, edges: Tensor) -> Tensor:
        """The next states of the first vertices, as many as ``edges`` ``(B, m, n)`` has rows.

        Between a message's hidden layer and that of the update all is linear, so the sum over the edges is taken
        between them, and the two matrices there are one.
        """
        message, update = self.message, self.update
        of_state, of_sum = update.first.weight.chunk(2, -1)
        m = edges.shape[-2]
        if self.pairwise:
            of_receiver, of_sender = message.first.weight.chunk(2, -1)
            received = states[:, :m] @ of_receiver.mT + message.first.bias
            hidden = (received.unsqueeze(-2) + (states @ of_sender.mT).unsqueeze(-3)).relu()
            gathered = (edges.unsqueeze(-2) @ hidden).squeeze(-2)
        else:
            gathered = edges @ message.first(states).relu()
        total = edges.sum(-1, keepdim=True) * (of_sum @ message.second.bias) + update.first.bias
        total = total + states[:, :m] @ of_state.mT + gathered @ (of_sum @ message.second.weight).mT
        return update.second(total.relu())

    def _kept(self, states: Tensor, generator: torch.Generator) -> Tensor:
        """Dropout's factors: one draw an expression for all its symbols and rounds (Gal & Ghahramani 2016)."""
        ones = torch.ones_like(states[:, :1])
        if not self.training or self.dropout == 0:
            return ones
        return ones.bernoulli_(1 - self.dropout, generator=generator) / (1 - self.dropout)


class EdgeScorer(nn.Module):
    """``theta_ij = <head_i, modifier_j>`` of two bidirectional LSTMs, one for either vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = SymbolLSTM(COUNT, width, width // 2, count=4)

    def forward(self, batch: Batch) -> Tensor:
        """Scores ``(B, n, n)``; where there is padding they mean nothing."""
        tokens = batch.tokens
        places = torch.arange(tokens.shape[1], device=tokens.device)
        mirrored = batch.lengths.unsqueeze(-1) - 1 - places
        mirrored = torch.where(mirrored < 0, places, mirrored)  # padding stays behind
        backward = tokens.gather(1, mirrored)
        states = self.lstm(torch.stack([tokens, backward] * 2)).permute(1, 2, 0, 3)
        back = mirrored.unsqueeze(-1).expand(states.shape[1:])
        heads, modifiers = (torch.cat([states[first], states[first + 1].gather(1, back)], -1) for first in (0, 2))
        return heads @ modifiers.mT


class TrueEdges(nn.Module):
    """The parse itself."""

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return batch.parse


class LatentEdges(nn.Module):
    """A sample of edges at the scores of an :class:`EdgeScorer`."""

    def __init__(self, scorer: EdgeScorer, sample: Callable[[Tensor, Batch, torch.Generator, bool], Tensor]) -> None:
        super().__init__()
        self.scorer, self.sample = scorer, sample

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return self.sample(self.scorer(batch), batch, generator, self.training)
