"""A step of LSTMs between its matrix products, compiled: once over a step's numbers, while they are in the cache.

D LSTMs of h units over B sequences of ``tokens`` ``(T, D, B)``: ``table`` ``(D, symbols, 4 h)`` holds what the input
adds to the gates, ``gates`` ``(T, D, B, 4 h)`` and ``cells``, ``squashed`` and ``states`` ``(T, D, B, h)`` each step's
numbers. The gates are ``i, f, u, o``; ``u`` comes with twice its argument: ``tanh x = 2 s(2 x) - 1``, s the sigmoid.

``vectors`` ``(D / ways, B, T, ways h)`` hold the states as a reader wants them: at their symbols' ``places``
``(T, D, B)``, and those of a few LSTMs in a row (the two ways of a bidirectional one) as one vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

# Products and sums may be fused, but stay in their order.
KERNEL: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
# exp r on |r| <= log 2 / 2 in float32: Cephes' expf (S. Moshier), 1 + r + r^2 p(r); log 2 in two parts.
P0, P1, P2, P3, P4, P5 = map(
    np.float32, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)
HIGH, LOW, INVERSE = np.float32(0.693359375), np.float32(-2.12194440e-4), np.float32(1.44269504088896341)
TO_INTEGER, MOST, ONE = np.float32(1.5 * 2.0**23), np.float32(87.0), np.float32(1.0)  # the first rounds what it meets
BIAS, MANTISSA = np.int32(127), np.int32(23)


@intrinsic
def _as_float(typing, bits):
    """The float32 with the bits of an int32."""
    return types.float32(types.int32), lambda context, builder, _, given: builder.bitcast(
        given[0], context.get_value_type(types.float32)
    )


@njit(inline="always", **KERNEL)
def _exp_32(x):
    lost = x - x  # NaN where x is infinite or NaN: such a trial has to end
    x = min(max(x, -MOST), MOST)
    n = (x * INVERSE + TO_INTEGER) - TO_INTEGER
    r = (x - n * HIGH) - n * LOW
    p = ((((P0 * r + P1) * r + P2) * r + P3) * r + P4) * r + P5
    power = _as_float(np.int32(np.int32(np.int32(n) + BIAS) << MANTISSA))  # type: ignore[call-arg]
    return ((p * (r * r) + r) + ONE) * power + lost


def _exp(x): ...


@overload(_exp, inline="always")
def _exp_of(x):
    return (lambda x: _exp_32(x)) if x == types.float32 else (lambda x: np.exp(x))


@njit(cache=True, **KERNEL)
def forward(t, table, tokens, places, gates, cells, squashed, states, vectors):
    """Step t, whose ``gates`` hold the recurrent part (not at t = 0, where there is none)."""
    _, count, rows, wide = gates.shape
    h = wide // 4
    ways = count // len(vectors)
    one = table.dtype.type(1)
    for d in range(count):
        for b in range(rows):
            gate, given = gates[t, d, b], table[d, tokens[t, d, b]]
            if t == 0:
                gate[:] = given
            else:
                for j in range(wide):
                    gate[j] += given[j]
        _squash(gates[t, d].reshape(rows * wide))
        for b in range(rows):
            gate, cell = gates[t, d, b], cells[t, d, b]
            for j in range(h):
                cell[j] = gate[j] * (gate[2 * h + j] + gate[2 * h + j] - one)
            if t > 0:
                before = cells[t - 1, d, b]
                for j in range(h):
                    cell[j] += gate[h + j] * before[j]
        _hyperbolic_tangents(cells[t, d].reshape(rows * h), squashed[t, d].reshape(rows * h))
        for b in range(rows):
            gate, state, scale = gates[t, d, b, 3 * h :], states[t, d, b], squashed[t, d, b]
            vector = vectors[d // ways, b, places[t, d, b], d % ways * h :]
            for j in range(h):
                state[j] = gate[j] * scale[j]
            for j in range(h):
                vector[j] = state[j]


@njit(inline="always", **KERNEL)
def _squash(x):
    one = x.dtype.type(1)
    for j in range(len(x)):
        x[j] = one / (one + _exp(-x[j]))


@njit(inline="always", **KERNEL)
def _hyperbolic_tangents(x, out):
    one = x.dtype.type(1)
    for j in range(len(x)):
        s = one / (one + _exp(-(x[j] + x[j])))
        out[j] = s + s - one


@njit(cache=True, **KERNEL)
def backward(t, tokens, places, gates, cells, squashed, in_vectors, from_next, in_cells, slopes, in_table):
    """From derivatives by the states of step t (``in_vectors``, and ``from_next`` by way of the next step) and by its
    cells (``in_cells``, which become those by the cells before) to those by the gates' arguments: ``slopes``
    ``(D, B, 4 h)``, also added up in ``in_table``."""
    _, count, rows, wide = gates.shape
    h = wide // 4
    ways = count // len(in_vectors)
    one, half = cells.dtype.type(1), cells.dtype.type(0.5)
    for d in range(count):
        for b in range(rows):
            gate, slope, by_symbol = gates[t, d, b], slopes[d, b], in_table[d, tokens[t, d, b]]
            vector, start = in_vectors[d // ways, b, places[t, d, b]], d % ways * h
            for j in range(h):
                i, f, o, c = gate[j], gate[h + j], gate[3 * h + j], squashed[t, d, b, j]
                u = gate[2 * h + j] + gate[2 * h + j] - one
                in_state = vector[start + j] + from_next[d, b, j]
                in_cell = in_cells[d, b, j] + in_state * (o * (one - c * c))
                before = cells[t - 1, d, b, j] if t > 0 else one - one
                slope[j] = in_cell * (u * (i * (one - i)))
                slope[h + j] = in_cell * (before * (f * (one - f)))
                slope[2 * h + j] = in_cell * (half * (i * (one - u * u)))
                slope[3 * h + j] = in_state * (c * (o * (one - o)))
                in_cells[d, b, j] = in_cell * f
            for j in range(wide):
                by_symbol[j] += slope[j]
