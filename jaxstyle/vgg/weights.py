"""Loads and saves trained VGGs, and checks their parameters.

`load_network()` returns the VGG-19 that comes with the package; `load_network(path)` reads any of the formats in
`jaxstyle.vgg.formats`, recognized by content. For every format, the parameters have one convention: NumPy float32,
`{"mean": [3], "conv1_1": {"kernel": [3, 3, in, out], "bias": [out]}, ...}`, for RGB pixels in 0..255 minus `mean`.

A file may be hostile. For any file except the shipped one, which is recognized by its SHA-256, three things are
guaranteed: no code in it is run, no other file is read because of it, and it is read in a separate process that is
killed after half a minute (longer for large files), so that a file which makes that process crash, hang or run out of
memory raises `InputError`. Not guaranteed: if a file makes a C library run its code, that code runs in the separate
process with the user's rights; where the system cannot limit address space (macOS, Windows), only time is limited; and
there is no check whether the network is a good one.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxstyle.argument_checks import check_kind, check_path
from jaxstyle.checks import InputError
from jaxstyle.output_files import check_new_file, replace_file
from jaxstyle.short_repr import short_repr
from jaxstyle.types import NetworkParams
from jaxstyle.vgg.formats import native, npz, safetensors_file
from jaxstyle.vgg.formats.isolation import read_isolated
from jaxstyle.vgg.formats.layout import (
    ARCHITECTURES,
    KERNEL_SIZE,
    Architectures,
    find_architecture,
    layer_channels,
)
from jaxstyle.vgg.formats.registry import check_file, read_network

#: Places of the shipped network, in a wheel and in a checkout.
_SHIPPED = (
    Path(__file__).parents[1] / "shipped" / "vgg19.h5",
    Path(__file__).parents[2] / "weights" / "vgg19.h5",
)

#: SHA-256 and size (bytes) of the shipped file. A file that has them is read without a separate process.
_SHIPPED_SHA256 = "93e4b6280b038044788e79287fc73c9e7e31cfcbcefb49f22734c40328053f5f"
_SHIPPED_BYTES = 18_696_623

#: File name extensions that `save_network` accepts.
SAVED_SUFFIXES = (".h5", ".hdf5", ".npz", ".safetensors")


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A trained VGG.

    Attributes:
        name: Name of the network in reports.
        architecture: `vgg16` or `vgg19`.
        params: NumPy float32 arrays, `{"mean": [3], "conv1_1": {"kernel": [3, 3, in, out], "bias": [out]}, ...}`.
        checksum: SHA-256 of `params`, in hexadecimal, which is the same for the same network from any file format.
        source: Origin of the weights, and their licence if it is known.
        format: Format of the file that the network was read from, or an empty text.
    """

    name: str
    architecture: str
    params: NetworkParams
    checksum: str
    source: str
    format: str = ""

    __repr__ = short_repr


def load_network(path: str | Path | None = None, *, architectures: Architectures = ARCHITECTURES) -> Network:
    """Loads the network in `path`, or the shipped VGG-19.

    Args:
        path: A file in any of the formats of `jaxstyle.vgg.formats`; None is the shipped network.
        architectures: The networks that may be in the file.

    Raises:
        FileNotFoundError: If `path` does not exist.
        InputError: If the file is empty, damaged, hostile, of an unknown format, or holds another network.

    >>> load_network().architecture
    'vgg19'
    """
    if path is not None:
        check_path("a file of weights", path, "pass a path, or nothing for the VGG-19 that ships")
    path = shipped_path() if path is None else Path(path)
    check_file(path)
    read = read_network if _is_shipped(path) else read_isolated
    kind, stored = read(path, architectures)
    check_params(stored.params, architectures[stored.architecture])
    checksum = native.content_checksum(stored.params)
    if stored.checksum not in (None, checksum):
        expected = f"checksum {stored.checksum or '(none stored)'} in {path.name}"
        raise InputError(expected, checksum, "the file is damaged: fetch it again")
    source = stored.source or f"{kind} file {path.name}"
    return Network(stored.name or path.stem, stored.architecture, stored.params, checksum, source, kind)


def save_network(network: Network, path: str | Path, *, overwrite: bool = False) -> None:
    """Saves a network with float32 kernels, in the format given by the extension of `path`.

    The file is written under a temporary name and then renamed, so a failure leaves no partial file.

    Args:
        network: The network; its arrays are checked first.
        path: A name that ends in `.h5` or `.hdf5` (jaxstyle's format), `.npz` or `.safetensors`.
        overwrite: Whether an existing file is replaced.

    Raises:
        FileExistsError: If `path` exists and `overwrite` is false.
        FileNotFoundError: If its folder does not exist.
        InputError: If the extension is none of these, or the arrays of `network` do not fit its architecture.
    """
    check_kind("the network", network, Network, "pass what load_network returns")
    path = check_destination(path, overwrite=overwrite)
    convolutions = {name for name in network.params if name != "mean"}
    blocks = ARCHITECTURES.get(network.architecture)
    if blocks is None or set(layer_channels(blocks)) != convolutions:
        find_architecture(convolutions)
        raise InputError(f"one of {', '.join(ARCHITECTURES)}", repr(network.architecture), "name what it holds")
    # Any numbers of channels are accepted (tests save narrow VGGs) if consecutive layers fit together.
    check_params(network.params, _widths(network.params, blocks))
    attributes = {
        "architecture": network.architecture,
        "checksum": native.content_checksum(network.params),
        "name": network.name,
        "source": network.source,
    }
    with replace_file(path, overwrite=overwrite) as part:
        if path.suffix.lower() == ".npz":
            npz.write(part, network.params)
        elif path.suffix.lower() == ".safetensors":
            safetensors_file.write(part, network.params, attributes)
        else:
            native.write(part, network.params, attributes, compress=False)


def check_destination(path: str | Path, *, overwrite: bool = False) -> Path:
    """Returns `path` if `save_network` can write to it; called before a large file is read.

    Raises:
        FileExistsError: If `path` exists and `overwrite` is false.
        FileNotFoundError: If its folder does not exist.
        InputError: If its extension is not that of a format.
    """
    path = Path(path)
    if path.suffix.lower() not in SAVED_SUFFIXES:
        raise InputError(f"a name that ends in {', '.join(SAVED_SUFFIXES)}", repr(path.name), "choose one of these")
    return check_new_file(path, overwrite=overwrite)


def check_params(params: NetworkParams, blocks: tuple[tuple[int, int], ...]) -> None:
    """Checks names, shapes, dtypes and finiteness of `params`.

    Args:
        params: `{"mean": [3], "conv1_1": {"kernel": [3, 3, in, out], "bias": [out]}, ...}`.
        blocks: Number and output channels of the convolutions of each block, as in `ARCHITECTURES`.

    Raises:
        InputError: If an array is missing, unexpected, of another shape or dtype, or contains NaN or infinity.
    """
    channels = layer_channels(blocks)
    find_architecture((name for name in params if name != "mean"), {"this network": blocks})
    arrays: dict[str, tuple[Any, tuple[int, ...]]] = {"the mean": (params.get("mean"), (3,))}
    for name, (inputs, outputs) in channels.items():
        arrays[f"{name}'s kernel"] = (params[name].get("kernel"), (KERNEL_SIZE, KERNEL_SIZE, inputs, outputs))
        arrays[f"{name}'s bias"] = (params[name].get("bias"), (outputs,))
    for what, (array, shape) in arrays.items():
        if getattr(array, "shape", None) != shape or array.dtype != np.float32:
            got = f"{array.dtype} {list(array.shape)}" if hasattr(array, "shape") else type(array).__name__
            raise InputError(f"float32 {list(shape)} for {what}", got, "these are another network's weights")
        if not np.isfinite(array).all():
            raise InputError(f"finite numbers in {what}", "NaN or infinity", "the weights are damaged")


def shipped_path() -> Path:
    """Returns the path of the shipped VGG-19.

    Raises:
        FileNotFoundError: If the package was installed without it.
    """
    for path in _SHIPPED:
        if path.is_file():
            return path
    raise FileNotFoundError(
        "expected the shipped vgg19.h5, got a package without it; install jaxstyle again or pass a file of weights"
    )


def _is_shipped(path: Path) -> bool:
    """Returns whether the file at `path` has the same bytes as the shipped one."""
    if path.stat().st_size != _SHIPPED_BYTES:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == _SHIPPED_SHA256


def _widths(params: NetworkParams, blocks: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Returns `blocks` with the numbers of output channels that `params` has."""
    return tuple(
        (count, int(np.shape(params[f"conv{block}_1"].get("bias"))[0]))
        for block, (count, _) in enumerate(blocks, start=1)
    )
