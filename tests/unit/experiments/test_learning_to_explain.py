"""Learning to explain: what is chosen and scored, masks, references, and that a stop changes no bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from trainings import job_of, parameters

from structgrad.experiments import REGISTRY
from structgrad.experiments.paulus.learning_to_explain import linear
from structgrad.experiments.paulus.learning_to_explain.batches import Shuffle, batch_of, sorted_batches
from structgrad.experiments.paulus.learning_to_explain.data import make
from structgrad.experiments.paulus.learning_to_explain.explainer import build
from structgrad.experiments.paulus.learning_to_explain.metrics import Tally, choice, error, joined, tally
from structgrad.experiments.paulus.learning_to_explain.reviews import Corpus, padded
from structgrad.experiments.paulus.learning_to_explain.spec import MODELS, PRINTED, RELAXATIONS, SYNTHETIC
from structgrad.experiments.paulus.learning_to_explain.subsets import Sampler
from structgrad.experiments.paulus.learning_to_explain.train import train
from structgrad.experiments.paulus.learning_to_explain.trial import ExplainTrial
from structgrad.parallel import set_threads
from structgrad.repro.judging.published import lookup
from structgrad.training.initial import initialise
from structgrad.training.results import Proportion

TABLE = REGISTRY["paulus_3"]
PLACE = "synthetic aroma k=5"
SMALL = {
    "train": 80, "validation": 20, "test": 30, "validation_reviews": 20, "scorer_width": 6, "predictor_width": 8,
    "batch_size": 20, "pool": 2, "steps": 4, "validate_every": 2,
}  # fmt: skip
ROLES = ("init", "shuffle", "noise", "dropout", "evaluation", "search")


@pytest.fixture(autouse=True)
def _one_thread():
    """As in a job: torch's own threads would wait for each other at these sizes."""
    set_threads(1)


def trial(arm, **changes):
    config = parameters(TABLE, arm, PLACE, SMALL | changes)
    return ExplainTrial(config, make(config, PLACE, [3]), {role: place for place, role in enumerate(ROLES)})


def test_printed_numbers_stand_beside_the_published_reviews_alone():
    for arm in TABLE.arms:
        if arm.answers is not None:
            for metric in ("mse_x100", "subset_precision"):
                assert all(lookup("paulus", "3", place, arm.answers, metric) for place in PRINTED)
                assert not any(lookup("paulus", "3", place, arm.answers, metric) for place in SYNTHETIC)
    assert len(PRINTED) * len(MODELS) * len(RELAXATIONS) * 2 == 84


def test_words_are_scored_by_hand():
    """Three reviews: two runs of two and one, half annotated; one run; nobody chose the padding's place."""
    reviews = padded([[5] * 6, [6] * 4, [7] * 2], [0.5, 0.25, 1.0], [[1, 1, 0, 0, 1, 0], [0] * 4, [1, 1]])
    batch = batch_of(reviews, np.arange(3), 3)
    chosen = torch.tensor([[1, 1, 0, 0, 0, 1], [0, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0]], dtype=torch.float32)
    whole = tally(batch, torch.tensor([0.5, 0.5, 0.0]), chosen)
    assert whole.inside is not None
    assert (whole.chosen.tolist(), whole.inside.tolist(), whole.runs.tolist()) == ([3, 3, 3], [2, 0, 2], [2, 1, 1])
    assert error(whole).value == pytest.approx((0 + 0.0625 + 1) / 3)
    found = choice(whole)
    assert found["subset_precision"] == Proportion(4, 9)
    assert found["run_length"].value == pytest.approx((1.5 + 3 + 3) / 3)


def test_tallies_come_back_in_the_order_of_the_reviews():
    def one(value):
        number = np.array([value])
        return Tally(number, number, None, number)

    whole = joined([np.array([2]), np.array([0]), np.array([1])], [one(2.0), one(0.0), one(1.0)])
    assert whole.errors.tolist() == [0.0, 1.0, 2.0]
    assert whole.inside is None
    assert "subset_precision" not in choice(whole)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_subsets_have_k_words_and_no_padding(relaxation):
    """Soft ones sum to k (L2X: to at most k), hard ones are k words; the mode needs no noise and is the best subset."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randn(40, 9, generator=generator)
    pairs = torch.randn(40, 8, generator=generator) if relaxation == "correlated" else None
    allowed = torch.arange(9) < torch.arange(3, 43).clamp(max=9).unsqueeze(-1)
    sampler = Sampler(relaxation, 3, 0.7)
    for soft in (True, False):
        chosen = sampler(words, pairs, allowed, generator, soft)
        assert not chosen[~allowed].any()
        sums = chosen.sum(-1)
        if soft and relaxation == "l2x":
            assert (sums <= 3 + 1e-5).all()
        else:
            torch.testing.assert_close(sums, torch.full((40,), 3.0))
        if not soft:
            assert set(chosen.unique().tolist()) == {0.0, 1.0}
    mode = sampler(words, pairs, allowed, None, False)
    if pairs is None:
        best = words.masked_fill(~allowed, -torch.inf).topk(3).indices
        assert torch.equal(mode, torch.zeros_like(words).scatter(1, best, 1.0))


@pytest.mark.parametrize("relaxation", ["exponential", "correlated"])
def test_the_finite_difference_is_near_the_exact_derivative(relaxation):
    gradients = []
    for difference in (None, 1e-3):
        words = torch.randn(5, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
        pairs = torch.zeros(5, 11, dtype=torch.float64) if relaxation == "correlated" else None
        allowed = torch.ones(5, 12, dtype=torch.bool)
        chosen = Sampler(relaxation, 4, 0.5, difference)(words, pairs, allowed, torch.Generator().manual_seed(2), True)
        gradients += torch.autograd.grad((chosen * torch.arange(12)).sum(), words)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("arm", [arm.name for arm in TABLE.arms if not arm.reference])
def test_a_review_does_not_see_how_far_its_batch_is_padded(arm):
    config = parameters(TABLE, arm, PLACE, SMALL)
    corpus = make(config, PLACE, [3])
    network = build(config, corpus.vectors, 1.0, None)
    initialise(network, torch.Generator().manual_seed(1))
    network.eval()
    short = int(corpus.test.lengths.argmin())
    alone, beside = (batch_of(corpus.test, np.array(rows), 5) for rows in ([short], [short, short + 1, 0, 1]))
    assert alone.tokens.shape[1] < beside.tokens.shape[1]
    with torch.no_grad():
        (first, chosen), (second, among) = network(alone, None), network(beside, None)
    torch.testing.assert_close(first[0], second[0])
    assert torch.equal(chosen[0], among[0, : chosen.shape[1]])


def test_references_choose_what_they_say():
    corpus = make(parameters(TABLE, "all_words", PLACE, SMALL), PLACE, [3])
    batch = batch_of(corpus.test, np.arange(30), 5)
    chosen = {}
    for arm in ("random_words", "largest_gradient", "all_words", "annotated_words"):
        network = trial(arm).explainer.eval()
        with torch.no_grad():
            chosen[arm] = network(batch, torch.Generator().manual_seed(1))[1].bool()
    assert torch.equal(chosen["all_words"], batch.present)
    assert batch.inside is not None
    assert torch.equal(chosen["annotated_words"], batch.inside)
    for arm in ("random_words", "largest_gradient"):
        assert (chosen[arm].sum(-1) == 5).all()
        assert not chosen[arm][~batch.present].any()

    network = trial("largest_gradient").explainer.eval()
    x = network.vectors[batch.tokens[:1]].mT.contiguous().requires_grad_()
    (gradient,) = torch.autograd.grad(network.predictor(x, batch.present[:1].unsqueeze(1)).sum(), x)
    least = gradient.norm(dim=1)[0][chosen["largest_gradient"][0]].min()
    assert (gradient.norm(dim=1)[0][~chosen["largest_gradient"][0]] <= least).all()


def test_reviews_shorter_than_k_fill_up_with_padding():
    reviews = padded([[1, 2], [1, 2, 3, 4, 5, 6]], [0.1, 0.9], [[1, 1], [0] * 6])
    config = parameters(TABLE, "complex_correlated", PLACE, SMALL)
    vectors = np.ones((10, 4), np.float32)
    network = build(config, vectors, 1.0, None).eval()
    initialise(network, torch.Generator().manual_seed(0))
    for rows in ([0], [0, 1]):
        batch = batch_of(reviews, np.array(rows), config.k)
        with torch.no_grad():
            ratings, chosen = network(batch, torch.Generator().manual_seed(1))
        assert (chosen.sum(-1) == 5).all()
        whole = tally(batch, ratings, chosen)
        assert whole.inside is not None
        assert (whole.inside[0], whole.chosen[0]) == (2, 5)


def test_an_epoch_has_every_review_once_and_sorted_batches_too():
    lengths = np.arange(47) % 13
    batches = Shuffle(lengths, 10, 2, torch.Generator().manual_seed(0))
    rows = [batches.next() for _ in range(5)]
    assert sorted(np.concatenate(rows)) == list(range(47))
    again = [batches.next() for _ in range(5)]
    assert not all(np.array_equal(a, b) for a, b in zip(rows, again, strict=True))
    reviews = padded([[1] * (3 + place % 4) for place in range(11)], [0.5] * 11, None)
    order = [row for some, _ in sorted_batches(reviews, 4, 5) for row in some]
    assert sorted(order) == list(range(11))
    assert (np.diff(reviews.lengths[order]) >= 0).all()


def test_counts_of_words_are_fitted_by_ridge_regression():
    """Ratings that are linear in counts are predicted; the error is that of the best penalty by validation."""
    draw = np.random.default_rng(0)
    tokens = draw.integers(1, 9, (300, 12))
    ratings = (tokens == 3).sum(1) * 0.05 + (tokens == 5).sum(1) * 0.02
    train_, validation, test = (
        padded(tokens[a:b].tolist(), ratings[a:b].tolist(), None) for a, b in ((0, 200), (200, 250), (250, 300))
    )
    vectors = np.zeros((9, 2), np.float32)
    assert linear.error(Corpus(train_, validation, test, test, vectors, None)).value < 1e-6
    shuffled = replace(train_, ratings=train_.ratings[draw.permutation(200)])
    mixed = Corpus(shuffled, validation, test, test, vectors, None)
    assert linear.error(mixed).value > 0.2 * test.ratings.var()


def test_the_rate_falls_linearly_and_the_loss_falls():
    learner = trial("complex_exponential", train=200, steps=60)
    rates = []
    losses = []
    for _ in range(60):
        losses.append(learner.update())
        rates.append(learner.optimizer.param_groups[0]["lr"])
    expected = learner.point["learning_rate"] * (1 - (1 - learner.point["decay"]) * np.arange(60) / 60)
    np.testing.assert_allclose(rates, expected)
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


@pytest.mark.parametrize("arm", ["complex_correlated", "simple_l2x", "random_words", "largest_gradient", "linear"])
def test_a_stop_changes_no_bit(tmp_path, arm):
    """Stopped in the middle of a validation's interval, and of an epoch of the data."""

    def stopping(step, active, numbers):
        if step == 3:
            raise KeyboardInterrupt

    whole = train(job_of(TABLE, arm, PLACE, tmp_path / "whole", SMALL))
    if arm == "linear":
        assert whole.results[0].metrics["mse_x100"].parts[1] == 30
        return
    with pytest.raises(KeyboardInterrupt):
        train(job_of(TABLE, arm, PLACE, tmp_path / "cut", SMALL, show=stopping))
    resumed = train(job_of(TABLE, arm, PLACE, tmp_path / "cut", SMALL))
    assert resumed.resumed == 1
    assert list(resumed.results) == list(whole.results)
    assert resumed.history == whole.history


def test_records_show_synthetic_reviews_and_never_those_of_a_user():
    learner = trial("complex_correlated")
    shown = learner.examples()
    assert 0 < len(shown) <= 2
    for example in shown:
        assert len(example["chosen"]) == 5
        assert max(example["chosen"] + example["inside"]) < len(example["words"]) <= 90
        assert "<pad>" not in example["words"]
    assert shown == learner.examples()
    corpus = learner.corpus
    learner.corpus = Corpus(corpus.train, corpus.validation, corpus.test, corpus.annotated, corpus.vectors, None)
    assert learner.examples() == ()
