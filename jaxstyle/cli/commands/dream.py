"""`jaxstyle dream`: what the network sees in a picture, made to be seen; and the endless zoom into it."""

from dataclasses import dataclass, replace
from typing import Annotated

from jaxstyle.checks import MOST_STEPS, InputError, check_between, check_choice
from jaxstyle.cli.checkpoints import checkpoint_name
from jaxstyle.cli.flags import Nested
from jaxstyle.cli.inputs import NetworkFlags, PictureFlags, SizeFlags
from jaxstyle.cli.running import CHECKED_CHECKPOINTS, AnimationFlags, CheckpointFlags, RunFlags
from jaxstyle.config import DreamConfig
from jaxstyle.knobs import Check
from jaxstyle.run_config import RunConfig
from jaxstyle.vgg.layers import check_order

#: The most frames of a zoom.
MOST_FRAMES = CHECKED_CHECKPOINTS

#: Adam's rate for waves or bounded pixels was chosen by looking at dreams of samples with 2, 3, 4 and 6: with 2 they
#: are faint; with 6 the colors burn out.
OPTIMIZATION = RunConfig(
    options={"learning_rate": 3.0}, iterations=14, parameterization="fourier", scales=(4,), scale_step=1.4
)


@dataclass(kw_only=True)
class ZoomFlags(AnimationFlags):
    """The endless zoom.

    Attributes:
        zoom: Frames of an endless zoom into the dream: each is the one before, enlarged and dreamt on; 0 for none.
        zoom_factor: How many times as large things become from one frame to the next.
        zoom_rotation: Degrees by which they turn, counterclockwise.
        zoom_iterations: Steps of the optimizer for each frame.
        zoom_frames: Where to write the frames: a name with {}, {:03}, %d, %03d or %s for the number, from 0 on.
        animation: Where to write them all as one .gif or .webp.
        frame_seconds: How long the animation shows each frame.
    """

    zoom: Annotated[int, Check(check_between, (0, MOST_FRAMES))] = 0
    # Beyond, a frame shows nothing of the one before, or the whole of it as a dot.
    zoom_factor: Annotated[float, Check(check_between, (0.5, 2))] = 1.05
    zoom_rotation: Annotated[float, Check(check_between, (-360, 360))] = 0.0
    zoom_iterations: Annotated[int, Check(check_between, (1, MOST_STEPS))] = 6
    zoom_frames: str | None = None
    frame_seconds: float = 0.1

    def check_zoom(self) -> None:
        """Raises `InputError` for flags of the zoom that cannot be used."""
        has_place = self.zoom_frames is not None or self.animation is not None
        if has_place != (self.zoom > 0):
            got = "a place and no --zoom" if has_place else "--zoom without a place"
            advice = "pass for instance --zoom 30 --animation zoom.gif"
            raise InputError("--zoom together with --zoom-frames or --animation", got, advice)

    def frame_names(self) -> list[str]:
        """Returns the places of the frames."""
        if self.zoom_frames is None:
            return []
        try:
            return [checkpoint_name(self.zoom_frames, number) for number in range(self.zoom)]
        except InputError:
            advice = "put one of {}, {:03}, %d, %03d or %s into the name"
            raise InputError("--zoom-frames with one place for the number", repr(self.zoom_frames), advice) from None


@dataclass(kw_only=True)
class Dream(ZoomFlags, CheckpointFlags, PictureFlags, SizeFlags, NetworkFlags):
    """Let a network dream: change a picture so that some layers see more of what they see in it (DeepDream).

    Middle layers (relu3_3, relu4_1) dream of strokes, whirls and eyes, deep ones (relu4_3, relu5_1) of animals. The
    picture is dreamt on at several sizes, octaves, from coarse to fine; details of the original come in again at each.

    Attributes:
        picture: Picture to dream of: a file or sample:NAME.
        guide: Another picture: the dream is of what the layers see there.
        jitter: Random shifts at each step, in pixels at most. Default: 16; 0 for an optimizer with a line search, which
            needs it.
        iterations: Steps of the optimizer at each octave.
        learning_rate: Step size, in levels of 0..255. Default: 3 for adam, else the optimizer's own.
        parameterization: What the picture is made of: fourier (waves in uncorrelated colors, which dream without pixel
            noise); bounded (pixels within 0..255); pixels; laplacian (a pyramid); network (of the position, from gray).
        scales: Octaves, from coarse to fine: how many, in steps of --scale-step; or their widths, up to the result's.
    """

    dream: DreamConfig = DreamConfig()
    guide: str | None = None
    optimization: Annotated[
        RunConfig,
        Nested("initial_noiseblend", aliases={"scales": ("--octaves",), "scale_step": ("--octave-scale",)}),
    ] = OPTIMIZATION

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, the places to write to included."""
        self.check_zoom()
        self.check_size()
        self.check_network()
        if self.dream.channels and self.guide is not None:
            raise InputError("--channels or --guide", "both", "leave one of them out")
        if self.zoom and self.optimization.parameterization == "network":
            raise InputError(
                "a parameterization that can start from a frame with --zoom", "'network'", "use fourier or bounded"
            )
        check_order(tuple(self.dream.layers))
        super().check()

    def pictures_to_write(self) -> list[str]:
        """Returns the places of all pictures that the run will write, frames among them."""
        return [*super().pictures_to_write(), *self.frame_names()]

    def shifted_dream(self) -> DreamConfig:
        """Returns the objective with the jitter that the optimizer allows."""
        return replace(self.dream, jitter=choose_jitter(self.dream.jitter, self))

    def why_no_seed(self) -> str:
        """Returns why --seed changes nothing, and what to type so that it does; nothing where it changes something."""
        if self.shifted_dream().jitter or self.optimization.parameterization == "network":
            return ""
        usual = DreamConfig().jitter
        typed = f"--jitter {usual}" if self.dream.jitter == 0 else "--optimizer adam"
        return f"nothing is shifted at random; {typed} would do so"


def choose_jitter(jitter: int, flags: RunFlags) -> int:
    """Returns the jitter, or 0 if nobody typed it and the optimizer searches along lines.

    Raises:
        InputError: If somebody did: the loss would be another at each point.
    """
    from jaxstyle.optimize.optimizers import OPTIMIZERS  # loads JAX

    optimizer = flags.optimization.optimizer
    if not OPTIMIZERS[check_choice("optimizer", optimizer, OPTIMIZERS)].searches_line:
        return jitter
    if "jitter" in flags.given and jitter:
        raise InputError(
            f"--jitter 0 with {optimizer}, which searches along lines", jitter, "pass --jitter 0, or --optimizer adam"
        )
    return 0


#: See `jaxstyle.cli.commands`.
COMMANDS = {"dream": Dream}
