"""Arithmetic with the same bits on any x86-64 machine, whatever its vectors, its vendor and the number of threads.

A library picks its code by processor: exponentials and square roots of one vendor's library round otherwise on another
vendor's chip, fused multiply-adds round once where others round twice, sums and matrix products are taken in the order
that suits the width of the vectors. What passes through here does not. The rules, for whoever adds to it:

* only additions, subtractions, multiplications, divisions and square roots, each rounded by itself as IEEE 754 says;
  comparisons, integers, and moves of bits. Numba's compiler keeps to that unless it is told ``fastmath``;
* every sum in an order that follows from the shapes of what is summed, never from the machine, strides or neighbours;
* floats are added up by ``total``: what ``sum`` gives depends on the version of Python;
* no function of a mathematics library (``exp``, ``log``, ``pow``, ``sin``): polynomials of our own instead;
* what a kernel inlines stands in its own file: numba's cache does not notice changes elsewhere.

Elementwise torch operations of one rounding (``+ - * /`` without ``alpha``, comparisons, ``abs``, ``where``,
``clamp``), sorting, integers and ``torch.rand`` are safe as they are; ``torch.sqrt``, ``exp``, ``randn``, ``sum``,
``mean``, ``addcmul``, ``lerp``, ``uniform_`` and every product are not. Tensors on a GPU, and types other than float32
and float64, go to torch: their records do not promise the same bits.
"""

from structgrad.portable.elementary import exp, exp_below_largest, gumbel_, log, normal_, softplus
from structgrad.portable.products import product
from structgrad.portable.sums import column_sums, dots, mean, norm, row_sums, total
from structgrad.portable.types import wide

__all__ = [
    "column_sums",
    "dots",
    "exp",
    "exp_below_largest",
    "gumbel_",
    "log",
    "mean",
    "norm",
    "normal_",
    "product",
    "row_sums",
    "softplus",
    "total",
    "wide",
]
