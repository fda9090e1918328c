"""Reads the pictures (files or samples) and the network that the flags name; pictures at the size of the flags."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from jaxstyle.checks import InputError, check_positive
from jaxstyle.cli.display import phase
from jaxstyle.cli.inputs import MAX_SIDE, SizeFlags
from jaxstyle.pictures import images, samples
from jaxstyle.pictures.image_files import MAX_PIXELS, parse_color, read_picture
from jaxstyle.pictures.samples import PREFIX, SAMPLES
from jaxstyle.vgg import module as vgg
from jaxstyle.vgg import weights
from jaxstyle.vgg.weights import Network


def load_network(path: str | None, layers: Iterable[str]) -> Network:
    """Returns the network in a file, or the one that comes with jaxstyle, and checks that it has `layers`."""
    phase("reading the network")
    network = weights.load_network(path)
    vgg.check_layers(network.params, layers)
    return network


def describe(network: Network) -> str:
    """Returns the line that names a network and its checksum."""
    kind = "" if network.name == network.architecture else f" ({network.architecture})"
    return f"network: {network.name}{kind}, sha256 {network.checksum}"


def read_sized(source: str, flags: SizeFlags, matte: str, *, method: str = "cubic") -> np.ndarray:
    """Returns the picture `source` (a file or sample:NAME) at the size of the flags, or at its own without one."""
    return read_scaled(source, flags.width, matte, height=flags.height, long_side=flags.long_side, method=method)


def read_scaled(
    source: str,
    width: int | None,
    matte: str,
    *,
    height: int | None = None,
    long_side: int | None = None,
    method: str = "cubic",
    flag: str = "",
) -> np.ndarray:
    """Returns the picture `source` (a file or sample:NAME) with one side of the given size and its own aspect ratio.

    Sample styles are loaded at that size; everything else is resized. Without a side it keeps its size. Files of more
    than 16.8 million pixels are decoded at a reduced size, if that suffices (`read_picture`). `method` is an argument
    of `jaxstyle.pictures.images.resize`; `flag` is the flag that sets the size, for errors, if not that of the side.
    """
    phase(f"reading {source}")
    sides = {"width": width, "height": height, "long side": long_side}
    given = [(name, value) for name, value in sides.items() if value is not None]
    for name, value in given:
        check_positive(f"a {name}", value)
        if value > MAX_SIDE:
            got = f"{source} with a {name} of {value}"
            raise InputError(f"pictures of at most {MAX_SIDE} pixels a side", got, f"choose a smaller {flag or name}")
    if samples.is_sample(source):
        picture = samples.load_sample(source, **_painted_side(source, width, height, long_side))
    else:
        picture = read_picture(source, matte=parse_color(matte), width=width, height=height, long_side=long_side)
    old_height, old_width, _ = picture.shape
    if not given:
        return picture
    ((name, side),) = given
    by_width = name == "width" or (name == "long side" and old_width >= old_height)
    old_side, other = (old_width, old_height) if by_width else (old_height, old_width)
    if side == old_side:
        return picture
    if other * side**2 > MAX_PIXELS * old_side:
        got = f"{source} with a {name} of {side}"
        raise InputError(f"at most {MAX_PIXELS} pixels", got, f"choose a smaller {flag or name}")
    new_other, _ = images.size_for_width(other, old_side, side)
    new_height, new_width = (new_other, side) if by_width else (side, new_other)
    return np.asarray(images.resize(picture, new_height, new_width, method=method))


def read_styles(
    styles: Sequence[str],
    scales: Sequence[float],
    content_width: int,
    matte: str,
    *,
    factor: float = 1.0,
    read: Callable[..., np.ndarray] = read_scaled,
) -> list[np.ndarray]:
    """Returns the style pictures, each as wide as the content times its style scale times `factor`."""
    scales = scales or (1.0,) * len(styles)
    return [
        read(style, max(1, round(scale * factor * content_width)), matte, flag="--style-scales")
        for style, scale in zip(styles, scales, strict=True)
    ]


def _painted_side(source: str, width: int | None, height: int | None, long_side: int | None) -> dict[str, int | None]:
    """Returns the side at which to load a sample style, as arguments of `jaxstyle.pictures.samples.load_sample`."""
    sample = SAMPLES.get(source.removeprefix(PREFIX))
    if long_side is None or sample is None:
        return {"width": width, "height": height}
    natural_height, natural_width = sample.size
    return {"width": long_side} if natural_width >= natural_height else {"height": long_side}


def read_resized(source: str, height: int, width: int, matte: str) -> np.ndarray:
    """Returns the picture `source` (a file or sample:NAME) at that size, whatever its aspect ratio."""
    if samples.is_sample(source):
        return resize_to(samples.load_sample(source), height, width)
    return resize_to(read_picture(source, matte=parse_color(matte), width=width, height=height), height, width)


def resize_to(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns `picture` at that size; the same array if it has that size already."""
    return picture if picture.shape[:2] == (height, width) else np.asarray(images.resize(picture, height, width))
