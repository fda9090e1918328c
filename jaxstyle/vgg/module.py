"""VGG-16 and VGG-19 without their classifiers, as a Flax (NNX) module and as the pure function `features`.

Simonyan and Zisserman (2014), "Very deep convolutional networks for large-scale image recognition", table 1,
columns D (VGG-16) and E (VGG-19). Layers are named `conv3_2`, `relu3_2` and `pool3`: block, then position.

The rest of the package calls `features(params, picture, layers)`. It builds the module from its parameters while it is
traced, so that the parameters remain an ordinary argument and the module holds no hidden state.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxstyle.argument_checks import check_layer_names, check_picture, describe
from jaxstyle.checks import InputError, check_choice
from jaxstyle.types import AnyFeatures, Features, NetworkParams, Picture
from jaxstyle.vgg.convolution import FrozenKernel, Inputs, Outputs, choose_method, convolve, freeze_kernel
from jaxstyle.vgg.layers import ARCHITECTURES, MEMORY_MODES, PADDINGS, POOLINGS, layer_channels, layer_names
from jaxstyle.vgg.pooling import average_pool, max_pool

#: The networks take pixels of 0..255, from which they subtract the training set's mean color.
PIXEL_SCALE = 255.0


def architecture_of(params: NetworkParams) -> str:
    """Returns `vgg16` or `vgg19`, according to the convolutions in `params`.

    The deepest convolutions may be missing (see `freeze`). If the others are common to both networks, it is `vgg16`.

    Raises:
        InputError: If `params` is not the parameters of a VGG.
    """
    if not isinstance(params, Mapping):
        is_network = isinstance(getattr(params, "params", None), Mapping)
        advice = "pass network.params" if is_network else "pass load_network().params"
        raise InputError("a network's parameters, a dictionary of layers", describe(params), advice)
    held = [name for name in params if name != "mean"]
    for architecture, blocks in ARCHITECTURES.items():
        convolutions = list(layer_channels(blocks))
        if held and set(held) == set(convolutions[: len(held)]):
            return architecture
    raise InputError(
        "the convolutions of VGG-16 or VGG-19", ", ".join(sorted(held)) or "none", "load a network with load_network"
    )


def convolutions_for(architecture: str, layers: Sequence[str]) -> tuple[str, ...]:
    """Returns the convolutions that must be computed for `layers`: all up to the deepest layer.

    >>> convolutions_for("vgg19", ["relu2_1", "conv1_1"])
    ('conv1_1', 'conv1_2', 'conv2_1')
    """
    return tuple(name for name in _layers_up_to(architecture, layers) if name.startswith("conv"))


def _layers_up_to(architecture: str, layers: Sequence[str]) -> tuple[str, ...]:
    names = layer_names(architecture)
    known = [check_choice(f"each layer of {architecture}", layer, names) for layer in check_layer_names(layers)]
    last = max((names.index(layer) for layer in known), default=-1)
    return names[: last + 1]


def check_layers(params: NetworkParams, layers: Iterable[str]) -> tuple[str, ...]:
    """Returns `layers` as a tuple, or raises `InputError` if the network of `params` lacks one of them."""
    architecture = architecture_of(params)
    names = layer_names(architecture)
    checked = tuple(check_choice(f"each layer of {architecture}", name, names) for name in check_layer_names(layers))
    missing = [name for name in convolutions_for(architecture, checked) if name not in params]
    if missing:
        raise InputError(f"the weights of {missing[-1]}", f"none after {list(params)[-1]}", "freeze more layers")
    return checked


def freeze(
    params: NetworkParams, *, layers: Sequence[str] | None = None, pixels: int = 0, dtype: str | None = None
) -> NetworkParams:
    """Returns `params` with every kernel as a `FrozenKernel`; call it once before a loop, for speed.

    Args:
        params: Plain parameters; frozen ones are returned unchanged.
        layers: The layers that will be computed; convolutions after the deepest are removed. None keeps all.
        pixels: Height times width of the pictures for which each layer's method should be the fastest on this device.
            Pictures of other sizes have the same features, apart from rounding.
        dtype: Type of the features, one of `DTYPES`; None is the type of the parameters.
    """

    def freeze_layer(layer: dict[str, Any]) -> dict[str, Any]:
        if isinstance(layer["kernel"], FrozenKernel):
            return layer
        inputs, outputs = layer["kernel"].shape[2:]
        own = dtype or layer["kernel"].dtype
        method = choose_method(inputs, outputs, pixels=pixels, dtype=own)
        kernel = freeze_kernel(layer["kernel"], method=method, dtype=own)
        return {"kernel": kernel, "bias": jnp.asarray(layer["bias"], own)}

    architecture = architecture_of(params)
    kept = set(params) if layers is None else {"mean", *convolutions_for(architecture, layers)}
    return {
        name: jnp.asarray(value) if name == "mean" else freeze_layer(value)
        for name, value in params.items()
        if name in kept
    }


class Convolution(nnx.Module):
    """A 3x3 convolution with fixed weights, computed by `jaxstyle.vgg.convolution`."""

    def __init__(self, kernel: FrozenKernel, bias: jax.Array) -> None:
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(bias)

    def __call__(self, features: Inputs, *, relu: bool) -> Outputs:
        """Returns the convolution of `features` plus the bias, followed by a ReLU if `relu` is true."""
        return convolve(features, self.kernel.get_value(), self.bias.get_value(), relu)


class VGG(nnx.Module):
    """VGG-16 or VGG-19 up to its last pooling.

    Args:
        params: `{"mean": [3], "conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, ...}`; the mean is RGB on 0..255.
            Kernels may be frozen (`freeze`) or plain. The names determine which of the two networks it is.
        pooling: `max`, as in training, or `avg`, which Gatys et al. (2016, section 2) found slightly more appealing.
        padding: One of `PADDINGS`. With `circular`, rolling a picture by a multiple of all strides rolls its features,
            if the strides divide its height and width.
    """

    def __init__(self, params: NetworkParams, *, pooling: str = "max", padding: str = "zero") -> None:
        self.architecture = architecture_of(params)
        self.padding = check_choice("padding", padding, PADDINGS)
        self.pooling = check_choice("pooling", pooling, POOLINGS)
        self.mean = nnx.Param(jnp.asarray(params["mean"]))
        for name, value in freeze(params).items():
            if name != "mean":
                setattr(self, name, Convolution(value["kernel"], value["bias"]))

    def __call__(self, picture: Picture, layers: Sequence[str], *, memory: str = "normal") -> dict[str, AnyFeatures]:
        """Returns the features of `picture` (RGB in [0, 1]) at `layers`; layers after the deepest are not computed."""
        check_picture("a picture", picture)
        layers = check_layer_names(layers)
        found: dict[str, Features] = {}
        picture = jnp.asarray(picture)
        # Half precision has too few digits for pixels of 0..255, even if the features are computed in it.
        picture = picture.astype(jnp.promote_types(picture.dtype, jnp.float32))
        hidden = picture * PIXEL_SCALE - self.mean.get_value()
        for steps in self._blocks(layers):
            block = partial(self._block, steps=steps, layers=layers)
            hidden, features = recompute(block, hidden) if memory == "low" else block(hidden)
            found.update(features)
        return {layer: found[layer] for layer in layers}

    def _blocks(self, layers: Sequence[str]) -> list[list[str]]:
        """Returns the names of the layers to compute, up to the deepest of `layers`, block by block."""
        blocks: list[list[str]] = [[]]
        for name in _layers_up_to(self.architecture, layers):
            blocks[-1].append(name)
            if name.startswith("pool"):
                blocks.append([])
        return blocks

    def _block(
        self, hidden: Features, steps: list[str], layers: Sequence[str]
    ) -> tuple[AnyFeatures, dict[str, AnyFeatures]]:
        found = {}
        for name in steps:
            if name.startswith("conv"):
                convolution = getattr(self, name)
                hidden = hidden.astype(convolution.bias.get_value().dtype)
                # The convolution includes the ReLU, unless the values before the ReLU are requested as well.
                hidden = self._convolve(convolution, hidden, relu=name not in layers)
            elif name.startswith("relu"):
                hidden = jnp.maximum(hidden, 0) if f"conv{name[4:]}" in layers else hidden
            else:
                hidden = max_pool(hidden) if self.pooling == "max" else average_pool(hidden)
            if name in layers:
                found[name] = hidden
        return hidden, found

    def _convolve(self, convolution: Convolution, hidden: Inputs, *, relu: bool) -> Outputs:
        if self.padding == "zero":
            return convolution(hidden, relu=relu)
        # A 3x3 kernel reads one pixel more on every side; the results at the added pixels are removed again.
        hidden = jnp.pad(hidden, ((1, 1), (1, 1), (0, 0)), mode=PADDINGS[self.padding])
        return convolution(hidden, relu=relu)[1:-1, 1:-1]


def recompute(block: Callable[[Features], Any], hidden: Features) -> Any:
    """Returns `block(hidden)`, with a gradient that computes it again instead of storing its inside.

    This replaces `jax.checkpoint`, which saves no memory on a CPU: there XLA drops the barrier between the second
    computation and the first before it merges common subexpressions, so the second one is removed. Here the second
    computation is inside a branch, where XLA does not merge it with the first.
    """

    @jax.custom_vjp
    def run(hidden: Features, *constants: jax.Array) -> Any:
        return pure(hidden, *constants)

    def forward(hidden: Features, *constants: jax.Array) -> tuple[Any, tuple[Features, tuple[jax.Array, ...]]]:
        return pure(hidden, *constants), (hidden, constants)

    def backward(residuals: tuple[Features, tuple[jax.Array, ...]], cotangents: Any) -> tuple[Features | None, ...]:
        hidden, constants = residuals
        # Always true except for NaN, for which the gradient is NaN anyway; XLA cannot remove the branch.
        is_number = hidden[0, 0, 0] == hidden[0, 0, 0]
        again = lambda: jax.vjp(lambda hidden: pure(hidden, *constants), hidden)[1](cotangents)[0]
        return lax.cond(is_number, again, lambda: jnp.full_like(hidden, jnp.nan)), *(None for _ in constants)

    run.defvjp(forward, backward)
    # What `block` closes over becomes an argument: a gradient taken outside of a `jax.jit` does not see its closure.
    pure, constants = jax.closure_convert(block, hidden)
    return run(hidden, *constants)


def features(
    params: NetworkParams,
    picture: Picture,
    layers: Sequence[str],
    *,
    pooling: str = "max",
    memory: str = "normal",
    padding: str = "zero",
) -> dict[str, AnyFeatures]:
    """Returns the features of a picture at the named layers, as a pure function of parameters and picture.

    Args:
        params: A network's parameters, plain or frozen, in the form that `VGG` describes.
        picture: RGB in [0, 1], `[height, width, 3]`. Values outside are not clipped, so that gradients stay exact.
        layers: Names such as `relu4_2`, `conv3_1` or `pool3`.
        pooling: `max` or `avg`.
        memory: `normal`, or `low`, with which a gradient computes each block of layers a second time instead of storing
            its inside; this takes about a third longer.
        padding: `zero`, `circular` or `edge`, the keys of `PADDINGS`.

    Returns:
        A dictionary with the given layers in the given order, each `[height, width, channels]`, where each pooling
        before the layer halves height and width, rounding up.

    Raises:
        InputError: If a layer, pooling or padding is unknown, `params` is not a VGG, or `picture` is not a picture.
            The values of `picture` are checked too, unless it is traced.
    """
    layers = check_layers(params, layers)
    check_choice("memory", memory, MEMORY_MODES)
    return VGG(params, pooling=pooling, padding=padding)(picture, layers, memory=memory)
