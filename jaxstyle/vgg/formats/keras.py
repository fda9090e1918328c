"""Reader of Keras's VGG files, with or without the classifier: `.h5` of Keras 1 to 3, `.weights.h5` and `.keras`.

Up to Keras 2, and in `.h5` files of Keras 3, a layer's arrays are `block1_conv1_W_1:0`, `kernel:0` or `kernel` in the
group `block1_conv1`, or in a second group of that name inside it. That group is at the top, below `model_weights`, or
below a model's name if the VGG is a layer of another model. In `.weights.h5`, and in the file of that kind inside a
`.keras` zip, names are lost: `layers/conv2d/vars/0` is the first kernel, `layers/conv2d_1/vars/1` the second bias, and
so on in the order of the layers (`_layer_checkpoint_dependencies` for `layers` in Keras 2.12).

Kernels are `[height, width, in, out]`. The networks are the original Caffe networks, which take BGR, so conv1_1's input
channels are flipped. The mean is not in the file but in Keras's preprocessing.
"""

import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from jaxstyle.checks import InputError, shorten
from jaxstyle.vgg.formats import hdf5
from jaxstyle.vgg.formats.layout import (
    IMAGENET_MEAN,
    Architectures,
    StoredNetwork,
    check_size,
    describe,
    flip_input_channels,
    layer_channels,
    read_layers,
)

#: Member of a `.keras` zip that holds the weights.
_MEMBER = "model.weights.h5"

_NAMED = re.compile(r"(?P<prefix>.*?)block(?P<block>\d)_conv(?P<index>\d)/(.*[/_])?(?P<kind>kernel|bias|W|b)(_1)?(:0)?")
_NUMBERED = re.compile(r"(?P<prefix>.*?)conv2d(_(?P<index>\d{1,4}))?/vars/(?P<kind>[01])")
_KERNELS = ("kernel", "W", "0")

#: Groups in which training stores the optimizer's moments, under the names of the weights that they belong to.
_OPTIMIZER = re.compile(r"optimizer(_weights)?/")

#: Maps each layer, by name or number, to the paths of its kernel and bias.
_Layers = dict[str | int, dict[str, str]]


def recognize(head: bytes, names: list[str], path: Path) -> bool:
    """Returns whether the file is HDF5 (the reader `native` is tried before), or a zip with weights of Keras."""
    return head.startswith(hdf5.SIGNATURE) or _MEMBER in names


def read(path: Path, architectures: Architectures) -> StoredNetwork:
    """Reads the convolutions of a Keras VGG; the classifier is not read.

    Raises:
        InputError: If the file is damaged, has links, or holds two networks or another one.
    """
    with _open(path) as file:
        paths = hdf5.find_arrays(file)
        layers = _find_vgg(paths, architectures)
        if not layers:
            arrays = {name: hdf5.get_array(file, name) for name in paths[:10]}
            found = describe({name: array for name, array in arrays.items() if array})
            raise InputError(f"the convolutions of one of {', '.join(architectures)}", found, "use such a network")
        kernels, biases = {}, {}
        for layer, parts in layers.items():
            for kind, name in parts.items():
                array = hdf5.get_array(file, name)
                if array:
                    (kernels if kind in _KERNELS else biases)[layer] = array
        architecture, params = read_layers(kernels, biases, architectures=architectures)
    mean = np.asarray(IMAGENET_MEAN, np.float32)
    return StoredNetwork(architecture, {"mean": mean, **flip_input_channels(params)})


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """Opens the HDF5 file at `path`, or the one inside the zip at `path`."""
    if not zipfile.is_zipfile(path):
        with hdf5.open_hdf5(path) as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(_MEMBER)
        if member.compress_type != zipfile.ZIP_STORED:  # a member that is not compressed is no larger than the file
            check_size(_MEMBER, member.file_size)
        data = archive.read(member)
    with hdf5.open_hdf5(io.BytesIO(data)) as file:
        yield file


def _find_vgg(paths: list[str], architectures: Architectures) -> _Layers:
    """Returns the layers of the one VGG among `paths`, by our names; if none is complete, those of the largest group.

    Raises:
        InputError: If there are two VGGs, or the number of convolutions without names fits no VGG.
    """
    groups: dict[str, _Layers] = defaultdict(lambda: defaultdict(dict))
    for path in paths:
        if _OPTIMIZER.match(path):
            continue
        if match := _NAMED.fullmatch(path):
            groups[match["prefix"]][f"conv{match['block']}_{match['index']}"][match["kind"]] = path
        elif match := _NUMBERED.fullmatch(path):
            groups[f"{match['prefix']}conv2d"][int(match["index"] or 0)][match["kind"]] = path
    orders = {len(layer_channels(blocks)): list(layer_channels(blocks)) for blocks in architectures.values()}
    whole = [prefix for prefix, layers in groups.items() if len(layers) in orders]
    if len(whole) > 1:
        got = f"{len(whole)}, below {', '.join(repr(shorten(prefix, 40)) for prefix in whole[:3])}"
        raise InputError("one VGG in the file", got, "save one of them alone")
    nearest = max(groups, key=lambda prefix: len(groups[prefix]), default="")
    layers = groups[whole[0] if whole else nearest]
    if not any(isinstance(layer, int) for layer in layers):
        return layers
    if not whole:
        wanted = " or ".join(map(str, sorted(orders)))
        got = f"{len(layers)} below {shorten(nearest, 40)!r}"
        raise InputError(f"{wanted} convolutions", got, "use a VGG-16 or VGG-19")
    return {name: layers[index] for name, index in zip(orders[len(layers)], sorted(layers, key=int), strict=True)}
