"""The stand-in for MNIST, made from packaged data: for runs without a network, named as a stand-in in every table."""

from __future__ import annotations

from typing import Any

import numpy as np

from structgrad.data.images import Images

SIDE, PACKAGED, BRIGHTEST = 28, 8, 16  # pixels per side, those packaged, and a packaged pixel's largest value
TEST = 300


def digits() -> Images:
    """The 1797 handwritten digits that come with scikit-learn in MNIST's format; the last 300 are to test on.

    Their 8 x 8 pixels from 0 to 16 are scaled up to 28 x 28 from 0 to 255: bilinearly between the pixels' centres, the
    outermost continued to the edge, in whole numbers, so that they are the same on every machine.
    """
    from sklearn.datasets import load_digits

    packaged: Any = load_digits()
    small = packaged.images.astype(np.int64)
    weights = _weights()
    whole = int(weights[0].sum()) ** 2 * BRIGHTEST
    images = ((weights @ small @ weights.T * 255 + whole // 2) // whole).astype(np.uint8)[:, None]
    labels = packaged.target.astype(np.int64)
    return Images(images[:-TEST], labels[:-TEST], images[-TEST:], labels[-TEST:])


def _weights() -> np.ndarray:
    """What each of the 28 pixels along a side takes of the 8, in 56ths."""
    unit = 2 * SIDE
    centres = (PACKAGED * (2 * np.arange(SIDE) + 1) - SIDE).clip(0, (PACKAGED - 1) * unit)
    below, rest = np.divmod(centres, unit)
    weights = np.zeros((SIDE, PACKAGED), dtype=np.int64)
    rows = np.arange(SIDE)
    weights[rows, below] = unit - rest
    weights[rows, np.minimum(below + 1, PACKAGED - 1)] += rest
    return weights
