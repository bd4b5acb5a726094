"""A step of ours against the plain form (``benchmarks/plain_graph_layout.py``): same weights, batch and noise.

In double precision, so that what remains is rounding: the loss and the gradient of every weight.
"""

import pytest
import torch
from plain_forms import plain_form
from trainings import gradient, parameters

from structgrad.experiments import REGISTRY
from structgrad.experiments.paulus.graph_layout.data import make
from structgrad.experiments.paulus.graph_layout.objective import Softmax
from structgrad.noise import Gumbel
from structgrad.parallel import set_threads
from structgrad.polytopes import SpanningTree

KINDS = ("indep_directed", "top_k", "spanning_tree")
N, WIDTH, BATCH = 5, 6, 7
SMALL = {"vertices": N, "width": WIDTH, "train": BATCH, "validation": 1, "test": 1}


@pytest.fixture(scope="module")
def plain():
    return plain_form("plain_graph_layout")


@pytest.fixture(autouse=True)
def _double():
    set_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def names(ours):
    """The plain form's name and part of each of our parameters."""
    blocks = {"vertices": "mlp1", "edges": "mlp2", "vertices_again": "mlp3", "edges_again": "mlp4"}
    for block, peer in blocks.items():
        for layer in ("first", "second", "norm"):
            for kind in ("weight", "bias"):
                yield f"encoder.{block}.{layer}.{kind}", f"{peer}.{layer}.{kind}", None
    for kind in ("weight", "bias"):
        yield f"encoder.out.{kind}", f"logits.{kind}", None
        for number, layer in enumerate((0, 2, 4), 1):
            yield f"decoder.out.{layer}.{kind}", f"out{number}.{kind}", None
        for e in range(2):
            yield f"decoder.first_{kind}", f"messages1.{e}.{kind}", e
            yield f"decoder.second_{kind}", f"messages2.{e}.{kind}", e


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("setting", "steps"), [("T=4", 1), ("T=6", 2), ("T=6", 5), ("T=6", 3)])
@pytest.mark.parametrize("temperature", [0.4, 2.0])
def test_loss_and_every_gradient_are_the_plain_ones(plain, kind, setting, steps, temperature):
    config = parameters(REGISTRY["paulus_1"], kind, setting, SMALL)
    frames = make(config, setting, [3]).train.frames.double()
    count = frames.shape[2]
    ours = Softmax(config, count, steps, temperature, torch.Generator().manual_seed(1))
    peer = plain.Plain(kind, N, count, WIDTH, temperature)
    mine, theirs = dict(ours.named_parameters()), dict(peer.named_parameters())
    pairs = list(names(ours))
    assert {a for a, _, _ in pairs} == set(mine)
    assert {b for _, b, _ in pairs} == set(theirs)
    with torch.no_grad():
        for a, b, part in pairs:
            theirs[b].copy_(mine[a] if part is None else mine[a][part])

    loss = ours(frames, torch.Generator().manual_seed(2))
    shape = (BATCH, N * (N - 1), 2) if kind == "indep_directed" else (BATCH, N * (N - 1) // 2)
    noise = Gumbel(centred=False).sample(shape, torch.Generator().manual_seed(2), torch.float64)
    expected = peer.loss(frames, noise if kind == "indep_directed" else SpanningTree(N).matrix(noise), steps)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-12)
    loss.backward()
    expected.backward()
    for a, b, part in pairs:
        whole, wanted = gradient(mine[a]), gradient(theirs[b])
        torch.testing.assert_close(
            whole if part is None else whole[part], wanted, rtol=1e-8, atol=1e-8 * float(wanted.abs().max())
        )


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_of_ours_is_the_plain_one_with_hard_edges(plain, kind):
    config = parameters(REGISTRY["paulus_1"], kind, "T=5", SMALL)
    frames = make(config, "T=5", [3]).train.frames.double()
    ours = Softmax(config, 5, 4, 1.0, torch.Generator().manual_seed(1)).eval()
    with torch.no_grad():
        scores, _ = ours.infer(frames)
        weights = ours.edges(scores, torch.Generator().manual_seed(2))
        peer = plain.Plain(kind, N, 5, WIDTH, 1.0).eval()
        theirs = dict(peer.named_parameters())
        mine = dict(ours.named_parameters())
        for a, b, part in names(ours):
            theirs[b].copy_(mine[a] if part is None else mine[a][part])
        steps = frames[:, :, :-1].transpose(1, 2)
        error = (peer.decode(steps, weights) - frames[:, :, 1:].transpose(1, 2)).square().sum((1, 2, 3)) / 1e-4 / N
        torch.testing.assert_close(ours.error(frames, weights, 1), error, rtol=1e-12, atol=0)
    assert set(weights.unique().tolist()) == {0.0, 1.0}
    assert (weights.sum(-1) == 1).all()
