"""Latent parses of ListOps expressions as one would write them first: what ours is timed and checked against.

torch's own LSTMs over packed sequences, dense layers on concatenated states for every symbol and round, and marginals
of trees by the inverse of a Laplacian in double precision, which autograd differentiates (Koo et al. 2007, section
3.3). It shares no code with the package. A batch has ``tokens`` and ``parents`` ``(B, n)``, padded to the longest, and
``lengths`` and ``values`` ``(B,)``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

SYMBOLS, CLASSES = 16, 10


def mlp(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))


def arborescences(scores: Tensor, allowed: Tensor) -> Tensor:
    """``X_ij = w_ij (M_jj - M_ji)``, M the inverse of the Laplacian of in-edges without vertex 0, the root.

    Dividing the weights of all edges into a vertex by the largest changes nothing, so that none overflows.
    """
    allowed = allowed.clone()
    allowed[:, :, 0] = False
    scores = scores.double().masked_fill(~allowed, -torch.inf)
    best = scores.detach().amax(1, keepdim=True)
    weights = (scores - best.masked_fill(best.isinf(), 0.0)).exp()
    absent = ~allowed.any(1)  # padding: a one in the diagonal
    laplacian = torch.diag_embed(weights.sum(1) + absent) - weights
    inverse = nn.functional.pad(torch.linalg.inv(laplacian[:, 1:, 1:]), (1, 0, 1, 0))
    return weights * (inverse.diagonal(dim1=1, dim2=2).unsqueeze(1) - inverse.mT)


class PlainLSTM(nn.Module):
    """One LSTM from left to right; an MLP reads its last state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.symbols = nn.Embedding(SYMBOLS, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.readout = mlp(width, width, CLASSES)

    def forward(self, batch: Any, noise: Tensor | None, kept: Tensor | None) -> Tensor:
        symbols = self.symbols(batch.tokens)
        packed = pack_padded_sequence(symbols, batch.lengths, batch_first=True, enforce_sorted=False)
        return self.readout(self.lstm(packed)[1][0][0])


class PlainGraph(nn.Module):
    """Message passing over edges.

    ``kind``: ground_truth, indep_directed, spanning_tree or arborescence_gumbel.
    """

    def __init__(self, kind: str, width: int, rounds: int, temperature: float) -> None:
        super().__init__()
        self.kind, self.rounds, self.temperature = kind, rounds, temperature
        if kind != "ground_truth":
            self.symbols = nn.Embedding(SYMBOLS, width)
            self.heads = nn.LSTM(width, width // 2, batch_first=True, bidirectional=True)
            self.modifiers = nn.LSTM(width, width // 2, batch_first=True, bidirectional=True)
        self.embedding = nn.Embedding(SYMBOLS, width)
        self.message, self.update = mlp(width, width, width), mlp(2 * width, width, width)
        self.readout = mlp(width, width, CLASSES)

    def scores(self, batch: Any) -> Tensor:
        """``<head_i, modifier_j>``."""
        symbols, vectors = self.symbols(batch.tokens), []
        for lstm in (self.heads, self.modifiers):
            packed = pack_padded_sequence(symbols, batch.lengths, batch_first=True, enforce_sorted=False)
            vectors.append(pad_packed_sequence(lstm(packed)[0], batch_first=True)[0])
        return vectors[0] @ vectors[1].mT

    def edges(self, batch: Any, noise: Tensor | None) -> Tensor:
        """Soft edges ``(B, n, n)`` from i to j at noise of that shape (symmetric for a spanning tree), or the parse."""
        n = batch.tokens.shape[1]
        if self.kind == "ground_truth":
            return (batch.parents.unsqueeze(1) == torch.arange(n).unsqueeze(1)).to(self.embedding.weight.dtype)
        present = torch.arange(n) < batch.lengths.unsqueeze(1)
        allowed = present.unsqueeze(2) & present.unsqueeze(1) & ~torch.eye(n, dtype=torch.bool)
        scores = self.scores(batch)
        if self.kind == "spanning_tree":
            scores = (scores + scores.mT) / 2
        assert noise is not None
        tempered = (scores + noise) / self.temperature
        if self.kind == "indep_directed":
            return torch.sigmoid(tempered) * allowed
        edges = arborescences(tempered, allowed).to(scores.dtype)
        # A tree is one arborescence from vertex 0, which has each edge in one of its directions.
        return edges + edges.mT if self.kind == "spanning_tree" else edges

    def forward(self, batch: Any, noise: Tensor | None, kept: Tensor) -> Tensor:
        """Logits ``(B, 10)`` with dropout's factors ``(B, 1, width)``, the same in every round."""
        edges, states = self.edges(batch, noise), self.embedding(batch.tokens)
        for _ in range(self.rounds):
            incoming = edges @ self.message(states)
            states = self.update(torch.cat([states, incoming], -1)) * kept
        return self.readout(states[:, 0])


def plain(arm: str, width: int, rounds: int, temperature: float) -> nn.Module:
    """The network of an arm."""
    return PlainLSTM(width) if arm == "lstm" else PlainGraph(arm, width, rounds, temperature)
