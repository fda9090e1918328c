"""Reader and writer of safetensors files, with our names (`mean`, `conv1_1.kernel`, `conv1_1.bias`, ...) or PyTorch's.

Our kernels are `[3, 3, in, out]`. The format is a JSON header with a shape, a dtype and a range of bytes for each
tensor. The safetensors library checks them against each other and against the file's length, and runs no code of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from jaxstyle.checks import InputError
from jaxstyle.vgg.formats.layout import MAX_BYTES, Architectures, StoredArray, StoredNetwork
from jaxstyle.vgg.formats.npz import assemble
from jaxstyle.vgg.formats.torch_names import convert_tensors

_DTYPES = {
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "U8": np.uint8,
}

#: Largest size of the header, in bytes, which is enough for ten thousand tensors. The library accepts 100 MB, a million
#: names, whose reading takes half a minute. The size is stored in the file's first 8 bytes.
_MAX_HEADER = 2**20


def recognize(head: bytes, names: list[str], path: Path) -> bool:
    """Returns whether the file begins with the length of a header and then JSON."""
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= MAX_BYTES


def read(path: Path, architectures: Architectures) -> StoredNetwork:
    """Reads a network from a safetensors file.

    Raises:
        InputError: If the file is damaged, or holds another network.
    """
    with path.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
    if header > _MAX_HEADER:
        raise InputError(f"a header of at most {_MAX_HEADER} bytes", header, "save the network's tensors alone")
    with safe_open(str(path), framework="numpy") as file:
        arrays = {name: _stored(file, name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        if any(name.startswith("conv") and name.endswith(".kernel") for name in arrays):
            network = assemble(arrays, architectures)
        else:
            network = convert_tensors(arrays, architectures)
        metadata = file.metadata() or {}
    return StoredNetwork(
        network.architecture,
        network.params,
        name=metadata.get("name", ""),
        source=metadata.get("source", ""),
        checksum=metadata.get("checksum"),
    )


def write(path: Path, params: Mapping[str, Any], attributes: Mapping[str, str]) -> None:
    """Writes `mean` and each convolution's `kernel` and `bias`, with `attributes` as the file's metadata."""
    arrays = {f"{layer}.{name}": array for layer in params if layer != "mean" for name, array in params[layer].items()}
    path.write_bytes(save({"mean": params["mean"], **arrays}, metadata=dict(attributes)))  # raises OSError only


def _stored(file: Any, name: str) -> StoredArray:
    part = file.get_slice(name)
    kind = part.get_dtype()
    if name.endswith(("kernel", "weight", "bias", "mean")) and kind not in _DTYPES:
        raise InputError(f"float32 numbers for {name}", kind, "convert the file to float32 first")
    return StoredArray(
        tuple(part.get_shape()), np.dtype(_DTYPES.get(kind, np.void)), lambda: np.asarray(file.get_tensor(name))
    )
