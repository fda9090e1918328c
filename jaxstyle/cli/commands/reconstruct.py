"""`jaxstyle reconstruct content` and `jaxstyle reconstruct style`: pictures from the features of layers alone."""

import re
from dataclasses import dataclass
from typing import Annotated

import tyro

from jaxstyle.checks import InputError
from jaxstyle.cli.flags import Nested
from jaxstyle.cli.inputs import NetworkFlags, PictureFlags, SizeFlags
from jaxstyle.cli.running import CheckpointFlags, EachPictureFlags
from jaxstyle.config import ContentReconstructionConfig, NoiseConfig, TextureConfig
from jaxstyle.knobs import Knob
from jaxstyle.run_config import RunConfig
from jaxstyle.vgg.layers import STYLE_LAYERS, check_order


@dataclass(kw_only=True)
class Reconstruction(CheckpointFlags, EachPictureFlags, PictureFlags, SizeFlags, NetworkFlags):
    """Flags of both reconstructions.

    Attributes:
        picture: Picture to reconstruct: a file or sample:NAME.
        layers: Layers, in order of depth. Several layers give a contact sheet.
        iterations: Maximum number of iterations for each layer.
        optimizer: Name of the optimizer: lbfgs, adam, sgd, ... (a wrong name lists all names).
        pictures: Where to write each layer's picture by itself: a name with {} for the name of the layer.
    """

    layers: tuple[str, ...] = STYLE_LAYERS
    optimization: Annotated[RunConfig, Nested("initial_noiseblend")] = RunConfig(optimizer="lbfgs", iterations=200)

    @property
    def objective(self) -> NoiseConfig:
        """The objective; its layers are replaced for each picture."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises for every mistake that can be found before the work starts."""
        if not self.layers:
            raise InputError("at least one of --layers", "none", "name for instance relu4_1")
        check_order(self.layers)
        self.check_size()
        self.check_network()
        if self.pictures is not None and self.pictures.count("{}") != 1:
            raise InputError("--pictures with {} for the layer's name", repr(self.pictures), "write out_{}.png")
        if self.checkpoint_output is not None and len(self.layers) > 1:
            raise InputError("one layer with --checkpoint-output", f"{len(self.layers)}", "reconstruct one at a time")
        super().check()

    def why_no_seed(self) -> str:
        """Returns why --seed has no effect, with a flag that gives it one; an empty text if it has an effect."""
        if self.objective.noise_deviation or self.optimization.parameterization == "network":
            return ""
        return "the run starts without noise; --noise-deviation 0.256 would bring some in"

    def pictures_to_write(self) -> list[str]:
        """Returns the paths of all pictures that the run will write."""
        if self.pictures is None:
            return super().pictures_to_write()
        return [*super().pictures_to_write(), *(self.pictures.replace("{}", layer) for layer in self.layers)]


@dataclass(kw_only=True)
class ReconstructContent(Reconstruction):
    """Reconstruct a picture from the features of one layer alone (Mahendran and Vedaldi 2015).

    Early layers keep nearly all of the picture, deep ones its forms but not its colors and details. Several layers give
    a contact sheet, with each layer's final loss (1 is that of a picture without any activation) and its PSNR in dB.
    """

    content: Annotated[ContentReconstructionConfig, Nested("layers")] = ContentReconstructionConfig()

    @property
    def objective(self) -> ContentReconstructionConfig:
        """The objective; its layers are replaced for each picture."""
        return self.content


@dataclass(kw_only=True)
class ReconstructStyle(Reconstruction):
    """Make a new picture with the textures of another (Gatys, Ecker and Bethge 2015).

    For each layer, all style layers up to it are used. Several layers give a contact sheet, from fine grain to large
    forms.

    Attributes:
        picture: Picture with the textures: a file or sample:NAME.
        size: Size of the texture, as WIDTH or WIDTHxHEIGHT. Default: the picture's own.
    """

    size: Annotated[str | None, Knob(metavar="WxH")] = None
    texture: Annotated[TextureConfig, Nested("layers")] = TextureConfig()

    def check(self) -> None:
        """Raises for every mistake that can be found before the work starts."""
        parse_size(self.size)
        super().check()

    @property
    def objective(self) -> TextureConfig:
        """The objective; its layers are replaced for each picture."""
        return self.texture


def parse_size(text: str | None) -> tuple[int | None, int | None]:
    """Returns the width and the height of `WIDTHxHEIGHT`; equal ones for one number, None without a text."""
    if text is None:
        return None, None
    found = re.fullmatch(r"([1-9]\d{0,5})(?:x([1-9]\d{0,5}))?", text)
    if not found:
        raise InputError("--size as WIDTH or WIDTHxHEIGHT", repr(text), "write for instance 512x384")
    return int(found.group(1)), int(found.group(2) or found.group(1))


@dataclass
class Reconstruct:
    """Make a picture from features: from those of one layer (content), or from statistics of layers (style)."""

    command: (
        Annotated[ReconstructContent, tyro.conf.subcommand("content")]
        | Annotated[ReconstructStyle, tyro.conf.subcommand("style")]
    )


COMMANDS = {"reconstruct": Reconstruct}
