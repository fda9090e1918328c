"""The options of each experiment's objective, declared once. How to optimize is in `jaxstyle.run_config`.

The command line makes its flags of these fields, so that this module loads no JAX: a flag has the field's name, default
and `Attributes:` text, unless a `Knob` beside the type changes them. `__post_init__` checks the values, from Python and
from flags.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Any, get_args, get_type_hints

from jaxstyle.argument_checks import check_layer_weights
from jaxstyle.checks import (
    InputError,
    check_between,
    check_not_negative,
    check_positive,
    check_weights,
)
from jaxstyle.knobs import (
    ARGUMENT,
    NO_FLAG,
    Check,
    Config,
    Knob,
    NotNegative,
    NotNegativeInt,
    Positive,
    PositiveInt,
    Share,
    Weight,
)
from jaxstyle.vgg.layers import STYLE_LAYERS, Dtype, MemoryMode, Pooling

#: Standard deviation of the initial noise, on 0..255, as in anishathalye/neural-style.
NOISE_DEVIATION = 0.256

#: Maximum jitter: no picture has more pixels on a side.
MOST_JITTER = 100_000


@dataclass(frozen=True, kw_only=True)
class FeatureConfig(Config):
    """The options that all experiments with a network's features have in common.

    Attributes:
        tv_weight: Weight of the total variation, on pixels of 0..255: a larger weight makes the picture smoother.
        pooling: Pooling of the network: maxima or averages of 2x2 features.
        dtype: Number type of the features; pixels, Gram matrices, losses and the optimizer are float32.
        memory: low needs a fraction of the memory and a third more time, because it computes features again.
    """

    tv_weight: Weight = 0.0
    pooling: Pooling = "max"
    dtype: Dtype = "float32"
    memory: MemoryMode = "normal"


@dataclass(frozen=True, kw_only=True)
class StyleConfig(FeatureConfig):
    """The options that the experiments with a style have in common.

    Attributes:
        style_weight: Weight of the style term: how strong the style is.
        style_loss: The style loss: a name in `jaxstyle.problems.terms.STYLE_LOSSES`.
    """

    style_weight: Weight = 500.0
    style_loss: Annotated[str, NO_FLAG] = "gram"


@dataclass(frozen=True, kw_only=True)
class NoiseConfig(FeatureConfig):
    """The options that the experiments which start from white noise have in common.

    Attributes:
        noise_deviation: Standard deviation of the initial white noise, in levels of 0..255.
    """

    noise_deviation: NotNegative = NOISE_DEVIATION


def blended_content_layers(blend: float) -> dict[str, float]:
    """Returns `{"relu4_2": blend, "relu5_2": 1 - blend}`, for `blend` in [0, 1]."""
    check_between("content_weight_blend", blend, 0, 1)
    return {"relu4_2": blend, "relu5_2": 1 - blend}


def exponential_style_layers(exponent: float = 1.0, layers: Sequence[str] = STYLE_LAYERS) -> dict[str, float]:
    """Returns layer weights with `w[l+1] = exponent * w[l]` and sum 1.

    An exponent below 1 favors the early layers (fine texture), above 1 the late ones (large forms).

    >>> exponential_style_layers(1.0)["relu1_1"]
    0.2
    """
    if not 0 < exponent < float("inf"):
        raise InputError("a style layer weight exponent above 0", exponent, "use 1 for equal layers")
    if not 1e-6 <= exponent <= 1e6:
        raise InputError("a style layer weight exponent of ordinary size", exponent, "use one between 0.01 and 100")
    weights = [exponent**position for position in range(len(layers))]
    return {layer: weight / sum(weights) for layer, weight in zip(layers, weights, strict=True)}


@dataclass(frozen=True, kw_only=True)
class StyleTransferConfig(StyleConfig):
    """Style transfer. Weights are arguments of the compiled program; other layers or pooling need another program.

    Attributes:
        content_weight: Weight of the content term: how much of the photograph stays.
        style_weight: Weight of the style term: how strong the style of the paintings is.
        content_layers: Layers of the content term, as NAME or NAME=WEIGHT; one of weight 0 is not computed. Default:
            relu4_2.
        style_layers: Layers of the style term, as NAME or NAME=WEIGHT, in order of depth. Default: relu1_1 relu2_1
            relu3_1 relu4_1 relu5_1, of equal weights.
        style_blend_weights: A weight for each style; they are divided by their sum. Default: equal weights.
        noise_blend: Share of noise in the initial picture, in [0, 1]. None means 1 without an initial picture and 0
            with one.
    """

    content_weight: Weight = 5.0
    tv_weight: Weight = 100.0
    content_layers: Annotated[Mapping[str, float], ARGUMENT] = field(
        default_factory=lambda: blended_content_layers(1.0)
    )
    style_layers: Annotated[Mapping[str, float], ARGUMENT] = field(default_factory=exponential_style_layers)
    style_blend_weights: Annotated[Sequence[float] | None, ARGUMENT] = None
    noise_blend: Annotated[float | None, NO_FLAG, Check(check_between, (0, 1)), ARGUMENT] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("content_layers", "style_layers"):
            check_layer_weights(name, getattr(self, name))
            for layer, weight in getattr(self, name).items():
                check_not_negative(f"the weight of {layer} in {name}", weight)

    def used_layers(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Returns the content layers and the style layers whose weight is above 0."""
        content = tuple(layer for layer, weight in self.content_layers.items() if weight > 0)
        style = tuple(layer for layer, weight in self.style_layers.items() if weight > 0)
        return content, style

    def program_key(self) -> tuple[Any, ...]:
        """Returns what is equal for configs whose problems, of the same pictures, have the same targets and program."""
        hints = get_type_hints(type(self), include_extras=True)
        return self.used_layers(), *(
            getattr(self, name) for name, hint in hints.items() if ARGUMENT not in get_args(hint)
        )


@dataclass(frozen=True)
class TextureConfig(StyleConfig, NoiseConfig):
    """Texture synthesis. Gatys et al. (2015) preferred average pooling.

    Attributes:
        layers: Layers and their weights.
        style_weight: Weight of the style term, which compares the textures.
        is_tileable: Make opposite borders match, so that copies side by side have no seam.
    """

    layers: Mapping[str, float] = field(default_factory=exponential_style_layers)
    _: KW_ONLY
    is_tileable: Annotated[bool, Knob("tileable")] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_feature_layers(self.layers)


@dataclass(frozen=True)
class ContentReconstructionConfig(NoiseConfig):
    """Content reconstruction.

    Attributes:
        layers: Layers and their weights; usually one layer.
    """

    layers: Mapping[str, float] = field(default_factory=lambda: {"relu4_2": 1.0})
    _: KW_ONLY

    def __post_init__(self) -> None:
        super().__post_init__()
        check_feature_layers(self.layers)


@dataclass(frozen=True)
class DreamConfig(FeatureConfig):
    """Dreams. Weights are arguments of the compiled program; other options need another program.

    Attributes:
        layers: Layers to excite, as NAME or NAME=WEIGHT, in order of depth; one of weight 0 is not computed.
        channels: Channels to excite instead of the whole layer, counted from 0; only with a single layer.
        jitter: Largest random shift of the picture at each step, in pixels.
        headroom: Share of the contrast to remove at the start, in [0, 1]; black and white pixels could not change.
    """

    layers: Mapping[str, float] = field(default_factory=lambda: {"relu4_2": 1.0, "relu5_1": 1.0})
    _: KW_ONLY
    channels: Sequence[int] = ()
    jitter: Annotated[int, Check(check_between, (0, MOST_JITTER))] = 16
    headroom: Share = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_feature_layers(self.layers)
        if self.channels and len(self.used_layers()) != 1:
            raise InputError(
                "one layer with channels", f"{len(self.used_layers())}", "name one layer, or leave the channels out"
            )
        if len(set(self.channels)) < len(self.channels):
            raise InputError("channels that differ", " ".join(map(str, self.channels)), "remove the repetition")
        if self.jitter != int(self.jitter):
            raise InputError("jitter of whole pixels", self.jitter, "round it")

    def used_layers(self) -> tuple[str, ...]:
        """Returns the layers whose weight is above 0."""
        return tuple(layer for layer, weight in self.layers.items() if weight > 0)


def check_feature_layers(layers: Mapping[str, float]) -> None:
    """Raises `InputError` unless `layers` maps names of layers to weights, none negative and not all 0."""
    check_layer_weights("layers", layers)
    check_weights("weights of layers", layers.values(), len(layers))


@dataclass(frozen=True)
class PainterConfig(Config):
    """The painter's network and the size of its batches. The defaults are those of the published run.

    Attributes:
        hidden_widths: Number of units of each hidden layer, which a ReLU follows; the last layer is linear.
        weight_deviation: Standard deviation of the initial weights; biases start at 0.
        batch_size: Number of pixels in each step.
        fourier_features: Number of frequencies of the Fourier features of the network, for instance 256; 0 for the
            classic network without them.
        fourier_scale: Standard deviation of these frequencies, in cycles per side. Tancik et al. (2020) found 10 best
            at 512x512; at 64x64 half of that learns as fast, and causes no grain in larger pictures and in holes.
        fourier_seed: Seed of the frequencies, which are drawn once and are constant.
    """

    hidden_widths: Annotated[Sequence[int], Check(check_positive)] = (64,) * 6
    weight_deviation: Positive = 0.1
    batch_size: PositiveInt = 50
    fourier_features: NotNegativeInt = 0
    fourier_scale: Positive = 5.0
    fourier_seed: Annotated[int, NO_FLAG] = 0
