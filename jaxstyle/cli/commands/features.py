"""`jaxstyle features`: what a layer sees in a picture, and what each of its channels looks for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import tyro

from jaxstyle.checks import InputError, check_between, check_choice, check_not_negative
from jaxstyle.cli.commands.dream import choose_jitter
from jaxstyle.cli.network import NetworkFlags, describe
from jaxstyle.cli.pictures import MAX_SIDE, SizeFlags
from jaxstyle.cli.running import PARAMETERIZATIONS, RunFlags

if TYPE_CHECKING:
    import optax

    from jaxstyle.cli.session import Outcome, Session
    from jaxstyle.pictures.sheets import Cell
    from jaxstyle.types import NetworkParams

#: Adam's, of waves: chosen by looking; with 2, pictures of 96 steps are still pale.
LEARNING_RATE = 5.0

#: The stride of relu4_1.
JITTER = 8

#: Of the white noise that channels are excited from, in gray levels. In such noise 41 of the 512 channels of relu5_1
#: are silent, and hardly fewer in stronger noise (see `jaxstyle.problems.terms.LEAK`).
NOISE_DEVIATION = 12.75

#: Activation maps in a row of the sheet.
COLUMNS = 6

#: The widest layers have so many.
MOST_CHANNELS = 512


class Channel(NamedTuple):
    """One channel of a layer.

    Attributes:
        number: From 0.
        activations: Its map, `[height, width]`.
    """

    number: int
    activations: np.ndarray

    @property
    def mean(self) -> float:
        """The mean of its map."""
        return float(self.activations.mean())

    def cell(self) -> "Cell":
        """Returns its map from black, its least activation (0 behind a ReLU), to white, its greatest."""
        from jaxstyle.pictures.sheets import Cell

        least, greatest = min(float(self.activations.min()), 0.0), float(self.activations.max())
        shown = (self.activations - least) / max(greatest - least, 1e-12)
        return Cell(shown, _caption(self.number, self.mean), pixelated=True)


class Excitement(NamedTuple):
    """The picture that excites a channel.

    Attributes:
        number: Number of the channel.
        outcome: Outcome of the run that made it.
        mean: Mean of the channel's activations there.
    """

    number: int
    outcome: "Outcome"
    mean: float

    def cell(self) -> "Cell":
        """Returns the picture, with that mean."""
        from jaxstyle.pictures.sheets import Cell

        return Cell(self.outcome.picture.clip(0, 1), _caption(self.number, self.mean))


@dataclass(kw_only=True)
class Features(RunFlags, SizeFlags, NetworkFlags):
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
        width: Width for the picture; the shape is kept. Default: its own.
        size: Side of the pictures that excite channels, in pixels, and of the sheet's.
        jitter: Random shifts of such a picture at each step, in pixels at most. Default: 8; 0 for an optimizer with a
            line search, which needs it.
        tv_weight: Smoothness of it: weight of the total variation.
        parameterization: What such a picture is made of: fourier (waves in uncorrelated colors); bounded (pixels within
            0..255); pixels; laplacian (a pyramid); network (of the position).
        output: Sheet to write: .png .jpg .webp .tif.
        iterations: Steps of the optimizer for each channel to excite.
        learning_rate: Step size, in levels of 0..255. Default: 5 for adam, else the optimizer's own.
    """

    picture: Annotated[str, tyro.conf.Positional]
    layers: Annotated[tuple[str, ...], tyro.conf.arg(aliases=("--layer",))] = ("relu4_1",)
    top: int = 12
    channels: tuple[int, ...] = ()
    excite: int = 0
    size: int = 128
    jitter: int | None = None
    tv_weight: float = 0.0
    parameterization: str = "fourier"
    output: str
    iterations: int = 96
    learning_rate: float | None = None

    def run(self) -> int:
        """Looks, excites, writes the sheet, and returns the exit code."""
        self.check()
        optimizer = self.make_optimizer()
        network = self.load_network(self.layers)
        self.check_channels(network.params)
        picture = self.read_sized(self.picture, self.matte)

        from jaxstyle.cli.session import Session
        from jaxstyle.pictures.sheets import Cell, contact_sheet

        rows: list[list[Cell | None]] = []
        labels: list[str] = []
        records, codes = [], [0]
        with Session(self) as session:
            found = self.look(network.params, picture)
            if self.channels or self.excite:
                session.introduce(self.size, self.size, describe(network))
            session.begin()
            for layer, channels in found.items():
                session.say(f"{layer}: channels {', '.join(str(channel.number) for channel in channels)}")
                excited = {}
                for excitement in self.excite_channels(session, network.params, layer, channels, optimizer):
                    codes.append(excitement.outcome.exit_code)
                    if not excitement.outcome.exit_code:
                        excited[excitement.number] = excitement
                for label, row in _rows(layer, Cell(picture, "the picture"), channels, excited):
                    labels.append(label)
                    rows.append(row)
                records += [_record(layer, channel, excited.get(channel.number)) for channel in channels]
            if session.is_interrupted:  # between two channels, where no run could tell
                codes.append(session.interrupted_code)
            session.write_result(contact_sheet(rows, row_labels=labels, cell_width=self.size))
            session.write_summary({"channels": records}, network=network.checksum)
        return max(codes)

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, the places to write to included."""
        from jaxstyle.problems.pictures import check_size
        from jaxstyle.vgg import module as vgg

        if not self.layers:
            raise InputError("at least one layer after --layers", "none", "name for instance relu4_1")
        vgg.check_order(self.layers)
        check_between("--top", self.top, 1, MOST_CHANNELS)
        check_between("--excite", self.excite, 0, MOST_CHANNELS)
        if self.channels and self.excite:
            raise InputError("--channels or --excite", "both", "leave --excite out: all of the --channels are excited")
        if len(set(self.channels)) < len(self.channels):
            raise InputError("--channels that differ", " ".join(map(str, self.channels)), "remove the repetition")
        self.check_size()
        check_between("--size", self.size, 1, MAX_SIDE)
        check_size("the --size of pictures", self.size, self.size, vgg.minimum_size(self.layers))
        check_not_negative("--tv-weight", self.tv_weight)
        check_choice("--parameterization", self.parameterization, PARAMETERIZATIONS)
        choose_jitter(self.jitter, self.optimizer, JITTER)
        super().check()

    def default_options(self) -> Mapping[str, Any]:
        """Returns Adam's rate for pictures that excite a channel."""
        return {"learning_rate": LEARNING_RATE} if self.optimizer == "adam" else {}

    def why_no_seed(self) -> str:
        """Returns why --seed changes nothing, and what to type so that it does; nothing where it changes something."""
        return "" if self.channels or self.excite else "no channel is excited from noise; --excite 1 would do so"

    def check_channels(self, network: "NetworkParams") -> None:
        """Raises `InputError` if a layer does not have all the channels that the flags ask for."""
        from jaxstyle.problems.dream import check_channel, count_channels

        for layer in self.layers:
            for channel in self.channels:
                check_channel(network, layer, channel)
            count = count_channels(network, layer)
            for flag, asked in (("--top", self.top), ("--excite", self.excite)):
                if asked > count:
                    raise InputError(f"{flag} of at most {count}, the channels of {layer}", asked, "ask for fewer")

    def look(self, network: "NetworkParams", picture: np.ndarray) -> dict[str, list[Channel]]:
        """Returns the channels to show of each layer, the strongest first unless the flags name them."""
        from jaxstyle.problems.dream import strongest_channels
        from jaxstyle.problems.pictures import check_picture, find_features
        from jaxstyle.vgg import module as vgg

        check_picture("the picture", picture, vgg.minimum_size(self.layers))
        frozen = vgg.freeze(network, layers=self.layers, dtype=self.dtype)
        found = find_features(frozen, picture, self.layers, pooling=self.pooling)
        count = max(self.top, self.excite)
        return {
            layer: [
                Channel(number, np.asarray(found[layer][..., number], np.float32))
                for number in self.channels or strongest_channels(found[layer], count)
            ]
            for layer in self.layers
        }

    def excite_channels(
        self,
        session: "Session",
        network: "NetworkParams",
        layer: str,
        channels: Sequence[Channel],
        optimizer: "optax.GradientTransformation",
    ) -> Iterator[Excitement]:
        """Yields the pictures of the channels that the flags want excited.

        One program serves all channels of a layer. It ends with the channel at which Ctrl-C was pressed.
        """
        import jax
        import jax.numpy as jnp

        from jaxstyle.problems import dream
        from jaxstyle.problems.parameterizations import apply_parameterization
        from jaxstyle.problems.pictures import noise
        from jaxstyle.vgg import module as vgg

        chosen = [channel.number for channel in (channels if self.channels else channels[: self.excite])]
        if not chosen or session.is_interrupted:
            return
        config = dream.DreamConfig(
            layers={layer: 1.0},
            channels=chosen[:1],
            jitter=choose_jitter(self.jitter, self.optimizer, JITTER),
            tv_weight=self.tv_weight,
            headroom=0.0,
            pooling=self.pooling,
            dtype=self.dtype,
            memory=self.memory,
        )
        key = jax.random.key(self.seed)
        mean = jnp.asarray(network["mean"])
        start = noise(key, mean=mean, height=self.size, width=self.size, deviation=NOISE_DEVIATION) / vgg.PIXEL_SCALE
        problem = dream.make_problem(config, network, start, num_steps=len(chosen) * self.iterations)
        problem = apply_parameterization(problem, self.parameterization, self.size, self.size)
        params = problem.init_fn(key)
        see = jax.jit(partial(vgg.features, layers=(layer,), pooling=self.pooling))
        frozen = vgg.freeze(network, layers=[layer], dtype=self.dtype)
        for number in chosen:
            outcome = session.minimize(
                dream.choose_channels(problem, [number]), optimizer, params=params, label=f"{layer} channel {number}"
            )
            seen = see(frozen, outcome.picture.clip(0, 1))[layer][..., number]
            yield Excitement(number, outcome, float(jnp.mean(seen.astype(jnp.float32))))
            if session.is_interrupted:
                return


def _rows(
    layer: str, picture: "Cell", channels: Sequence[Channel], excited: dict[int, Excitement]
) -> "Iterator[tuple[str, list[Cell | None]]]":
    """Yields labelled rows: the picture and some maps, then under these what excites them, and so on."""
    for start in range(0, len(channels), COLUMNS):
        some = channels[start : start + COLUMNS]
        first = start == 0
        yield layer if first else "", [picture if first else None, *(channel.cell() for channel in some)]
        below = [excited[channel.number].cell() if channel.number in excited else None for channel in some]
        if any(cell is not None for cell in below):
            yield f"what excites {layer}" if first else "", [None, *below]


def _caption(number: int, mean: float) -> str:
    return f"{number}: mean {mean:.0f}" if abs(mean) >= 100 else f"{number}: mean {mean:.3g}"


def _record(layer: str, channel: Channel, excitement: Excitement | None) -> dict[str, Any]:
    from jaxstyle.cli.session import record_of

    record = {"layer": layer, "channel": channel.number, "mean": channel.mean, "max": float(channel.activations.max())}
    if excitement is None:
        return record
    return {**record, "excited_mean": excitement.mean, "run": record_of(excitement.outcome)}


#: See `jaxstyle.cli.commands`.
COMMANDS = {"features": Features}
