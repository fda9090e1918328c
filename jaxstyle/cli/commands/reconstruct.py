"""`jaxstyle reconstruct content` and `jaxstyle reconstruct style`: what layers know of a picture."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import tyro

from jaxstyle.checks import InputError, check_not_negative
from jaxstyle.cli.network import NetworkFlags, describe
from jaxstyle.cli.pictures import SizeFlags, read_scaled
from jaxstyle.cli.running import PictureFlags

if TYPE_CHECKING:
    from jaxstyle.cli.session import Outcome
    from jaxstyle.problems.problem import Problem
    from jaxstyle.types import NetworkParams

#: The ladder of Gatys et al. (2016), figure 1, and of Gatys et al. (2015).
LADDER = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


class Rung(NamedTuple):
    """One picture of the sheet.

    Attributes:
        layer: Its name.
        make_problem: `make_problem(height, width)`.
    """

    layer: str
    make_problem: "Callable[[int, int], Problem]"


@dataclass(kw_only=True)
class Reconstruction(PictureFlags, SizeFlags, NetworkFlags):
    """Flags of both reconstructions.

    Attributes:
        picture: Picture to reconstruct: a file or sample:NAME.
        layers: Layers, in order of depth. Several give a contact sheet.
        width: Width for the picture; the shape is kept. Default: its own.
        iterations: Steps of the optimizer, for each layer.
        optimizer: lbfgs, adam, sgd, ... (a wrong name lists them all).
        tv_weight: Smoothness: weight of the total variation.
        noise_deviation: Deviation of the white noise to start from, in levels of 0..255.
        pictures: Where to write each layer's picture by itself: a name with {} for the layer's.
    """

    picture: Annotated[str, tyro.conf.Positional]
    layers: tuple[str, ...] = LADDER
    iterations: int = 200
    optimizer: str = "lbfgs"
    tv_weight: float = 0.0
    noise_deviation: float = 0.256
    pictures: str | None = None

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts."""
        from jaxstyle.vgg import module as vgg

        if not self.layers:
            raise InputError("at least one of --layers", "none", "name for instance relu4_1")
        vgg.check_order(self.layers)
        self.check_size()
        check_not_negative("--tv-weight", self.tv_weight)
        check_not_negative("--noise-deviation", self.noise_deviation)
        if self.pictures is not None and self.pictures.count("{}") != 1:
            raise InputError("--pictures with {} for the layer's name", repr(self.pictures), "write out_{}.png")
        if self.checkpoint_output is not None and len(self.layers) > 1:
            raise InputError("one layer with --checkpoint-output", f"{len(self.layers)}", "reconstruct one at a time")
        super().check()

    def why_no_seed(self) -> str:
        """Returns why --seed changes nothing, and what to type so that it does; nothing where it changes something."""
        if self.noise_deviation or self.parameterization == "network":
            return ""
        return "the run starts without noise; --noise-deviation 0.256 would bring some in"

    def pictures_to_write(self) -> list[str]:
        """Returns the places of all pictures that the run will write."""
        if self.pictures is None:
            return super().pictures_to_write()
        return [*super().pictures_to_write(), *(self.pictures.replace("{}", layer) for layer in self.layers)]

    def reconstruct(
        self,
        original: np.ndarray,
        height: int,
        width: int,
        make_rungs: "Callable[[NetworkParams], Sequence[Rung]]",
        caption: "Callable[[Outcome], str]",
    ) -> int:
        """Runs one rung after the other, writes the pictures, and returns the exit code."""
        optimizer = self.make_optimizer()
        network = self.load_network(self.layers)

        from jaxstyle.cli.session import Session, record_of
        from jaxstyle.pictures.sheets import Cell, contact_sheet

        cells, records, codes = [Cell(original, "original")], [], []
        with Session(self) as session:
            session.introduce(height, width, describe(network))
            picture = original
            for rung in make_rungs(network.params):
                label = rung.layer if len(self.layers) > 1 else ""
                outcome = session.minimize_picture(rung.make_problem, height, width, optimizer=optimizer, label=label)
                if outcome.is_untouched and records:  # noise: the layers before it are worth keeping, it is not
                    break
                line, picture = caption(outcome), outcome.picture
                session.say(f"{rung.layer}: {line}")
                cells.append(Cell(picture.clip(0, 1), f"{rung.layer}\n{line}"))
                records.append({"layer": rung.layer, **record_of(outcome)})
                codes.append(outcome.exit_code)
                if self.pictures is not None:
                    session.write_extra(self.pictures.replace("{}", rung.layer), picture)
                del outcome  # a network, targets and an optimizer's state, as large as the next layer's
                if session.is_interrupted:
                    break
            session.write_result(contact_sheet([cells]) if len(self.layers) > 1 else picture)
            record = {"runs": records} if len(self.layers) > 1 else records[0]
            session.write_summary(record, network=network.checksum)
            if session.is_interrupted and len(records) < len(self.layers):
                codes.append(session.interrupted_code)
        return max(codes)


@dataclass(kw_only=True)
class ReconstructContent(Reconstruction):
    """Make a picture again from the features of one layer alone (Mahendran and Vedaldi 2015).

    Early layers keep nearly all of it, deep ones its forms but not its colors and details. Several layers make a
    contact sheet, with each layer's final loss (1 is that of a picture without any activation) and its PSNR in dB.
    """

    def run(self) -> int:
        """Reconstructs and returns the exit code."""
        self.check()
        original = self.read_sized(self.picture, self.matte)
        height, width, _ = original.shape

        from jaxstyle.cli.pictures import resize_to
        from jaxstyle.pictures.images import psnr
        from jaxstyle.problems.pictures import check_size
        from jaxstyle.vgg.module import minimum_size

        # All that can fail at the last layer is to fail before the first.
        check_size("the picture", *self.sizes(height, width)[0], minimum_size(self.layers))

        from jaxstyle.problems.content_reconstruction import ContentReconstructionConfig, make_problem

        def make_rungs(network: "NetworkParams") -> list[Rung]:
            def make(layer: str, height: int, width: int) -> "Problem":
                config = ContentReconstructionConfig(
                    layers={layer: 1.0},
                    tv_weight=self.tv_weight,
                    noise_deviation=self.noise_deviation,
                    pooling=self.pooling,
                    dtype=self.dtype,
                    memory=self.memory,
                )
                return make_problem(config, network, resize_to(original, height, width))

            return [Rung(layer, lambda height, width, layer=layer: make(layer, height, width)) for layer in self.layers]

        def caption(outcome: "Outcome") -> str:
            whole = resize_to(original, *outcome.picture.shape[:2])  # a run that ended early may be at a coarse size
            noise_ratio = float(psnr(np.clip(outcome.picture, 0, 1), whole))
            return f"{noise_ratio:.1f} dB, loss {outcome.loss:.3g}"

        return self.reconstruct(original, height, width, make_rungs, caption)


@dataclass(kw_only=True)
class ReconstructStyle(Reconstruction):
    """Make a new picture with the textures of another (Gatys, Ecker and Bethge 2015).

    A layer stands for all the style layers up to it. Several make a contact sheet, from fine grain to large forms.

    Attributes:
        size: Size of the texture, as WIDTH or WIDTHxHEIGHT. Default: the picture's own.
        tileable: Make opposite borders fit, so that copies can be laid side by side without a seam.
        style_weight: How strong the textures are.
    """

    size: Annotated[str | None, tyro.conf.arg(metavar="WxH")] = None
    tileable: bool = False
    style_weight: float = 500.0

    def run(self) -> int:
        """Synthesizes and returns the exit code."""
        self.check()
        width, height = _parse_size(self.size)
        original = self.read_sized(self.picture, self.matte)
        if width is None:
            height, width, _ = original.shape

        from jaxstyle.problems.pictures import check_size
        from jaxstyle.problems.style_transfer import STYLE_LAYERS
        from jaxstyle.problems.texture import TextureConfig, check_texture_size, make_problem, seam_ratio
        from jaxstyle.vgg.module import layer_names, minimum_size

        assert height is not None
        for size in self.sizes(height, width):
            check_texture_size(*size, self.layers, is_tileable=self.tileable)
            scale = size[1] / width
            source_size = (round(scale * original.shape[0]), round(scale * original.shape[1]))
            check_size("the source", *source_size, minimum_size(self.layers))
        depth = layer_names("vgg19").index
        first_width = width

        def make_rungs(network: "NetworkParams") -> list[Rung]:
            def make(layer: str, height: int, width: int) -> "Problem":
                stack = [other for other in STYLE_LAYERS if depth(other) < depth(layer)] + [layer]
                config = TextureConfig(
                    layers=dict.fromkeys(stack, 1 / len(stack)),
                    style_weight=self.style_weight,
                    tv_weight=self.tv_weight,
                    is_tileable=self.tileable,
                    noise_deviation=self.noise_deviation,
                    pooling=self.pooling,
                    dtype=self.dtype,
                    memory=self.memory,
                )
                source_width = max(1, round(original.shape[1] * width / first_width))
                source = original if width == first_width else read_scaled(self.picture, source_width, self.matte)
                return make_problem(config, network, source, height=height, width=width)

            return [Rung(layer, lambda height, width, layer=layer: make(layer, height, width)) for layer in self.layers]

        def caption(outcome: "Outcome") -> str:
            rows, columns = seam_ratio(np.clip(outcome.picture, 0, 1))
            seams = f", seams {rows:.2f} and {columns:.2f} of the inside's" if self.tileable else ""
            return f"loss {outcome.loss:.3g}{seams}"

        return self.reconstruct(original, height, width, make_rungs, caption)


def _parse_size(text: str | None) -> tuple[int | None, int | None]:
    """Returns the width and the height of `WIDTHxHEIGHT`, the same twice for one number, None without text."""
    if text is None:
        return None, None
    found = re.fullmatch(r"([1-9]\d{0,5})(?:x([1-9]\d{0,5}))?", text)
    if not found:
        raise InputError("--size as WIDTH or WIDTHxHEIGHT", repr(text), "write for instance 512x384")
    return int(found.group(1)), int(found.group(2) or found.group(1))


@dataclass
class Reconstruct:
    """Make a picture again from its features: from one layer's (content) or from their statistics (style)."""

    command: (
        Annotated[ReconstructContent, tyro.conf.subcommand("content")]
        | Annotated[ReconstructStyle, tyro.conf.subcommand("style")]
    )


#: See `jaxstyle.cli.commands`.
COMMANDS = {"reconstruct": Reconstruct}
