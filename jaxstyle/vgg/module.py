"""VGG-16 and VGG-19 without their classifiers, as a Flax (NNX) module and as the pure function `features`.

Simonyan and Zisserman (2014), "Very deep convolutional networks for large-scale image recognition", table 1,
columns D (VGG-16) and E (VGG-19). Layers are named `conv3_2`, `relu3_2` and `pool3`: block, then position.

`features(params, picture, layers)` is what the rest of the code calls. It builds the module around the parameters it
is given, while tracing, so that the parameters stay an ordinary argument and nothing is hidden in the module.
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
from jaxstyle.vgg.pooling import average_pool, max_pool

#: Convolutions in each of the five blocks.
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}

POOLINGS = ("max", "avg")

MEMORY_MODES = ("normal", "low")

#: What each convolution sees beyond the border, by NumPy's names: zeros, as the networks were trained (they mark the
#: border); the opposite border, for pictures that tile; or the border's own pixels again, which mark it little.
PADDINGS = {"zero": "constant", "circular": "wrap", "edge": "edge"}

#: Types the features may have.
DTYPES = ("float32", "bfloat16")

#: The networks take pixels of 0..255, from which they subtract the training set's mean color.
PIXEL_SCALE = 255.0


def layer_names(architecture: str) -> tuple[str, ...]:
    """Returns every layer's name in the order of computation: `conv1_1`, `relu1_1`, ..., `pool5`.

    >>> layer_names("vgg19")[:5]
    ('conv1_1', 'relu1_1', 'conv1_2', 'relu1_2', 'pool1')
    """
    check_choice("architecture", architecture, BLOCKS)
    names: list[str] = []
    for block, count in enumerate(BLOCKS[architecture], start=1):
        for index in range(1, count + 1):
            names += [f"conv{block}_{index}", f"relu{block}_{index}"]
        names.append(f"pool{block}")
    return tuple(names)


def architecture_of(params: NetworkParams) -> str:
    """Returns `vgg16` or `vgg19`, by the convolutions that `params` holds.

    They may end early (see `freeze`); where they end before the two networks part, either name is right.

    Raises:
        InputError: If `params` is anything else.
    """
    if not isinstance(params, Mapping):
        is_network = isinstance(getattr(params, "params", None), Mapping)
        advice = "pass network.params" if is_network else "pass load_network().params"
        raise InputError("a network's parameters, a dictionary of layers", describe(params), advice)
    held = [name for name in params if name != "mean"]
    for architecture in BLOCKS:
        convolutions = [name for name in layer_names(architecture) if name.startswith("conv")]
        if held and set(held) == set(convolutions[: len(held)]):
            return architecture
    raise InputError(
        "the convolutions of VGG-16 or VGG-19", ", ".join(sorted(held)) or "none", "load a network with load_network"
    )


def convolutions_for(architecture: str, layers: Sequence[str]) -> tuple[str, ...]:
    """Returns the convolutions that `layers` need: all up to the deepest.

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


def check_order(layers: Sequence[str]) -> tuple[str, ...]:
    """Returns `layers` as a tuple, or raises `InputError` if they do not stand in the order of computation."""
    names = layer_names("vgg19")  # VGG-16 has a part of these, in the same order
    layers = check_layer_names(layers)
    ordered = sorted(set(layers), key=lambda layer: names.index(check_choice("each layer", layer, names)))
    if ordered != list(layers):
        raise InputError("layers in order of depth, each once", " ".join(layers), f"write {' '.join(ordered)}")
    return tuple(layers)


def minimum_size(layers: Sequence[str]) -> int:
    """Returns the least height and width, in pixels, at which every one of `layers` sees at least one whole cell.

    Each pooling halves the picture, and `relu5_1` lies behind four of them:

    >>> minimum_size(["relu1_1", "relu5_1"])
    16
    """
    blocks = {layer: _block(layer) for layer in check_layer_names(layers)}
    return max((2 ** (block - (not layer.startswith("pool"))) for layer, block in blocks.items()), default=1)


def _block(layer: str) -> int:
    return int(layer.removeprefix("conv").removeprefix("relu").removeprefix("pool")[0])


def freeze(
    params: NetworkParams, *, layers: Sequence[str] | None = None, pixels: int = 0, dtype: str | None = None
) -> NetworkParams:
    """Returns `params` with every kernel as a `FrozenKernel`: do it once, before a loop, for speed.

    Args:
        params: Plain parameters; frozen ones come back as they are.
        layers: The layers to come: convolutions behind the deepest are left out. All are kept, if left out.
        pixels: Height times width of the pictures to come: each layer gets the method that is the fastest for them
            on this device. Any other size gives the same features, but for rounding.
        dtype: Type of the features: one of `DTYPES`; the parameters' own, if left out.
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
    """A 3x3 convolution with fixed weights. See `jaxstyle.vgg.convolution`."""

    def __init__(self, kernel: FrozenKernel, bias: jax.Array):
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(bias)

    def __call__(self, features: Inputs, *, relu: bool) -> Outputs:
        """Returns the convolution of `features` plus the bias, through a ReLU if asked for."""
        return convolve(features, self.kernel.get_value(), self.bias.get_value(), relu)


class VGG(nnx.Module):
    """VGG-16 or VGG-19 up to its last pooling.

    Args:
        params: `{"mean": [3], "conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, ...}`; the mean is RGB on 0..255.
            Kernels may be frozen (`freeze`) or plain. Which of the two networks it is follows from the names.
        pooling: `max`, as it was trained, or `avg`, which Gatys et al. (2016, section 2) found to please more.
        padding: One of `PADDINGS`. With `circular`, the features of a picture that is rolled by a multiple of all
            strides are its features rolled, if the strides divide its height and width.
    """

    def __init__(self, params: NetworkParams, *, pooling: str = "max", padding: str = "zero"):
        self.architecture = architecture_of(params)
        self.padding = check_choice("padding", padding, PADDINGS)
        self.pooling = check_choice("pooling", pooling, POOLINGS)
        self.mean = nnx.Param(jnp.asarray(params["mean"]))
        for name, value in freeze(params).items():
            if name != "mean":
                setattr(self, name, Convolution(value["kernel"], value["bias"]))

    def __call__(self, picture: Picture, layers: Sequence[str], *, memory: str = "normal") -> dict[str, AnyFeatures]:
        """Returns the features of `picture` (RGB in [0, 1]) at `layers`; nothing past the deepest is computed."""
        check_picture("a picture", picture)
        layers = check_layer_names(layers)
        found: dict[str, Features] = {}
        picture = jnp.asarray(picture)
        # Half precision has too few digits for pixels of 0..255, whatever the features are computed in.
        picture = picture.astype(jnp.promote_types(picture.dtype, jnp.float32))
        hidden = picture * PIXEL_SCALE - self.mean.get_value()
        for steps in self._blocks(layers):
            block = partial(self._block, steps=steps, layers=layers)
            hidden, features = (recompute(block) if memory == "low" else block)(hidden)
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
                # The ReLU belongs to the convolution unless the sums before it are asked for.
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
        # One pixel more on every side is all that a 3x3 kernel sees; what it makes of the new border is cut off.
        hidden = jnp.pad(hidden, ((1, 1), (1, 1), (0, 0)), mode=PADDINGS[self.padding])
        return convolution(hidden, relu=relu)[1:-1, 1:-1]


def recompute(block: Callable[[Features], Any]) -> Callable[[Features], Any]:
    """Returns `block`, a function of one array, with a gradient that computes it again instead of keeping its inside.

    This is `jax.checkpoint`, but for what XLA makes of it on a CPU: there the barrier that should keep the second
    computation apart from the first is dropped before common subexpressions are merged, and nothing is saved. Inside
    a branch there is nothing to merge with.
    """

    @jax.custom_vjp
    def run(hidden: Features) -> Any:
        return block(hidden)

    def forward(hidden: Features) -> tuple[Any, Features]:
        return block(hidden), hidden

    def backward(hidden: Features, cotangents: Any) -> tuple[Features]:
        # True, but XLA cannot know it; and where it is false, the gradient is NaN anyway.
        is_number = hidden[0, 0, 0] == hidden[0, 0, 0]
        again = lambda: jax.vjp(block, hidden)[1](cotangents)[0]
        return (lax.cond(is_number, again, lambda: jnp.full_like(hidden, jnp.nan)),)

    run.defvjp(forward, backward)
    return run


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
        params: A network's parameters (see `VGG`), plain or frozen.
        picture: RGB in [0, 1], `[height, width, 3]`. Values outside are not clipped, so that gradients stay exact.
        layers: Names such as `relu4_2`, `conv3_1` or `pool3`.
        pooling: `max` or `avg`.
        memory: `normal`, or `low`: a gradient then computes each block of layers a second time instead of keeping
            what is in it, which takes about a third longer.
        padding: `zero`, `circular` or `edge`: see `PADDINGS`.

    Returns:
        A dictionary with the given layers in the given order, each `[height, width, channels]`, where height and
        width are halved, rounding up, by each pooling before the layer.

    Raises:
        InputError: If a layer, pooling or padding is unknown, `params` is not a VGG, or `picture` no picture: where
            it is not traced, its values are checked as well.
    """
    layers = check_layers(params, layers)
    check_choice("memory", memory, MEMORY_MODES)
    return VGG(params, pooling=pooling, padding=padding)(picture, layers, memory=memory)
