"""A training step of ours against the plain form (``benchmarks/plain_learning_to_explain.py``): same weights and noise.

In double precision, so that what remains is rounding: the subsets, the ratings, the loss, the gradient of every weight.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_forms import plain_form
from torch import nn
from trainings import parameters

from structgrad.experiments.paulus.learning_to_explain.batches import batch_of
from structgrad.experiments.paulus.learning_to_explain.explainer import LAYERS, build
from structgrad.experiments.paulus.learning_to_explain.networks import dropout_mask
from structgrad.experiments.paulus.learning_to_explain.reviews import padded
from structgrad.experiments.paulus.learning_to_explain.spec import MODELS, RELAXATIONS, TABLE_3
from structgrad.noise import Gumbel
from structgrad.parallel import set_threads
from structgrad.training.initial import initialise

LENGTHS = (5, 9, 4, 7, 8, 6)
WORDS, INPUTS, WIDTH, FILTERS, DROPPED, K = 20, 5, 4, 6, 0.3, 3


@pytest.fixture(scope="module")
def plain():
    return plain_form("plain_learning_to_explain")


@pytest.fixture(autouse=True)
def _double():
    set_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pairs_of(ours, peer):
    """Our convolutions and dense layers beside the plain form's."""
    scorer, predictor = ours.chooser.scorer, ours.predictor
    return [
        *zip(scorer.hidden, peer.hidden, strict=True),
        (scorer.out, peer.score),
        (predictor.first, peer.first),
        (predictor.second, peer.second),
        (predictor.dense, peer.dense),
        (predictor.out, peer.out),
    ]


def flat(layer, weight):
    """A convolution's weights as those of a dense layer on words one after the other."""
    return weight.permute(0, 2, 1).flatten(1) if isinstance(layer, nn.Conv1d) else weight


@pytest.mark.parametrize("relaxation", RELAXATIONS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("temperature", [0.6, 1.5])
def test_subsets_ratings_loss_and_every_gradient_are_the_plain_ones(plain, model, relaxation, temperature):
    draw = np.random.default_rng(3)
    tokens = [draw.integers(1, WORDS, length).tolist() for length in LENGTHS]
    reviews = padded(tokens, draw.random(len(LENGTHS)).tolist(), None)
    vectors = draw.standard_normal((WORDS, INPUTS)).astype(np.float32)
    vectors[0] = 0.0
    sizes = {"scorer_width": WIDTH, "predictor_width": FILTERS, "dropout": DROPPED}
    config = parameters(TABLE_3, f"{model}_{relaxation}", "synthetic aroma k=5", sizes)
    ours = build(type(config)(**{**vars(config), "k": K}), vectors, temperature, None)
    initialise(ours, torch.Generator().manual_seed(1))
    ours.double()
    peer = plain.Plain(relaxation, INPUTS, WIDTH, FILTERS, LAYERS[model])
    with torch.no_grad():
        for mine, theirs in pairs_of(ours, peer):
            theirs.weight.copy_(flat(mine, mine.weight))
            theirs.bias.copy_(mine.bias)

    batch = batch_of(reviews, np.arange(len(reviews)), K)
    ratings, weights = ours(batch, torch.Generator().manual_seed(2), torch.Generator().manual_seed(4))
    loss = nn.functional.mse_loss(ratings, batch.ratings.double())
    loss.backward()

    n = batch.tokens.shape[1]
    shape = {"l2x": (K, n), "correlated": (2 * n - 1,)}.get(relaxation, (n,))
    noise = Gumbel(centred=False).sample((len(reviews), *shape), torch.Generator().manual_seed(2), torch.float64)
    dropout = torch.Generator().manual_seed(4)
    first = dropout_mask((len(reviews), INPUTS, 1), DROPPED, dropout)[..., 0]
    second = dropout_mask((len(reviews), FILTERS), DROPPED, dropout)
    expected = []
    for row, length in enumerate(LENGTHS):
        x = torch.from_numpy(vectors).double()[tokens[row]]
        rating, subset = peer(x, K, temperature, noise[row][..., :length], (first[row], second[row]))
        torch.testing.assert_close(weights[row, :length], subset, rtol=1e-9, atol=1e-9)
        assert not weights[row, length:].any()
        expected.append(rating)
    torch.testing.assert_close(ratings, torch.stack(expected), rtol=1e-9, atol=1e-9)
    peers = nn.functional.mse_loss(torch.stack(expected), batch.ratings.double())
    torch.testing.assert_close(loss, peers, rtol=1e-9, atol=1e-12)
    peers.backward()
    for mine, theirs in pairs_of(ours, peer):
        assert theirs.weight.grad.abs().max() > 0
        torch.testing.assert_close(flat(mine, mine.weight.grad), theirs.weight.grad, rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(mine.bias.grad, theirs.bias.grad, rtol=1e-7, atol=1e-10)
