"""A replica's numbers are the same, to the bit, whatever trains beside it and on however many threads."""

import pytest

from structgrad.experiments import REGISTRY
from structgrad.experiments.sorting.train import LEARNERS, train
from structgrad.parallel import set_threads
from structgrad.training.checkpoint import Checkpoint
from structgrad.training.job import Job
from structgrad.training.loop import Limits

CASES = [
    ("indelman_1a", "d=5", {"max_epochs": 90, "patience": 12}),
    ("indelman_1a", "d=10", {"max_epochs": 25}),
    ("indelman_1a", "d=25", {"max_epochs": 6}),
    ("indelman_1b", "d=5", {"max_epochs": 4, "train_sequences": 37}),
    ("indelman_1b", "d=40", {"max_epochs": 2, "train_sequences": 64}),
]


@pytest.fixture(autouse=True)
def _one_thread_again():
    yield
    set_threads(1)


def outcome(tmp_path, experiment, setting, arm, changes, first, count):
    config = REGISTRY[experiment].config_of(arm) | {"extra_test_sequences": 7} | changes
    if config.get("patience") is None or arm.startswith("gumbel"):
        config["patience"] = None
    checkpoint = Checkpoint(tmp_path / "none", "key")
    job = Job(experiment, setting, arm, first, count, config, checkpoint, Limits(), lambda *_: None)
    return train(job)


@pytest.mark.parametrize("arm", LEARNERS)
@pytest.mark.parametrize(("experiment", "setting", "changes"), CASES)
def test_alone_or_beside_others(tmp_path, experiment, setting, changes, arm):
    together = outcome(tmp_path, experiment, setting, arm, changes, 0, 7)
    set_threads(2)
    on_two_threads = outcome(tmp_path, experiment, setting, arm, changes, 0, 7)
    assert on_two_threads == together
    for first, count in ((0, 1), (3, 1), (6, 1), (2, 3)):
        some = outcome(tmp_path, experiment, setting, arm, changes, first, count)
        assert some.results == together.results[first : first + count]


@pytest.mark.parametrize("arm", LEARNERS)
def test_weights_are_the_same_bits(tmp_path, arm):
    """Test metrics are coarse; the weights after some steps are not."""
    from structgrad.experiments.sorting.data import make
    from structgrad.training.seeds import seed_for

    def weights(first, count):
        config = REGISTRY["indelman_1a"].config_of(arm)
        replicas = range(first, first + count)
        seeds = {
            role: [seed_for("indelman_1a", "d=25", "x", r, role) for r in replicas]
            for role in ("data", "init", "init_sigma", "noise", "fresh")
        }
        learner = LEARNERS[arm](config, make(config, "d=25", seeds["data"]), seeds)
        for _ in range(8):
            learner.step()
        return learner.mean.parameters.flat.detach(), learner.final()

    flat, final = weights(0, 9)
    for first, count in ((0, 1), (1, 1), (4, 2), (3, 5)):
        part, part_final = weights(first, count)
        assert part.equal(flat[first : first + count])
        for key, value in part_final.items():
            assert value.equal(final[key][first : first + count])
