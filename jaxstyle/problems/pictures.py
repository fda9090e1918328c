"""What the problems of pictures have in common: checks, targets, initial pictures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle import argument_checks
from jaxstyle.checks import InputError
from jaxstyle.config import NOISE_DEVIATION, FeatureConfig
from jaxstyle.memory import compile_to_fit, release_unused
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.statistics import unchanged
from jaxstyle.problems.terms import Term, feature_loss
from jaxstyle.types import Features, Key, NetworkParams, Picture
from jaxstyle.vgg import module as vgg
from jaxstyle.vgg.layers import minimum_size


def make_feature_problem(
    name: str,
    config: FeatureConfig,
    init_fn: Callable[[Key], Array],
    terms: Mapping[str, Term],
    network: NetworkParams,
    targets: dict[str, Any],
    weights: dict[str, Any],
    *,
    padding: str = "zero",
    jitter: int = 0,
) -> Problem:
    """Returns the problem of minimizing `jaxstyle.problems.terms.feature_loss` over pixels on 0..255.

    Args:
        name: Name of the problem.
        config: Pooling and memory mode of the network, and the weight of the total variation.
        init_fn: Function `init_fn(key)` that returns the initial pixels, `[height, width, 3]` on 0..255.
        terms: The terms, by name.
        network: The frozen network. These arrays are computed here, and the memory that this took is released.
        targets: The targets, by name of the term and layer.
        weights: What `term_weights` returns, by name of the term.
        padding: Padding of the convolutions, an argument of `feature_loss`.
        jitter: Largest random shift in pixels, an argument of `feature_loss`.
    """
    weights = {**weights, "tv": jnp.float32(config.tv_weight)}
    args = jax.block_until_ready({"network": network, "targets": targets, "weights": weights})
    release_unused()
    return Problem(
        name=name,
        init_fn=init_fn,
        loss_fn=partial(
            feature_loss,
            terms=tuple(sorted(terms.items())),  # the order in which a jitted function gets the entries of `args`
            pooling=config.pooling,
            memory=config.memory,
            padding=padding,
            jitter=jitter,
        ),
        args=args,
        render_fn=lambda pixels, args: pixels / vgg.PIXEL_SCALE,
        is_stochastic=jitter > 0,
        is_bounded_below=not any(term.is_maximized for term in terms.values()),
    )


def check_pictures(network: NetworkParams, layers: Iterable[str], pictures: Mapping[str, Picture]) -> tuple[str, ...]:
    """Returns `layers`, each once, if the network has them and all `pictures` are large enough for them.

    Raises:
        InputError: If not; the message names the layer or the picture.
    """
    layers = vgg.check_layers(network, dict.fromkeys(layers))
    for name, picture in pictures.items():
        check_picture(name, picture, minimum_size(layers))
    return layers


def check_picture(name: str, picture: Picture, minimum: int) -> None:
    """Raises `InputError` if `picture` is not RGB in [0, 1], or if a side of it is below `minimum`."""
    argument_checks.check_picture(name, picture)
    height, width, _ = picture.shape
    check_size(name, height, width, minimum)


def check_size(name: str, height: int, width: int, minimum: int) -> None:
    """Raises `InputError` if a side is below `minimum`, at which the deepest layer has a single position."""
    if min(height, width) < minimum:
        raise InputError(
            f"{name} at least {minimum}x{minimum} pixels",
            f"{width}x{height}",
            "take a larger picture or a shallower deepest layer",
        )


def find_features(
    network: NetworkParams,
    picture: Picture,
    layers: Sequence[str],
    *,
    statistic: Callable[[Features], Any] = unchanged,
    pooling: str = "max",
    padding: str = "zero",
) -> dict[str, Any]:
    """Returns the features of a picture by layer, or a statistic of them, after a check that they fit into memory."""
    argument_checks.check_picture("a picture", picture)
    layers = vgg.check_layers(network, layers)

    @jax.jit
    def find(network: NetworkParams, picture: Picture) -> dict[str, Any]:
        found = vgg.features(network, picture, layers, pooling=pooling, padding=padding)
        return {layer: statistic(features) for layer, features in found.items()}

    picture = jnp.asarray(picture, jnp.float32)
    return compile_to_fit(find, network, picture)(network, picture)


def find_targets(
    term: Term, network: NetworkParams, picture: Picture, layers: Sequence[str], **options: str
) -> dict[str, Any]:
    """Returns the targets of a term by layer, from the target picture; `options` are those of `find_features`."""
    return find_features(network, picture, layers, statistic=term.target or term.statistic, **options)


def noise(
    key: Key, *, mean: Float[Array | np.ndarray, " 3"], height: int, width: int, deviation: float = NOISE_DEVIATION
) -> Float[Array, "height width 3"]:
    """Returns normal white noise around the color `mean`, on the 0..255 scale; the default is nearly flat."""
    return deviation * jax.random.normal(key, (height, width, 3)) + mean
