"""`jaxstyle paint`: a small network learns a picture by heart, and paints it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from jaxstyle.checks import InputError, check_between
from jaxstyle.cli.checkpoints import checkpoint_names
from jaxstyle.cli.flags import Nested
from jaxstyle.cli.inputs import MAX_SIDE, MatteFlags, PictureFlags, SizeFlags
from jaxstyle.cli.running import CHECKED_CHECKPOINTS, AnimationFlags, RunFlags
from jaxstyle.config import PainterConfig
from jaxstyle.knobs import Check, NotNegativeInt, PositiveInt
from jaxstyle.run_config import RunConfig

#: Published with the exercise: Adam's rate for it.
LEARNING_RATE = 1e-3

#: Frequencies of the modern answer, where --compare asks for it.
FOURIER_FEATURES = 256

#: The iterations follow from the epochs; the rest is of pictures whose unknowns are pixels.
NO_FLAGS = "iterations initial_noiseblend parameterization scales scale_step scale_iterations restart_moments average"


@dataclass(kw_only=True)
class Paint(RunFlags, AnimationFlags, PictureFlags, SizeFlags, MatteFlags):
    """Paint a picture with a small network that learns the color at each position.

    The classic exercise: 2-64-64-64-64-64-64-3, ReLU, batches of 50 pixels, absolute error. --fourier-features gives
    the modern answer (Tancik et al. 2020), --compare both side by side. What --holes leaves out is filled in.

    Attributes:
        picture: Picture to learn: a file or sample:NAME.
        width: Width in pixels; the shape is kept. Default: 64.
        epochs: How many times as many pixels as the picture has are shown.
        compare: Learn with the classic network and with Fourier features, and write both beside the picture.
        holes: Mask of the parts to leave out and fill in (white), of the picture's own size.
        paint_width: Width to paint at; the network knows no pixels. Default: that of the picture it learned.
        learning_rate: Step size. Default: 0.001.
        print_epochs: Print the cost over all pixels every N epochs.
        curve: CSV or JSON-lines file for the cost after every epoch.
        frames: Where to write a picture while it learns: a name with {} or {:04} for the epoch.
        animation: Animated .gif or .webp of these pictures.
        frame_epochs: Take such a picture every N epochs.
        seed: Seed of the network and of the pixels' order: the same seed, the same picture, on the same machine.
    """

    epochs: PositiveInt = 500
    painter: PainterConfig = PainterConfig()
    compare: bool = False
    holes: str | None = None
    paint_width: Annotated[int | None, Check(check_between, (1, MAX_SIDE))] = None
    optimization: Annotated[RunConfig, Nested(NO_FLAGS)] = RunConfig()
    print_epochs: NotNegativeInt = 50
    curve: str | None = None
    frames: str | None = None
    frame_epochs: PositiveInt = 10

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts."""
        self.check_size()
        if (self.frames or self.animation) and self.epochs < self.frame_epochs:
            raise InputError(
                f"--frame-epochs of at most the {self.epochs} epochs", self.frame_epochs, "pass a smaller one"
            )
        if self.compare and (self.frames or self.animation):
            raise InputError("--compare or pictures while it learns", "both", "run each network by itself")
        super().check()

    def default_options(self) -> Mapping[str, Any]:
        """Returns the rate of the exercise."""
        return {"learning_rate": LEARNING_RATE}

    def pictures_to_write(self) -> list[str]:
        """Returns the places of all pictures that the run will write."""
        frames: list[str] = []
        if self.frames is not None:
            last = min(self.epochs, CHECKED_CHECKPOINTS * self.frame_epochs)
            frames = checkpoint_names(self.frames, last, self.frame_epochs)
        return [*super().pictures_to_write(), *frames]

    def configs(self) -> dict[str, PainterConfig]:
        """Returns the networks to learn with, by name."""
        if self.compare:
            modern = replace(self.painter, fourier_features=self.painter.fourier_features or FOURIER_FEATURES)
            return {"classic": replace(self.painter, fourier_features=0), "Fourier features": modern}
        return {"Fourier features" if self.painter.fourier_features else "classic": self.painter}


#: See `jaxstyle.cli.commands`.
COMMANDS = {"paint": Paint}
