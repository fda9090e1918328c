"""`jaxstyle features`: what a layer sees in a picture, and what each of its channels looks for."""

from dataclasses import dataclass, replace
from typing import Annotated

from jaxstyle.checks import InputError, check_between
from jaxstyle.cli.commands.dream import choose_jitter
from jaxstyle.cli.flags import Nested
from jaxstyle.cli.inputs import MAX_SIDE, NetworkFlags, PictureFlags, SizeFlags
from jaxstyle.cli.running import RunFlags
from jaxstyle.config import DreamConfig
from jaxstyle.knobs import Check, Knob
from jaxstyle.run_config import RunConfig
from jaxstyle.vgg.layers import check_order, minimum_size

#: The widest layers have so many channels.
MOST_CHANNELS = 512

#: Adam's rate for waves was chosen by looking; with 2, pictures of 96 steps are still pale.
OPTIMIZATION = RunConfig(options={"learning_rate": 5.0}, iterations=96, parameterization="fourier")

#: The jitter is the stride of relu4_1.
EXCITEMENT = DreamConfig(jitter=8, headroom=0.0)


@dataclass(kw_only=True)
class FeatureSheet(RunFlags, PictureFlags, SizeFlags, NetworkFlags):
    """Show what layers see in a picture: the activation maps of their strongest channels, as a labelled sheet.

    The strongest are those of the largest mean activation. Each map goes from black (no activation) to white (its own
    greatest). With --channels or --excite there is, under each map, the picture that excites the channel most, made
    from noise (Olah et al. 2017), with the channel's mean activation there.

    Attributes:
        picture: Picture to look at: a file or sample:NAME.
        layers: Layers, in order of depth, each with rows of its own.
        top: How many of each layer's channels to show, the strongest ones.
        channels: Channels to show instead, counted from 0, with the pictures that excite them.
        excite: For how many of the strongest channels to make the picture that excites them.
        size: Side of the pictures that excite channels, in pixels, and of the sheet's.
        jitter: Random shifts of such a picture at each step, in pixels at most. Default: 8; 0 for an optimizer with a
            line search, which needs it.
        tv_weight: Smoothness of such a picture: weight of the total variation.
        parameterization: What such a picture is made of: fourier (waves in uncorrelated colors); bounded (pixels within
            0..255); pixels; laplacian (a pyramid); network (of the position).
        output: Sheet to write: .png .jpg .webp .tif.
        iterations: Steps of the optimizer for each channel to excite.
        learning_rate: Step size, in levels of 0..255. Default: 5 for adam, else the optimizer's own.
    """

    layers: Annotated[tuple[str, ...], Knob(aliases=("--layer",))] = ("relu4_1",)
    top: Annotated[int, Check(check_between, (1, MOST_CHANNELS))] = 12
    channels: tuple[int, ...] = ()
    excite: Annotated[int, Check(check_between, (0, MOST_CHANNELS))] = 0
    size: Annotated[int, Check(check_between, (1, MAX_SIDE))] = 128
    dream: Annotated[DreamConfig, Nested("layers channels headroom")] = EXCITEMENT
    optimization: Annotated[
        RunConfig, Nested("initial_noiseblend scales scale_step scale_iterations restart_moments average")
    ] = OPTIMIZATION

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, the places to write to included."""
        if not self.layers:
            raise InputError("at least one layer after --layers", "none", "name for instance relu4_1")
        check_order(self.layers)
        if self.channels and self.excite:
            raise InputError("--channels or --excite", "both", "leave --excite out: all of the --channels are excited")
        if len(set(self.channels)) < len(self.channels):
            raise InputError("--channels that differ", " ".join(map(str, self.channels)), "remove the repetition")
        self.check_size()
        self.check_network()
        least = minimum_size(self.layers)
        if self.size < least:
            raise InputError(
                f"the --size of pictures at least {least}x{least} pixels",
                f"{self.size}x{self.size}",
                "take a larger picture or a shallower deepest layer",
            )
        self.excitement(self.layers[0], 0)
        super().check()

    def excitement(self, layer: str, channel: int) -> DreamConfig:
        """Returns the objective of the picture that excites a channel, with the jitter that the optimizer allows."""
        jitter = choose_jitter(self.dream.jitter, self)
        return replace(self.dream, layers={layer: 1.0}, channels=(channel,), jitter=jitter)

    def why_no_seed(self) -> str:
        """Returns why --seed changes nothing, and what to type so that it does; nothing where it changes something."""
        return "" if self.channels or self.excite else "no channel is excited from noise; --excite 1 would do so"


#: See `jaxstyle.cli.commands`.
COMMANDS = {"features": FeatureSheet}
