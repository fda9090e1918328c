"""Names, shapes and dtypes that a VGG file must have, and conversions from other conventions to ours.

Our convention: kernels are `[3, 3, in, out]` (height, width, input channels, output channels), used as
cross-correlations with zero padding on RGB pixels in 0..255 from which `mean` is subtracted.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from jaxstyle.checks import InputError, shorten
from jaxstyle.vgg.layers import ARCHITECTURES, Architectures, layer_channels

#: Mean RGB of ImageNet's training set in 0..255, as the original networks subtract it.
IMAGENET_MEAN = (123.68, 116.779, 103.939)

#: Largest size of an array in a file, in bytes. The largest array of a VGG, in its classifier, has 0.41e9 bytes.
MAX_BYTES = 2**30

#: Largest size of a file, in bytes. A VGG-19 has 0.57e9 bytes, and 1.7e9 with Adam's two moments of each number.
MAX_FILE_BYTES = 2**32

KERNEL_SIZE = 3

#: Number of a file's arrays that a message names, and the characters of each name that it shows.
_DESCRIBED, _LONGEST_NAME = 4, 60

#: Types that are converted to float32; a file with any other (integers, objects) is not one of VGG weights.
_FLOATS = (np.float16, np.float32, np.float64, ml_dtypes.bfloat16)


@dataclass(frozen=True)
class StoredArray:
    """An array that has not been read from its file yet: the declared shape and dtype, and a function that reads it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class StoredNetwork:
    """A network that a reader returns: parameters in our convention, not yet compared with the stored checksum."""

    architecture: str
    params: dict[str, Any]
    name: str = ""
    source: str = ""
    checksum: str | None = None


def find_architecture(names: Iterable[str], architectures: Architectures = ARCHITECTURES) -> str:
    """Returns the architecture that has exactly the convolutions in `names`.

    Raises:
        InputError: If no architecture has; the message names what the nearest one has besides, or lacks.
    """
    found = set(names)
    layers = {name: set(layer_channels(blocks)) for name, blocks in architectures.items()}
    nearest = min(layers, key=lambda name: len(layers[name] ^ found))
    missing, extra = sorted(layers[nearest] - found), sorted(found - layers[nearest])
    if missing or extra:
        others = " and others" if len(missing) > 3 else ""
        got = f"a file without {', '.join(missing[:3])}{others}" if missing else f"also {', '.join(extra[:3])}"
        expected = f"the {len(layers[nearest])} convolutions of {nearest}"
        raise InputError(expected, got, f"use the weights of one of {', '.join(architectures)}")
    return nearest


def read_layers(
    kernels: Mapping[str, StoredArray],
    biases: Mapping[str, StoredArray],
    *,
    architectures: Architectures,
    axes: str = "HWIO",
) -> tuple[str, dict[str, dict[str, np.ndarray]]]:
    """Reads the convolutions of one network, after checking all declared shapes and types.

    Args:
        kernels: The stored kernel of each convolution, by our name (`conv1_1`).
        biases: The stored bias of each convolution, `[out]` or with further axes of length 1.
        architectures: The networks that may be in the file.
        axes: The order in which the kernels are stored, `HWIO` or `OIHW`.

    Returns:
        The architecture, and per convolution a float32 kernel `[3, 3, in, out]` and bias `[out]`.

    Raises:
        InputError: For a missing or unexpected layer, a wrong shape or dtype, NaN or infinity.
    """
    architecture = find_architecture(kernels, architectures)
    channels = layer_channels(architectures[architecture])
    for name, (inputs, outputs) in channels.items():
        sizes = {"H": KERNEL_SIZE, "W": KERNEL_SIZE, "I": inputs, "O": outputs}
        check_declared(f"{name}'s kernel", kernels[name], tuple(sizes[axis] for axis in axes))
        if name not in biases:
            raise InputError(f"a bias for every convolution of {architecture}", f"none for {name}", "check the file")
        stored = biases[name]
        if math.prod(stored.shape) == max(stored.shape, default=1):  # MatConvNet stores [1, out] or [out, 1]
            stored = StoredArray((math.prod(stored.shape),), stored.dtype, stored.read)
        check_declared(f"{name}'s bias", stored, (outputs,))
    order = [axes.index(axis) for axis in "HWIO"]
    layers = {}
    for name in channels:
        kernel = to_float32(f"{name}'s kernel", kernels[name].read()).transpose(order)
        bias = to_float32(f"{name}'s bias", biases[name].read()).reshape(-1)
        layers[name] = {"kernel": np.ascontiguousarray(kernel), "bias": bias}
    return architecture, layers


def read_mean(stored: StoredArray) -> np.ndarray:
    """Reads a mean color and returns it as float32 `[3]`.

    Raises:
        InputError: For a wrong shape or dtype, NaN or infinity.
    """
    check_declared("the mean", stored, (3,))
    return to_float32("the mean", stored.read())


def to_float32(what: str, array: np.ndarray) -> np.ndarray:
    """Returns `array` as little-endian float32.

    Raises:
        InputError: If it contains NaN, infinity or a number beyond float32's range.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # the check below raises an error instead of a warning
        array = np.asarray(array).astype("<f4")
    if not np.isfinite(array).all():
        raise InputError(f"finite numbers in {what}", "NaN or infinity", "the file is damaged: fetch it again")
    return array


def flip_input_channels(layers: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """Returns the layers of a network for BGR pixels, changed so that the network takes RGB pixels."""
    first = layers["conv1_1"]
    kernel = np.ascontiguousarray(first["kernel"][:, :, ::-1])
    return {**layers, "conv1_1": {**first, "kernel": kernel}}


def read_exactly(stream: BinaryIO, count: int, what: str) -> bytes:
    """Returns the next `count` bytes of `stream`.

    Raises:
        InputError: If `count` is beyond the size limit or the stream ends too early.
    """
    check_size(what, count)
    data = stream.read(count)
    if len(data) != count:
        raise InputError(f"{count} bytes for {what}", f"only {len(data)}", "the file is cut short: fetch it again")
    return data


def check_size(what: str, size: int) -> None:
    """Raises `InputError` if `size` in bytes is negative or beyond `MAX_BYTES`."""
    if not 0 <= size <= MAX_BYTES:
        raise InputError(f"at most {MAX_BYTES} bytes for {what}", f"{size} bytes", "save the network's weights alone")


def describe(arrays: Mapping[str, StoredArray]) -> str:
    """Returns some names and shapes of a file's arrays, for the message that the file is not a VGG.

    >>> describe({"a": StoredArray((3, 3), np.dtype("f4"), lambda: np.zeros((3, 3)))})
    "'a' [3, 3]"
    """
    return _list_some([f"{_quote(name)} {list(array.shape)[:9]}" for name, array in arrays.items()]) or "no arrays"


def describe_names(names: Iterable[str]) -> str:
    """Returns some of the names in a file, for the message that the file is not a VGG.

    >>> describe_names(["a", "b"])
    "'a', 'b'"
    """
    return _list_some([_quote(name) for name in names]) or "no names"


def _quote(name: str) -> str:
    return repr(shorten(name, _LONGEST_NAME))


def _list_some(items: list[str]) -> str:
    more = f" and {len(items) - _DESCRIBED} more" if len(items) > _DESCRIBED else ""
    return ", ".join(items[:_DESCRIBED]) + more


def check_declared(what: str, stored: StoredArray, shape: tuple[int, ...]) -> None:
    """Raises `InputError` unless `stored` is declared as floating-point numbers of this shape."""
    if tuple(stored.shape) != shape:
        raise InputError(f"shape {list(shape)} for {what}", list(stored.shape), "these are another network's weights")
    if stored.dtype not in _FLOATS:
        raise InputError(f"floating-point numbers for {what}", f"dtype {stored.dtype}", "check the file")
