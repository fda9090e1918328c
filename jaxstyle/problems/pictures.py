"""What the problems of pictures have in common: checks, targets, starts."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle import vgg
from jaxstyle.checks import InputError
from jaxstyle.memory import compile_to_fit
from jaxstyle.statistics import gram_matrix
from jaxstyle.types import Features, Gram, Key, NetworkParams, Picture

#: Standard deviation of the initial noise, on 0..255: the widely used TensorFlow program's.
NOISE_DEVIATION = 0.256


def check_picture(name: str, picture: Picture, minimum: int) -> None:
    """Raises `InputError` if `picture` is not RGB, or if a side of it is below `minimum`."""
    if picture.ndim != 3 or picture.shape[-1] != 3:
        raise InputError(f"{name} of shape (height, width, 3)", tuple(picture.shape), "pass one RGB picture")
    height, width, _ = picture.shape
    check_size(name, height, width, minimum)


def check_size(name: str, height: int, width: int, minimum: int) -> None:
    """Raises `InputError` if a side is below `minimum`, where the deepest layer would see nothing."""
    if min(height, width) < minimum:
        raise InputError(
            f"{name} at least {minimum}x{minimum} pixels", f"{width}x{height}",
            "take a larger picture or a shallower deepest layer",
        )  # fmt: skip


def run_once(
    function: Callable[..., dict[str, Array]],
    network: NetworkParams,
    picture: Picture,
    layers: tuple[str, ...],
    **options: str,
) -> dict[str, Array]:
    """Compiles a function of the network and a picture, checks that it fits into memory, and runs it."""
    bound = jax.jit(partial(function, layers=layers, **options))
    picture = jnp.asarray(picture, jnp.float32)
    return compile_to_fit(bound, network, picture)(network, picture)


def find_features(
    network: NetworkParams, picture: Picture, layers: tuple[str, ...], *, pooling: str = "max"
) -> dict[str, Features]:
    """Returns the features of a picture, once, for targets."""
    return run_once(vgg.features, network, picture, layers, pooling=pooling)


def find_grams(
    network: NetworkParams, picture: Picture, layers: tuple[str, ...], *, pooling: str = "max", padding: str = "zero"
) -> dict[str, Gram]:
    """Returns the Gram matrices of a picture's features, once, for targets."""
    return run_once(_grams, network, picture, layers, pooling=pooling, padding=padding)


def _grams(network: NetworkParams, picture: Picture, *, layers: tuple[str, ...], **options: str) -> dict[str, Gram]:
    found = vgg.features(network, picture, layers, **options)
    return {layer: gram_matrix(value) for layer, value in found.items()}


def noise(
    key: Key, *, mean: Float[Array, " 3"], height: int, width: int, deviation: float = NOISE_DEVIATION
) -> Float[Array, "height width 3"]:
    """Returns white noise, normal around the color `mean`, on the 0..255 scale: by default nearly flat."""
    return mean + deviation * jax.random.normal(key, (height, width, 3))
