"""What the problems of pictures have in common: checks, targets, starts."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle import argument_checks
from jaxstyle.checks import InputError, check_choice
from jaxstyle.memory import compile_to_fit, release_unused
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.statistics import gram_matrix
from jaxstyle.types import AnyFeatures, AnyGram, Key, NetworkParams, Picture, Scalar
from jaxstyle.vgg import module as vgg

#: Standard deviation of the initial noise, on 0..255: the widely used TensorFlow program's.
NOISE_DEVIATION = 0.256


@runtime_checkable
class NetworkOptions(Protocol):
    """What every config of a problem of pictures says of its network."""

    @property
    def pooling(self) -> str:
        """`max` or `avg`."""
        ...

    @property
    def dtype(self) -> str:
        """Of the features."""
        ...

    @property
    def memory(self) -> str:
        """`normal` or `low`."""
        ...


def check_network_options(config: NetworkOptions) -> None:
    """Raises `InputError` for an unknown pooling, type or memory mode."""
    check_choice("pooling", config.pooling, vgg.POOLINGS)
    check_choice("dtype", config.dtype, vgg.DTYPES)
    check_choice("memory", config.memory, vgg.MEMORY_MODES)


def make_pixel_problem(
    name: str,
    init_fn: Callable[[Key], Array],
    loss_fn: Callable[..., tuple[Scalar, dict[str, Scalar]]],
    args: dict[str, Any],
    *,
    is_stochastic: bool = False,
    is_bounded_below: bool = True,
) -> Problem:
    """Returns the problem whose unknowns are pixels on 0..255, once its arguments are computed.

    Args:
        name: See `Problem`, as for the others.
        init_fn: Gives pixels, `[height, width, 3]` on 0..255.
        loss_fn: Loss as a function of such pixels.
        args: Computed here, and what computing them took is given back to the system.
        is_stochastic: Whether the loss uses its key.
        is_bounded_below: Whether the loss has a least value.
    """
    jax.block_until_ready(args)
    release_unused()
    return Problem(
        name=name,
        init_fn=init_fn,
        loss_fn=loss_fn,
        args=args,
        render_fn=lambda pixels, args: pixels / vgg.PIXEL_SCALE,
        is_stochastic=is_stochastic,
        is_bounded_below=is_bounded_below,
    )


def check_picture(name: str, picture: Picture, minimum: int) -> None:
    """Raises `InputError` if `picture` is not RGB in [0, 1], or if a side of it is below `minimum`."""
    argument_checks.check_picture(name, picture)
    height, width, _ = picture.shape
    check_size(name, height, width, minimum)


def check_size(name: str, height: int, width: int, minimum: int) -> None:
    """Raises `InputError` if a side is below `minimum`, where the deepest layer would see nothing."""
    if min(height, width) < minimum:
        raise InputError(
            f"{name} at least {minimum}x{minimum} pixels",
            f"{width}x{height}",
            "take a larger picture or a shallower deepest layer",
        )


def run_once(
    function: Callable[..., dict[str, Array]],
    network: NetworkParams,
    picture: Picture,
    layers: tuple[str, ...],
    **options: str,
) -> dict[str, Array]:
    """Compiles a function of the network and a picture, checks that it fits into memory, and runs it."""
    argument_checks.check_picture("a picture", picture)
    layers = vgg.check_layers(network, layers)
    bound = jax.jit(partial(function, layers=layers, **options))
    picture = jnp.asarray(picture, jnp.float32)
    return compile_to_fit(bound, network, picture)(network, picture)


def find_features(
    network: NetworkParams, picture: Picture, layers: tuple[str, ...], *, pooling: str = "max"
) -> dict[str, AnyFeatures]:
    """Returns the features of a picture, once, for targets."""
    return run_once(vgg.features, network, picture, layers, pooling=pooling)


def find_grams(
    network: NetworkParams, picture: Picture, layers: tuple[str, ...], *, pooling: str = "max", padding: str = "zero"
) -> dict[str, AnyGram]:
    """Returns the Gram matrices of a picture's features, once, for targets."""
    return run_once(_grams, network, picture, layers, pooling=pooling, padding=padding)


def _grams(network: NetworkParams, picture: Picture, *, layers: tuple[str, ...], **options: str) -> dict[str, AnyGram]:
    found = vgg.features(network, picture, layers, **options)
    return {layer: gram_matrix(value) for layer, value in found.items()}


def noise(
    key: Key, *, mean: Float[Array | np.ndarray, " 3"], height: int, width: int, deviation: float = NOISE_DEVIATION
) -> Float[Array, "height width 3"]:
    """Returns white noise, normal around the color `mean`, on the 0..255 scale: by default nearly flat."""
    return deviation * jax.random.normal(key, (height, width, 3)) + mean
