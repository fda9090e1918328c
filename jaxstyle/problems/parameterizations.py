"""Parameterizations of a picture that is optimized: pixels, bounded pixels, waves, a pyramid, a network.

The loss is a function of a picture; the optimizer changes the parameters from which `decode` computes that picture. The
choice of parameters changes the loss landscape: Olah, Mordvintsev and Schubert (2017), "Feature visualization", section
"Preconditioning and parameterization"; Mordvintsev et al. (2018), "Differentiable image parameterizations".

All parameters are scaled so that adding a given number to every parameter changes the picture by about as much (in root
mean square) as it does with `pixels`: a learning rate has the same meaning as on 0..255 pixels.
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

#: Smallest distance from 0 and 255 at which a bounded picture starts; at 0 and 255 its parameters would be infinite.
CLOSEST = 0.5

#: Matrix from three uncorrelated colors (columns) to red, green and blue (rows): a square root of the covariance of the
#: colors of ImageNet's pictures, from tensorflow/lucid (`lucid/optvis/param/color.py`), by the authors of Olah et al.
COLOR_ROOT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])

#: Largest number of levels of a Laplacian pyramid, and smallest side of a level in pixels.
MOST_LEVELS, LEAST_SIDE = 6, 8

#: Parameters of the coordinate network are its weights times this, so that Adam's rate of 10 changes them by 0.004.
WEIGHT_SCALE = 2500.0


class Parameterization(NamedTuple):
    """A pair of functions between pictures of one size and their parameters.

    Attributes:
        init: Function `init(key, pixels) -> params` whose result decodes to `pixels`, `[height, width, 3]` on 0..255.
        decode: Function `decode(params) -> pixels`.
        keeps_start: Whether `init` returns parameters for the given picture; if not, it returns random ones.
    """

    init: Callable[[Key, Pixels], Params]
    decode: Callable[[Params], Pixels]
    keeps_start: bool = True


def make_parameterization(name: str, height: int, width: int) -> Parameterization:
    """Returns the parameterization called `name`, for pictures of one size.

    - `pixels`: the picture itself, on 0..255; values outside of that range are allowed.
    - `bounded`: `127.5 (1 + tanh(z / 127.5))`, which stays inside the range. Gradients vanish toward both ends.
    - `fourier`: `z` of `bounded` as a sum of waves `A c(f) / max(|f|, 1 / max(height, width))`, in uncorrelated colors
      that the matrix `A` maps to red, green and blue: Olah et al. (2017). Deviations: the scaling that this module's
      docstring describes; the bound is a tanh, which is their sigmoid up to scale.
    - `preconditioned`: the parameters filtered by `|f|^-1/2` and scaled in the same way; for the constant wave, f is
      that of the longest wave. The purpose is that the loss of style transfer has about the same curvature along long
      waves as along short ones. On two pairs of pictures, with one start each, L-BFGS reached Adam's loss in 14 and
      16 % fewer evaluations than in pixels (`benchmarks/README.md`); over ten seeds of one pair at 64x64 the intervals
      overlap.
    - `laplacian`: the sum of up to six pictures, each half as wide as the one before, enlarged by linear interpolation
      (Burt and Adelson 1983), divided by the square root of their number.
    - `network`: the colors that a small network computes for each position
      (`jaxstyle.problems.networks.CoordinateNetwork`). It starts with random weights, from a gray picture.

    Raises:
        InputError: If `name` is not one of these.
    """
    return PARAMETERIZATIONS[check_choice("parameterization", name, PARAMETERIZATIONS)](height, width)


def apply_parameterization(problem: Problem, name: str, height: int, width: int) -> Problem:
    """Returns a problem of pixels, `[height, width, 3]` on 0..255, with the parameters of parameterization `name`."""
    if name == "pixels":
        return problem
    parameterization = make_parameterization(name, height, width)
    return reparameterize(problem, parameterization.init, parameterization.decode, name=name)


def _pixels(height: int, width: int) -> Parameterization:
    return Parameterization(lambda key, pixels: pixels, lambda params: params)


def _bounded(height: int, width: int) -> Parameterization:
    return Parameterization(lambda key, pixels: _from_bounded(pixels), _to_bounded)


def _to_bounded(free: Array) -> Pixels:
    return MIDDLE * (1 + jnp.tanh(free / MIDDLE))


def _from_bounded(pixels: Pixels) -> Array:
    kept = jnp.clip(pixels, CLOSEST, 2 * MIDDLE - CLOSEST)
    return MIDDLE * jnp.arctanh(kept / MIDDLE - 1)


def _fourier(height: int, width: int) -> Parameterization:
    # The longest of the three columns gets length 1, as in tensorflow/lucid.
    colors = COLOR_ROOT / np.linalg.norm(COLOR_ROOT, axis=0).max()
    mix = lambda picture, matrix: jnp.einsum("hwi,oi->hwo", picture, matrix, precision="highest")

    def init(key: Key, pixels: Pixels) -> Float[Array, "height waves 3 2"]:
        spectrum = jnp.fft.rfft2(mix(_from_bounded(pixels), np.linalg.inv(colors)), axes=(0, 1), norm="ortho")
        return jnp.stack([spectrum.real, spectrum.imag], axis=-1) / _wave_sizes(height, width)[..., None, None]

    def decode(params: Float[Array, "height waves 3 2"]) -> Pixels:
        scaled = params * _wave_sizes(height, width)[..., None, None]
        spectrum = jax.lax.complex(scaled[..., 0], scaled[..., 1])
        return _to_bounded(mix(jnp.fft.irfft2(spectrum, (height, width), axes=(0, 1), norm="ortho"), colors))

    return Parameterization(init, decode)


def _preconditioned(height: int, width: int) -> Parameterization:
    def multiply(picture: Pixels, exponent: int) -> Pixels:
        # The gains are computed here, as in `_fourier`; in a closure they would be part of the program's text.
        factors = _wave_sizes(height, width, 0.5)[..., None] ** exponent
        return jnp.fft.irfft2(jnp.fft.rfft2(picture, axes=(0, 1)) * factors, (height, width), axes=(0, 1))

    return Parameterization(lambda key, pixels: multiply(pixels, -1), lambda params: multiply(params, 1))


def _wave_sizes(height: int, width: int, exponent: float = 1.0) -> Float[Array, "height waves"]:
    """Returns `|f|^-exponent` for every wave of `rfft2`, scaled to a mean square of 1 over all waves of the picture."""
    rows = jnp.fft.fftfreq(height)
    half = jnp.arange(width // 2 + 1) / width
    sizes = jnp.maximum(jnp.hypot(rows[:, None], half), 1 / max(height, width)) ** -exponent
    has_twin = (half > 0) & (half < 0.5)  # waves whose negative frequency `rfft2` leaves out
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
        # Positions relative to a picture a thousand times as large do not depend on the size, only on the shape.
        return 2 * MIDDLE * apply(weights, pixel_positions(height, width, like=(1000 * height, 1000 * width)))

    return Parameterization(init, decode, keeps_start=False)


#: Parameterizations by name, each as a function of height and width.
PARAMETERIZATIONS: dict[str, Callable[[int, int], Parameterization]] = {
    "pixels": _pixels,
    "bounded": _bounded,
    "fourier": _fourier,
    "preconditioned": _preconditioned,
    "laplacian": _laplacian,
    "network": _network,
}
