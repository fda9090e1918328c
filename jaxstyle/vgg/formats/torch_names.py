"""State dictionaries of PyTorch VGGs, from `.pth` or safetensors: which tensor is which layer.

Kernels are `[out, in, height, width]`. Layers go by two kinds of names, below any prefix (`module.`, `state_dict.`,
`vgg.`, `model.encoder.`, ...):

- `conv1_1.weight`, ...: conversions of the Caffe networks (`vgg_conv.pth`), which take BGR in 0..255 minus the mean;
- `features.0.weight`, `0.weight` or `slice1.0.weight`, ...: a sequence whose numbers count activations, poolings,
  paddings and normalizations too. Its convolutions are taken in their order, since what stands between them differs.

A batch normalization behind a convolution has its number plus one. A 1x1 convolution of 3 channels before all others is
the change of colors that the files of AdaIN's family (`vgg_normalised.pth`) begin with. `torch_folding` makes both, and
the scale of the colors, part of the convolutions.
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

#: What a convolution and a normalization are made of; a counter of batches says nothing about numbers.
_WEIGHTS = ("weight", "bias")
_STATISTICS = ("running_mean", "running_var")

#: Per layer, by name (`conv1_1`) or number (12), its tensors by kind.
_Layers = dict[str | int, dict[str, StoredArray]]


def convert_tensors(tensors: Mapping[str, StoredArray], architectures: Architectures) -> StoredNetwork:
    """Turns a state dictionary into a network of ours, reading only its convolutions.

    Raises:
        InputError: If the names or shapes are another network's, or there are two networks.
    """
    prefix, layers = _choose(_group(tensors), architectures)
    if not layers:
        raise InputError(
            f"the convolutions of one of {', '.join(architectures)}",
            describe(tensors),
            "use the state dictionary of such a network",
        )
    is_numbered = any(isinstance(name, int) for name in layers)
    colors = _take_colors(layers) if is_numbered else None
    normalizations: dict[str, dict[str, StoredArray]] = {}
    if is_numbered:
        layers, normalizations = _name_by_order(prefix, layers, architectures)
    used = [*layers.values(), *normalizations.values(), colors or {}]
    _check_rest(prefix, tensors, {id(tensor) for layer in used for tensor in layer.values()})
    kernels = {str(name): layer["weight"] for name, layer in layers.items() if "weight" in layer}
    biases = {str(name): layer["bias"] for name, layer in layers.items() if "bias" in layer}
    for name in normalizations:  # which has a shift of its own, so that many convolutions before one have no bias
        biases.setdefault(name, _zeros(kernels[name].shape[:1]))
    architecture, params = read_layers(kernels, biases, architectures=architectures, axes="OIHW")
    has_original_scale = not is_numbered or is_original(architecture, params)
    for name, normalization in normalizations.items():
        params[name] = fold_normalization(name, params[name], normalization)
    if colors is not None:
        return fold_colors(architecture, params, colors)
    return (fold_original if has_original_scale else fold_scale)(architecture, params)


def _group(tensors: Mapping[str, StoredArray]) -> list[tuple[str, _Layers]]:
    """Returns the layers below each prefix, those with names apart from those with numbers."""
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


def _choose(groups: list[tuple[str, _Layers]], architectures: Architectures) -> tuple[str, _Layers]:
    """Returns the prefix and the layers of the one VGG among `groups`, or else of what is nearest to one."""
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


def _take_colors(layers: _Layers) -> dict[str, StoredArray] | None:
    """Returns the change of colors that stands before all convolutions, if there is one."""
    first = layers[min(name for name in layers if isinstance(name, int))]
    return first if "weight" in first and tuple(first["weight"].shape) == (3, 3, 1, 1) else None


def _name_by_order(
    prefix: str, layers: _Layers, architectures: Architectures
) -> tuple[_Layers, dict[str, dict[str, StoredArray]]]:
    """Gives numbered convolutions our names, by their order.

    Returns:
        The convolutions, and the normalization behind each that has one.

    Raises:
        InputError: If their number is no architecture's.
    """
    convolutions = _convolutions(layers)
    for blocks in architectures.values():
        names = list(layer_channels(blocks))
        if len(names) == len(convolutions):
            break
    else:
        raise _wrong_count(prefix, convolutions, architectures)
    normalizations = {}
    for name, index in zip(names, convolutions, strict=True):
        behind = layers.get(int(index) + 1, {})
        if any(kind in behind for kind in _STATISTICS):
            normalizations[name] = behind
    return dict(zip(names, convolutions.values(), strict=True)), normalizations


def _check_rest(prefix: str, tensors: Mapping[str, StoredArray], used: set[int]) -> None:
    """Checks that nothing below `prefix` but what is `used` changes what the convolutions see.

    A state dictionary does not say where its layers stand. One number per channel is a normalization (or the slope of
    an activation), and without it the network would be another one, whose features look sound.

    Raises:
        InputError: If there is such a tensor, outside of a classifier.
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
                    "no normalization or slope but that of a batch normalization right behind its convolution",
                    describe({name: tensor}),
                    "make it a part of the convolutions, or save the VGG apart from other networks",
                )


def _join_slices(prefix: str) -> str:
    """Returns the name that the slices of one sequence share: programs that cut it go on counting."""
    return re.sub(r"(^|\.)slice\d(?=\.|$)", r"\1slice", prefix)


def _wrong_count(prefix: str, convolutions: _Layers, architectures: Architectures) -> InputError:
    """Returns what a sequence lacks, or has too much, compared with the nearest one of torchvision's, or its count."""
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
        # The first of a later block stands behind a pooling.
        index += 1 if layer.endswith("_1") and index else 0
        places[index] = layer
        index += 2
    return places


def _zeros(shape: tuple[int, ...]) -> StoredArray:
    return StoredArray(shape, np.dtype(np.float32), lambda: np.zeros(shape, np.float32))
