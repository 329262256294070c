"""Functions that no single float32 operation computes, each defined as a fixed sequence of such operations.

Every operation is rounded to float32 on its own, nothing is fused, so that NumPy and every kernel give equal bits. Both
functions are built on the exponential of a number t from -87 to 0:

    k = (t * LOG2_E + WHOLE) - WHOLE               the integer nearest to t / ln 2, from -126 to 0
    r = (t - k * LN2_HIGH) - k * LN2_LOW           what is left of t: |r| <= ln 2 / 2
    p = (((P4 * r + P3) * r + P2) * r + P1) * r + P0
    q = p * (r * r) + r                            e^r - 1
    s = 2^k                                        exact, put together from its bits; so that e^t = q * s + s

Of all float32 numbers the results differ from the true values by at most 9e-8 (`sigmoid`) and 1.5e-7 (`tanh`), and by
at most 2.5 units in the last place for magnitudes below 80. NaN counts as -87.
"""

import numpy as np

from bitwright.ir.ops import Array

LEAST = np.float32(-87)
LOG2_E = np.float32(1.44269502)
WHOLE = np.float32(3 << 22)  # near it float32 holds integers only: adding it rounds
LN2_HIGH = np.float32(0.693145751953125)  # 15 bits, so that its product with k is exact
LN2_LOW = np.float32(1.42860677e-06)
POLYNOMIAL = tuple(map(np.float32, (0.5, 0.166665182, 0.041666206, 0.00836895406, 0.00139505975)))  # P0 to P4


def sigmoid(x: Array) -> Array:
    """The logistic function 1 / (1 + e^-x): with e = e^-|x|, (1 if x >= 0 else e) / (e + 1).

    Shape:
        x: any, float32. Output: the same.
    """
    q, s = _exponential(-np.abs(x))
    e = q * s + s
    return np.where(x >= 0, np.float32(1), e) / (e + np.float32(1))


def tanh(x: Array) -> Array:
    """The hyperbolic tangent: with m = e^(-2|x|) - 1 = q * s + (s - 1), y = -m / (m + 2), then y if x > 0 else -y.

    Shape:
        x: any, float32. Output: the same.
    """
    q, s = _exponential(np.abs(x) * np.float32(-2))
    m = q * s + (s - np.float32(1))
    y = -m / (m + np.float32(2))
    return np.where(x > 0, y, -y)


def _exponential(t: Array) -> tuple[Array, Array]:
    """The parts q and s of e^t = q * s + s."""
    t = np.where(t > LEAST, t, LEAST)
    k = (t * LOG2_E + WHOLE) - WHOLE
    r = (t - k * LN2_HIGH) - k * LN2_LOW
    p = POLYNOMIAL[-1]
    for coefficient in POLYNOMIAL[-2::-1]:
        p = p * r + coefficient
    q = p * (r * r) + r
    return q, ((k.astype(np.int32) + 127) << 23).view(np.float32)
