"""Reader and writer of NumPy archives with our names: `mean`, `conv1_1/kernel` `[3, 3, in, out]`, `conv1_1/bias`, ...

Names may have `.` for `/`. A zip member may declare any size and an array header any shape, so both are compared first.
"""

import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

_MAX_HEADER = 10_000


def recognize(head: bytes, names: list[str], path: Path) -> bool:
    """Returns whether the file is a zip with `.npy` members."""
    return any(name.endswith(".npy") for name in names)


def read(path: Path, architectures: Architectures) -> StoredNetwork:
    """Reads a network from an `.npz` file.

    Raises:
        InputError: If the file is damaged, holds Python objects, declares too much, or holds another network.
    """
    with zipfile.ZipFile(path) as archive:
        if not any(_is_ours(name) for name in archive.namelist()):
            found = describe_names(archive.namelist())
            raise InputError("arrays named mean, conv1_1/kernel, conv1_1/bias, ...", found, "name a VGG's arrays so")
        arrays = {name.removesuffix(".npy"): _stored(archive, name) for name in archive.namelist() if _is_ours(name)}
        return assemble(arrays, architectures)


def assemble(arrays: Mapping[str, StoredArray], architectures: Architectures) -> StoredNetwork:
    """Returns the network in stored arrays that have our names, with `/` or `.` between their parts."""
    named = {name.replace(".", "/"): array for name, array in arrays.items()}
    kernels, biases = (
        {name.removesuffix(ending): array for name, array in named.items() if name.endswith(ending)}
        for ending in ("/kernel", "/bias")
    )
    architecture, layers = read_layers(kernels, biases, architectures=architectures)
    if "mean" not in named:
        raise InputError("an array named mean", "none", "store the mean RGB in 0..255 with the kernels")
    return StoredNetwork(architecture, {"mean": read_mean(named["mean"]), **layers})


def write(path: Path, params: Mapping[str, Any]) -> None:
    """Writes `mean` and each convolution's `kernel` and `bias` to an uncompressed `.npz`."""
    arrays = {f"{layer}/{name}": array for layer in params if layer != "mean" for name, array in params[layer].items()}
    with path.open("wb") as stream:  # savez would append .npz to a name
        np.savez(stream, allow_pickle=False, mean=params["mean"], **arrays)


def _is_ours(name: str) -> bool:
    return re.fullmatch(r"(mean|conv\d_\d[./](kernel|bias))\.npy", name) is not None


def _stored(archive: zipfile.ZipFile, name: str) -> StoredArray:
    """Returns a member that is not read yet, after comparing its header with the size that the zip declares."""
    info = archive.getinfo(name)
    check_size(name, info.file_size)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{name} stored or deflated", f"method {info.compress_type}", "write it with numpy.savez")
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise InputError("version 1 or 2 of NumPy's format", version, "write it again with numpy.savez")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream, max_header_size=_MAX_HEADER)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or info.file_size != stream.tell() + size:
            got = "Python objects" if dtype.hasobject else f"a header that declares {size}"
            raise InputError(f"{info.file_size} bytes of numbers in {name}", got, "write it again with numpy.savez")

    def read_array() -> np.ndarray:
        with archive.open(info) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False, max_header_size=_MAX_HEADER)

    return StoredArray(shape, dtype, read_array)
