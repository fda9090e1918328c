"""`jaxstyle dream`: what the network sees in a picture, made to be seen; and the endless zoom into it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from jaxstyle.checks import MOST_STEPS, InputError, check_between, check_choice, check_not_negative, check_weights
from jaxstyle.cli.checkpoints import checkpoint_name
from jaxstyle.cli.network import NetworkFlags, describe
from jaxstyle.cli.objective import parse_layers
from jaxstyle.cli.pictures import SizeFlags, read_scaled, resize_to
from jaxstyle.cli.running import CHECKED_CHECKPOINTS, PictureFlags

if TYPE_CHECKING:
    import optax

    from jaxstyle.cli.session import Outcome, Session
    from jaxstyle.problems.dream import DreamConfig
    from jaxstyle.problems.problem import Problem
    from jaxstyle.types import NetworkParams

#: Adam's, of waves or bounded pixels: chosen by looking at dreams of samples with 2, 3, 4 and 6. With 2 they are faint;
#: with 6 the colors burn out.
LEARNING_RATE = 3.0

#: The stride of relu5_1, so that its grid falls on every pixel.
JITTER = 16

#: An endless zoom, but one has to end.
MOST_FRAMES = CHECKED_CHECKPOINTS


@dataclass(kw_only=True)
class ZoomFlags:
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

    zoom: int = 0
    zoom_factor: float = 1.05
    zoom_rotation: float = 0.0
    zoom_iterations: int = 6
    zoom_frames: str | None = None
    animation: str | None = None
    frame_seconds: float = 0.1

    def check_zoom(self) -> None:
        """Raises `InputError` for flags of the zoom that cannot be used."""
        from jaxstyle.pictures.animation_files import SECONDS_PER_FRAME

        check_between("--zoom", self.zoom, 0, MOST_FRAMES)
        has_place = self.zoom_frames is not None or self.animation is not None
        if has_place != (self.zoom > 0):
            got = "a place and no --zoom" if has_place else "--zoom without a place"
            advice = "pass for instance --zoom 30 --animation zoom.gif"
            raise InputError("--zoom together with --zoom-frames or --animation", got, advice)
        # Beyond, a frame shows nothing of the one before, or the whole of it as a dot.
        check_between("--zoom-factor", self.zoom_factor, 0.5, 2)
        check_between("--zoom-rotation", self.zoom_rotation, -360, 360)
        check_between("--zoom-iterations", self.zoom_iterations, 1, MOST_STEPS)
        check_between("--frame-seconds", self.frame_seconds, *SECONDS_PER_FRAME)

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
class Dream(ZoomFlags, PictureFlags, SizeFlags, NetworkFlags):
    """Let a network dream: change a picture so that some layers see more of what they see in it (DeepDream).

    Middle layers (relu3_3, relu4_1) dream of strokes, whirls and eyes, deep ones (relu4_3, relu5_1) of animals. The
    picture is dreamt on at several sizes, octaves, from coarse to fine; details of the original come in again at each.

    Attributes:
        picture: Picture to dream of: a file or sample:NAME.
        layers: Layers to excite, as NAME or NAME=WEIGHT, in order of depth.
        channels: Channels of the one layer, counted from 0, to excite instead of all of it.
        guide: Another picture: the dream is of what the layers see there.
        jitter: Random shifts at each step, in pixels at most. Default: 16; 0 for an optimizer with a line search, which
            needs it.
        tv_weight: Smoothness: weight of the total variation.
        headroom: Share of its contrast that the picture loses at the start: what is black or white cannot change.
        iterations: Steps of the optimizer at each octave.
        learning_rate: Step size, in levels of 0..255. Default: 3 for adam, else the optimizer's own.
        parameterization: What the picture is made of: fourier (waves in uncorrelated colors, which dream without pixel
            noise); bounded (pixels within 0..255); pixels; laplacian (a pyramid); network (of the position, from gray).
        scales: Octaves, from coarse to fine: how many, in steps of --scale-step; or their widths, up to the result's.
        scale_step: Ratio of each width to the one before.
    """

    picture: Annotated[str, tyro.conf.Positional]
    layers: tuple[str, ...] = ("relu4_2", "relu5_1")
    channels: tuple[int, ...] = ()
    guide: str | None = None
    jitter: int | None = None
    tv_weight: float = 0.0
    headroom: float = 0.2
    iterations: int = 14
    learning_rate: float | None = None
    parameterization: str = "fourier"
    scales: Annotated[tuple[int, ...], tyro.conf.arg(aliases=("--octaves",))] = (4,)
    scale_step: Annotated[float, tyro.conf.arg(aliases=("--octave-scale",))] = 1.4

    def run(self) -> int:
        """Dreams and returns the exit code."""
        self.check()
        config, optimizer = self.config(), self.make_optimizer()
        network = self.load_network(config.layers)
        picture, guide = self.read_pictures(network.params, config)
        height, width, _ = picture.shape

        from jaxstyle.cli.session import Session, record_of
        from jaxstyle.problems.dream import make_problem

        params = network.params

        def make(height: int, width: int, num_steps: int = max(self.steps())) -> "Problem":
            small = resize_to(picture, height, width)
            return make_problem(config, params, small, guide=guide, num_steps=num_steps)

        with Session(self) as session:
            session.introduce(height, width, describe(network))
            outcome = session.minimize_picture(make, height, width, optimizer=optimizer, carry="change")
            session.write_result(outcome.picture)
            facts, exit_code = {}, outcome.exit_code
            if self.zoom:
                make_zoom_problem = partial(make, height, width, self.zoom * self.zoom_iterations)
                facts["frames"], exit_code = self.make_zoom(session, outcome, make_zoom_problem, optimizer)
            session.write_summary(record_of(outcome), network=network.checksum, **facts)
        return exit_code

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, the places to write to included."""
        self.check_zoom()
        self.check_size()
        if self.channels and self.guide is not None:
            raise InputError("--channels or --guide", "both", "leave one of them out")
        if self.channels and len(self.layers) != 1:
            raise InputError(
                "one of --layers with --channels", f"{len(self.layers)}", "name one layer, or leave the channels out"
            )
        if self.zoom and self.parameterization == "network":
            raise InputError(
                "a parameterization that can start from a frame with --zoom", "'network'", "use fourier or bounded"
            )
        self.config()
        super().check()
        if self.animation is not None:
            from jaxstyle.pictures.animation_files import check_animation

            check_animation(self.animation, overwrite=self.overwrite)

    def pictures_to_write(self) -> list[str]:
        """Returns the places of all pictures that the run will write, frames among them."""
        return [*super().pictures_to_write(), *self.frame_names()]

    def texts_to_write(self) -> list[str]:
        """Returns the places of all other files that the run will write."""
        return [*super().texts_to_write(), *([] if self.animation is None else [self.animation])]

    def files_to_read(self) -> list[str]:
        """Returns all that the command reads: files, and samples by name."""
        return [*super().files_to_read(), *([] if self.guide is None else [self.guide])]

    def config(self) -> "DreamConfig":
        """Returns the library's configuration that these flags name."""
        from jaxstyle.problems.dream import DreamConfig
        from jaxstyle.vgg import module as vgg

        if not self.layers:
            raise InputError("at least one layer after --layers", "none", "name for instance relu4_1")
        layers = parse_layers("--layers", self.layers)
        check_weights("weights of --layers", layers.values(), len(layers))
        vgg.check_order(tuple(layers))
        check_not_negative("--tv-weight", self.tv_weight)
        check_between("--headroom", self.headroom, 0, 1)
        return DreamConfig(
            layers=layers,
            channels=self.channels,
            jitter=choose_jitter(self.jitter, self.optimizer, JITTER),
            tv_weight=self.tv_weight,
            headroom=self.headroom,
            pooling=self.pooling,
            dtype=self.dtype,
            memory=self.memory,
        )

    def default_options(self) -> Mapping[str, Any]:
        """Returns Adam's rate for dreams."""
        return {"learning_rate": LEARNING_RATE} if self.optimizer == "adam" else {}

    def why_no_seed(self) -> str:
        """Returns why --seed changes nothing, and what to type so that it does; nothing where it changes something."""
        if self.config().jitter or self.parameterization == "network":
            return ""
        typed = f"--jitter {JITTER}" if self.jitter == 0 else "--optimizer adam"
        return f"nothing is shifted at random; {typed} would do so"

    def read_pictures(self, network: "NetworkParams", config: "DreamConfig") -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the picture in the result's size, and the guide as wide; checks them against the layers."""
        from jaxstyle.problems.dream import check_channel
        from jaxstyle.problems.pictures import check_picture
        from jaxstyle.vgg import module as vgg

        for channel in config.channels:
            check_channel(network, config.used_layers()[0], channel)
        minimum = vgg.minimum_size(config.used_layers())
        picture = self.read_sized(self.picture, self.matte)
        height, width, _ = picture.shape
        check_picture("the picture", picture, minimum)
        least = self.sizes(height, width)[0]
        if min(least) < minimum:
            raise InputError(
                f"octaves of at least {minimum}x{minimum} pixels",
                f"a first one of {least[1]}x{least[0]}",
                "use fewer of them (--octaves), a larger picture, or a shallower deepest layer",
            )
        guide = None if self.guide is None else read_scaled(self.guide, width, self.matte)
        return picture, guide

    def make_zoom(
        self,
        session: "Session",
        dream: "Outcome",
        make_problem: "Callable[[], Problem]",
        optimizer: "optax.GradientTransformation",
    ) -> tuple[int, int]:
        """Makes the frames, and writes them and the animation; frames made before an interruption are kept.

        Args:
            session: That made the dream.
            dream: The first frame.
            make_problem: Makes the problem of pixels, in its size.
            optimizer: The optimizer of every frame.

        Returns:
            How many frames there are, and the exit code.
        """
        frames: list[np.ndarray] = []  # in bytes, as the animation has them
        exit_code = 0
        for index, outcome in enumerate(self._dream_on(session, dream, make_problem, optimizer)):
            exit_code = outcome.exit_code
            if index and exit_code:  # half dreamt, it would be a jump in the animation
                break
            frames.append((outcome.picture.clip(0, 1) * 255).round().astype(np.uint8))
            self._write_frame(session, index, outcome.picture)
            if exit_code:
                break
        if self.animation is not None:
            self._write_animation(session, self.animation, frames)
        return len(frames), exit_code

    def _dream_on(
        self,
        session: "Session",
        dream: "Outcome",
        make_problem: "Callable[[], Problem]",
        optimizer: "optax.GradientTransformation",
    ) -> "Iterator[Outcome]":
        """Yields the first frame and those after it; one program serves them all."""
        import jax
        import jax.numpy as jnp

        from jaxstyle.pictures.images import match_color
        from jaxstyle.problems.dream import zoom_in
        from jaxstyle.problems.parameterizations import apply_parameterization, make_parameterization

        yield dream
        height, width, _ = dream.picture.shape
        form = make_parameterization(self.parameterization, height, width)
        problem = apply_parameterization(make_problem(), self.parameterization, height, width)
        # What is seen of a frame is clipped, and so is what the next one begins with.
        colors = before = dream.picture.clip(0, 1)
        key = jax.random.key(self.seed)
        for index in range(1, self.zoom):
            seen = zoom_in(before, self.zoom_factor, degrees=self.zoom_rotation)
            # Without this, colors burn out within some ten frames.
            params = form.init(key, 255 * jnp.asarray(match_color(seen, colors)))
            outcome = session.minimize(
                problem,
                optimizer,
                iterations=self.zoom_iterations,
                params=params,
                seed=(self.seed + index) % 2**32,
                label=f"frame {index} of {self.zoom - 1}",
            )
            yield outcome
            before = outcome.picture.clip(0, 1)

    def _write_frame(self, session: "Session", index: int, picture: np.ndarray) -> None:
        if self.zoom_frames is not None:
            session.write_extra(checkpoint_name(self.zoom_frames, index), picture)

    def _write_animation(self, session: "Session", place: str, frames: Sequence[np.ndarray]) -> None:
        from jaxstyle.pictures.animation_files import write_animation

        def write(place: str) -> None:
            pictures = (frame / np.float32(255) for frame in frames)
            write_animation(place, pictures, seconds_per_frame=self.frame_seconds, overwrite=self.overwrite)

        session.save("the animation", place, write)


def choose_jitter(jitter: int | None, optimizer: str, usual: int) -> int:
    """Returns the jitter that a flag names, or `usual`, or 0 for an optimizer that searches along lines.

    Raises:
        InputError: If it is negative, or above 0 with such an optimizer: the loss would be another at each point.
    """
    from jaxstyle.optimize.optimizers import OPTIMIZERS

    searches_line = OPTIMIZERS[check_choice("optimizer", optimizer, OPTIMIZERS)].searches_line
    if jitter is None:
        return 0 if searches_line else usual
    check_not_negative("--jitter", jitter)
    if jitter and searches_line:
        raise InputError(
            f"--jitter 0 with {optimizer}, which searches along lines", jitter, "pass --jitter 0, or --optimizer adam"
        )
    return jitter


#: See `jaxstyle.cli.commands`.
COMMANDS = {"dream": Dream}
