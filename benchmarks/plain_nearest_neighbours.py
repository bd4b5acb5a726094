"""Learning to choose nearest neighbours as one would write it first: what ours is timed and checked against.

Queries and candidates go through the network as one batch and autograd through all of it, distances are
``torch.cdist``, neighbours ``torch.topk``, and NeuralSort makes the whole n x n matrix of differences and the whole
permutation matrix, of which it takes k rows (docs/protocols/indelman.md, 3.2 to 3.6). It shares no code with the
package.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

EULER_GAMMA = 0.57721566490153286
TINY = torch.finfo(torch.float32).tiny
MOMENTUM, DECAY = 0.9, 5e-4
DIRECT = {  # perturbations, sigma, and whether the perturbation of a right neighbour is a share of its distance
    "direct": (0, None, True),
    "direct_stochastic_1": (1, "learned", True),
    "direct_stochastic_5": (5, "learned", True),
    "fixed_sigma": (1, "fixed", True),
    "direct_additive": (0, None, False),
    "direct_stochastic_additive": (1, "learned", False),
}
RELAXED = {"neural_sort": 0, "neural_sort_stochastic": 5, "relax_subsample": 1}  # perturbations


def conv_net() -> nn.Sequential:
    """The ConvNet of MNIST: (B, 1, 28, 28) to (B, 500)."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(),
    )  # fmt: skip


def gumbel(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise."""
    return -torch.log(-torch.log(torch.rand(shape, generator=generator).clamp(min=TINY)))


def top(scores: Tensor, k: int) -> Tensor:
    """Indicators of the k largest."""
    return torch.zeros_like(scores).scatter(-1, scores.topk(k).indices, 1.0)


class Plain(nn.Module):
    """An arm with k neighbours and its optimisers.

    Args:
        arm: of :data:`DIRECT` or :data:`RELAXED`.
        point: the hyper-parameters ``learning_rate`` and, where the arm has them, ``epsilon``, ``sigma_learning_rate``
            and ``temperature``.
        growth, cap: of epsilon.
    """

    def __init__(self, arm: str, k: int, point: dict[str, float], growth: float = 1.1, cap: float = 0.9999) -> None:
        super().__init__()
        self.k, self.point, self.growth, self.cap = k, point, growth, cap
        self.embedding, self.sigma, self.sigma_optimizer = conv_net(), None, None
        if arm in DIRECT:
            self.samples, self.magnitude, self.multiplicative = DIRECT[arm]
            self.loss, self.epsilon = self.direct, point["epsilon"]
            self.optimizer = torch.optim.Adam(self.embedding.parameters(), point["learning_rate"])
            if self.magnitude == "learned":
                self.sigma = nn.Sequential(*conv_net(), nn.Linear(500, 1), nn.Softplus())
                self.sigma_optimizer = torch.optim.SGD(self.sigma.parameters(), point["sigma_learning_rate"])
        else:
            self.samples = RELAXED[arm]
            self.loss = self.relax_subsample if arm == "relax_subsample" else self.neural_sort
            self.optimizer = torch.optim.SGD(
                self.embedding.parameters(), point["learning_rate"], momentum=MOMENTUM, weight_decay=DECAY
            )

    def direct(
        self, distances: Tensor, same: Tensor, queries: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, float]:
        """Direct loss of distances (Q, C): a number to differentiate, and the share of wrong neighbours."""
        scores, same = -distances.unsqueeze(1), same.unsqueeze(1)
        if self.samples:
            noise = gumbel((len(distances), self.samples, distances.shape[1]), generator) - EULER_GAMMA
            sigma = 1.0 if self.sigma is None else self.sigma(queries).unsqueeze(-1)
            scores = scores + sigma * noise
        cost = (-distances.unsqueeze(1) * same if self.multiplicative else -same).detach()
        chosen = top(scores.detach(), self.k)
        wrong = 1 - float((chosen * same).sum(-1).mean()) / self.k
        moved = top(scores.detach() + self.epsilon * cost, self.k)
        while wrong > 0 and abs(self.epsilon) < self.cap and torch.equal(chosen, moved):
            self.epsilon = max(-self.cap, self.growth * self.epsilon)
            moved = top(scores.detach() + self.epsilon * cost, self.k)
        return (scores * (moved - chosen)).sum(-1).mean() / self.epsilon, wrong

    def neural_sort(
        self, distances: Tensor, same: Tensor, queries: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, float]:
        """Minus the right neighbours in the first k rows of the relaxed permutation."""
        scores = -distances.square().unsqueeze(1)
        if self.samples:
            scores = scores + gumbel((len(distances), self.samples, distances.shape[1]), generator)
        n = scores.shape[-1]
        differences = (scores.unsqueeze(-1) - scores.unsqueeze(-2)).abs()
        ranks = n + 1 - 2 * torch.arange(1, n + 1, dtype=scores.dtype)
        logits = ranks.unsqueeze(-1) * scores.unsqueeze(-2) - differences.sum(-1).unsqueeze(-2)
        permutation = torch.softmax(logits / self.point["temperature"], -1)
        return self.relaxed(permutation[..., : self.k, :].sum(-2), same)

    def relax_subsample(
        self, distances: Tensor, same: Tensor, queries: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, float]:
        """Minus the right neighbours in the sum of k softmaxes, each without what those before it took."""
        scores = -distances.square() + gumbel(tuple(distances.shape), generator)
        p, chosen = torch.zeros_like(scores), torch.zeros_like(scores)
        for _ in range(self.k):
            scores = scores + torch.log((1 - p).clamp(min=TINY))
            p = torch.softmax(scores / self.point["temperature"], -1)
            chosen = chosen + p
        return self.relaxed(chosen.unsqueeze(1), same)

    def relaxed(self, chosen: Tensor, same: Tensor) -> tuple[Tensor, float]:
        loss = -(chosen * same.unsqueeze(1)).sum(-1).mean()
        return loss, 1 + float(loss.detach()) / self.k

    def step(self, images: Tensor, labels: Tensor, count: int, generator: torch.Generator) -> float:
        """One step on images, of which the first ``count`` are the queries: the loss before it."""
        embeddings = self.embedding(images)
        distances = torch.cdist(embeddings[:count], embeddings[count:])
        same = (labels[:count, None] == labels[None, count:]).float()
        total, shown = self.loss(distances, same, images[:count], generator)
        self.zero_grad()
        total.backward()
        self.optimizer.step()
        if self.sigma_optimizer is not None:
            self.sigma_optimizer.step()
        return shown


def learn(
    model: Plain, batches: Iterable[tuple[Tensor, Tensor]], count: int, generator: torch.Generator
) -> list[float]:
    """One step for each batch of images and labels: the losses."""
    return [model.step(images, labels, count, generator) for images, labels in batches]
