"""Exponential, logarithm, normal and Gumbel draws by polynomials, compiled.

Written for the precision at hand and with nothing but basic operations, so that vectors of any width and scalar code
give the same bits. The series are Taylor's, on ranges so narrow that a few terms reach the last place:

    log x  = e log 2 + 2 artanh((m - 1) / (m + 1)),    x = m 2^e,  1/sqrt 2 <= m < sqrt 2
    exp x  = 2^n exp(x - n log 2),                     n the integer nearest to x / log 2
    sin, cos of a turn's fraction by quarter turns,    angles up to pi / 4

Errors stay below two units in the last place (tested against mpmath's digits).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from math import factorial, pi, sqrt
from typing import Any

import numpy as np
import torch
from numba import njit, types
from numba.extending import intrinsic, overload
from torch import Tensor

from structgrad.parallel import run_kernel
from structgrad.portable.types import array, compiled

# numpy's error model: Python's checks every divisor for zero, which keeps loops from being vectorised.
INLINE: dict[str, Any] = {"nogil": True, "error_model": "numpy", "inline": "always"}
KERNEL: dict[str, Any] = {"nogil": True, "error_model": "numpy", "cache": True}
LOG_2 = "0.693147180559945309417232121458176568"
BOX_MULLER = 16  # draws made from as many uniforms at once: the first half of them radii, the second angles
ALONE = 1 << 14  # numbers up to which threads cost more than they save


@intrinsic
def _bits_of(typing, x):
    """The integer with the same bits."""
    same = {types.float32: types.int32, types.float64: types.int64}[x]
    return same(x), lambda context, builder, _, given: builder.bitcast(given[0], context.get_value_type(same))


@intrinsic
def _float_of(typing, x):
    """The float with the same bits."""
    same = {types.int32: types.float32, types.int64: types.float64}[x]
    return same(x), lambda context, builder, _, given: builder.bitcast(given[0], context.get_value_type(same))


def _polynomial(coefficients: list[float], real: Callable[[float], Any]) -> Any:
    """Horner's rule, unrolled; coefficients from the constant on."""
    lowest: Any = real(coefficients[0])
    if len(coefficients) == 1:
        return njit(**INLINE)(lambda x: lowest)
    rest = _polynomial(coefficients[1:], real)
    return njit(**INLINE)(lambda x: lowest + x * rest(x))


def _split_log_2(real: Callable[[float], Any], bits: int) -> tuple[Any, Any]:
    """``log 2`` as a multiple of ``2**-bits``, whose products with small integers are exact, and the rest."""
    high = Fraction(round(Fraction(LOG_2) * 2**bits), 2**bits)
    return real(float(high)), real(float(Fraction(LOG_2) - high))


def _logarithm(real: Any, integer: Any, mantissa: int, bits: int, terms: int) -> Any:
    series = _polynomial([2 / (2 * k + 3) for k in range(terms)], real)
    root, shift = integer(np.array(sqrt(0.5), real).view(integer)), integer(mantissa)
    high, low = _split_log_2(real, bits)
    one, two = real(1), real(2)

    def log(x):
        b = _bits_of(x)  # type: ignore[call-arg]
        e = integer(integer(b - root) >> shift)
        f = _float_of(integer(b - integer(e << shift))) - one
        s = f / (f + two)
        square = s * s
        return real(e) * high + (two * s + (s * square * series(square) + real(e) * low))

    return njit(**INLINE)(log)


def _exponential(real: Any, integer: Any, mantissa: int, bits: int, terms: int) -> Any:
    series = _polynomial([1 / factorial(k) for k in range(terms)], real)
    high, low = _split_log_2(real, bits)
    inverse, magic = real(1 / float(LOG_2)), real(1.5 * 2.0**mantissa)  # adding magic rounds to the nearest integer
    shift, bias = integer(mantissa), integer(np.array(1, real).view(integer) >> mantissa)
    limits = np.finfo(real)
    least, most = (real(float(Fraction(LOG_2) * int(power))) for power in (limits.minexp, limits.maxexp))
    zero, infinity = real(0), real(np.inf)

    def exp(x):
        kept = min(max(x, least), most)
        n = (kept * inverse + magic) - magic
        r = (kept - n * high) - n * low
        half = integer(integer(n) >> integer(1))  # 2^n in two factors: n itself may be one too large
        rest = integer(integer(n) - half)
        value = series(r) * _float_of(integer(integer(half + bias) << shift))  # type: ignore[call-arg]
        value = value * _float_of(integer(integer(rest + bias) << shift))
        if x < least:
            value = zero
        if x > most:
            value = infinity
        return x if x != x else value

    return njit(**INLINE)(exp)


def _circle(real: Any, integer: Any, terms: int) -> tuple[Callable, Callable]:
    """Cosine and sine of ``2 pi u``, ``0 <= u < 1``."""
    sine = _polynomial([(-1) ** k / factorial(2 * k + 1) for k in range(terms)], real)
    cosine = _polynomial([(-1) ** k / factorial(2 * k) for k in range(terms)], real)
    four, half, quarter_turn = real(4), real(0.5), real(pi / 2)

    def turned(u, quarters):
        t = four * u
        q = integer(t + half)
        angle = (t - real(q)) * quarter_turn  # the difference is exact
        square = angle * angle
        q = integer(q + integer(quarters))
        value = cosine(square) if q & 1 else angle * sine(square)
        return -value if q & 2 else value

    turned = njit(**INLINE)(turned)
    return njit(**INLINE)(lambda u: turned(u, 1)), njit(**INLINE)(lambda u: turned(u, 0))


_log_32, _log_64 = _logarithm(np.float32, np.int32, 23, 12, 4), _logarithm(np.float64, np.int64, 52, 32, 10)
_exp_32, _exp_64 = _exponential(np.float32, np.int32, 23, 12, 8), _exponential(np.float64, np.int64, 52, 32, 14)
(_cos_32, _sin_32), (_cos_64, _sin_64) = _circle(np.float32, np.int32, 6), _circle(np.float64, np.int64, 10)


def _by_type(of_32: Callable, of_64: Callable) -> Any:
    """One name for both precisions within compiled code."""

    def function(x): ...

    overload(function, inline="always")(
        lambda x: {types.float32: lambda x: of_32(x), types.float64: lambda x: of_64(x)}.get(x)
    )
    return function


_log, _exp = _by_type(_log_32, _log_64), _by_type(_exp_32, _exp_64)
_cos, _sin = _by_type(_cos_32, _cos_64), _by_type(_sin_32, _sin_64)


@njit(**KERNEL)
def _fill_log(x, out):
    for i in range(len(x)):
        out[i] = _log(x[i])


@njit(**KERNEL)
def _fill_exp(x, out):
    for i in range(len(x)):
        out[i] = _exp(x[i])


@njit(**KERNEL)
def _fill_exp_below_largest(x, out):
    """Row by row while it is in the cache; what is beyond a row's numbers becomes zero."""
    rows, n = x.shape
    for row in range(rows):
        largest = -np.inf
        for j in range(n):
            largest = max(largest, np.float64(x[row, j]))
        for j in range(n):
            out[row, j] = np.float64(x[row, j]) - largest
        out[row, n:] = -np.inf
        for j in range(out.shape[1]):
            out[row, j] = _exp(out[row, j])


@njit(**KERNEL)
def _fill_softplus(x, out, slope):
    """``log(1 + exp(x))`` and its derivative ``1 / (1 + exp(-x))``."""
    for i in range(len(x)):
        small = _exp(-abs(x[i]))
        whole = 1.0 + small
        # log(1 + small) to the last place: what 1 + small has lost is put right in proportion
        added = small if whole == 1.0 else _log(whole) * (small / (whole - 1.0))
        out[i] = max(x[i], 0.0) + added
        slope[i] = (1.0 if x[i] > 0.0 else small) / whole


@njit(**KERNEL)
def _fill_gumbel(u, scale, location):
    for i in range(len(u)):
        u[i] = location - scale * _log(-_log(u[i]))


@njit(**KERNEL)
def _fill_normal(u, one, two):
    """Rows of uniforms become rows of normals: the first half of a row makes radii, the second angles."""
    rows, size = u.shape
    half = size // 2
    for row in range(rows):
        for i in range(half):
            radius = np.sqrt(-two * _log(one - u[row, i]))
            angle = u[row, half + i]
            u[row, i] = radius * _cos(angle)
            u[row, half + i] = radius * _sin(angle)


def log(x: Tensor) -> Tensor:
    """``log x`` of each number, which must be positive and finite; without gradient."""
    return _map(_fill_log, x) if compiled(x) else x.log()


def exp_below_largest(x: Tensor, width: int) -> Tensor:
    """``exp(x - max x)`` of each row ``(..., n)`` in float64, with zeros up to ``width`` columns; on the CPU."""
    out = torch.empty((*x.shape[:-1], width), dtype=torch.float64, device="cpu")
    run_kernel(_fill_exp_below_largest, array(x).reshape(-1, x.shape[-1]), out.view(-1, width).numpy())
    return out


def exp(x: Tensor) -> Tensor:
    """``exp x`` of each number, without gradient; what would be subnormal is zero."""
    return _map(_fill_exp, x) if compiled(x) else x.exp()


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp x)`` of each number, differentiable."""
    return _Softplus.apply(x) if compiled(x) else torch.nn.functional.softplus(x)


def gumbel_(u: Tensor, scale: float, location: float) -> Tensor:
    """``location - scale log(-log u)`` in place of contiguous uniforms ``0 < u < 1``."""
    if not compiled(u):
        return u.log_().neg_().log_().mul_(-scale).add_(location)
    real = u.numpy().dtype.type
    _run(_fill_gumbel, u.view(-1).numpy(), real(scale), real(location))
    return u


def normal_(u: Tensor) -> Tensor:
    """Standard normals in place of contiguous uniforms ``0 <= u < 1``, as many as a multiple of 16: Box and Muller's.

    Of each 16 uniforms the first eight make radii and the others angles, which is what ``torch.randn`` does with them:
    its draws are these, to rounding.
    """
    real = u.numpy().dtype.type
    _run(_fill_normal, u.view(-1, BOX_MULLER).numpy(), real(1), real(2))
    return u


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        wide = array(x.double()).reshape(-1)
        value, slope = np.empty_like(wide), np.empty_like(wide)
        _run(_fill_softplus, wide, value, slope)
        values, derivative = (torch.from_numpy(part).view(x.shape).to(x.dtype) for part in (value, slope))
        ctx.save_for_backward(derivative)
        return values

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0] * ctx.saved_tensors[0]


def _map(kernel: Callable[..., None], x: Tensor) -> Tensor:
    values = torch.empty_like(x, memory_format=torch.contiguous_format)
    _run(kernel, array(x).reshape(-1), values.view(-1).numpy())
    return values


def _run(kernel: Callable[..., None], *arguments: Any) -> None:
    (kernel if arguments[0].size <= ALONE else partial(run_kernel, kernel))(*arguments)
