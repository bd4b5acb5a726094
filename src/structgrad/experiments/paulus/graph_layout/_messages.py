"""What stands between the matrix products of the decoder's messages, compiled into few passes over the edges.

For edges of type ``e`` in some graphs: ``halves`` ``(G, n, types, 2, h)`` are the first layer's, for senders and for
receivers; the edges ``(G, n, n - 1, h)`` come receiver by receiver, and ``weight`` ``(G, n, n - 1)`` is how much each
one counts. Each loop over ``h`` reads and writes whole rows, which is what the compiler turns into vectors.
"""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True)
def hidden(e, halves, out):
    """``out = relu(sent_j + received_i)`` for the edge from j to i."""
    graphs, n, _, _, h = halves.shape
    for g in range(graphs):
        for i in range(n):
            received = halves[g, i, e, 1]
            for place in range(n - 1):
                sent, row = halves[g, place if place < i else place + 1, e, 0], out[g, i, place]
                for c in range(h):
                    row[c] = max(sent[c] + received[c], 0)


@njit(cache=True, nogil=True)
def gather(messages, bias, weight, into):
    """``messages = relu(messages + bias)``, and their weighted sums are added to ``into`` ``(G, n, h)``."""
    graphs, n, h = into.shape
    for g in range(graphs):
        for i in range(n):
            total = into[g, i]
            for place in range(n - 1):
                w, row = weight[g, i, place], messages[g, i, place]
                for c in range(h):
                    row[c] = max(row[c] + bias[c], 0)
                for c in range(h):
                    total[c] += w * row[c]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def scatter(messages, gradient, weight, weight_gradient, out, bias_gradient):
    """The reverse of :func:`gather`: from ``gradient`` ``(G, n, h)`` to the messages before their bias."""
    graphs, n, h = gradient.shape
    for g in range(graphs):
        for i in range(n):
            slope = gradient[g, i]
            for place in range(n - 1):
                w, row, back = weight[g, i, place], messages[g, i, place], out[g, i, place]
                along = w - w
                for c in range(h):
                    along += slope[c] * row[c]
                weight_gradient[g, i, place] = along
                for c in range(h):
                    back[c] = w * slope[c] if row[c] > 0 else 0
                for c in range(h):
                    bias_gradient[c] += back[c]


@njit(cache=True, nogil=True)
def spread(e, activations, gradient, halves_gradient):
    """The reverse of :func:`hidden`: the sums over the edges of each sender and each receiver."""
    graphs, n, _, _, h = halves_gradient.shape
    for g in range(graphs):
        halves_gradient[g, :, e] = 0
        for i in range(n):
            received = halves_gradient[g, i, e, 1]
            for place in range(n - 1):
                sent = halves_gradient[g, place if place < i else place + 1, e, 0]
                row, back = activations[g, i, place], gradient[g, i, place]
                for c in range(h):
                    back[c] = back[c] if row[c] > 0 else 0
                for c in range(h):
                    sent[c] += back[c]
                for c in range(h):
                    received[c] += back[c]
