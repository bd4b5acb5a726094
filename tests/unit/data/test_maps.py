"""Generated terrain, and the reader of the published Warcraft maps on tiny files in their layout."""

from __future__ import annotations

import hashlib
import heapq
import shutil

import numpy as np
import pytest

from structgrad.data import user_data, warcraft
from structgrad.data.maps import costs_of
from structgrad.data.ranking_format import FormatError
from structgrad.data.terrain import COSTS, TERRAINS, TEXTURES, terrain, textures

NAMES = {"maps": "images", "vertex_weights": "costs", "shortest_paths": "paths"}


def dijkstra(costs):
    """The least cost from corner to corner, over a heap of tuples."""
    side = len(costs)
    heap, settled = [(costs[0, 0], 0, 0)], set()
    while heap:
        cost, i, j = heapq.heappop(heap)
        if (i, j) == (side - 1, side - 1):
            return cost
        if (i, j) not in settled:
            settled.add((i, j))
            for a in range(max(0, i - 1), min(side, i + 2)):
                for b in range(max(0, j - 1), min(side, j + 2)):
                    heapq.heappush(heap, (cost + costs[a, b], a, b))
    raise AssertionError


# Generated


def test_paths_are_cheapest_and_costs_those_of_five_terrains():
    maps = terrain(20, 3)
    assert maps.images.shape == (20, 96, 96, 3)
    assert maps.images.dtype == np.uint8
    for costs, least in zip(maps.costs, costs_of(maps.costs, maps.paths), strict=True):
        assert least == pytest.approx(dijkstra(costs), rel=1e-12)
        kinds, counts = np.unique(costs, return_counts=True)
        assert tuple(kinds) == COSTS
        assert set(counts) <= {28, 29}
    assert set(np.unique(maps.paths)) == {0, 1}


def test_fewer_maps_are_the_first_ones_and_another_seed_gives_others():
    few, more, other = terrain(3, 7), terrain(101, 7), terrain(3, 8)
    for name in ("images", "costs", "paths"):
        assert np.array_equal(getattr(few, name), getattr(more[:3], name))
        assert not np.array_equal(getattr(few, name), getattr(other, name))
    assert not np.array_equal(more.images[0], more.images[100])  # the first of the second block


def test_a_cell_shows_its_terrain():
    """The nearest texture, after its mean brightness is taken off, names the terrain of nearly every cell."""
    maps = terrain(10, 1)
    bank = textures().astype(float).reshape(len(TERRAINS) * TEXTURES, -1)
    cells = maps.images.reshape(10, 12, 8, 12, 8, 3).swapaxes(2, 3).reshape(10 * 144, -1).astype(float)
    bank, cells = (part - part.mean(-1, keepdims=True) for part in (bank, cells))
    nearest = ((bank**2).sum(-1) - 2 * cells @ bank.T).argmin(-1) // TEXTURES
    assert (np.array(COSTS)[nearest] == maps.costs.ravel()).mean() > 0.99
    assert textures().min() >= 0
    assert textures().max() <= 255


# Published


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Tiny files in the published layout, whose md5 are taken for the published ones."""
    for seed, (split, count) in enumerate({"train": 5, "val": 2, "test": 3}.items()):
        maps = terrain(count, seed)
        np.save(tmp_path / f"{split}_maps.npy", maps.images)
        np.save(tmp_path / f"{split}_vertex_weights.npy", maps.costs.astype(np.float16))
        np.save(tmp_path / f"{split}_shortest_paths.npy", maps.paths)
    monkeypatch.setattr(warcraft, "MD5", {name: md5(tmp_path / name) for name in warcraft.MD5})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_what_is_read_is_what_was_written(folder):
    maps = warcraft.read(folder, "test")
    wanted = terrain(3, 2)
    assert np.array_equal(maps.images, wanted.images)
    assert np.array_equal(maps.paths, wanted.paths)
    assert maps.costs.dtype == np.float64
    np.testing.assert_allclose(maps.costs, wanted.costs, rtol=1e-3)
    assert len(warcraft.read(folder, "train")) == 5


def test_it_can_be_added_and_a_change_afterwards_is_refused(folder):
    assert user_data.find(warcraft.WARCRAFT) is None
    added = user_data.add(warcraft.WARCRAFT, folder)
    assert {file.name for file in added.files} == set(warcraft.EXPECTED)
    assert user_data.fetch(warcraft.WARCRAFT) == added
    np.save(folder / "val_maps.npy", terrain(2, 9).images)
    with pytest.raises(user_data.CorruptDataError, match="val_maps"):
        user_data.fetch(warcraft.WARCRAFT)


def test_another_file_than_the_published_one_is_refused(folder):
    np.save(folder / "train_maps.npy", terrain(5, 9).images)
    with pytest.raises(FormatError, match=r"train_maps\.npy: its form is right, but its md5 is .*byte for byte"):
        user_data.add(warcraft.WARCRAFT, folder)
    assert user_data.find(warcraft.WARCRAFT) is None


def change(name, function):
    def changed(folder):
        np.save(folder / name, function(np.load(folder / name)))

    return changed


def cut(folder):
    content = (folder / "val_maps.npy").read_bytes()
    (folder / "val_maps.npy").write_bytes(content[:-100])


def pickled(folder):
    np.save(folder / "val_maps.npy", np.array([{}], dtype=object), allow_pickle=True)


def archive(folder):
    np.savez(folder / "made.npz", a=np.zeros(1))
    shutil.move(folder / "made.npz", folder / "val_maps.npy")


def header(text, size=0):
    """A .npy file of version 1.0 with this header, which numpy evaluates as a literal of Python."""

    def written(folder):
        line = text.encode() + b"\n"
        (folder / "val_maps.npy").write_bytes(
            b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + bytes(size)
        )

    return written


def of_shape(shape):
    return header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}")


def straight(paths):
    paths[1] = np.eye(12)
    return paths


def broken(paths):
    paths[1, 11, 11] = 0
    return paths


def put(value):
    def changed(array):
        array[1, 3, 4] = value
        return array

    return changed


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "test_maps.npy").unlink(), r"test_maps\.npy: there is no such file; expected"),
        (cut, r"val_maps\.npy: no whole \.npy array \(.*\); expected: pixels, uint8 \(N, 96, 96, 3\)"),
        (pickled, r"val_maps\.npy: no whole \.npy array \(.*Python objects"),
        (archive, r"val_maps\.npy: no whole \.npy array"),
        (lambda folder: (folder / "val_maps.npy").write_bytes(b"PK\x03\x04garbage"), r"val_maps\.npy: no whole"),
        (of_shape("(100000000, 96, 96, 3)"), r"val_maps\.npy: no whole \.npy array"),  # 2.7 TB, were it allocated
        (of_shape("(10**22, 96, 96, 3)"), r"val_maps\.npy: no whole \.npy array"),
        (of_shape("(True, 96, 96, 3)"), r"val_maps\.npy: no whole \.npy array"),
        (of_shape("(2, 96, 96, 3"), r"val_maps\.npy: no whole \.npy array"),
        (header("{'descr': '''"), r"val_maps\.npy: no whole \.npy array"),
        (header("(" * 5000), r"val_maps\.npy: no whole \.npy array"),
        (header("-" * 9000 + "1"), r"val_maps\.npy: no whole \.npy array"),
        (header("{[1]: 2}"), r"val_maps\.npy: no whole \.npy array"),
        (header("{1: 2, 'a': 3}"), r"val_maps\.npy: no whole \.npy array"),
        (lambda folder: (folder / "val_maps.npy").write_text("no array"), r"val_maps\.npy: no whole \.npy array"),
        (change("val_maps.npy", lambda x: x.astype(float)), r"val_maps\.npy: its numbers are float64; expected"),
        (change("val_maps.npy", lambda x: x.transpose(0, 3, 1, 2)), r"its shape is \(2, 3, 96, 96\); expected: pixels"),
        (change("val_maps.npy", lambda x: x[:0]), r"its shape is \(0, 96, 96, 3\)"),
        (change("val_maps.npy", lambda x: x[:1]), r"different numbers of maps \(val_maps\.npy 1, val_ver"),
        (change("test_vertex_weights.npy", put(0)), r"test_vertex_weights\.npy: map 1 \(of 3, from 0\): a"),
        (change("test_vertex_weights.npy", put(np.nan)), r"map 1 .*: a cost that is not positive and finite; exp"),
        (change("train_shortest_paths.npy", put(2)), r"train_shortest_paths\.npy: map 1 .*neither 0 nor 1; exp"),
        (change("train_shortest_paths.npy", broken), r"train_shortest_paths\.npy: map 1 .*: no path from the top-left"),
        (change("train_shortest_paths.npy", straight), r"map 1 .*: a path that is not a cheapest one by train_v"),
    ],
)  # fmt: skip
def test_wrong_or_partial_data_is_refused_with_file_and_form(folder, damage, said):
    damage(folder)
    with pytest.raises(FormatError, match=said):
        user_data.add(warcraft.WARCRAFT, folder)
    assert user_data.find(warcraft.WARCRAFT) is None
