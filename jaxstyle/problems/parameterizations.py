"""Of what a picture is made while it is optimized: pixels, bounded pixels, waves, a pyramid, a network.

The loss sees a picture; the optimizer sees the unknowns from which `decode` makes it. The same loss has another
landscape in other unknowns: Olah, Mordvintsev and Schubert (2017), "Feature visualization", section "Preconditioning
and parameterization"; Mordvintsev et al. (2018), "Differentiable image parameterizations".

All unknowns are scaled so that a step of a given size, the same for every unknown, changes the picture by about as much
(by root mean square) as it does with `pixels`: learning rates keep the meaning that they have on 0..255 pixels.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.checks import check_choice
from jaxstyle.problems.networks import CoordinateNetwork, functional, pixel_positions
from jaxstyle.problems.problem import Params, Problem, reparameterize
from jaxstyle.types import Key

#: A picture on the 0..255 scale.
Pixels = Float[Array, "height width 3"]

#: The middle of the 0..255 scale, and its distance from either end.
MIDDLE = 127.5

#: How near to 0 and 255 a bounded picture may start: at the ends themselves its unknowns would be infinite.
CLOSEST = 0.5

#: Rows: red, green and blue made of three uncorrelated colors, by a square root of the covariance of the colors of
#: natural pictures, as the authors of Olah et al. (2017) measured it on ImageNet.
COLOR_ROOT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])

#: Levels of a Laplacian pyramid at most, and the least side of its smallest.
MOST_LEVELS, LEAST_SIDE = 6, 8

#: Unknowns of a coordinate network are its weights times this: Adam's rate of 10 then moves the weights by 0.004.
WEIGHT_SCALE = 2500.0


class Parameterization(NamedTuple):
    """How pictures of one size are made of unknowns.

    Attributes:
        init: `init(key, pixels) -> params`: unknowns that decode to `pixels`, `[height, width, 3]` on 0..255.
        decode: `decode(params) -> pixels`.
        keeps_start: Whether `init` can do that; if not, the unknowns start at random, whatever the picture.
    """

    init: Callable[[Key, Pixels], Params]
    decode: Callable[[Params], Pixels]
    keeps_start: bool = True


def make_parameterization(name: str, height: int, width: int) -> Parameterization:
    """Returns the parameterization called `name`, for pictures of one size.

    - `pixels`: the picture itself, on 0..255, free to leave that range.
    - `bounded`: `127.5 (1 + tanh(z / 127.5))`, which cannot leave it. Gradients vanish toward both ends.
    - `fourier`: `z` of `bounded` as a sum of waves `A c(f) / max(|f|, 1 / max(height, width))`, in uncorrelated colors
      (`A` makes them red, green and blue): Olah et al. (2017). Deviations: scaled as said above; the bound is a tanh,
      which is their sigmoid.
    - `preconditioned`: the picture filtered by `|f|^-1/2`, scaled as said above: all waves but the constant one, at
      which f is taken to be that of the longest wave. It is meant to make the loss of style transfer about as curved
      along long waves as along short ones. On the two pairs of pictures on which that was tried, from one start each,
      L-BFGS came to Adam's loss in 14 and 16 % fewer evaluations than in pixels (`benchmarks/README.md`); over ten
      seeds of one pair at 64x64 the two are not separated.
    - `laplacian`: the sum of up to six pictures, each half as wide as the one before, enlarged by linear interpolation
      (Burt and Adelson 1983), divided by the square root of their number.
    - `network`: the colors that a small network gives to each position
      (`jaxstyle.problems.networks.CoordinateNetwork`). It starts with random weights, in gray.

    Raises:
        InputError: If there is no such parameterization.
    """
    return PARAMETERIZATIONS[check_choice("parameterization", name, PARAMETERIZATIONS)](height, width)


def apply_parameterization(problem: Problem, name: str, height: int, width: int) -> Problem:
    """Returns a problem of pixels, `[height, width, 3]` on 0..255, with the unknowns of the parameterization `name`."""
    if name == "pixels":
        return problem
    parameterization = make_parameterization(name, height, width)
    return reparameterize(problem, parameterization.init, parameterization.decode, name=name)


def _pixels(height: int, width: int) -> Parameterization:
    return Parameterization(lambda key, pixels: pixels, lambda params: params)


def _bounded(height: int, width: int) -> Parameterization:
    return Parameterization(lambda key, pixels: _unbind(pixels), _bind)


def _bind(free: Array) -> Pixels:
    return MIDDLE * (1 + jnp.tanh(free / MIDDLE))


def _unbind(pixels: Pixels) -> Array:
    kept = jnp.clip(pixels, CLOSEST, 2 * MIDDLE - CLOSEST)
    return MIDDLE * jnp.arctanh(kept / MIDDLE - 1)


def _fourier(height: int, width: int) -> Parameterization:
    # The longest color vector of the three becomes 1, as in the authors' program.
    colors = COLOR_ROOT / np.linalg.norm(COLOR_ROOT, axis=0).max()
    mix = lambda picture, matrix: jnp.einsum("hwi,oi->hwo", picture, matrix, precision="highest")

    def init(key: Key, pixels: Pixels) -> Float[Array, "height waves 3 2"]:
        spectrum = jnp.fft.rfft2(mix(_unbind(pixels), np.linalg.inv(colors)), axes=(0, 1), norm="ortho")
        return jnp.stack([spectrum.real, spectrum.imag], axis=-1) / _wave_sizes(height, width)[..., None, None]

    def decode(params: Float[Array, "height waves 3 2"]) -> Pixels:
        scaled = params * _wave_sizes(height, width)[..., None, None]
        spectrum = jax.lax.complex(scaled[..., 0], scaled[..., 1])
        return _bind(mix(jnp.fft.irfft2(spectrum, (height, width), axes=(0, 1), norm="ortho"), colors))

    return Parameterization(init, decode)


def _preconditioned(height: int, width: int) -> Parameterization:
    def multiply(picture: Pixels, exponent: int) -> Pixels:
        # The gains are computed here, as in `_fourier`: closed over, they would be in the program's text.
        factors = _wave_sizes(height, width, 0.5)[..., None] ** exponent
        return jnp.fft.irfft2(jnp.fft.rfft2(picture, axes=(0, 1)) * factors, (height, width), axes=(0, 1))

    return Parameterization(lambda key, pixels: multiply(pixels, -1), lambda params: multiply(params, 1))


def _wave_sizes(height: int, width: int, exponent: float = 1.0) -> Float[Array, "height waves"]:
    """Returns `|f|^-exponent` of every wave that `rfft2` has, with a mean square of 1 over all waves of the picture."""
    rows = jnp.fft.fftfreq(height)
    half = jnp.arange(width // 2 + 1) / width
    sizes = jnp.maximum(jnp.hypot(rows[:, None], half), 1 / max(height, width)) ** -exponent
    has_twin = (half > 0) & (half < 0.5)  # a wave whose negative frequency is not written down
    mean_square = jnp.sum(jnp.square(sizes) * jnp.where(has_twin, 2, 1)) / float(height * width)
    return sizes / jnp.sqrt(mean_square)


def _laplacian(height: int, width: int) -> Parameterization:
    sizes = [(height, width)]
    while min(sizes[-1]) >= 2 * LEAST_SIDE and len(sizes) < MOST_LEVELS:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    share = len(sizes) ** 0.5
    scale_to = lambda picture, size: jax.image.resize(picture, (*size, 3), "linear")

    def init(key: Key, pixels: Pixels) -> list[Float[Array, "_ _ 3"]]:
        smaller = [pixels]
        for size in sizes[1:]:
            smaller.append(scale_to(smaller[-1], size))
        details = [fine - scale_to(coarse, fine.shape[:2]) for fine, coarse in pairwise(smaller)]
        return [share * level for level in (*details, smaller[-1])]

    def decode(params: list[Float[Array, "_ _ 3"]]) -> Pixels:
        picture = params[-1]
        for detail, size in zip(params[-2::-1], sizes[-2::-1], strict=True):
            picture = detail + scale_to(picture, size)
        return picture / share

    return Parameterization(init, decode)


def _network(height: int, width: int) -> Parameterization:
    init_network, apply = functional(lambda rngs: CoordinateNetwork(rngs=rngs))

    def init(key: Key, pixels: Pixels) -> Params:
        return jax.tree.map(lambda weight: weight * WEIGHT_SCALE, init_network(key))

    def decode(params: Any) -> Pixels:
        weights = jax.tree.map(lambda weight: weight / WEIGHT_SCALE, params)
        # As if of a thousand times as many pixels, so that pictures of one shape have one frame, whatever their size.
        return 2 * MIDDLE * apply(weights, pixel_positions(height, width, like=(1000 * height, 1000 * width)))

    return Parameterization(init, decode, keeps_start=False)


#: Every parameterization by name: a function of height and width.
PARAMETERIZATIONS: dict[str, Callable[[int, int], Parameterization]] = {
    "pixels": _pixels,
    "bounded": _bounded,
    "fourier": _fourier,
    "preconditioned": _preconditioned,
    "laplacian": _laplacian,
    "network": _network,
}
