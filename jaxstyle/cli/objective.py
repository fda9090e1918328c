"""The flags of the style transfer objective, shared by `stylize` and `evaluate`, and the pictures they name."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxstyle.checks import InputError, check_between, check_positive, check_weights
from jaxstyle.cli.network import NetworkFlags
from jaxstyle.cli.pictures import read_scaled

if TYPE_CHECKING:
    from jaxstyle.problems.style_transfer import StyleTransferConfig


@dataclass(kw_only=True)
class ContentAndStyles:
    """The pictures; a class of its own so that --help begins with them.

    Attributes:
        content: Photograph to repaint: a file or sample:NAME.
        styles: Paintings: files or sample:NAME.
    """

    content: str
    styles: tuple[str, ...]


@dataclass(kw_only=True)
class ObjectiveFlags(NetworkFlags, ContentAndStyles):
    """What is minimized.

    Attributes:
        content_weight: How much of the photograph stays.
        style_weight: How much of the paintings comes in.
        tv_weight: Smoothness: weight of the total variation.
        style_scales: Size of the brush strokes: width of each style, times the result's; 0.5 is fine, 2 coarse.
            Default: 1.
        style_blend_weights: A weight for each style. Default: equal.
        content_layers: NAME or NAME=WEIGHT. Default: relu4_2.
        content_weight_blend: Share of relu4_2; relu5_2 has the rest.
        style_layers: NAME or NAME=WEIGHT, in order of depth. Default: relu1_1 relu2_1 relu3_1 relu4_1 relu5_1, equal.
        style_layer_weight_exp: Each style layer weighs X times the one before it.
    """

    content_weight: float = 5.0
    content_weight_blend: float = 1.0
    style_weight: float = 500.0
    style_layer_weight_exp: float = 1.0
    style_blend_weights: tuple[float, ...] = ()
    style_scales: tuple[float, ...] = ()
    tv_weight: float = 100.0
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises `InputError` for what can be known to be wrong before any file is read."""
        super().check()
        if not self.styles:
            raise InputError("at least one picture after --styles", "none", "name a file or sample:NAME")
        for style in self.styles:
            if Path(style).is_dir():
                advice = f"write --styles {shlex.quote(style)}/* for all of it"
                raise InputError("pictures for --styles", f"the folder {style!r}", advice)
        if self.style_blend_weights:
            check_weights("--style-blend-weights", self.style_blend_weights, len(self.styles))
        if self.style_scales and len(self.style_scales) != len(self.styles):
            raise InputError(
                f"{len(self.styles)} --style-scales, one for each style", len(self.style_scales), "pass one for each"
            )
        for scale in self.style_scales:
            check_positive("each of the --style-scales", scale)
        check_between("--content-weight-blend", self.content_weight_blend, 0, 1)
        if self.content_layers and self.content_weight_blend != 1:
            raise InputError("--content-layers or --content-weight-blend", "both", "leave one of them out")

    def config(self, noise_blend: float | None = None) -> "StyleTransferConfig":
        """Returns the library's configuration that these flags name."""
        from jaxstyle.problems import style_transfer
        from jaxstyle.vgg.module import check_order

        if self.content_layers:
            content_layers = parse_layers("--content-layers", self.content_layers)
        else:
            content_layers = style_transfer.blended_content_layers(self.content_weight_blend)
        own = parse_layers("--style-layers", self.style_layers or style_transfer.STYLE_LAYERS)
        check_order(tuple(own))
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

    def read_styles(self, content_width: int, factor: float = 1.0) -> list[np.ndarray]:
        """Returns the style pictures, each as wide as the content times its style scale times `factor`."""
        scales = self.style_scales or (1.0,) * len(self.styles)
        return [
            read_scaled(style, max(1, round(scale * factor * content_width)), self.matte, flag="--style-scales")
            for style, scale in zip(self.styles, scales, strict=True)
        ]

    def used_layers(self) -> list[str]:
        """Returns the names of the content layers and the style layers."""
        config = self.config()
        return [*config.content_layers, *config.style_layers]


def parse_layers(flag: str, items: Sequence[str]) -> dict[str, float]:
    """Returns layers and their weights, 1 where an item of a flag names none."""
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
