"""Reader and writer of jaxstyle's own HDF5 files, whose kernels are float32 or 8-bit codes into a codebook per layer.

Layout (`format` = "jaxstyle-network", `version` = 1): the dataset `mean` `[3]`; per convolution a group with `bias`
`[out]` and either `kernel` `[3, 3, in, out]`, all float32, or `codes`, uint8 of the kernel's shape, and `codebook`,
float32 `[256]`, with kernel = codebook[codes]. Root attributes: `architecture`, `input`, `checksum` (the same for every
format: see `content_checksum`), `name`, `source`, and, if known, `license` and `attribution`.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.vgg.formats import hdf5
from jaxstyle.vgg.formats.layout import (
    Architectures,
    StoredArray,
    StoredNetwork,
    read_layers,
    read_mean,
    to_float32,
)

FORMAT = "jaxstyle-network"
VERSION = 1
INPUT = "RGB in 0..255 minus mean, height width channels; kernels height width input output"
CODEBOOK_SIZE = 256


def content_checksum(params: Mapping[str, Any]) -> str:
    """Returns the SHA-256, in hexadecimal, of a network's names, shapes and float32 numbers.

    It is computed after decoding, so it is the same for every format and compression in which the network is stored.
    """
    digest = hashlib.sha256()
    arrays = {"mean": params["mean"]}
    for layer in sorted(set(params) - {"mean"}):
        arrays |= {f"{layer}/bias": params[layer]["bias"], f"{layer}/kernel": params[layer]["kernel"]}
    for name, array in arrays.items():
        digest.update(f"{name} {list(array.shape)}\n".encode())
        digest.update(np.asarray(array, dtype="<f4").tobytes())
    return digest.hexdigest()


def recognize(head: bytes, names: list[str], path: Path) -> bool:
    """Returns whether the file is HDF5 with our `format` attribute."""
    if not head.startswith(hdf5.SIGNATURE):
        return False
    with hdf5.open_hdf5(path) as file:
        return hdf5.get_text(file, "format") == FORMAT


def read(path: Path, architectures: Architectures) -> StoredNetwork:
    """Reads a network file of jaxstyle.

    Raises:
        InputError: For another version, a damaged file, or an `architecture` attribute that does not fit the layers.
    """
    with hdf5.open_hdf5(path) as file:
        version = file.attrs.get("version")
        if not isinstance(version, int | np.integer) or version != VERSION:
            raise InputError(f"version {VERSION} of {FORMAT}", repr(version), "update jaxstyle or convert again")
        kernels, biases = {}, {}
        for layer in hdf5.get_names(file):
            if not re.fullmatch(r"conv\d_\d", layer):
                continue
            kernel, bias = _kernel(file, layer), hdf5.get_array(file, f"{layer}/bias")
            kernels |= {layer: kernel} if kernel else {}
            biases |= {layer: bias} if bias else {}
        architecture, layers = read_layers(kernels, biases, architectures=architectures)
        mean = hdf5.get_array(file, "mean")
        if mean is None:
            raise InputError("a dataset named mean", "none", "the file is damaged: fetch it again")
        declared = hdf5.get_text(file, "architecture")
        if declared != architecture:
            raise InputError(f"architecture {architecture}, which its layers have", repr(declared), "check the file")
        notes = [hdf5.get_text(file, name) for name in ("source", "license", "attribution")]
        return StoredNetwork(
            architecture,
            {"mean": read_mean(mean), **layers},
            name=hdf5.get_text(file, "name"),
            source="; ".join(note for note in notes if note),
            # An empty text never equals a checksum, so a file that has lost its checksum is refused.
            checksum=hdf5.get_text(file, "checksum"),
        )


def _kernel(file: h5py.File, layer: str) -> StoredArray | None:
    """Returns the kernel of `layer`, decoded from its codes when it is read."""
    codes, codebook = hdf5.get_array(file, f"{layer}/codes"), hdf5.get_array(file, f"{layer}/codebook")
    if codes is None or codebook is None:
        return hdf5.get_array(file, f"{layer}/kernel")
    if codes.dtype != np.uint8 or codebook.dtype != np.float32 or codebook.shape != (CODEBOOK_SIZE,):
        raise InputError(
            f"uint8 codes and {CODEBOOK_SIZE} float32 numbers in {layer}",
            f"{codes.dtype} and {list(codebook.shape)} of {codebook.dtype}",
            "check the file",
        )
    read_codes, read_codebook = codes.read, codebook.read
    return StoredArray(
        codes.shape,
        codebook.dtype,
        lambda: to_float32(f"{layer}'s codebook", read_codebook())[read_codes()],
    )


def write(path: Path, params: Mapping[str, Any], attributes: Mapping[str, str], *, compress: bool = True) -> None:
    """Writes a network in jaxstyle's format; the same input gives the same bytes (with the same HDF5 and zlib).

    Args:
        path: The file to write; an existing file is replaced.
        params: `mean`, and for each convolution either `kernel` and `bias` or `codes`, `codebook` and `bias`.
        attributes: `architecture`, `checksum`, `name`, `source`, ...
        compress: Whether kernels are compressed; float32 kernels shrink by less than a tenth.
    """
    options: dict[str, Any] = {"compression": "gzip", "compression_opts": 9} if compress else {}
    # Timestamps would make every build differ; h5py writes none for groups.
    # The file is made in memory, because libhdf5 crashes if it cannot close a file on a full disk (HDF5 1.14).
    with h5py.File("network", "w", libver="earliest", driver="core", backing_store=False) as file:
        for name, value in {"format": FORMAT, "version": VERSION, "input": INPUT, **attributes}.items():
            file.attrs[name] = value
        file.create_dataset("mean", data=np.asarray(params["mean"], "<f4"), track_times=False)
        for layer in sorted(set(params) - {"mean"}):
            for name, array in sorted(params[layer].items()):
                large = options if array.ndim > 1 else {}
                kind = "u1" if name == "codes" else "<f4"
                data = np.asarray(array, kind)
                file.create_dataset(f"{layer}/{name}", data=data, track_times=False, **large)
        file.flush()
        image = file.id.get_file_image()
    path.write_bytes(image)
