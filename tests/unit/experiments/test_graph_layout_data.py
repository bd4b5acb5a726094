"""Graph layouts: steps that are networkx', trees that are maximal, parts that are apart, a digest of the content."""

import hashlib
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import torch
from trainings import parameters

from structgrad.experiments import REGISTRY
from structgrad.experiments.paulus.graph_layout.data import digest, frames_of, layout, make
from structgrad.experiments.paulus.graph_layout.pairs import both_ways, directed, undirected_of
from structgrad.parallel import set_threads
from structgrad.polytopes import SpanningTree


def sizes(train=60):
    counts = {"vertices": 10, "train": train, "validation": 20, "test": 30}
    return parameters(REGISTRY["paulus_1"], "chance", "T=10", counts)


CONFIG = sizes()


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_every_step_is_one_of_networkx(n):
    draw = np.random.default_rng(n)
    trees = SpanningTree(n).argmax(torch.from_numpy(draw.random((25, n * (n - 1) // 2))))
    start = draw.standard_normal((25, n, 2))
    start[0, :2] = [[0.0, 0.0], [0.004, 0.0]]  # closer than the least distance
    start[1] *= 50
    frames = layout(trees, start, 20, np.float64)
    row, column = np.triu_indices(n, 1)
    for tree, p, path in zip(trees.numpy(), start, frames, strict=True):
        graph = nx.empty_graph(n)
        graph.add_edges_from(zip(row[tree > 0].tolist(), column[tree > 0].tolist(), strict=True))
        assert nx.is_tree(graph)
        for t in range(20):
            moved = nx.spring_layout(graph, pos=dict(enumerate(p)), iterations=1, threshold=1e-10, seed=0)
            p = np.array([moved[v] for v in range(n)])
            assert path[:, t] == pytest.approx(p, abs=1e-10)  # rounding grows from step to step
            p = path[:, t]
            assert np.abs(p).max() == 1.0


def test_one_step_is_that_of_networkx_to_rounding():
    data = make(CONFIG, "T=6", [1])
    row, column = np.triu_indices(10, 1)
    trees, frames = data.train.trees, data.train.frames.double().numpy()
    after = layout(trees.double(), np.ascontiguousarray(frames[:, :, 2]), 1, np.float64)[:, :, 0]
    for tree, p, positions in zip(trees.numpy(), frames[:, :, 2], after, strict=True):
        graph = nx.empty_graph(10)
        graph.add_edges_from(zip(row[tree > 0].tolist(), column[tree > 0].tolist(), strict=True))
        moved = nx.spring_layout(graph, pos=dict(enumerate(p)), iterations=1, threshold=1e-10, seed=0)
        assert positions == pytest.approx(np.array([moved[v] for v in range(10)]), abs=1e-12)


def test_a_force_that_vanishes_moves_nothing():
    corners = np.array([[[1.0, 1], [-1, 1], [-1, -1], [1, -1], [0, 0]]])
    star = torch.tensor([[float(4 in (i, j)) for i, j in zip(*np.triu_indices(5, 1), strict=True)]])
    assert layout(star, corners, 1, np.float64)[0, 4, 0] == pytest.approx(0, abs=1e-15)


def test_trees_are_maximal_for_gumbels_from_the_same_uniforms():
    draw = np.random.default_rng(7)
    uniforms = draw.random((110, 45))
    row, column = np.triu_indices(10, 1)
    trees = torch.cat([part.trees for part in vars(make(CONFIG, "T=2", [7])).values()]).numpy()
    for u, tree in zip(uniforms, trees, strict=True):
        graph = nx.Graph()
        graph.add_weighted_edges_from(zip(row, column, -np.log(-np.log(u)), strict=True))
        best = nx.maximum_spanning_tree(graph)
        assert {tuple(sorted(edge)) for edge in best.edges} == set(zip(row[tree > 0], column[tree > 0], strict=True))


def test_starts_are_standard_normal_and_no_frame():
    data = make(sizes(3000), "T=2", [7])
    draw = np.random.default_rng(7)
    draw.random((3050, 45))
    start = draw.standard_normal((3050, 10, 2))
    trees = torch.cat([part.trees for part in vars(data).values()])
    frames = torch.cat([part.frames for part in vars(data).values()])
    assert frames.numpy() == pytest.approx(layout(trees.double(), start, 2), abs=0)
    assert frames.dtype == torch.float32
    assert abs(start.std() - 1) < 0.02 < np.abs(frames.numpy()[:, :, 0] - start).min(axis=(1, 2)).max()


def test_the_rms_of_a_step_and_copying_the_last_frame_are_the_measured_ones():
    for setting, expected in (("T=10", 2843), ("T=20", 5455)):
        frames = make(sizes(5000), setting, [3]).train.frames.double()
        move = frames[:, :, 1:] - frames[:, :, :-1]
        copied = move.square().sum((1, 2, 3)) / (2 * 5e-5 * 10)
        assert abs(float(copied.mean()) - expected) < 4 * float(copied.std()) / 5000**0.5
    assert frames_of("T=20") == 20


def test_parts_are_apart_and_directed_edges_are_symmetric():
    data = make(CONFIG, "T=10", [1])
    assert [len(part) for part in vars(data).values()] == [60, 20, 30]
    every = torch.cat([part.frames for part in vars(data).values()]).flatten(1)
    assert len(every.unique(dim=0)) == 110
    edges = data.test.edges
    assert edges.shape == (30, 90)
    assert (edges.sum(-1) == 18).all()
    assert data.test[3:5].frames.equal(data.test.frames[3:5])


def test_directed_edges_come_receiver_by_receiver_and_know_their_undirected_one():
    senders, receivers = directed(4)
    assert receivers.tolist() == sorted(receivers.tolist())
    assert len(receivers) == 12
    assert all(r != s for r, s in zip(receivers.tolist(), senders.tolist(), strict=True))
    assert all((a[0], a[1]) < (b[0], b[1]) for a, b in pairwise(zip(receivers.tolist(), senders.tolist(), strict=True)))
    pairs = torch.triu_indices(4, 4, 1).T.tolist()
    for r, s, number in zip(receivers.tolist(), senders.tolist(), undirected_of(4).tolist(), strict=True):
        assert sorted((r, s)) == pairs[number]
    assert undirected_of(4)[both_ways(4)].equal(torch.arange(6)[:, None].expand(6, 2))


def test_the_digest_is_that_of_the_content_and_changes_with_each_part():
    data = make(CONFIG, "T=3", [5])
    content = hashlib.sha256((5).to_bytes(8, "little"))
    for part in (data.train, data.validation, data.test):
        content.update(bytes(part.trees.flatten().tolist()))
        content.update(part.frames.numpy().astype("<f4").tobytes())
    assert digest(CONFIG, "T=3", [5]) == digest(CONFIG, "T=3", [5, 5]) == content.hexdigest()
    assert len({digest(CONFIG, "T=3", [5]), digest(CONFIG, "T=3", [6]), digest(CONFIG, "T=4", [5])}) == 3


def test_threads_change_nothing():
    one = make(CONFIG, "T=3", [5])
    set_threads(2)
    two = make(CONFIG, "T=3", [5])
    assert one.train.frames.equal(two.train.frames)
    assert one.test.trees.equal(two.test.trees)
