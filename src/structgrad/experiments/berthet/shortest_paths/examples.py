"""What records keep of the first test maps, for a picture of them."""

from __future__ import annotations

import numpy as np

from structgrad.data.maps import SIDE, TILE, Maps
from structgrad.training.results import Example

EXAMPLES = 2  # maps
FINER = 2  # patches of colour along a side of a cell
DIGITS = 4  # of a predicted number


def example(maps: Maps, at: int, head: np.ndarray, cells: np.ndarray) -> Example:
    """One map, compactly: rows of numbers, the last dimension fastest.

    ``image``: mean colours of patches of 4 x 4 pixels, 24 x 24 x 3 from 0 to 255; ``costs``, ``path``: the true ones;
    ``predicted``: the numbers per cell; ``found``: the predicted cells. 12 x 12 each.
    """
    side, pixels = SIDE * FINER, TILE // FINER
    patches = maps.images[at].reshape(side, pixels, side, pixels, 3).astype(np.int64).sum((1, 3)) // pixels**2
    return {
        "image": patches.ravel().tolist(),
        "costs": [float(f"{cost:.{DIGITS}g}") for cost in maps.costs[at].ravel()],
        "path": maps.paths[at].ravel().tolist(),
        "predicted": [float(f"{number:.{DIGITS}g}") for number in head.ravel()],
        "found": cells.ravel().tolist(),
    }
