"""The work of `jaxstyle features`."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxstyle.checks import InputError
from jaxstyle.cli.commands.features import FeatureSheet
from jaxstyle.cli.pictures import describe, load_network, read_sized
from jaxstyle.cli.session import RunOutcome, Session, record_of
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.pictures.sheets import Cell, contact_sheet
from jaxstyle.problems.dream import check_channel, choose_channels, count_channels, make_problem, strongest_channels
from jaxstyle.problems.parameterizations import apply_parameterization
from jaxstyle.problems.pictures import check_picture, find_features, noise
from jaxstyle.types import NetworkParams
from jaxstyle.vgg import module as vgg
from jaxstyle.vgg.layers import minimum_size

#: Standard deviation of the initial white noise of pictures that excite channels, in gray levels. In such noise 41 of
#: the 512 channels of relu5_1 are silent, and hardly fewer in stronger noise (see `jaxstyle.problems.terms.LEAK`).
NOISE_DEVIATION = 12.75

#: Activation maps in a row of the sheet.
COLUMNS = 6


class Channel(NamedTuple):
    """One channel of a layer.

    Attributes:
        number: Number of the channel, from 0.
        activations: Its activation map, `[height, width]`.
    """

    number: int
    activations: np.ndarray

    @property
    def mean(self) -> float:
        """The mean of its map."""
        return float(self.activations.mean())

    def cell(self) -> Cell:
        """Returns the map as a picture from black (the minimum; 0 behind a ReLU) to white (the maximum)."""
        least, greatest = min(float(self.activations.min()), 0.0), float(self.activations.max())
        shown = (self.activations - least) / max(greatest - least, 1e-12)
        return Cell(shown, _caption(self.number, self.mean), pixelated=True)


class Excitement(NamedTuple):
    """The picture that excites a channel.

    Attributes:
        number: Number of the channel.
        outcome: RunOutcome of the run that made it.
        mean: Mean of the channel's activations there.
    """

    number: int
    outcome: RunOutcome
    mean: float

    def cell(self) -> Cell:
        """Returns the picture, with the mean as its caption."""
        return Cell(self.outcome.picture.clip(0, 1), _caption(self.number, self.mean))


def run(flags: FeatureSheet) -> int:
    """Looks, excites, writes the sheet, and returns the exit code."""
    optimizer = configured_optimizer(flags.optimization)
    network = load_network(flags.network, flags.layers)
    check_channels(flags, network.params)
    picture = read_sized(flags.picture, flags, flags.matte)
    rows: list[list[Cell | None]] = []
    labels: list[str] = []
    records, codes = [], [0]
    with Session(flags, precision=flags.matmul_precision) as session:
        found = find_channels(flags, network.params, picture)
        if flags.channels or flags.excite:
            session.introduce(flags.size, flags.size, describe(network), dtype=flags.dream.dtype)
        session.begin()
        for layer, channels in found.items():
            session.log(f"{layer}: channels {', '.join(str(channel.number) for channel in channels)}")
            excited = {}
            for excitement in excite_channels(flags, session, network.params, layer, channels, optimizer):
                codes.append(excitement.outcome.exit_code)
                if not excitement.outcome.exit_code:
                    excited[excitement.number] = excitement
            for label, row in _rows(layer, Cell(picture, "the picture"), channels, excited):
                labels.append(label)
                rows.append(row)
            records += [_record(layer, channel, excited.get(channel.number)) for channel in channels]
        if session.is_interrupted:  # between two channels, when no run was in progress
            codes.append(session.interrupted_code)
        session.write_result(contact_sheet(rows, row_labels=labels, cell_width=flags.size))
        session.write_summary({"channels": records}, network=network.checksum)
    return max(codes)


def check_channels(flags: FeatureSheet, network: NetworkParams) -> None:
    """Raises `InputError` if a layer does not have all the channels that the flags ask for."""
    for layer in flags.layers:
        for channel in flags.channels:
            check_channel(network, layer, channel)
        count = count_channels(network, layer)
        for flag, number in (("--top", flags.top), ("--excite", flags.excite)):
            if number > count:
                raise InputError(f"{flag} of at most {count}, the channels of {layer}", number, "use a smaller number")


def find_channels(flags: FeatureSheet, network: NetworkParams, picture: np.ndarray) -> dict[str, list[Channel]]:
    """Returns the channels to show of each layer, the strongest first unless the flags name them."""
    check_picture("the picture", picture, minimum_size(flags.layers))
    frozen = vgg.freeze(network, layers=flags.layers, dtype=flags.dream.dtype)
    found = find_features(frozen, picture, flags.layers, pooling=flags.dream.pooling)
    count = max(flags.top, flags.excite)
    return {
        layer: [
            Channel(number, np.asarray(found[layer][..., number], np.float32))
            for number in flags.channels or strongest_channels(found[layer], count)
        ]
        for layer in flags.layers
    }


def excite_channels(
    flags: FeatureSheet,
    session: Session,
    network: NetworkParams,
    layer: str,
    channels: Sequence[Channel],
    optimizer: optax.GradientTransformation,
) -> Iterator[Excitement]:
    """Yields the pictures that excite the channels of --channels, or the --excite strongest ones.

    All channels of a layer have the same compiled program. After Ctrl-C, the current channel is the last.
    """
    chosen = [channel.number for channel in (channels if flags.channels else channels[: flags.excite])]
    if not chosen or session.is_interrupted:
        return
    how, config = flags.optimization, flags.excitement(layer, chosen[0])
    key = jax.random.key(flags.seed)
    mean = jnp.asarray(network["mean"])
    start = noise(key, mean=mean, height=flags.size, width=flags.size, deviation=NOISE_DEVIATION) / vgg.PIXEL_SCALE
    problem = make_problem(config, network, start, num_steps=len(chosen) * how.iterations)
    problem = apply_parameterization(problem, how.parameterization, flags.size, flags.size)
    params = problem.init_fn(key)
    find = jax.jit(partial(vgg.features, layers=(layer,), pooling=flags.dream.pooling))
    frozen = vgg.freeze(network, layers=[layer], dtype=flags.dream.dtype)
    for number in chosen:
        outcome = session.minimize(
            choose_channels(problem, [number]), optimizer, params=params, label=f"{layer} channel {number}"
        )
        activations = find(frozen, outcome.picture.clip(0, 1))[layer][..., number]
        yield Excitement(number, outcome, float(jnp.mean(activations.astype(jnp.float32))))
        if session.is_interrupted:
            return


def _rows(
    layer: str, picture: Cell, channels: Sequence[Channel], excited: dict[int, Excitement]
) -> Iterator[tuple[str, list[Cell | None]]]:
    """Yields labelled rows: the picture and some maps, then the pictures that excite these channels, and so on."""
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
    record = {"layer": layer, "channel": channel.number, "mean": channel.mean, "max": float(channel.activations.max())}
    if excitement is None:
        return record
    return {**record, "excited_mean": excitement.mean, "run": record_of(excitement.outcome)}
