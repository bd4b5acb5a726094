"""Neural relational inference on graph layouts as one would write it first: what ours is timed and checked against.

Pairs of vertices are concatenated, every layer is a module, edges leave and return by one-hot matrices, and the soft
spanning trees are the derivative of a log-determinant, so that training differentiates twice
(docs/protocols/paulus.md, 1.2 to 1.5).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, relu

VARIANCE = 5e-5


class Block(nn.Module):
    """Linear, ELU, linear, ELU, batch normalisation."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, width), nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = elu(self.second(elu(self.first(x))))
        return self.norm(x.view(-1, x.shape[-1])).view(x.shape)


class Plain(nn.Module):
    """Encoder, edge distribution and decoder for n vertices and T frames.

    ``kind``: indep_directed, top_k or spanning_tree.
    """

    into: Tensor
    out_of: Tensor

    def __init__(self, kind: str, n: int, frames: int, width: int, temperature: float) -> None:
        super().__init__()
        self.kind, self.n, self.temperature = kind, n, temperature
        off = ~torch.eye(n, dtype=torch.bool)
        receivers, senders = off.nonzero(as_tuple=True)
        self.register_buffer("into", nn.functional.one_hot(receivers).to(torch.get_default_dtype()))
        self.register_buffer("out_of", nn.functional.one_hot(senders).to(torch.get_default_dtype()))
        self.mlp1, self.mlp2 = Block(2 * frames, width), Block(2 * width, width)
        self.mlp3, self.mlp4 = Block(width, width), Block(3 * width, width)
        self.logits = nn.Linear(width, 2 if kind == "indep_directed" else 1)
        self.messages1 = nn.ModuleList(nn.Linear(4, width) for _ in range(2))
        self.messages2 = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.out1, self.out2, self.out3 = nn.Linear(2 + width, width), nn.Linear(width, width), nn.Linear(width, 2)

    def pairs(self, x: Tensor) -> Tensor:
        return torch.cat([torch.matmul(self.out_of, x), torch.matmul(self.into, x)], -1)

    def encode(self, frames: Tensor) -> Tensor:
        """Logits of the directed edges ``(B, n (n - 1), types)``."""
        x = self.mlp1(frames.flatten(2))
        skip = self.mlp2(self.pairs(x))
        x = self.mlp3(torch.matmul(self.into.t(), skip) / self.n)
        return self.logits(self.mlp4(torch.cat([self.pairs(x), skip], -1)))

    def scores(self, logits: Tensor) -> Tensor:
        """The utilities' locations: the logits, or symmetric matrices ``(B, n, n)`` of means of both directions."""
        if self.kind == "indep_directed":
            return logits
        full = torch.einsum("er,es,be->brs", self.into, self.out_of, logits[..., 0])
        return (full + full.mT) / 2

    def weights(self, utilities: Tensor) -> Tensor:
        """Soft weights of both types, ``(B, n (n - 1), 2)``, of utilities (symmetric, or of directed edges)."""
        w = utilities / self.temperature
        if self.kind == "indep_directed":
            return torch.softmax(w, -1)
        row, column = torch.triu_indices(self.n, self.n, 1)
        edges = w[:, row, column]
        marginals = self.tree(edges) if self.kind == "spanning_tree" else self.subset(edges)
        full = torch.zeros_like(w)
        full[:, row, column] = marginals.to(w.dtype)
        edge = torch.einsum("er,es,brs->be", self.into, self.out_of, full + full.mT)
        return torch.stack([1 - edge, edge], -1)

    def tree(self, w: Tensor) -> Tensor:
        """The derivative of the log-determinant of a Laplacian without one vertex (paulus' code: range 15)."""
        w = torch.maximum(w, w.amax(-1, keepdim=True) - 15).double()
        row, column = torch.triu_indices(self.n, self.n, 1)
        weights = w.new_zeros(len(w), self.n, self.n)
        weights[:, row, column] = w.exp()
        weights = weights + weights.mT
        laplacian = torch.diag_embed(weights.sum(-1)) - weights
        log_z = torch.linalg.slogdet(laplacian[:, 1:, 1:])[1]
        return torch.autograd.grad(log_z.sum(), w, create_graph=True)[0]

    def subset(self, w: Tensor) -> Tensor:
        """The derivative of the log of an elementary symmetric polynomial, item by item."""
        w, k = w.double(), self.n - 1
        totals = w.new_full((len(w), k + 1), -1e9)
        totals[:, 0] = 0
        for i in range(w.shape[1]):
            more = torch.stack([totals[:, 1:], totals[:, :-1] + w[:, i, None]])
            totals = torch.cat([totals[:, :1], more.logsumexp(0)], 1)  # logaddexp has no second derivative
        return torch.autograd.grad(totals[:, k].sum(), w, create_graph=True)[0]

    def decode(self, x: Tensor, weights: Tensor) -> Tensor:
        """One step of ``(B, time, n, 2)`` under weights ``(B, n (n - 1), 2)``."""
        pairs = self.pairs(x)
        total = x.new_zeros(())
        for e in range(2):
            message = relu(self.messages2[e](relu(self.messages1[e](pairs))))
            total = total + message * weights[:, None, :, e, None]
        incoming = torch.matmul(self.into.t(), total)
        return x + self.out3(relu(self.out2(relu(self.out1(torch.cat([x, incoming], -1))))))

    def loss(self, frames: Tensor, noise: Tensor, steps: int) -> Tensor:
        """The loss of a batch ``(B, n, T, 2)`` with Gumbels in the shape of the utilities."""
        scores = self.scores(self.encode(frames))
        kl = scores + torch.exp(-scores) - 1
        if self.kind != "indep_directed":
            kl = kl * (1 - torch.eye(self.n))
        weights = self.weights(scores + noise)
        count = frames.shape[2] - 1
        x, predicted = frames[:, :, :count:steps].transpose(1, 2), []
        for _ in range(steps):
            x = self.decode(x, weights)
            predicted.append(x)
        rolled = torch.stack(predicted, 2).flatten(1, 2)[:, :count].transpose(1, 2)
        error = (rolled - frames[:, :, 1:]).square().sum((1, 2, 3)) / (2 * VARIANCE)
        return ((error + kl.sum((1, 2))) / self.n).mean()
