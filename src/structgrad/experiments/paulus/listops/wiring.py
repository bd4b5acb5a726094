"""Who hears whom in a round of messages, and which symbols a round still has to look at.

The last state that matters is that of an expression's first symbol. So the last round listens for that symbol alone; on
a parse, where a symbol hears its own operands only, the round before for that one and its operands, and so on.

Turns count from 0. What is sent in a turn has a row for each of its senders, what is heard for each of its hearers; the
hearers are the senders of the next turn, and the first of this turn's rows or picked from them (:meth:`hearers`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from structgrad.experiments.paulus.listops.batches import Batch
from structgrad.experiments.paulus.listops.vocabulary import COUNT


class Wiring(ABC):
    """Of a batch's symbols, for so many turns.

    Attributes:
        edges: their weights, where these have a gradient, else None.
        senders: the symbols that send in turn 0 ``(S,)``.
    """

    edges: Tensor | None
    senders: Tensor

    def __init__(self, turns: int) -> None:
        self.turns = turns

    @abstractmethod
    def hearers(self, rows: Tensor, turn: int) -> Tensor:
        """A view of the rows, one a sender, with one a hearer."""

    @abstractmethod
    def hear(self, sent: Tensor, total: Tensor, turn: int) -> Tensor:
        """``total`` ``(hearers, w)``, to which what each one hears of ``sent`` ``(senders, w)`` has been added."""

    @abstractmethod
    def send_back(self, sent: Tensor, slope: Tensor, turn: int) -> Tensor:
        """The derivative by ``sent`` from that by what is heard; that by the edges is added to :attr:`slopes`."""

    @abstractmethod
    def scale(self, heard: Tensor, factors: Tensor, turn: int) -> None:
        """Multiply each hearer's row by its expression's factors ``(B, w)``, in place."""

    @property
    def slopes(self) -> Tensor | None:
        """The derivative by the edges, of all turns."""
        return None

    def by_symbol(self, rows: Tensor) -> Tensor:
        """Sums ``(symbols, w)`` over the rows of each symbol; the rows are those of turn 0's senders or hearers."""
        symbols = self.senders if len(rows) == len(self.senders) else self.hearers(self.senders.unsqueeze(-1), 0)
        one_hot = rows.new_zeros(len(rows), COUNT).scatter_(1, symbols.view(-1, 1), 1.0)
        return one_hot.T @ rows


class EveryPair(Wiring):
    """Any symbol may hear any other one: edges ``(B, n, n)``, a row for every place of every expression."""

    def __init__(self, batch: Batch, edges: Tensor, turns: int) -> None:
        super().__init__(turns)
        self.edges, self.weights, self.senders = edges, edges.detach(), batch.tokens.flatten()
        self._slopes: Tensor | None = None

    def hearers(self, rows: Tensor, turn: int) -> Tensor:
        return rows if turn < self.turns - 1 else self._apart(rows)[:, 0]

    def hear(self, sent: Tensor, total: Tensor, turn: int) -> Tensor:
        if turn < self.turns - 1:
            self._apart(total).baddbmm_(self.weights, self._apart(sent))
            return total
        return total.add_((self.weights[:, :1] @ self._apart(sent)).squeeze(1))

    def send_back(self, sent: Tensor, slope: Tensor, turn: int) -> Tensor:
        if self._slopes is None:
            self._slopes = torch.zeros_like(self.weights)
        if turn < self.turns - 1:
            apart, weights = self._apart(slope), self.weights
            self._slopes.baddbmm_(apart, self._apart(sent).mT)
        else:
            apart, weights = slope.unsqueeze(1), self.weights[:, :1]
            self._slopes[:, 0] += (apart @ self._apart(sent).mT).squeeze(1)
        return (weights.mT @ apart).view(sent.shape)

    def scale(self, heard: Tensor, factors: Tensor, turn: int) -> None:
        if turn < self.turns - 1:
            self._apart(heard).mul_(factors.unsqueeze(1))
        else:
            heard.mul_(factors)

    @property
    def slopes(self) -> Tensor | None:
        return self._slopes

    def _apart(self, rows: Tensor) -> Tensor:
        return rows.view(*self.weights.shape[:2], *rows.shape[1:])


class Operands(Wiring):
    """An operator hears its operands: rows by depth, so that who is heard in time comes first, operands in a row."""

    edges = None

    def __init__(self, batch: Batch, turns: int) -> None:
        super().__init__(turns)
        depths = batch.depths.flatten()
        order = depths.argsort(stable=True)  # padding, which has no depth, comes first
        counts = torch.bincount(depths + 1, minlength=turns + 2)[: turns + 2].cumsum(0).tolist()
        order = order[counts[0] : counts[-1]]
        #: how many rows there are down to each depth
        self.ends = [end - counts[0] for end in counts[1:]]
        places = torch.empty_like(depths).scatter_(0, order, torch.arange(len(order), device=order.device))
        n = batch.tokens.shape[1]
        self.owners = order // n
        roots = self.ends[0]
        parents = batch.parents.flatten()[order[roots:]] + self.owners[roots:] * n
        self.operators = places[parents]  # of each row after the roots'
        self.first = torch.searchsorted(self.operators, torch.arange(self._end(1), device=order.device))
        self.operands = torch.arange(len(self.operators), device=order.device)
        self.senders = batch.tokens.flatten()[order]

    def hearers(self, rows: Tensor, turn: int) -> Tensor:
        return rows[: self._end(turn + 1)]

    def hear(self, sent: Tensor, total: Tensor, turn: int) -> Tensor:
        operands = sent[self.ends[0] :]
        where, first = self.operands[: len(operands)], self.first[: len(total)]
        return total.add_(nn.functional.embedding_bag(where, operands, first, mode="sum"))

    def send_back(self, sent: Tensor, slope: Tensor, turn: int) -> Tensor:
        back = torch.zeros_like(sent)
        roots = self.ends[0]
        torch.index_select(slope, 0, self.operators[: len(sent) - roots], out=back[roots:])
        return back

    def scale(self, heard: Tensor, factors: Tensor, turn: int) -> None:
        heard.mul_(factors.index_select(0, self.owners[: len(heard)]))

    def _end(self, turn: int) -> int:
        """How many rows send in a turn."""
        return self.ends[self.turns - turn]
