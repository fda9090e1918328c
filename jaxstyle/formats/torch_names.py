"""State dictionaries of PyTorch VGGs, from `.pth` or safetensors: which tensor is which layer, on which scale.

Kernels are `[out, in, height, width]`. Three kinds are about:

- `conv1_1.weight`, ...: conversions of the Caffe networks (`vgg_conv.pth`), which take BGR in 0..255 minus the mean;
- `features.0.weight`, ... from torchvision, trained by itself on RGB in [0, 1] with a mean and a deviation per channel;
- `features.0.weight`, ... holding the Caffe networks (the files of the Torch programs), BGR in 0..255 again.

The names do not tell the last two apart, and the magnitude of conv1_1 is no safe sign: nothing ties it to the inputs'
scale, since biases and later layers make up for it (the original VGG-19's largest entry is 0.65, for inputs of +-120,
and an initialization for inputs of +-2 gives such entries too). But there is one original VGG-16 and one original
VGG-19, so conv1_1 is compared with theirs, by value; what differs is torchvision's kind.
"""

import re
from collections.abc import Mapping

import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.formats.layout import (
    IMAGENET_MEAN,
    Architectures,
    StoredArray,
    StoredNetwork,
    flip_input_channels,
    layer_channels,
    read_layers,
)

#: torchvision's normalization of RGB in [0, 1].
TORCHVISION_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_DEVIATION = (0.229, 0.224, 0.225)

#: Top left entry of filter 0 of the original conv1_1, for blue, green and red, from the Keras and MatConvNet files.
ORIGINAL_CORNER = {"vgg16": (0.42947057, 0.55037946, 0.48001540), "vgg19": (0.34119523, 0.46418372, 0.39416704)}

#: Wide enough for a copy in half precision or 8-bit codes; two networks that agree so by accident: one pair in 1e7.
_CORNER_TOLERANCE = 2e-3


def convert_tensors(tensors: Mapping[str, StoredArray], architectures: Architectures) -> StoredNetwork:
    """Turns a state dictionary into a network of ours, reading only its convolutions.

    Raises:
        InputError: If the names or shapes are another network's.
    """
    if any(name.endswith("running_mean") for name in tensors):
        raise InputError("a VGG without batch normalization", "one with it", "use the plain vgg16 or vgg19 weights")
    numbered = {
        int(match[1]): tensor
        for name, tensor in tensors.items()
        if (match := re.fullmatch(r"features\.(\d{1,3})\.weight", name)) and len(tensor.shape) == 4
    }
    if numbered:
        tensors = _rename(tensors, numbered, architectures)
    patterns = (r"(conv\d_\d)\.weight", r"(conv\d_\d)\.bias")
    kernels, biases = (
        {match[1]: tensor for name, tensor in tensors.items() if (match := re.fullmatch(pattern, name))}
        for pattern in patterns
    )
    architecture, layers = read_layers(kernels, biases, architectures=architectures, axes="OIHW")
    corner = layers["conv1_1"]["kernel"][0, 0, :, 0]
    original = np.asarray(ORIGINAL_CORNER.get(architecture, (np.inf,) * 3), np.float32)
    if numbered and not np.allclose(corner, original, rtol=0, atol=_CORNER_TOLERANCE):
        return _fold_normalization(architecture, layers)
    mean = np.asarray(IMAGENET_MEAN, np.float32)
    return StoredNetwork(architecture, {"mean": mean, **flip_input_channels(layers)})


def _rename(
    tensors: Mapping[str, StoredArray], numbered: Mapping[int, StoredArray], architectures: Architectures
) -> dict[str, StoredArray]:
    """Gives `features.N.weight` and `.bias` our names, by the architecture whose numbers fit best."""
    places = {name: _feature_places(blocks) for name, blocks in architectures.items()}
    nearest = min(places, key=lambda name: len(set(places[name]) ^ set(numbered)))
    for index in sorted(set(places[nearest]) ^ set(numbered)):
        layer = f"features.{index}.weight"
        wanted = f"{layer} ({places[nearest][index]})" if index in places[nearest] else f"no {layer}"
        got = "none" if index in places[nearest] else "one"
        raise InputError(f"{wanted} in a {nearest}", got, f"use the weights of one of {', '.join(architectures)}")
    return {
        f"{layer}.{kind}": tensors[f"features.{index}.{kind}"]
        for index, layer in places[nearest].items()
        for kind in ("weight", "bias")
        if f"features.{index}.{kind}" in tensors
    }


def _feature_places(blocks: tuple[tuple[int, int], ...]) -> dict[int, str]:
    """Returns the convolution at each number of torchvision's `features`, which counts ReLUs and poolings too."""
    places, index = {}, 0
    for layer in layer_channels(blocks):
        # The first of a later block stands behind a pooling.
        index += 1 if layer.endswith("_1") and index else 0
        places[index] = layer
        index += 2
    return places


def _fold_normalization(architecture: str, layers: dict[str, dict[str, np.ndarray]]) -> StoredNetwork:
    """Makes a network for (x / 255 - m) / s one for x - 255 m, by dividing conv1_1's kernel by 255 s per channel.

    This is exact at the border too: zero padding is zero on both scales.
    """
    scale = 255 * np.asarray(TORCHVISION_DEVIATION)
    first = layers["conv1_1"]
    kernel = (first["kernel"] / scale[:, None]).astype(np.float32)
    mean = (255 * np.asarray(TORCHVISION_MEAN)).astype(np.float32)
    return StoredNetwork(architecture, {"mean": mean, **layers, "conv1_1": {**first, "kernel": kernel}})
