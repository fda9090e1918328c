"""`jaxstyle paint`: trains a small network on one picture, and paints the picture with it."""

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

#: Learning rate of Adam that was published with the exercise.
LEARNING_RATE = 1e-3

#: Number of frequencies of the second network of --compare.
FOURIER_FEATURES = 256

#: Fields of `RunConfig` without a flag: the iterations follow from the epochs; the others need pixels as parameters.
NO_FLAGS = "iterations initial_noiseblend parameterization scales scale_step scale_iterations restart_moments average"


@dataclass(kw_only=True)
class Paint(RunFlags, AnimationFlags, PictureFlags, SizeFlags, MatteFlags):
    """Paint a picture with a small network that learns the color at each position.

    The default is the classic exercise: layers of 2-64-64-64-64-64-64-3 units, ReLU, batches of 50 pixels, absolute
    error. --fourier-features makes the result sharper (Tancik et al. 2020), --compare shows both side by side. The
    regions of --holes are not learned but filled in.

    Attributes:
        picture: Picture to learn: a file or sample:NAME.
        width: Width in pixels of the picture to learn; the aspect ratio is kept. Default: 64.
        epochs: Number of epochs; in each, the network learns from as many pixels as the picture has.
        compare: Train the classic network and one with Fourier features, and write both results beside the picture.
        holes: Mask of the picture's size: its white regions are not learned but filled in.
        paint_width: Width in pixels of the painted picture. Default: that of the picture to learn.
        learning_rate: Step size. Default: 0.001.
        print_epochs: Print the cost over all pixels every N epochs.
        curve: CSV or JSON-lines file for the cost after every epoch.
        frames: Where to write pictures during the training: a name with {} or {:04} for the epoch.
        animation: Animation of the pictures during the training to write: .gif or .webp.
        frame_epochs: Make a picture for --frames and --animation every N epochs.
        seed: Seed of the initial network and of the batches. The same seed gives the same picture on the same machine.
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
        """Raises for every mistake that can be found before the work starts."""
        self.check_size()
        if (self.frames or self.animation) and self.epochs < self.frame_epochs:
            raise InputError(
                f"--frame-epochs of at most the {self.epochs} epochs", self.frame_epochs, "pass a smaller one"
            )
        if self.compare and (self.frames or self.animation):
            raise InputError("--compare or pictures while it learns", "both", "run each network by itself")
        super().check()

    def default_options(self) -> Mapping[str, Any]:
        """Returns the learning rate of the exercise."""
        return {"learning_rate": LEARNING_RATE}

    def pictures_to_write(self) -> list[str]:
        """Returns the paths of all pictures that the run will write."""
        frames: list[str] = []
        if self.frames is not None:
            last = min(self.epochs, CHECKED_CHECKPOINTS * self.frame_epochs)
            frames = checkpoint_names(self.frames, last, self.frame_epochs)
        return [*super().pictures_to_write(), *frames]

    def configs(self) -> dict[str, PainterConfig]:
        """Returns the networks to train, by name."""
        if self.compare:
            modern = replace(self.painter, fourier_features=self.painter.fourier_features or FOURIER_FEATURES)
            return {"classic": replace(self.painter, fourier_features=0), "Fourier features": modern}
        return {"Fourier features" if self.painter.fourier_features else "classic": self.painter}


COMMANDS = {"paint": Paint}
