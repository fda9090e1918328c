"""Winograd's minimal filtering F(4x4, 3x3) in plain JAX, fast on a CPU inside a compiled loop.

Lavin and Gray (2016), "Fast algorithms for convolutional neural networks", equations 8 to 14: a 4x4 tile of results
comes from a 6x6 tile `d` of the picture by 36 products for each pair of channels, where the direct sum takes 144:
`Y = A^T [(G g G^T) * (B^T d B)] A`. Each of the six points stands for the value of a polynomial at `p`; Toom and Cook's
theorem gives the matrices for any points.

The points are 0, 1, -1, 1/2, -2 and infinity. They make a smaller error in float32 than the usual 0, 1, -1, 2, -2
(`tests/vgg/test_winograd.py` measures both), and something else: a kernel turned by 180 degrees has at `1/p` the value
of the kernel at `p`, but for a factor. So the gradient, which needs the turned kernel, takes the very same transformed
kernel at the reciprocal points. Nothing is stored twice.

The transforms are bound by memory, so what matters is how XLA fuses them:

- what several consumers read is a `jnp.stack`: a sum would be computed again in each of the consumers;
- a large picture is done in strips of tile rows that stay in cache. The next strip is loaded at the end of the loop's
  body, into its carry: a dynamic slice fused into arithmetic reads its index again for every element;
- six products make one batched product: few large ones lose less to the thread pool than many small ones.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import cache

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

#: Results per tile and side, and points: inputs per tile and side.
TILE = 4
POINTS = TILE + 2

#: Finite points of the forward pass; the sixth is infinity.
FINITE_POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))

#: A transformed kernel: an array `[6, in, out]` for each of the six column points.
TransformedKernel = tuple[Float[Array, "6 inputs outputs"], ...]


@cache
def transforms(*, backward: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns `B^T` [6, 6], `G` [6, 3] and `A^T` [4, 6] in float64.

    Args:
        backward: For the turned kernel: row `i` belongs to the reciprocal of the forward pass's point `i`, scaled so
            that `G` times the turned kernel is the forward pass's `G` times the kernel.
    """
    if not backward:
        return _toom_cook(FINITE_POINTS, dict.fromkeys(FINITE_POINTS, Fraction(1)))
    finite = (*(1 / point for point in FINITE_POINTS if point), Fraction(0))
    # G's rows are [1, q, q^2] / N_q. Turned, [q^2, q, 1] / N_q = q^2 [1, p, p^2] / N_q with p = 1/q: so N_q = q^2.
    signal, kernel, output = _toom_cook(finite, {q: q**2 if q else Fraction(1) for q in finite})
    # In the forward pass 0 comes first and infinity last; reciprocally the other way round.
    order = [POINTS - 1, *range(POINTS - 1)]
    return signal[order], kernel[order], output[:, order]


def _toom_cook(
    finite: tuple[Fraction, ...], scales: dict[Fraction, Fraction]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the three matrices for any five distinct points and infinity, computed exactly."""

    def polynomial(roots: list[Fraction]) -> list[Fraction]:
        coefficients = [Fraction(1)]
        for root in roots:
            shifted = [Fraction(0), *coefficients]
            coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
        return coefficients

    zero, one = Fraction(0), Fraction(1)
    signal, kernel, output = [], [], []
    for point in finite:
        others = [other for other in finite if other != point]
        divisor = one
        for other in others:
            divisor *= point - other
        signal.append([c * scales[point] / divisor for c in polynomial(others)] + [zero])
        kernel.append([point**power / scales[point] for power in range(3)])
        output.append([point**power for power in range(TILE)])
    signal.append(polynomial(list(finite)))
    kernel.append([zero, zero, one])
    output.append([zero] * (TILE - 1) + [one])
    return np.array(signal, float), np.array(kernel, float), np.array(output, float).T


def transform_kernel(kernel: Float[np.ndarray, "3 3 inputs outputs"]) -> TransformedKernel:
    """Returns `G g G^T` for each pair of channels, computed in float64 and rounded to float32."""
    _, left, _ = transforms()
    transformed = np.einsum("ai,ijco,bj->abco", left, np.asarray(kernel, np.float64), left, optimize=True)
    return tuple(jnp.asarray(transformed[:, column], jnp.float32) for column in range(POINTS))


def correlate(
    features: Float[Array, "height width inputs"],
    kernel: tuple[Float[Array, "6 _ _"], ...],
    bias: Float[Array, " outputs"] | None = None,
    *,
    relu: bool = False,
    backward: bool = False,
) -> Float[Array, "height width outputs"]:
    """Correlates with zero padding; then adds the bias and applies the ReLU, if given.

    Args:
        features: `[height, width, in]`, any height and width.
        kernel: From `transform_kernel`.
        bias: `[out]`.
        relu: Whether to clip at zero from below.
        backward: Correlate with the turned kernel, its channels swapped, instead: features are then `[.., out]` and
            the result is `[.., in]`.
    """
    height, width, channels = features.shape
    tile_rows, tile_columns = -(-height // TILE), -(-width // TILE)
    features = _pad_after(features, tile_rows * TILE, tile_columns * TILE)
    strip_rows = min(tile_rows, max(1, _tiles_per_strip(channels) // tile_columns))

    def finish(strip: Array) -> Array:
        strip = strip if bias is None else strip + bias
        return jnp.maximum(strip, 0) if relu else strip

    if strip_rows == tile_rows:
        edge = jnp.zeros_like(features[:1])
        result = finish(_correlate_strip(edge, features, edge, kernel, backward))
    else:
        result = _in_strips(
            features,
            strip_rows * TILE,
            kernel[0].shape[1 if backward else 2],
            lambda above, strip, below: finish(_correlate_strip(above, strip, below, kernel, backward)),
        )
    return result[:height, :width]


def _tiles_per_strip(channels: int) -> int:
    # Six transformed tiles of 64 channels and 512 tiles are 0.8 MB. Above 128 channels the products dominate, and these
    # are faster with many tiles.
    return 32768 // channels if channels <= 128 else 1024


def _pad_after(features: Array, height: int, width: int) -> Array:
    """Adds zeros below and to the right, by concatenation: XLA's pad tests every element."""
    old_height, old_width, channels = features.shape
    if height > old_height:
        zeros = jnp.zeros((height - old_height, old_width, channels), features.dtype)
        features = jnp.concatenate([features, zeros])
    if width > old_width:
        zeros = jnp.zeros((height, width - old_width, channels), features.dtype)
        features = jnp.concatenate([features, zeros], axis=1)
    return features


def _in_strips(
    features: Array, strip_height: int, outputs: int, correlate_strip: Callable[[Array, Array, Array], Array]
) -> Array:
    height, width, _ = features.shape
    count = -(-height // strip_height)

    def load(index: Array | int) -> tuple[Array, Array, Array, Array]:
        # The last strip starts early enough to be whole: it computes some rows again, to the same values.
        start = jnp.minimum(index * strip_height, height - strip_height)
        above = lax.dynamic_slice_in_dim(features, jnp.maximum(start - 1, 0), 1)
        strip = lax.dynamic_slice_in_dim(features, start, strip_height)
        below = lax.dynamic_slice_in_dim(features, jnp.minimum(start + strip_height, height - 1), 1)
        is_last = start + strip_height == height
        return start, jnp.where(start > 0, above, 0), strip, jnp.where(is_last, 0, below)

    def body(index: Array, carry: tuple[Array, tuple[Array, Array, Array, Array]]) -> tuple:
        result, (start, above, strip, below) = carry
        strip = correlate_strip(above, strip, below)
        return lax.dynamic_update_slice_in_dim(result, strip, start, 0), load(index + 1)

    result = jnp.zeros((height, width, outputs), features.dtype)
    return lax.fori_loop(0, count, body, (result, load(0)))[0]


def _correlate_strip(above: Array, strip: Array, below: Array, kernel: TransformedKernel, backward: bool) -> Array:
    """Correlates whole tiles: `strip` `[4 s, 4 t, in]` with the row above it and the row below it, `[1, 4 t, in]`."""
    signal, _, output = transforms(backward=backward)
    height, width, channels = strip.shape
    rows, columns = height // TILE, width // TILE
    phases = [strip[offset::TILE] for offset in range(TILE)]
    taps = [jnp.concatenate([above, phases[-1][:-1]]), *phases, jnp.concatenate([phases[0][1:], below])]
    by_row = jnp.stack([_combine(weights, taps) for weights in signal])
    # All six row points are one array from here on, `[6, s, 4 t, in]`, and each column point is an array of its own.
    phases = [by_row[:, :, offset::TILE] for offset in range(TILE)]
    edge = jnp.zeros((POINTS, rows, 1, channels), strip.dtype)
    before = jnp.concatenate([edge, phases[-1][:, :, :-1]], axis=2)
    after = jnp.concatenate([phases[0][:, :, 1:], edge], axis=2)
    taps = [before, *phases, after]
    contracted = 2 if backward else 1
    products = []
    for weights, point_kernel in zip(signal, kernel, strict=True):
        tiles = _combine(weights, taps).reshape(POINTS, rows * columns, channels)
        products.append(lax.dot_general(tiles, point_kernel, (((2,), (contracted,)), ((0,), (0,)))))
    outputs = products[0].shape[-1]
    by_row = jnp.stack([_combine(weights, products) for weights in output], axis=2)
    by_row = by_row.reshape(POINTS, rows, width, outputs)
    sums = jnp.stack([_combine(weights, list(by_row)) for weights in output], axis=1)
    return sums.reshape(height, width, outputs)


def _combine(weights: np.ndarray, terms: list[Array]) -> Array:
    """Returns the sum of weight times term as explicit additions, which fuse; a product with a matrix would not."""
    total = None
    for weight, term in zip(weights, terms, strict=True):
        if weight:
            scaled = term if weight == 1 else term * np.float32(weight)
            total = scaled if total is None else total + scaled
    assert total is not None
    return total
