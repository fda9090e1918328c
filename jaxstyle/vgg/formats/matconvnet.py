"""Reader of MatConvNet's VGG files: `imagenet-vgg-verydeep-16.mat` and `-19.mat`, in both their layouts.

A file has a cell array `layers` of structs, each with a `name` and either `weights` (a cell of kernel and bias) or, in
older files, `filters` and `biases`. The mean is `normalization.averageImage`, at the top (up to MatConvNet's beta 16)
or below `meta`, as a picture or as one color. The network takes RGB, so no channel is flipped.

Kernels are `[height, width, in, out]`. TensorFlow programs such as https://github.com/anishathalye/neural-style (at its
`vgg.py`) take the width for the first axis and swap the first two, which mirrors every kernel at its diagonal.
Published print-outs of conv1_1 of verydeep-19 equal the Keras conversion of the same network index by index, without
the swap (top row of filter 0, red: 0.39416704, 0.37740308, -0.04594866; see tests/vgg/test_weights.py). In most deeper
layers, the energy of the kernels is two to eight times as symmetric left to right as top to bottom along the axes so
named. Training on pictures mirrored left to right explains this, and a swap would contradict it.
"""

import math
import re
from pathlib import Path

import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.vgg.formats.layout import (
    Architectures,
    StoredArray,
    StoredNetwork,
    check_size,
    describe_names,
    read_layers,
    read_mean,
)
from jaxstyle.vgg.formats.matfile import HEADER_BYTES, Value, read_variables


def recognize(head: bytes, names: list[str], path: Path) -> bool:
    """Returns whether the file has a MATLAB header of any version."""
    return head.startswith(b"MATLAB ")


def read(path: Path, architectures: Architectures) -> StoredNetwork:
    """Reads the convolutions and the mean of a MatConvNet VGG; the classifier is not decoded.

    Raises:
        InputError: If the file is of version 7.3, damaged, too large when decompressed, or holds another network.
    """
    with path.open("rb") as stream:
        head = stream.read(HEADER_BYTES)
    if head.startswith(b"MATLAB 7.3"):
        raise InputError("a MAT-file of version 5 to 7", "version 7.3", "save it again in MATLAB with the option -v7")
    variables = read_variables(path)
    kernels: dict[str, StoredArray] = {}
    biases: dict[str, StoredArray] = {}
    cells = variables.get("layers")
    for layer in cells if isinstance(cells, list) else []:
        name = _field(layer, "name")
        if not isinstance(name, str) or not re.fullmatch(r"conv\d_\d", name):
            continue
        weights = _field(layer, "weights")
        pair = weights if isinstance(weights, list) else [_field(layer, "filters"), _field(layer, "biases")]
        arrays = [array for array in pair if isinstance(array, StoredArray)]
        if len(arrays) != 2:
            raise InputError(f"a kernel and a bias for {name}", f"{len(arrays)} arrays", "check the file")
        kernels[name], biases[name] = arrays
    if not kernels:
        expected = f"the convolutions of one of {', '.join(architectures)} in a variable named layers"
        raise InputError(expected, describe_names(variables), "use one of MatConvNet's own VGG files")
    architecture, layers = read_layers(kernels, biases, architectures=architectures)
    return StoredNetwork(architecture, {"mean": _mean(variables), **layers})


def _mean(variables: dict[str, Value]) -> np.ndarray:
    """Returns the mean RGB, `[3]`, averaged over height and width if the file has a mean picture."""
    normalization = variables.get("normalization") or _field(variables.get("meta"), "normalization")
    stored = _field(normalization, "averageImage")
    if not isinstance(stored, StoredArray):
        raise InputError("a mean under normalization or meta", "none", "use one of MatConvNet's own VGG files")
    check_size("the mean picture", 8 * math.prod(stored.shape))
    image = stored.read().astype(np.float64)
    if image.ndim == 3 and image.shape[2] == 3:
        image = image.mean(axis=(0, 1))
    color = image.reshape(-1)
    return read_mean(StoredArray(color.shape, color.dtype, lambda: color))


def _field(struct: Value, name: str) -> Value:
    """Returns a field of a struct, or None if `struct` is not a struct or lacks the field."""
    return struct.get(name) if isinstance(struct, dict) else None
