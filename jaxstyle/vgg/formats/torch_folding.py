"""Folds color scales and batch normalizations of PyTorch's VGGs into the weights of the convolutions.

Files of PyTorch weights use three color scales, and the last two have the same names:

- `conv1_1.weight`, ...: the Caffe networks, which take BGR in 0..255 minus the mean;
- `features.0.weight`, ... from torchvision, trained anew on RGB in [0, 1] with a mean and a deviation per channel;
- `features.0.weight`, ... with the Caffe networks (https://github.com/jcjohnson/pytorch-vgg), BGR in 0..255 again.

The magnitude of conv1_1 does not distinguish them: it does not follow from the inputs' scale, since biases and later
layers can compensate for it (the original VGG-19's largest entry is 0.65, for inputs of +-120, and an initialization
for inputs of +-2 gives such entries too). But there is only one original VGG-16 and one original VGG-19, so conv1_1 is
compared with theirs, by value; a network that differs is taken for one of torchvision's kind.
"""

import math
from collections.abc import Mapping

import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.vgg.formats.layout import (
    IMAGENET_MEAN,
    StoredArray,
    StoredNetwork,
    check_declared,
    flip_input_channels,
    to_float32,
)

#: torchvision's normalization of RGB in [0, 1].
TORCHVISION_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_DEVIATION = (0.229, 0.224, 0.225)

#: Top left entries of filter 0 of the original conv1_1, for blue, green and red, from the Keras and MatConvNet files.
ORIGINAL_CORNER = {"vgg16": (0.42947057, 0.55037946, 0.48001540), "vgg19": (0.34119523, 0.46418372, 0.39416704)}

#: Largest difference from the original. It allows for half precision and 8-bit codes; one of 1e7 pairs of networks
#: agrees this well by accident.
_CORNER_TOLERANCE = 2e-3

#: PyTorch's default, which torchvision's networks use; it is not stored in the file.
BATCH_NORM_EPSILON = 1e-5

_Layer = dict[str, np.ndarray]


def is_original(architecture: str, layers: Mapping[str, _Layer]) -> bool:
    """Returns whether `layers`, in the stored order of channels, are those of the original network."""
    corner = layers["conv1_1"]["kernel"][0, 0, :, 0]
    original = np.asarray(ORIGINAL_CORNER.get(architecture, (np.inf,) * 3), np.float32)
    return np.allclose(corner, original, rtol=0, atol=_CORNER_TOLERANCE)


def fold_original(architecture: str, layers: dict[str, _Layer]) -> StoredNetwork:
    """Converts a network for BGR in 0..255 minus the mean to one for RGB."""
    mean = np.asarray(IMAGENET_MEAN, np.float32)
    return StoredNetwork(architecture, {"mean": mean, **flip_input_channels(layers)})


def fold_scale(architecture: str, layers: dict[str, _Layer]) -> StoredNetwork:
    """Converts a network for (x / 255 - m) / s to one for x - 255 m, by dividing conv1_1's kernel by 255 s per channel.

    This is exact at the border too, because the padding is zero on both scales.
    """
    scale = 255 * np.asarray(TORCHVISION_DEVIATION)
    first = layers["conv1_1"]
    kernel = (first["kernel"] / scale[:, None]).astype(np.float32)
    mean = (255 * np.asarray(TORCHVISION_MEAN)).astype(np.float32)
    return StoredNetwork(architecture, {"mean": mean, **layers, "conv1_1": {**first, "kernel": kernel}})


def fold_colors(architecture: str, layers: dict[str, _Layer], colors: Mapping[str, StoredArray]) -> StoredNetwork:
    """Converts a network that begins with a map of colors, y = A x + b for RGB x in [0, 1], to one for 255 x - mean.

    The mean is the color whose y is 0, so that A (x - mean / 255) = y, and conv1_1's kernel is multiplied by A / 255.
    With zero padding after the map, this is exact. https://github.com/naoto0804/pytorch-AdaIN pads by reflection, at
    every convolution, and its poolings round up (`ceil_mode`), so its features near the border differ from these.

    Raises:
        InputError: If A has another shape or no inverse.
    """
    check_declared("the change of colors", colors["weight"], (3, 3, 1, 1))
    if "bias" in colors:
        check_declared("the shift of colors", colors["bias"], (3,))
    matrix = to_float32("the change of colors", colors["weight"].read())[:, :, 0, 0].astype(np.float64)
    shift = to_float32("the shift of colors", colors["bias"].read() if "bias" in colors else np.zeros(3))
    if np.linalg.cond(matrix) > 1e6:
        raise InputError("a change of colors that keeps them apart", matrix.tolist(), "use another network")
    mean = -255 * np.linalg.solve(matrix, shift.astype(np.float64))
    first = layers["conv1_1"]
    kernel = np.einsum("hwco,ci->hwio", first["kernel"].astype(np.float64), matrix / 255)
    kernel = to_float32("conv1_1's kernel", kernel)
    return StoredNetwork(
        architecture,
        {"mean": to_float32("the mean", mean), **layers, "conv1_1": {**first, "kernel": np.ascontiguousarray(kernel)}},
        source="PyTorch weights made for padding by reflection; jaxstyle pads with zeros, so features near the border "
        "of a picture differ from theirs",
    )


def fold_normalization(name: str, layer: _Layer, normalization: Mapping[str, StoredArray]) -> _Layer:
    """Folds a batch normalization, which at inference is affine per channel, into the convolution before it.

    With running mean m and variance v, scale g and shift s, the new kernel is kernel * g / sqrt(v + eps), and the new
    bias (bias - m) * g / sqrt(v + eps) + s. This is exact, because both layers are affine and nothing is between them.

    Raises:
        InputError: If an array is missing, or its shape does not fit the convolution.
    """
    outputs = layer["bias"].shape
    parts = {}
    for kind, default in (("running_mean", None), ("running_var", None), ("weight", 1.0), ("bias", 0.0)):
        if kind in normalization:
            what = f"the {kind} of {name}'s normalization"
            check_declared(what, normalization[kind], outputs)
            parts[kind] = to_float32(what, normalization[kind].read()).astype(np.float64)
        elif default is None:
            raise InputError(f"a {kind} with {name}'s normalization", "none", "save the whole state dictionary")
        else:
            parts[kind] = np.full(outputs, default)
    if parts["running_var"].min(initial=math.inf) < 0:
        raise InputError(f"variances of at least 0 with {name}", parts["running_var"].min(), "the file is damaged")
    scale = parts["weight"] / np.sqrt(parts["running_var"] + BATCH_NORM_EPSILON)
    kernel = to_float32(f"{name}'s kernel", layer["kernel"] * scale)
    return {
        "kernel": np.ascontiguousarray(kernel),
        "bias": to_float32(f"{name}'s bias", (layer["bias"] - parts["running_mean"]) * scale + parts["bias"]),
    }
