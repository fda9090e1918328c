"""The terms of a loss as data: a statistic of a layer's features, its target, and a distance between both.

Style transfer, texture synthesis, content reconstruction and dreams minimize the same function, `feature_loss`; they
differ in the rows of these tables that they use, in the targets and in the weights. A new style loss is one function
(a statistic, or a distance) and one row of `STYLE_LOSSES`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.problems.losses import (
    channel_activation,
    content_loss,
    guided_activation,
    layer_activation,
    mean_square,
    style_loss,
    total_variation,
    weighted_sum,
)
from jaxstyle.problems.statistics import gram_matrix, sample_positions, unchanged
from jaxstyle.types import Features, Key, Scalar
from jaxstyle.vgg import module as vgg

#: Slope for negative sums in place of the ReLU's 0 where the mean of a channel is to grow: Maas, Hannun and Ng (2013).
LEAK = 0.01

#: The arguments of `feature_loss` that a batch stacks (0), even if they are equal in all its runs, and shares (None).
BATCH_AXES = {"network": None, "targets": 0, "weights": 0}


class Term(NamedTuple):
    """A kind of term of a loss.

    Attributes:
        statistic: Function `statistic(features)` that returns what is compared, an array or a pytree of arrays, from
            the features `[height, width, channels]` of one layer.
        distance: Function `distance(statistic, target)` that returns a scalar, for the target of one picture. The
            targets of several pictures are stacked, and the losses are blended (`style_loss`).
        target: Function `target(features)` that returns the target from the features of a target picture; the
            statistic, if left out. Targets that are stacked must have one shape, whatever the sizes of the pictures.
        is_maximized: Whether the term is maximized: its weights enter the loss with a minus sign.
        leak: If above 0, layers behind a ReLU keep their negative sums, multiplied by it.
    """

    statistic: Callable[[Features], Any] = unchanged
    distance: Callable[[Any, Any], Scalar] = mean_square
    target: Callable[[Features], Any] | None = None
    is_maximized: bool = False
    leak: float = 0.0


#: The losses that a style can have, by name: `StyleTransferConfig.style_loss` and `TextureConfig.style_loss`.
STYLE_LOSSES = {"gram": Term(gram_matrix)}

#: The losses that a content can have, by name.
CONTENT_LOSSES = {"features": Term(distance=content_loss)}

#: The activations that dreams maximize: of the whole layer, of some channels, or the agreement with a guide.
ACTIVATIONS = {
    "layer": Term(distance=lambda features, _: layer_activation(features), is_maximized=True),
    "channels": Term(distance=channel_activation, is_maximized=True, leak=LEAK),
    "guide": Term(distance=guided_activation, target=sample_positions, is_maximized=True),
}


def term_weights(
    layers: Mapping[str, Any], *, weight: float | None = None, blend: Sequence[float] | None = None
) -> dict[str, Any]:
    """Returns the weights of a term as `feature_loss` takes them.

    Args:
        layers: A weight for each layer.
        weight: Weight of all layers together, if there is one.
        blend: A weight for each target picture, normalized to sum 1; left out if the targets are not stacked.
    """
    weights: dict[str, Any] = {"layers": {layer: jnp.asarray(own, jnp.float32) for layer, own in layers.items()}}
    if weight is not None:
        weights["term"] = jnp.float32(weight)
    if blend is not None:
        weights["blend"] = jnp.array([own / sum(blend) for own in blend], jnp.float32)
    return weights


def feature_loss(
    pixels: Float[Array, "height width 3"],
    args: dict[str, Any],
    key: Key | None = None,
    *,
    terms: tuple[tuple[str, Term], ...],
    pooling: str = "max",
    memory: str = "normal",
    padding: str = "zero",
    jitter: int = 0,
) -> tuple[Scalar, dict[str, Scalar]]:
    """Returns the loss of `pixels` (on 0..255) and its weighted terms, by name, and `tv`.

    `L = sum_t w_t sum_l a_tl sum_i blend_ti d_t(S_t(F_l), T_tli) + w_tv TV` over the terms `t`, their layers `l` and
    the target pictures `i`, with the features `F`, the statistics `S`, the distances `d`, the targets `T` and the total
    variation `TV`: the form of Gatys et al. (2016), equation 7, for any statistic and distance.

    Args:
        pixels: The parameters.
        args: `network`: a network's parameters.
            `targets`: by name of the term and layer, an array or a pytree of arrays, stacked where there is a blend.
            `weights`: `tv`, and by name of the term what `term_weights` returns.
        key: Source of the random shift; ignored without jitter.
        terms: Pairs of a name and a term.
        pooling: `max` or `avg`.
        memory: `normal` or `low`.
        padding: Padding of the convolutions, one of `jaxstyle.vgg.module.PADDINGS`. With `circular`, opposite borders
            are neighbors for the total variation, too.
        jitter: Largest random shift of the network's input in pixels, vertically and horizontally; borders wrap around.
    """
    inputs = pixels
    if jitter:
        assert key is not None
        inputs = jnp.roll(pixels, jax.random.randint(key, (2,), -jitter, jitter + 1), axis=(0, 1))
    targets, weights = args["targets"], args["weights"]
    layers = dict.fromkeys(_computed_layer(term, layer) for name, term in terms for layer in targets[name])
    found = vgg.features(
        args["network"], inputs / vgg.PIXEL_SCALE, tuple(layers), pooling=pooling, memory=memory, padding=padding
    )

    def compare(term: Term, layer: str, target: Any, blend: Float[Array, " pictures"] | None) -> Scalar:
        computed = _computed_layer(term, layer)
        features = found[layer] if computed == layer else jax.nn.leaky_relu(found[computed], term.leak)
        statistic = term.statistic(features)
        if blend is None:
            return term.distance(statistic, target)
        return style_loss(statistic, target, blend, distance=term.distance)

    losses = {}
    for name, term in terms:
        own = weights[name]
        values = {layer: compare(term, layer, target, own.get("blend")) for layer, target in targets[name].items()}
        signed = {layer: -weight if term.is_maximized else weight for layer, weight in own["layers"].items()}
        losses[name] = weighted_sum(values, signed)
        if "term" in own:
            losses[name] *= own["term"]
    losses["tv"] = weights["tv"] * total_variation(pixels, circular=padding == "circular")
    return sum(losses.values(), start=jnp.zeros(())), losses


def _computed_layer(term: Term, layer: str) -> str:
    """Returns the layer from which the features of `layer` come: the sums before its ReLU, for a term with a leak."""
    return layer.replace("relu", "conv") if term.leak else layer
