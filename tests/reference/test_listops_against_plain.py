"""A training step of ours against the plain form (``benchmarks/plain_listops.py``): same weights, batch and noise.

In double precision, so that what remains is rounding: the logits, the loss and the gradient of every weight.
"""

import numpy as np
import pytest
import torch
from plain_forms import plain_form
from trainings import parameters

from structgrad.experiments.paulus.listops.batches import batch_of
from structgrad.experiments.paulus.listops.data import make
from structgrad.experiments.paulus.listops.edges import NOISES
from structgrad.experiments.paulus.listops.spec import TABLE_2
from structgrad.experiments.paulus.listops.trial import build
from structgrad.parallel import set_threads
from structgrad.polytopes import SpanningTree
from structgrad.training.initial import initialise

ARMS = ("lstm", "ground_truth", "indep_directed", "spanning_tree", "arborescence_gumbel")
WIDTH, BATCH, DROPPED = 6, 15, 0.3


@pytest.fixture(scope="module")
def plain():
    return plain_form("plain_listops")


@pytest.fixture(autouse=True)
def _double():
    set_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def under_plain_names(ours):
    """Tensors that belong to our parameters, by the plain names of these; torch's LSTMs have two biases for one."""
    ours, renamed = dict(ours), {}
    latent = "edges.scorer." if "edges.scorer.lstm.input" in ours else ""
    if latent or "lstm.input" in ours:
        renamed["symbols.weight"] = ours.pop(f"{latent}lstm.embedding.weight")
        stacked = [ours.pop(f"{latent}lstm.{name}") for name in ("input", "recurrent", "bias")]
        both = [f"{lstm}.{{}}_l0{way}" for lstm in ("heads", "modifiers") for way in ("", "_reverse")]
        names = both if latent else ["lstm.{}_l0"]
        assert {len(part) for part in stacked} == {len(names)}
        for name, first, recurrent, bias in zip(names, *stacked, strict=True):
            renamed |= {name.format("weight_ih"): first.mT, name.format("weight_hh"): recurrent.mT}
            renamed |= {name.format("bias_ih"): bias[0], name.format("bias_hh"): bias[0]}
    renamed |= {name.replace("first", "0").replace("second", "2"): value for name, value in ours.items()}
    return renamed


def noise_of(arm, n, generator):
    """As our layers draw it, a matrix for every expression."""
    noise = TABLE_2.config_of(arm).get("noise")
    if noise is None:
        return None
    shape = (n * (n - 1) // 2,) if arm == "spanning_tree" else (n, n)
    draws = NOISES[noise].sample((BATCH, *shape), generator, torch.float64)
    return SpanningTree(n).matrix(draws) if arm == "spanning_tree" else draws


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize(("rounds", "temperature"), [(1, 0.4), (3, 0.4), (3, 2.0)])
def test_logits_loss_and_every_gradient_are_the_plain_ones(plain, arm, rounds, temperature):
    sizes = {"train": BATCH, "validation": 1, "test": 1, "max_depth": 3, "max_length": 20}
    sizes |= {"width": WIDTH, "rounds": rounds, "dropout": DROPPED}
    config = parameters(TABLE_2, arm, "ListOps", sizes)
    batch = batch_of(make(config, "ListOps", [5]).train, np.arange(BATCH))
    n = batch.tokens.shape[1]
    assert len(batch.lengths.unique()) > 3  # there is padding
    ours, peer = build(config, temperature), plain.plain(arm, WIDTH, rounds, temperature)
    initialise(ours, torch.Generator().manual_seed(1))
    theirs = dict(peer.named_parameters())
    values = under_plain_names(ours.named_parameters())
    assert set(values) == set(theirs)
    with torch.no_grad():
        for name, parameter in theirs.items():
            parameter.copy_(torch.zeros_like(parameter) if "bias_hh" in name else values[name])

    logits, _ = ours(batch, torch.Generator().manual_seed(2), torch.Generator().manual_seed(3))
    kept = torch.ones(BATCH, 1, WIDTH).bernoulli_(1 - DROPPED, generator=torch.Generator().manual_seed(3))
    expected = peer(batch, noise_of(arm, n, torch.Generator().manual_seed(2)), kept / (1 - DROPPED))
    torch.testing.assert_close(logits, expected, rtol=1e-11, atol=1e-12)
    loss, wanted = (torch.nn.functional.cross_entropy(each, batch.values) for each in (logits, expected))
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=1e-12)
    loss.backward()
    wanted.backward()
    gradients = under_plain_names((name, parameter.grad) for name, parameter in ours.named_parameters())
    for name, parameter in theirs.items():
        scale = float(parameter.grad.abs().max())
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-8, atol=1e-9 * scale)
        assert rounds == 1 or scale > 1e-6, name  # one round hears the first symbol alone
