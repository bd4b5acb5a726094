"""Initial weights from an explicit generator: torch's own distributions, without its global one."""

from __future__ import annotations

from math import sqrt
from typing import Protocol, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class SelfStarting(Protocol):
    """A module that draws its own parameters; those of its children are drawn like any others."""

    def start(self, generator: torch.Generator) -> None: ...


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every parameter as torch's constructors do: weights and biases of linear and convolutional layers uniform
    within ``1 / sqrt(inputs)``, embeddings standard normal, batch normalisation the identity.

    Raises:
        TypeError: a module with parameters that is none of these and no :class:`SelfStarting`.
    """
    for module in network.modules():
        if isinstance(module, SelfStarting):
            module.start(generator)
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(generator=generator)
        elif isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            bound = 1 / sqrt(module.weight[0].numel())
            for parameter in module.parameters(recurse=False):
                parameter.uniform_(-bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif next(module.parameters(recurse=False), None) is not None:
            raise TypeError(f"no initial distribution is known for {type(module).__name__}")
