"""VGG-16 and VGG-19 without their classifiers, as a Flax (NNX) module and as the pure function `features`.

Simonyan and Zisserman (2014), "Very deep convolutional networks for large-scale image recognition", table 1,
columns D (VGG-16) and E (VGG-19). Layers are named `conv3_2`, `relu3_2` and `pool3`: block, then position.

`features(params, picture, layers)` is what the rest of the code calls. It builds the module around the parameters it
is given, while tracing, so that the parameters stay an ordinary argument and nothing is hidden in the module.
"""

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxstyle.checks import InputError, check_choice
from jaxstyle.convolution import FrozenKernel, convolve, freeze_kernel
from jaxstyle.types import Features, NetworkParams, Picture

#: Convolutions in each of the five blocks.
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}

POOLINGS = ("max", "avg")

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
    """Returns `vgg16` or `vgg19`, by the convolutions that `params` holds."""
    held = {name for name in params if name != "mean"}
    for architecture in BLOCKS:
        if held == {name for name in layer_names(architecture) if name.startswith("conv")}:
            return architecture
    raise InputError(
        "the convolutions of VGG-16 or VGG-19", ", ".join(sorted(held)) or "none", "load a network with load_network"
    )


def check_layers(params: NetworkParams, layers: Iterable[str]) -> tuple[str, ...]:
    """Returns `layers` as a tuple, or raises `InputError` if the network of `params` lacks one of them."""
    architecture = architecture_of(params)
    names = layer_names(architecture)
    return tuple(check_choice(f"each layer of {architecture}", layer, names) for layer in layers)


def minimum_size(layers: Sequence[str]) -> int:
    """Returns the least height and width, in pixels, at which every one of `layers` sees at least one whole cell.

    Each pooling halves the picture, and `relu5_1` lies behind four of them:

    >>> minimum_size(["relu1_1", "relu5_1"])
    16
    """
    return max((2 ** (_block(layer) - (not layer.startswith("pool"))) for layer in layers), default=1)


def _block(layer: str) -> int:
    return int(layer.removeprefix("conv").removeprefix("relu").removeprefix("pool")[0])


def freeze(params: NetworkParams) -> NetworkParams:
    """Returns `params` with every kernel as a `FrozenKernel`: do it once, before a loop, for speed."""
    return {
        name: value
        if name == "mean" or isinstance(value["kernel"], FrozenKernel)
        else {"kernel": freeze_kernel(value["kernel"]), "bias": jnp.asarray(value["bias"])}
        for name, value in params.items()
    }


class Convolution(nnx.Module):
    """A 3x3 convolution with fixed weights. See `jaxstyle.convolution`."""

    def __init__(self, kernel: FrozenKernel, bias: jax.Array):
        self.kernel = nnx.Param(kernel.forward)
        self.backward_kernel = nnx.Param(kernel.backward)
        self.bias = nnx.Param(bias)

    def __call__(self, features: Features) -> Features:
        """Returns the convolution of `features` plus the bias."""
        kernel = FrozenKernel(self.kernel[...], self.backward_kernel[...])
        return convolve(features, kernel) + self.bias[...]


class VGG(nnx.Module):
    """VGG-16 or VGG-19 up to its last pooling.

    Args:
        params: `{"mean": [3], "conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, ...}`; the mean is RGB on 0..255.
            Kernels may be frozen (`freeze`) or plain. Which of the two networks it is follows from the names.
        pooling: `max`, as it was trained, or `avg`, which Gatys et al. (2016, section 2) found to please more.
    """

    def __init__(self, params: NetworkParams, *, pooling: str = "max"):
        self.architecture = architecture_of(params)
        self.pooling = check_choice("pooling", pooling, POOLINGS)
        self.mean = nnx.Param(jnp.asarray(params["mean"]))
        for name, value in freeze(params).items():
            if name != "mean":
                setattr(self, name, Convolution(value["kernel"], value["bias"]))

    def __call__(self, picture: Picture, layers: Sequence[str]) -> dict[str, Features]:
        """Returns the features of `picture` (RGB in [0, 1]) at `layers`; nothing past the deepest is computed."""
        wanted = set(layers)
        found: dict[str, Features] = {}
        hidden = jnp.asarray(picture) * PIXEL_SCALE - self.mean[...]
        for name in layer_names(self.architecture):
            if len(found) == len(wanted):
                break
            if name.startswith("conv"):
                hidden = getattr(self, name)(hidden)
            elif name.startswith("relu"):
                hidden = jax.nn.relu(hidden)
            else:
                hidden = pool(hidden, self.pooling)
            if name in wanted:
                found[name] = hidden
        return {layer: found[layer] for layer in layers}


def features(
    params: NetworkParams, picture: Picture, layers: Sequence[str], *, pooling: str = "max"
) -> dict[str, Features]:
    """Returns the features of a picture at the named layers, as a pure function of parameters and picture.

    Args:
        params: A network's parameters (see `VGG`), plain or frozen.
        picture: RGB in [0, 1], `[height, width, 3]`. Values outside are not clipped, so that gradients stay exact.
        layers: Names such as `relu4_2`, `conv3_1` or `pool3`.
        pooling: `max` or `avg`.

    Returns:
        A dictionary with the given layers in the given order, each `[height, width, channels]`, where height and
        width are halved, rounding up, by each pooling before the layer.

    Raises:
        InputError: If a layer or pooling is unknown, or `params` is not a VGG.
    """
    layers = check_layers(params, layers)
    return VGG(params, pooling=pooling)(picture, layers)


def pool(features: Features, pooling: str) -> Features:
    """Pools 2x2 cells; an odd last row or column makes a smaller cell of its own (sizes round up).

    The average of such a smaller cell leaves the padding out: it divides by the pixels that exist.
    """
    height, width, _ = features.shape
    pad = ((0, height % 2), (0, width % 2), (0, 0))
    if pooling == "max":
        return _cells(jnp.pad(features, pad, constant_values=-jnp.inf)).max((1, 3))
    sums = _cells(jnp.pad(features, pad)).sum((1, 3))
    rows = jnp.pad(jnp.ones(height), pad[0]).reshape(-1, 2).sum(1)
    columns = jnp.pad(jnp.ones(width), pad[1]).reshape(-1, 2).sum(1)
    return sums / lax.convert_element_type(jnp.outer(rows, columns)[:, :, None], sums.dtype)


def _cells(features: Features) -> jax.Array:
    height, width, channels = features.shape
    return features.reshape(height // 2, 2, width // 2, 2, channels)
