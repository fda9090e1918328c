"""The flags of the style transfer objective, shared by `stylize` and `evaluate`, and the pictures they name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jaxstyle.checks import InputError, check_between, check_choice, check_positive, check_weights

if TYPE_CHECKING:
    from jaxstyle.pretrained import Network
    from jaxstyle.problems.style_transfer import StyleTransferConfig


#: JAX's names for what --matmul-precision takes.
MATMUL_PRECISIONS = {"highest": "highest", "tf32": "tensorfloat32"}

#: Far above any picture that fits; keeps sums of pixels ordinary numbers.
MAX_SIDE = 100_000


@dataclass(kw_only=True)
class ObjectiveFlags:
    """What is minimized.

    Attributes:
        content: Photograph to repaint: a file, or sample:NAME (see `jaxstyle samples`).
        styles: Paintings to take the style from: files, or sample:NAME.
        network: File with a VGG-16 or VGG-19, in any format that `jaxstyle weights` reads. Default: the VGG-19
            that ships.
        content_weight: Weight of the content term.
        content_weight_blend: Share of relu4_2 in the content term, in [0, 1]; relu5_2 has the rest.
        style_weight: Weight of the style term.
        style_layer_weight_exp: Each style layer weighs this many times the one before it.
        style_blend_weights: A weight for each style. Default: equal.
        style_scales: A scale for each style: its width as a multiple of the content's. Default: 1.
        tv_weight: Weight of the total variation, which smooths.
        pooling: max or avg.
        content_layers: Content layers, as NAME or NAME=WEIGHT, instead of relu4_2 and relu5_2.
        style_layers: Style layers, as NAME or NAME=WEIGHT, in order of depth; weights are normalized to sum 1.
        matte: Color that shows through transparent pixels: a name or #rrggbb.
        dtype: Type of the features, float32 or bfloat16; pixels, losses and the optimizer are float32 in both.
        memory: normal, or low: a third slower, in a fraction of the memory.
        matmul_precision: Of float32 products on GPU and TPU: highest, or tf32, which is faster and keeps 10 bits.
    """

    content: str
    styles: tuple[str, ...]
    network: str | None = None
    content_weight: float = 5.0
    content_weight_blend: float = 1.0
    style_weight: float = 500.0
    style_layer_weight_exp: float = 1.0
    style_blend_weights: tuple[float, ...] = ()
    style_scales: tuple[float, ...] = ()
    tv_weight: float = 100.0
    pooling: str = "max"
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()
    matte: str = "white"
    dtype: str = "float32"
    memory: str = "normal"
    matmul_precision: str = "highest"

    def check(self) -> None:
        """Raises `InputError` for what can be known to be wrong before any file is read."""
        if not self.styles:
            raise InputError("at least one picture after --styles", "none", "name a file or sample:NAME")
        if self.style_blend_weights:
            check_weights("--style-blend-weights", self.style_blend_weights, len(self.styles))
        if self.style_scales and len(self.style_scales) != len(self.styles):
            raise InputError(
                f"{len(self.styles)} --style-scales, one for each style", len(self.style_scales), "pass one for each"
            )
        for scale in self.style_scales:
            check_positive("each of the --style-scales", scale)
        check_choice("--pooling", self.pooling, ("max", "avg"))
        check_choice("--dtype", self.dtype, ("float32", "bfloat16"))
        check_choice("--memory", self.memory, ("normal", "low"))
        check_choice("--matmul-precision", self.matmul_precision, MATMUL_PRECISIONS)
        check_between("--content-weight-blend", self.content_weight_blend, 0, 1)
        if self.content_layers and self.content_weight_blend != 1:
            raise InputError(
                "--content-layers or --content-weight-blend", "both", "give relu4_2=... relu5_2=... as --content-layers"
            )

    def config(self, noise_blend: float | None = None) -> "StyleTransferConfig":
        """Returns the library's configuration that these flags name."""
        from jaxstyle.problems import style_transfer

        if self.content_layers:
            content_layers = _parse_layers("--content-layers", self.content_layers)
        else:
            content_layers = style_transfer.blended_content_layers(self.content_weight_blend)
        own = _parse_layers("--style-layers", self.style_layers or style_transfer.STYLE_LAYERS)
        check_weights("weights of --style-layers", own.values(), len(own))
        growing = style_transfer.exponential_style_layers(self.style_layer_weight_exp, tuple(own))
        total = sum(own[layer] * growing[layer] for layer in own)
        check_positive("the sum of the style layers' weights", total)
        return style_transfer.StyleTransferConfig(
            content_weight=self.content_weight,
            style_weight=self.style_weight,
            tv_weight=self.tv_weight,
            content_layers=content_layers,
            style_layers={layer: own[layer] * growing[layer] / total for layer in own},
            style_blend_weights=self.style_blend_weights or None,
            pooling=self.pooling,
            noise_blend=noise_blend,
            dtype=self.dtype,
            memory=self.memory,
        )

    def read_styles(self, content_width: int) -> list[np.ndarray]:
        """Returns the style pictures, each scaled to its style scale times `content_width`, in its own shape."""
        scales = self.style_scales or (1.0,) * len(self.styles)
        return [
            read_scaled(style, max(1, round(scale * content_width)), self.matte)
            for style, scale in zip(self.styles, scales, strict=True)
        ]

    def load_network(self) -> "Network":
        """Returns the network to use and checks that it has the layers asked for."""
        from jaxstyle import vgg
        from jaxstyle.pretrained import load_network

        network = load_network(self.network)
        config = self.config()
        vgg.check_layers(network.params, [*config.content_layers, *config.style_layers])
        return network


def describe(network: "Network") -> str:
    """Returns the line that names a network and its checksum."""
    kind = "" if network.name == network.architecture else f" ({network.architecture})"
    return f"network: {network.name}{kind}, sha256 {network.checksum}"


def read_scaled(source: str, width: int | None, matte: str) -> np.ndarray:
    """Returns the picture that `source` (a file or sample:NAME) names, `width` pixels wide, in its own shape.

    Samples that are painted are painted at that width; everything else is resized. None keeps the size.
    """
    from jaxstyle import images, samples
    from jaxstyle.image_files import MAX_PIXELS, parse_color, read_picture

    if width is not None:
        check_positive("a width", width)
        check_between("the width of a picture", width, 1, MAX_SIDE)
    if samples.is_sample(source):
        picture = samples.load_sample(source, width=width)
    else:
        picture = read_picture(source, matte=parse_color(matte))
    height, old_width, _ = picture.shape
    if width is None or width == old_width:
        return picture
    if height * width**2 > MAX_PIXELS * old_width:
        raise InputError(f"at most {MAX_PIXELS} pixels", f"{source} {width} pixels wide", "choose a smaller width")
    return np.asarray(images.resize(picture, *images.size_for_width(height, old_width, width)))


def resize_to(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns `picture` at that size; the same array if it has that size already."""
    from jaxstyle import images

    return picture if picture.shape[:2] == (height, width) else np.asarray(images.resize(picture, height, width))


def _parse_layers(flag: str, items: Sequence[str]) -> dict[str, float]:
    layers: dict[str, float] = {}
    for item in items:
        name, equals, weight = item.partition("=")
        try:
            layers[name] = float(weight) if equals else 1.0
        except ValueError:
            raise InputError(f"{flag} as NAME or NAME=WEIGHT", repr(item), "write for instance relu4_2=0.5") from None
    if len(layers) < len(items):
        raise InputError(f"{flag} that name each layer once", " ".join(items), "remove the repetition")
    return layers
