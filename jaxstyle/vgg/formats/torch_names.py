"""Assigns the tensors of a PyTorch state dictionary, from `.pth` or safetensors, to the layers of a VGG.

Kernels are `[out, in, height, width]`. Layers have two kinds of names, after any prefix (`module.`, `state_dict.`,
`vgg.`, `model.encoder.`, ...):

- `conv1_1.weight`, ...: conversions of the Caffe networks (`vgg_conv.pth`), which take BGR in 0..255 minus the mean;
- `features.0.weight`, `0.weight` or `slice1.0.weight`, ...: a sequence whose numbers count activations, poolings,
  paddings and normalizations too. Its convolutions are identified by their order, since other layers differ.

A batch normalization after a convolution has the convolution's number plus one. A 1x1 convolution of 3 channels before
all others is the linear map of colors with which AdaIN's files (`vgg_normalised.pth`) begin. `torch_folding` folds
both, and the scale of the colors, into the convolutions.
"""

import re
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from jaxstyle.checks import InputError, shorten
from jaxstyle.vgg.formats.layout import (
    Architectures,
    StoredArray,
    StoredNetwork,
    describe,
    layer_channels,
    read_layers,
)
from jaxstyle.vgg.formats.torch_folding import fold_colors, fold_normalization, fold_original, fold_scale, is_original

#: Kinds of tensors of convolutions and normalizations that are read; the counter of batches is not needed.
_WEIGHTS = ("weight", "bias")
_STATISTICS = ("running_mean", "running_var")

#: Maps each layer, by name (`conv1_1`) or number (12), to its tensors by kind.
_Layers = dict[str | int, dict[str, StoredArray]]


def convert_tensors(tensors: Mapping[str, StoredArray], architectures: Architectures) -> StoredNetwork:
    """Converts a state dictionary to our convention, reading only its convolutions and their normalizations.

    Raises:
        InputError: If the names or shapes belong to another network, or to two networks.
    """
    prefix, layers = _find_vgg(_group_layers(tensors), architectures)
    if not layers:
        raise InputError(
            f"the convolutions of one of {', '.join(architectures)}",
            describe(tensors),
            "use the state dictionary of such a network",
        )
    is_numbered = any(isinstance(name, int) for name in layers)
    colors = _find_color_map(layers) if is_numbered else None
    normalizations: dict[str, dict[str, StoredArray]] = {}
    if is_numbered:
        layers, normalizations = _name_by_order(prefix, layers, architectures)
    used = [*layers.values(), *normalizations.values(), colors or {}]
    _check_unused_tensors(prefix, tensors, {id(tensor) for layer in used for tensor in layer.values()})
    kernels = {str(name): layer["weight"] for name, layer in layers.items() if "weight" in layer}
    biases = {str(name): layer["bias"] for name, layer in layers.items() if "bias" in layer}
    for name in normalizations:  # a normalization has a shift, so many convolutions before one have no bias
        biases.setdefault(name, _zeros(kernels[name].shape[:1]))
    architecture, params = read_layers(kernels, biases, architectures=architectures, axes="OIHW")
    has_original_scale = not is_numbered or is_original(architecture, params)
    for name, normalization in normalizations.items():
        params[name] = fold_normalization(name, params[name], normalization)
    if colors is not None:
        return fold_colors(architecture, params, colors)
    return (fold_original if has_original_scale else fold_scale)(architecture, params)


def _group_layers(tensors: Mapping[str, StoredArray]) -> list[tuple[str, _Layers]]:
    """Returns the layers below each prefix; those with names and those with numbers are separate groups."""
    names: dict[str, _Layers] = defaultdict(lambda: defaultdict(dict))
    numbers: dict[str, _Layers] = defaultdict(lambda: defaultdict(dict))
    for name, tensor in tensors.items():
        stem, _, kind = name.rpartition(".")
        prefix, _, last = stem.rpartition(".")
        if kind not in _WEIGHTS + _STATISTICS:
            continue
        if re.fullmatch(r"conv\d_\d", last):
            names[prefix][last][kind] = tensor
        elif re.fullmatch(r"[0-9]{1,3}", last):
            whole = _join_slices(prefix) if re.search(r"(^|\.)slice\d$", prefix) else prefix
            numbers[whole][int(last)][kind] = tensor
    return [*names.items(), *numbers.items()]


def _find_vgg(groups: list[tuple[str, _Layers]], architectures: Architectures) -> tuple[str, _Layers]:
    """Returns the prefix and the layers of the one VGG in `groups`; if none is complete, those of the largest group."""
    counts = {len(layer_channels(blocks)) for blocks in architectures.values()}
    sized = [(len(_convolutions(layers)), prefix, layers) for prefix, layers in groups]
    sized.sort(key=lambda group: group[0])
    whole = [group for group in sized if group[0] in counts]
    if len(whole) > 1:
        got = f"{len(whole)}, below {', '.join(repr(shorten(prefix, 40)) for _, prefix, _ in whole[:3])}"
        raise InputError("one VGG in the file", got, "save one of them alone")
    size, prefix, layers = (whole or sized or [(0, "", {})])[-1]
    return prefix, layers if size else {}


def _convolutions(layers: _Layers) -> _Layers:
    """Returns the layers whose weights are kernels larger than 1x1, in order."""
    found = {name: layer for name, layer in layers.items() if "weight" in layer and _is_kernel(layer["weight"].shape)}
    return {name: found[name] for name in sorted(found, key=lambda name: (isinstance(name, str), name))}


def _is_kernel(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and tuple(shape[2:]) != (1, 1)


def _find_color_map(layers: _Layers) -> dict[str, StoredArray] | None:
    """Returns the linear map of colors before all convolutions, or None if the sequence begins otherwise."""
    first = layers[min(name for name in layers if isinstance(name, int))]
    return first if "weight" in first and tuple(first["weight"].shape) == (3, 3, 1, 1) else None


def _name_by_order(
    prefix: str, layers: _Layers, architectures: Architectures
) -> tuple[_Layers, dict[str, dict[str, StoredArray]]]:
    """Returns numbered convolutions under our names, which follow from their order.

    Returns:
        The convolutions by name, and the batch normalizations by the name of the convolution before them.

    Raises:
        InputError: If no architecture has this number of convolutions.
    """
    convolutions = _convolutions(layers)
    for blocks in architectures.values():
        names = list(layer_channels(blocks))
        if len(names) == len(convolutions):
            break
    else:
        raise _mismatch_error(prefix, convolutions, architectures)
    normalizations = {}
    for name, index in zip(names, convolutions, strict=True):
        behind = layers.get(int(index) + 1, {})
        if any(kind in behind for kind in _STATISTICS):
            normalizations[name] = behind
    return dict(zip(names, convolutions.values(), strict=True)), normalizations


def _check_unused_tensors(prefix: str, tensors: Mapping[str, StoredArray], used: set[int]) -> None:
    """Checks that no unused tensor below `prefix` changes the inputs of the convolutions.

    A state dictionary does not contain the structure of a network. A tensor with one number per channel belongs to a
    normalization (or is the slope of an activation); if it were ignored, the features would be wrong without an error.

    Raises:
        InputError: If such a tensor exists outside of a classifier.
    """
    for name, tensor in tensors.items():
        stem, _, kind = name.rpartition(".")
        is_per_channel = kind in _STATISTICS or (kind == "weight" and len(tensor.shape) <= 1)
        if not is_per_channel or id(tensor) in used:
            continue
        for place in (stem, _join_slices(stem)):
            below = place.removeprefix(f"{prefix}." if prefix else "")
            if (not prefix or below != place) and not re.search(r"(^|\.)(classifier|fc)", below):
                raise InputError(
                    "no normalization or slope except a batch normalization right after its convolution",
                    describe({name: tensor}),
                    "make it a part of the convolutions, or save the VGG apart from other networks",
                )


def _join_slices(prefix: str) -> str:
    """Returns a prefix with `sliceN` replaced by `slice`: the numbers of layers continue from one slice to the next."""
    return re.sub(r"(^|\.)slice\d(?=\.|$)", r"\1slice", prefix)


def _mismatch_error(prefix: str, convolutions: _Layers, architectures: Architectures) -> InputError:
    """Returns an error that names the first difference from the nearest torchvision network, or the wrong count."""
    found = describe({f"{prefix}.{name}.weight".lstrip("."): layer["weight"] for name, layer in convolutions.items()})
    advice = f"use the weights of one of {', '.join(architectures)}"
    if 0 not in convolutions:
        counts = sorted(len(layer_channels(blocks)) for blocks in architectures.values())
        return InputError(f"{' or '.join(map(str, counts))} convolutions", f"{len(convolutions)}: {found}", advice)
    places = {name: _feature_places(blocks) for name, blocks in architectures.items()}
    nearest = min(places, key=lambda name: len(set(places[name]) ^ set(convolutions)))
    index = min(set(places[nearest]) ^ set(convolutions))
    layer = f"{prefix}.{index}.weight".lstrip(".")
    wanted = f"{layer} ({places[nearest][index]})" if index in places[nearest] else f"no {layer}"
    return InputError(f"{wanted} in a {nearest}", found, advice)


def _feature_places(blocks: tuple[tuple[int, int], ...]) -> dict[str | int, str]:
    """Returns the convolution at each number of torchvision's `features`, which counts ReLUs and poolings too."""
    places, index = {}, 0
    for layer in layer_channels(blocks):
        # The first convolution of a later block follows a pooling.
        index += 1 if layer.endswith("_1") and index else 0
        places[index] = layer
        index += 2
    return places


def _zeros(shape: tuple[int, ...]) -> StoredArray:
    return StoredArray(shape, np.dtype(np.float32), lambda: np.zeros(shape, np.float32))
