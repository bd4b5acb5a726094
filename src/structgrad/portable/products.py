"""Batched matrix products in an order of their own: ``out[r, i, j] = sum_k a[r, i, k] b[r, k, j]``.

Terms are added in the order of k, rounded after every product and every sum, in runs of 256 whose sums are then added
in order. So an element depends on its row, its column and nothing else: not on how many replicas there are, where they
lie in memory, or how wide the machine's vectors are. The work is cut into tiles of four rows by 64 bytes of columns,
which stay in registers; the vectors of a tile are written out for the compiler, as it would not find them by itself
(numba's loops reach a half to a third of this). Measured against ``torch.bmm`` in ``benchmarks/bench_portable.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from structgrad.parallel import run_kernel
from structgrad.portable.types import compiled

BYTES = 64  # a tile's columns
ROWS = 4  # a tile's rows
RUN = 256  # terms a sum takes before it is added to those before


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a b`` of every replica, without gradient.

    Args:
        a: ``(R, m, k)``, with any strides: a transposed or expanded view costs nothing.
        b: ``(R, k, n)``, the same.

    Returns:
        ``(R, m, n)``.
    """
    if not compiled(a, b) or a.dtype != b.dtype:
        return torch.bmm(a.detach(), b.detach())
    out = torch.empty(len(a), a.shape[1], b.shape[2], dtype=a.dtype, device="cpu")
    run_kernel(_product, a.detach().numpy(), b.detach().numpy(), out.numpy())
    return out


def _tile(rows: int) -> Any:
    """Compiled code for the tile of ``out`` at (``row``, ``column``), of so many rows and 64 bytes of columns:

    for row t the sum over ``start <= k < stop`` of ``a[first + t, k] panel[k]``; where ``start > 0`` it is added to
    what is there.
    """

    @intrinsic
    def tile(typing, a, first, panel, start, stop, out, row, column):
        def build(context, builder, signature, given):
            word, real = context.get_value_type(types.intp), context.get_value_type(a.dtype)
            size = context.get_abi_sizeof(real)
            vector = ir.VectorType(real, BYTES // size)

            def array_of(kind, place):
                source = context.make_array(kind)(context, builder, given[place])
                return builder.ptrtoint(source.data, word), cgutils.unpack_tuple(builder, source.strides)

            def moved(address, *steps):
                for stride, count in steps:
                    address = builder.add(address, builder.mul(stride, count))
                return address

            def at(address, kind):
                return builder.inttoptr(address, kind.as_pointer())

            def everywhere(number):
                nothing, lanes = ir.Constant(vector, ir.Undefined), ir.VectorType(ir.IntType(32), vector.count)
                one = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
                return builder.shuffle_vector(one, nothing, ir.Constant(lanes, None))

            numbers, (down, along) = array_of(a, 0)
            factors, (next_term, _) = array_of(panel, 2)
            entries, (below, right) = array_of(out, 5)
            begins = [moved(numbers, (down, builder.add(given[1], word(t)))) for t in range(rows)]
            sums = [cgutils.alloca_once(builder, vector) for _ in range(rows)]
            for total in sums:
                builder.store(ir.Constant(vector, None), total)
            with cgutils.for_range_slice(builder, given[3], given[4], word(1), word) as (k, _):
                columns = builder.load(at(moved(factors, (next_term, k)), vector), align=size)
                for begin, total in zip(begins, sums, strict=True):
                    number = builder.load(at(moved(begin, (along, k)), real))
                    term = builder.fmul(everywhere(number), columns)
                    builder.store(builder.fadd(builder.load(total), term), total)
            goes_on = builder.icmp_signed(">", given[3], word(0))
            for t, total in enumerate(sums):
                place = at(moved(entries, (below, builder.add(given[6], word(t))), (right, given[7])), vector)
                with builder.if_then(goes_on):
                    before = builder.load(place, align=size)
                    builder.store(builder.fadd(before, builder.load(total)), total)
                builder.store(builder.load(total), place, align=size)
            return context.get_dummy_value()

        return types.void(a, types.intp, panel, types.intp, types.intp, out, types.intp, types.intp), build

    return tile


_four_rows, _one_row = _tile(ROWS), _tile(1)


@njit(cache=True, nogil=True)
def _product(a, b, out):
    replicas, m, terms = a.shape
    n = out.shape[2]
    lanes = BYTES // a.itemsize
    panel, edge = np.zeros((terms, lanes), a.dtype), np.empty((m, lanes), a.dtype)
    whole = m - m % ROWS
    for r in range(replicas):
        for column in range(0, n, lanes):
            width = min(lanes, n - column)
            for k in range(terms):
                for j in range(width):
                    panel[k, j] = b[r, k, column + j]
            inside = width == lanes
            target, at = (out[r], column) if inside else (edge, 0)
            for start in range(0, max(terms, 1), RUN):
                stop = min(start + RUN, terms)
                for i in range(0, whole, ROWS):
                    _four_rows(a[r], i, panel, start, stop, target, i, at)
                for i in range(whole, m):
                    _one_row(a[r], i, panel, start, stop, target, i, at)
            if not inside:
                for i in range(m):
                    for j in range(width):
                        out[r, i, column + j] = edge[i, j]
