"""Generated terrain: maps in the form of the Warcraft ones (:mod:`structgrad.data.warcraft`), which need no download.

**Synthetic**: nothing of the published maps is in it but their form (96 x 96 pixels, 12 x 12 cells, five kinds of
terrain, costs on cells, 8 neighbours, cheapest paths from corner to corner). A map is made in three steps:

1. *Heights*: whole numbers per cell, smoothed twice over 3 x 3 cells and added to some of themselves unsmoothed, so
   that terrain comes in patches with ragged edges. The cells of a map in the order of their height are cut into five
   bands of 28 or 29 cells, and each map assigns the five terrains to the bands by a permutation of its own: any
   terrain may lie beside any other, and no height is dear as such.
2. *Textures*: per terrain four tiles of 8 x 8 pixels, always the same: a road of trodden earth (speckles), grass
   (blades, lighter specks on green), a forest (round crowns on dark ground), rocks (slanting cracks in grey) and water
   (waves, light rows on blue). Each cell takes one of the four of its terrain.
3. *Light*: each map is brighter or darker by up to 24 of 255 and each pixel by up to 12 more, the same in all three
   channels: a tile is no word of a small dictionary.

All of it is whole numbers from numpy's generators, and so the same on every machine; paths are the library's
(:class:`structgrad.polytopes.GridPath`). Ten thousand maps take some two seconds.
"""

from __future__ import annotations

import numpy as np
import torch

from structgrad.data.maps import SIDE, TILE, Maps
from structgrad.polytopes.grid_path import GridPath

TERRAINS = ("road", "grass", "forest", "rock", "water")
COSTS = (0.8, 1.2, 5.3, 7.7, 9.2)  # of each; those of the Warcraft maps are said to be these
TEXTURES = 4  # of a terrain
LIGHT, GRAIN = 24, 12  # of a map and of a pixel, at most
BLOCK = 100  # maps at a time


def terrain(count: int, seed: int) -> Maps:
    """So many maps; the first of more are the same ones."""
    parts = [_block(np.random.default_rng([seed, block])) for block in range(-(-count // BLOCK))]
    return Maps(*(np.concatenate(each)[:count] for each in zip(*parts, strict=True)))


def _block(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kinds = _kinds(draw)
    costs = np.array(COSTS)[kinds]
    paths = GridPath(SIDE, SIDE).argmax(torch.from_numpy(-costs)).numpy().astype(np.uint8)
    return _pictures(kinds, draw), costs, paths


def _kinds(draw: np.random.Generator) -> np.ndarray:
    """The terrain of each cell, ``(BLOCK, 12, 12)``, a number of :data:`TERRAINS`."""
    rough = draw.integers(0, 256, (BLOCK, SIDE + 4, SIDE + 4))
    heights = _smoothed(_smoothed(rough)) + 9 * rough[:, 2:-2, 2:-2]
    ranks = heights.reshape(BLOCK, -1).argsort(-1, kind="stable").argsort(-1, kind="stable")
    bands = ranks * len(TERRAINS) // SIDE**2
    of_band = draw.permuted(np.tile(np.arange(len(TERRAINS)), (BLOCK, 1)), axis=1)
    return np.take_along_axis(of_band, bands, 1).reshape(BLOCK, SIDE, SIDE)


def _smoothed(field: np.ndarray) -> np.ndarray:
    """Sums over 3 x 3 cells, two cells less along each side."""
    rows = field[:, :-2] + field[:, 1:-1] + field[:, 2:]
    return rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]


def _pictures(kinds: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    tiles = textures()[kinds, draw.integers(0, TEXTURES, kinds.shape)]  # (BLOCK, 12, 12, 8, 8, 3)
    side = SIDE * TILE
    pictures = tiles.swapaxes(2, 3).reshape(BLOCK, side, side, 3)
    light = draw.integers(-LIGHT, LIGHT + 1, (BLOCK, 1, 1, 1), dtype=np.int16)
    light = light + draw.integers(-GRAIN, GRAIN + 1, (BLOCK, side, side, 1), dtype=np.int16)
    return (pictures + light).clip(0, 255).astype(np.uint8)


def textures() -> np.ndarray:
    """The tiles of each terrain, ``(5, 4, 8, 8, 3)`` int16 within 0 .. 255."""
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:TILE, :TILE]
    tiles = np.empty((len(TERRAINS), TEXTURES, TILE, TILE, 3), np.int16)
    for k in range(TEXTURES):
        specks = draw.integers(0, 5, (TILE, TILE, 1))
        blades = draw.integers(0, 3, (TILE, TILE, 1)) * (x % 2)[..., None]
        crowns = ((x + 3 * k) % 4 - 1) ** 2 + ((y + k) % 4 - 1) ** 2
        cracks = (x + 2 * y + 3 * k) % 7 == 0
        waves = (y + (x + 2 * k) // 3) % 4 == 0
        tiles[0, k] = np.array((158, 128, 88)) - 8 * specks
        tiles[1, k] = np.array((84, 136, 60)) + 14 * blades
        tiles[2, k] = np.array((34, 70, 36)) + np.array((6, 16, 6)) * (4 - crowns.clip(0, 4))[..., None]
        tiles[3, k] = np.array((124, 120, 116)) - 50 * cracks[..., None] + 4 * specks
        tiles[4, k] = np.array((48, 88, 148)) + 40 * waves[..., None] + 2 * specks
    return tiles
