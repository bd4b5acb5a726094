"""The networks: an LSTM, and message passing over edges that are sampled or given (paulus, section 8.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from structgrad.experiments.paulus.listops.batches import Batch
from structgrad.experiments.paulus.listops.lstm import SymbolLSTM
from structgrad.experiments.paulus.listops.rounds import Weights, rounds
from structgrad.experiments.paulus.listops.vocabulary import CLASSES, COUNT
from structgrad.experiments.paulus.listops.wiring import EveryPair, Operands


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
        places = torch.arange(batch.tokens.shape[1], device=batch.tokens.device).expand(1, *batch.tokens.shape)
        (states,) = self.lstm(batch.tokens.unsqueeze(0), places)
        last = (batch.lengths - 1).view(-1, 1, 1).expand(-1, 1, states.shape[-1])
        return self.readout(states.gather(1, last)[:, 0]), None


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
        edges = self.edges(batch, noise).to(self.embedding.weight.dtype)
        factors = self._factors(len(edges), dropout)
        if self.pairwise:
            return self.readout(self._pairwise(batch, edges, factors)), edges
        of_parse = isinstance(self.edges, TrueEdges)
        wiring = Operands(batch, self.rounds) if of_parse else EveryPair(batch, edges, self.rounds)
        message, update = self.message, self.update
        weights = Weights(*(part for mlp in (message, update) for part in mlp.parameters()))
        return self.readout(rounds(wiring, self.embedding.weight, factors, weights)), edges

    def _pairwise(self, batch: Batch, edges: Tensor, factors: Tensor | None) -> Tensor:
        """The first symbols' states ``(B, w)`` where each pair of symbols has a message of its own."""
        states, heard = self.embedding(batch.tokens), edges
        first, second = self.message.first, self.message.second
        of_receiver, of_sender = first.weight.chunk(2, -1)
        for turn in range(self.rounds):
            if turn == self.rounds - 1:
                heard = heard[:, :1]
            here = states[:, : heard.shape[1]]
            received = here @ of_receiver.mT + first.bias
            hidden = (received.unsqueeze(-2) + (states @ of_sender.mT).unsqueeze(-3)).relu()
            gathered = (heard.unsqueeze(-2) @ hidden).squeeze(-2) @ second.weight.mT
            total = gathered + heard.sum(-1, keepdim=True) * second.bias
            states = self.update(torch.cat([here, total], -1))
            if factors is not None:
                states = states * factors.unsqueeze(1)
        return states[:, 0]

    def _factors(self, expressions: int, generator: torch.Generator) -> Tensor | None:
        """Dropout's ``(B, w)``: one draw an expression for all its symbols and rounds (Gal & Ghahramani 2016)."""
        if not self.training or self.dropout == 0:
            return None
        ones = self.embedding.weight.new_ones(expressions, self.embedding.weight.shape[1])
        return ones.bernoulli_(1 - self.dropout, generator=generator) / (1 - self.dropout)


class EdgeScorer(nn.Module):
    """``theta_ij = <head_i, modifier_j>`` of two bidirectional LSTMs, one for either vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = SymbolLSTM(COUNT, width, width // 2, count=4)

    def forward(self, batch: Batch) -> Tensor:
        """Scores ``(B, n, n)``; where there is padding they mean nothing."""
        tokens = batch.tokens
        places = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        mirrored = batch.lengths.unsqueeze(-1) - 1 - places
        mirrored = torch.where(mirrored < 0, places, mirrored)  # padding stays behind
        there, back = (torch.stack(pair * 2) for pair in ((tokens, tokens.gather(1, mirrored)), (places, mirrored)))
        heads, modifiers = self.lstm(there, back, ways=2)
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
