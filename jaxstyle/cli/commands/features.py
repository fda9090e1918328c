"""`jaxstyle features`: activation maps of a picture, and pictures that excite a channel."""

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

#: Number of channels of the widest layers.
MOST_CHANNELS = 512

#: Adam's rate for waves was chosen by the look of the pictures; with 2, they are still pale after 96 steps.
OPTIMIZATION = RunConfig(options={"learning_rate": 5.0}, iterations=96, parameterization="fourier")

#: The jitter is the stride of relu4_1.
EXCITEMENT = DreamConfig(jitter=8, headroom=0.0)


@dataclass(kw_only=True)
class FeatureSheet(RunFlags, PictureFlags, SizeFlags, NetworkFlags):
    """Show what layers see in a picture: the activation maps of their strongest channels, as a labelled sheet.

    The strongest channels have the largest mean activation. Each map goes from black (no activation) to white (its own
    maximum). With --channels or --excite there is, under each map, a picture that excites the channel, optimized from
    noise (Olah et al. 2017), with the channel's mean activation for it.

    Attributes:
        picture: Picture whose features are shown: a file or sample:NAME.
        layers: Layers, in order of depth, each with rows of its own.
        top: Number of channels to show of each layer, the strongest ones.
        channels: Channels to show instead of the strongest, counted from 0, with the pictures that excite them.
        excite: Number of the strongest channels for which to make a picture that excites them.
        size: Width and height of the pictures that excite channels, in pixels, and width of the sheet's columns.
        jitter: Largest random shift of a picture that excites a channel at each step, in pixels. Default: 8; 0 for an
            optimizer with a line search, which does not work with shifts.
        tv_weight: Weight of the total variation of the pictures that excite channels; a larger one is smoother.
        output: Sheet to write: .png .jpg .webp .tif.
        iterations: Maximum number of iterations for each channel to excite.
        learning_rate: Step size, in levels of 0..255. Default: 5 for adam, that of the optimizer for others.
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
        """Raises for every mistake that can be found before the work starts, in the files to write too."""
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
        """Returns why --seed has no effect, with a flag that gives it one; an empty text if it has an effect."""
        return "" if self.channels or self.excite else "no channel is excited from noise; --excite 1 would do so"


#: See `jaxstyle.cli.commands`.
COMMANDS = {"features": FeatureSheet}
