"""The flags for the input of a command: pictures, their size, the network, the objective of style transfer."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxstyle.checks import InputError, check_positive, check_weights
from jaxstyle.cli.flags import flag_of
from jaxstyle.config import StyleTransferConfig, blended_content_layers, exponential_style_layers
from jaxstyle.knobs import Check, Share
from jaxstyle.vgg.layers import check_order

#: The flags of `SizeFlags`, of which one may be given.
SIDES = ("width", "height", "long_side")

#: Maximum of a side in pixels, far above any picture that fits into memory; larger numbers could overflow.
MAX_SIDE = 100_000


@dataclass(kw_only=True)
class PictureFlags:
    """The picture that a command is about.

    Attributes:
        picture: Picture to work on: a file or sample:NAME.
    """

    picture: Annotated[str, tyro.conf.Positional]


@dataclass(kw_only=True)
class MatteFlags:
    """The color of transparent pixels.

    Attributes:
        matte: Background color of transparent pixels: a name or #rrggbb.
    """

    matte: str = "white"


@dataclass(kw_only=True)
class NetworkFlags(MatteFlags):
    """The network.

    Attributes:
        network: Weights of a VGG-16 or VGG-19, in any format that `jaxstyle weights` reads. Default: the VGG-19 that
            comes with jaxstyle.
        matmul_precision: Precision of matrix products on GPU and TPU: tf32 is faster and keeps 10 bits.
    """

    network: str | None = None
    matmul_precision: Literal["highest", "tf32"] = "highest"

    def check_network(self) -> None:
        """Raises `InputError` for an unknown color."""
        from jaxstyle.pictures.image_files import parse_color  # loads Pillow, which --help does not need

        parse_color(self.matte)


@dataclass(kw_only=True)
class SideFlags:
    """The size of a picture, whose aspect ratio is kept.

    Attributes:
        width: Width in pixels; the aspect ratio is kept. Default: that of the picture.
        height: Height in pixels, instead of --width.
    """

    width: Annotated[int | None, Check(check_positive)] = None
    height: Annotated[int | None, Check(check_positive)] = None


@dataclass(kw_only=True)
class SizeFlags(SideFlags):
    """The size of a picture, whose aspect ratio is kept.

    Attributes:
        long_side: Length of the longer side in pixels, instead of --width.
    """

    long_side: Annotated[int | None, Check(check_positive)] = None

    def check_size(self) -> None:
        """Raises `InputError` for more than one size."""
        given = [name for name in SIDES if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(
                "one of --width, --height and --long-side", " and ".join(map(flag_of, given)), "leave all but one out"
            )


@dataclass(kw_only=True)
class ContentAndStyles:
    """The pictures, in a class of their own so that --help begins with them.

    Attributes:
        content: Photograph to repaint: a file or sample:NAME.
        styles: Paintings: files or sample:NAME.
    """

    content: str
    styles: tuple[str, ...]


@dataclass(kw_only=True)
class ObjectiveFlags(NetworkFlags, ContentAndStyles):
    """The objective of style transfer, shared by `stylize` and `evaluate`.

    Attributes:
        style_scales: Size of the brush strokes: each style is resized to X times the width of the result; 0.5 gives
            fine strokes, 2 coarse ones. Default: 1.
        content_weight_blend: Weight of relu4_2 in the content term, in [0, 1]; relu5_2 has the rest.
        style_layer_weight_exp: Ratio of the weight of each style layer to that of the layer before it.
    """

    objective: StyleTransferConfig = StyleTransferConfig()
    content_weight_blend: Share = 1.0
    style_layer_weight_exp: float = 1.0
    style_scales: Annotated[tuple[float, ...], Check(check_positive)] = ()

    def check_objective(self) -> None:
        """Raises `InputError` for every mistake that can be found before a file is read."""
        self.check_network()
        if not self.styles:
            raise InputError("at least one picture after --styles", "none", "name a file or sample:NAME")
        for style in self.styles:
            if Path(style).is_dir():
                advice = f"write --styles {shlex.quote(style)}/* for all of it"
                raise InputError("pictures for --styles", f"the folder {style!r}", advice)
        if self.objective.style_blend_weights:
            check_weights("--style-blend-weights", self.objective.style_blend_weights, len(self.styles))
        if self.style_scales and len(self.style_scales) != len(self.styles):
            raise InputError(
                f"{len(self.styles)} --style-scales, one for each style", len(self.style_scales), "pass one for each"
            )
        self.weighed_objective()

    def weighed_objective(self) -> StyleTransferConfig:
        """Returns the objective with the layers' final weights: those of the style layers have the sum 1."""
        objective, usual = self.objective, StyleTransferConfig()
        content_layers, style_layers = objective.content_layers, objective.style_layers
        if self.content_weight_blend != 1:
            if content_layers != usual.content_layers:
                raise InputError("--content-layers or --content-weight-blend", "both", "leave one of them out")
            content_layers = blended_content_layers(self.content_weight_blend)
        if style_layers == usual.style_layers:
            style_layers = dict.fromkeys(style_layers, 1.0)
        check_order(tuple(style_layers))
        check_weights("weights of --style-layers", style_layers.values(), len(style_layers))
        growing = exponential_style_layers(self.style_layer_weight_exp, tuple(style_layers))
        total = sum(style_layers[layer] * growing[layer] for layer in style_layers)
        check_positive("the sum of the style layers' weights", total)
        style_layers = {layer: style_layers[layer] * growing[layer] / total for layer in style_layers}
        return replace(objective, content_layers=content_layers, style_layers=style_layers)

    def used_layers(self) -> list[str]:
        """Returns the names of the content layers and the style layers."""
        objective = self.weighed_objective()
        return [*objective.content_layers, *objective.style_layers]
