"""Names, order and sizes of the layers of VGG-16 and VGG-19, and the choices of how they are computed. Without JAX.

Simonyan and Zisserman (2014), "Very deep convolutional networks for large-scale image recognition", table 1,
columns D (VGG-16) and E (VGG-19). Layers are named `conv3_2`, `relu3_2` and `pool3`: block, then position.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from jaxstyle.argument_checks import check_layer_names
from jaxstyle.checks import InputError, check_choice

#: Per architecture, per block: number of convolutions and their width.
Architectures = Mapping[str, tuple[tuple[int, int], ...]]
ARCHITECTURES: Architectures = {
    "vgg16": ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
    "vgg19": ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)),
}

#: The five layers of Gatys et al. (2016), section 2.2.
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

#: How a block makes a picture smaller.
Pooling = Literal["max", "avg"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)

#: Types that the features may have.
Dtype = Literal["float32", "bfloat16"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)

#: `low` computes features again in the backward pass instead of keeping them.
MemoryMode = Literal["normal", "low"]
MEMORY_MODES: tuple[MemoryMode, ...] = get_args(MemoryMode)

#: Padding of each convolution, by NumPy's names. `zero`: zeros, as the networks were trained, which mark the border;
#: `circular`: the opposite border, for pictures that tile; `edge`: the pixels at the border again.
PADDINGS = {"zero": "constant", "circular": "wrap", "edge": "edge"}


def layer_channels(blocks: Iterable[tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Returns each convolution's name with its input and output channels, from the image up.

    >>> list(layer_channels(((1, 64), (2, 128))).items())
    [('conv1_1', (3, 64)), ('conv2_1', (64, 128)), ('conv2_2', (128, 128))]
    """
    layers, channels = {}, 3
    for block, (count, width) in enumerate(blocks, start=1):
        for convolution in range(1, count + 1):
            layers[f"conv{block}_{convolution}"] = (channels, width)
            channels = width
    return layers


def layer_names(architecture: str) -> tuple[str, ...]:
    """Returns every layer's name in the order of computation: `conv1_1`, `relu1_1`, ..., `pool5`.

    >>> layer_names("vgg19")[:5]
    ('conv1_1', 'relu1_1', 'conv1_2', 'relu1_2', 'pool1')
    """
    check_choice("architecture", architecture, ARCHITECTURES)
    names: list[str] = []
    for block, (count, _) in enumerate(ARCHITECTURES[architecture], start=1):
        for index in range(1, count + 1):
            names += [f"conv{block}_{index}", f"relu{block}_{index}"]
        names.append(f"pool{block}")
    return tuple(names)


def check_order(layers: Sequence[str]) -> tuple[str, ...]:
    """Returns `layers` as a tuple, or raises `InputError` if they do not stand in the order of computation."""
    names = layer_names("vgg19")  # VGG-16 has a part of these, in the same order
    layers = check_layer_names(layers)
    ordered = sorted(set(layers), key=lambda layer: names.index(check_choice("each layer", layer, names)))
    if ordered != list(layers):
        raise InputError("layers in order of depth, each once", " ".join(layers), f"write {' '.join(ordered)}")
    return tuple(layers)


def minimum_size(layers: Sequence[str]) -> int:
    """Returns the least height and width, in pixels, at which every one of `layers` has at least one position.

    Each pooling halves the picture, and `relu5_1` lies behind four of them:

    >>> minimum_size(["relu1_1", "relu5_1"])
    16
    """
    blocks = {layer: _block(layer) for layer in check_layer_names(layers)}
    return max((2 ** (block - (not layer.startswith("pool"))) for layer, block in blocks.items()), default=1)


def _block(layer: str) -> int:
    return int(layer.removeprefix("conv").removeprefix("relu").removeprefix("pool")[0])
