"""The work of `jaxstyle dream`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxstyle.checks import InputError, check_between
from jaxstyle.cli.checkpoints import checkpoint_name
from jaxstyle.cli.commands.dream import Dream
from jaxstyle.cli.pictures import describe, load_network, read_scaled, read_sized, resize_to
from jaxstyle.cli.session import RunOutcome, Session, record_of
from jaxstyle.config import DreamConfig
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.pictures.animation_files import SECONDS_PER_FRAME, write_animation
from jaxstyle.pictures.images import match_color
from jaxstyle.problems.dream import check_channel, make_problem, zoom_in
from jaxstyle.problems.parameterizations import apply_parameterization, make_parameterization
from jaxstyle.problems.pictures import check_picture
from jaxstyle.problems.problem import Problem
from jaxstyle.types import NetworkParams
from jaxstyle.vgg.layers import minimum_size


def run(flags: Dream) -> int:
    """Dreams and returns the exit code."""
    check_between("--frame-seconds", flags.frame_seconds, *SECONDS_PER_FRAME)
    how, config = flags.optimization, flags.shifted_dream()
    optimizer = configured_optimizer(how)
    network = load_network(flags.network, config.layers)
    picture, guide = read_pictures(flags, network.params, config)
    height, width, _ = picture.shape
    params = network.params

    def make(height: int, width: int, num_steps: int = max(how.steps())) -> Problem:
        small = resize_to(picture, height, width)
        return make_problem(config, params, small, guide=guide, num_steps=num_steps)

    with Session(flags, precision=flags.matmul_precision) as session:
        session.introduce(height, width, describe(network), dtype=config.dtype)
        outcome = session.minimize_picture(make, optimizer, height, width, flags=flags, carry="change")
        session.write_result(outcome.picture)
        facts, exit_code = {}, outcome.exit_code
        if flags.zoom:
            make_zoom_problem = partial(make, height, width, flags.zoom * flags.zoom_iterations)
            plain = configured_optimizer(replace(how, average=0.0))
            facts["frames"], exit_code = make_zoom(flags, session, outcome, make_zoom_problem, plain)
        session.write_summary(record_of(outcome), network=network.checksum, **facts)
    return exit_code


def read_pictures(flags: Dream, network: NetworkParams, config: DreamConfig) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the picture at the result's size, and the guide at the same width, large enough for the layers."""
    for channel in config.channels:
        check_channel(network, config.used_layers()[0], channel)
    minimum = minimum_size(config.used_layers())
    picture = read_sized(flags.picture, flags, flags.matte)
    height, width, _ = picture.shape
    check_picture("the picture", picture, minimum)
    least = flags.optimization.sizes(height, width)[0]
    if min(least) < minimum:
        raise InputError(
            f"octaves of at least {minimum}x{minimum} pixels",
            f"a first one of {least[1]}x{least[0]}",
            "use fewer of them (--octaves), a larger picture, or a shallower deepest layer",
        )
    return picture, None if flags.guide is None else read_scaled(flags.guide, width, flags.matte)


def make_zoom(
    flags: Dream,
    session: Session,
    dream: RunOutcome,
    make_problem: Callable[[], Problem],
    optimizer: optax.GradientTransformation,
) -> tuple[int, int]:
    """Makes the frames, and writes them and the animation; frames made before an interruption are kept.

    Args:
        flags: The flags of the command.
        session: The session of the command.
        dream: The first frame.
        make_problem: Function that returns the problem of pixels, at the size of the frames.
        optimizer: The optimizer of every frame.

    Returns:
        The number of frames, and the exit code.
    """
    frames: list[np.ndarray] = []  # bytes, as in the animation
    exit_code = 0
    for index, outcome in enumerate(_dream_on(flags, session, dream, make_problem, optimizer)):
        exit_code = outcome.exit_code
        if index and exit_code:  # an unfinished frame would be a jump in the animation
            break
        frames.append((outcome.picture.clip(0, 1) * 255).round().astype(np.uint8))
        if flags.zoom_frames is not None:
            session.write_extra(checkpoint_name(flags.zoom_frames, index), outcome.picture)
        if exit_code:
            break
    if flags.animation is not None:
        _write_animation(flags, session, flags.animation, frames)
    return len(frames), exit_code


def _dream_on(
    flags: Dream,
    session: Session,
    dream: RunOutcome,
    make_problem: Callable[[], Problem],
    optimizer: optax.GradientTransformation,
) -> Iterator[RunOutcome]:
    """Yields the first frame and those after it; one program serves them all."""
    yield dream
    height, width, _ = dream.picture.shape
    form = make_parameterization(flags.optimization.parameterization, height, width)
    problem = apply_parameterization(make_problem(), flags.optimization.parameterization, height, width)
    # The next frame starts from the clipped picture, which is the one that is written.
    colors = before = dream.picture.clip(0, 1)
    key = jax.random.key(flags.seed)
    for index in range(1, flags.zoom):
        start = zoom_in(before, flags.zoom_factor, degrees=flags.zoom_rotation)
        # Without the colors of the first frame, the picture is over-saturated after about ten frames.
        params = form.init(key, 255 * jnp.asarray(match_color(start, colors)))
        outcome = session.minimize(
            problem,
            optimizer,
            iterations=flags.zoom_iterations,
            params=params,
            seed=(flags.seed + index) % 2**32,
            label=f"frame {index} of {flags.zoom - 1}",
        )
        yield outcome
        before = outcome.picture.clip(0, 1)


def _write_animation(flags: Dream, session: Session, place: str, frames: Sequence[np.ndarray]) -> None:
    def write(place: str) -> None:
        pictures = (frame / np.float32(255) for frame in frames)
        write_animation(place, pictures, seconds_per_frame=flags.frame_seconds, overwrite=flags.overwrite)

    session.save("the animation", place, write)
