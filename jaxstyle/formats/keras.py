"""Keras's VGG files: `vgg16_` and `vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5`, with or without the classifier.

One group per layer (`block1_conv1`), holding `block1_conv1_W_1:0` and `block1_conv1_b_1:0`; later versions of Keras
write `kernel:0` and `bias:0`, in the layer's group or one group deeper, and put everything under `model_weights`
when a whole model is saved. Kernels are `[height, width, in, out]`. These are the original Caffe networks, which
take BGR, so conv1_1's input channels are flipped; the mean is not in the file but in Keras's preprocessing.
"""

import re
from pathlib import Path

import h5py
import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.formats import hdf5
from jaxstyle.formats.layout import (
    IMAGENET_MEAN,
    Architectures,
    StoredArray,
    StoredNetwork,
    flip_input_channels,
    read_layers,
)

_KERNEL_NAMES = ("{0}/{0}_W_1:0", "{0}/{0}_W:0", "{0}/{0}/kernel:0", "{0}/kernel:0")
_BIAS_NAMES = ("{0}/{0}_b_1:0", "{0}/{0}_b:0", "{0}/{0}/bias:0", "{0}/bias:0")


def recognize(head: bytes, path: Path) -> bool:
    """Tells whether the file is HDF5 with a group named as Keras names VGG's layers."""
    if not head.startswith(hdf5.SIGNATURE):
        return False
    with hdf5.open_hdf5(path) as file:
        return any(re.fullmatch(r"block\d_conv\d", name) for name in hdf5.get_names(_layer_groups(file)))


def read(path: Path, architectures: Architectures) -> StoredNetwork:
    """Reads the convolutions of a Keras VGG; the classifier is left unread.

    Raises:
        InputError: If the file is damaged, has links, or holds another network.
    """
    kernels: dict[str, StoredArray] = {}
    biases: dict[str, StoredArray] = {}
    with hdf5.open_hdf5(path) as file:
        groups = _layer_groups(file)
        for name in hdf5.get_names(groups):
            match = re.fullmatch(r"block(\d)_conv(\d)", name)
            if not match:
                continue
            layer = f"conv{match[1]}_{match[2]}"
            for found, patterns in ((kernels, _KERNEL_NAMES), (biases, _BIAS_NAMES)):
                arrays = (hdf5.get_array(groups, pattern.format(name)) for pattern in patterns)
                array = next((array for array in arrays if array), None)
                if array:
                    found[layer] = array
        architecture, layers = read_layers(kernels, biases, architectures=architectures)
    mean = np.asarray(IMAGENET_MEAN, np.float32)
    return StoredNetwork(architecture, {"mean": mean, **flip_input_channels(layers)})


def _layer_groups(file: h5py.File) -> h5py.Group:
    """Returns the group that holds a group per layer."""
    groups = hdf5.get_item(file, "model_weights")
    groups = file if groups is None else groups
    if not isinstance(groups, h5py.Group):
        raise InputError("a group named model_weights", "a dataset", "use a file that Keras wrote")
    return groups
