"""The image painter: a network learns one picture, as the color at each position.

The well-known regression exercise (as in P. K. Mital's course "Creative applications of deep learning with
TensorFlow", session 2, 2016) and, by `fourier_features`, the answer of Tancik et al. (2020) to why such a network
paints so blurred a picture. What the network is not shown (`holes`), it fills in; and it can paint at any size.

The published costs (171.7 after the first epoch, 41 after 499) are of the astronaut at 64x64, resized by an antialiased
*bilinear* filter and measured by `full_cost`. Resized by the sharper cubic of `jaxstyle.pictures.images`, the same
picture has more detail to learn, and costs a fifth more in the end.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.argument_checks import check_kind, check_picture, check_picture_shape, describe, is_array
from jaxstyle.checks import InputError
from jaxstyle.config import PainterConfig
from jaxstyle.problems.networks import MLP, Functional, draw_frequencies, fourier_features, functional, pixel_positions
from jaxstyle.problems.problem import Problem
from jaxstyle.types import Key, Picture, Scalar

#: Colors are regressed on this scale.
COLOR_SCALE = 255.0

# The deviation of positions spread over a unit interval. Frequencies are given in cycles per such an interval, as in
# Tancik et al. (2020), whereas positions have deviation 1 here.
_UNIT_INTERVAL_DEVIATION = 12**-0.5

# Pixels that are computed at once outside the training: 64 units of each are 4 MB.
_PIXELS_AT_ONCE = 2**14


def make_problem(
    config: PainterConfig, picture: Picture, *, holes: Bool[Array, "height width"] | np.ndarray | None = None
) -> Problem:
    """Returns the problem of learning `picture`, whose unknowns are a network's weights.

    The loss of a step is the cost of a batch, drawn anew from the step's key: see `painter_loss`. What tells how far a
    run has come is `full_cost` of its last parameters. The parameters of the lowest loss are merely those that met the
    easiest batch.

    Args:
        config: The network and the batches.
        picture: `[height, width, 3]` in [0, 1].
        holes: `[height, width]`, true (or above 0.5) where the picture is not shown to the network.

    Raises:
        InputError: For a picture of the wrong shape, a mask of another size, one without a hole or with nothing
            beside its holes, or fewer pixels than a batch has.
    """
    check_kind("the config", config, PainterConfig)
    check_picture_shape("a picture", picture)
    is_hole = _check_holes(holes, picture.shape[:2])
    shown = np.where(is_hole[..., None], 0, np.asarray(picture, np.float32))  # what is in the holes is not even there
    check_picture("a picture", shown)
    known = np.flatnonzero(~is_hole).astype(np.int32)
    if config.batch_size > known.size:
        got = f"{config.batch_size} of {known.size} pixels"
        raise InputError("a batch_size no larger than the known part of the picture", got, "make the batches smaller")
    args = {
        "positions": pixel_positions(*picture.shape[:2]),
        "colors": jnp.asarray(COLOR_SCALE * shown),
        "known": jnp.asarray(known),
    }
    inputs = 2
    if config.fourier_features:
        key = jax.random.key(config.fourier_seed)
        deviation = config.fourier_scale * _UNIT_INTERVAL_DEVIATION
        args["frequencies"] = draw_frequencies(key, config.fourier_features, deviation)
        inputs = 2 * config.fourier_features
    return Problem(
        name="painter",
        init_fn=_network((inputs, *config.hidden_widths, 3), config.weight_deviation).init,
        loss_fn=partial(painter_loss, batch_size=config.batch_size),
        args=args,
        render_fn=lambda params, args: paint(params, args, *args["colors"].shape[:2]),
        is_stochastic=True,
    )


def painter_loss(
    params: dict[str, Any], args: dict[str, Any], key: Key, *, batch_size: int
) -> tuple[Scalar, dict[str, Scalar]]:
    """Returns the cost of a random batch, and the same as the metric `cost`.

    `L = mean_i sum_c |f(x_i)_c - y_ic|`: the absolute error on the scale 0..255, summed over the three colors and
    averaged over the pixels i of the batch.

    Deviation: the published run goes through all pixels once per epoch, in a new order each time. Here each batch is
    drawn by itself, without repetition inside it: steps know a key, not their place in an epoch.

    Args:
        params: The network's weights.
        args: See `make_problem`.
        key: Random key of this step.
        batch_size: Pixels to draw.
    """
    known = args["known"]
    cost = jnp.mean(_errors(params, args, known[draw_batch(key, known.size, batch_size)]))
    return cost, {"cost": cost}


@jax.jit
def full_cost(params: dict[str, Any], args: dict[str, Any]) -> Scalar:
    """Returns the cost over all pixels that are no holes: `painter_loss` with everything in the batch."""
    errors = lax.map(lambda pixel: _errors(params, args, pixel), args["known"], batch_size=_PIXELS_AT_ONCE)
    return jnp.mean(errors)


@partial(jax.jit, static_argnames=("height", "width"))
def paint(params: dict[str, Any], args: dict[str, Any], height: int, width: int) -> Picture:
    """Returns what the network paints, at any size, clipped to [0, 1].

    The new pixels are spread over the same positions as those of the picture that was learned.

    Args:
        params: The network's weights.
        args: See `make_problem`.
        height: Height of the painting, in pixels.
        width: Width of the painting, in pixels.

    Raises:
        InputError: If `height` or `width` is below 1.
    """
    positions = pixel_positions(height, width, like=args["colors"].shape[:2]).reshape(-1, 2)
    colors = lax.map(partial(_predict, params, args), positions, batch_size=_PIXELS_AT_ONCE)
    return jnp.clip(colors.reshape(height, width, 3) / COLOR_SCALE, 0.0, 1.0)


def draw_batch(key: Key, count: int, size: int) -> Int[Array, " size"]:
    """Draws `size` different numbers from 0 to `count - 1`; every set of them is equally likely.

    Floyd's algorithm (Bentley and Floyd 1987, "A sample of brilliance"): the i-th number t is drawn from 0 to
    j = count - size + i, and is j instead if t has been taken before. Its work depends on `size` only, where
    `jax.random.choice` without replacement sorts all `count` numbers at every step. In order of drawing the numbers are
    not independent of their place: it is the set that is random.

    Args:
        key: To draw from.
        count: Numbers to choose from; at least `size`.
        size: Numbers to draw.
    """
    last = count - size + jnp.arange(size)
    drawn = jax.random.randint(key, (size,), 0, last + 1)
    is_earlier = jnp.tri(size, k=-1, dtype=bool)

    # What is taken depends on earlier numbers only, so that doing all at once, again until nothing changes, ends with
    # what one by one would give; there are few collisions, and mostly two rounds.
    def settle(taken: jax.Array) -> jax.Array:
        return jnp.where(jnp.any(is_earlier & (drawn[:, None] == taken), axis=1), last, drawn)

    rounds = lax.while_loop(
        lambda rounds: jnp.any(rounds[0] != rounds[1]),
        lambda rounds: (rounds[1], settle(rounds[1])),
        (drawn, settle(drawn)),
    )
    return rounds[1]


def _network(widths: tuple[int, ...], weight_deviation: float = 1.0) -> Functional:
    make_module: Callable[[nnx.Rngs], nnx.Module] = lambda rngs: MLP(
        widths, kernel_init=nnx.initializers.normal(weight_deviation), rngs=rngs
    )
    return functional(make_module)


def _predict(
    params: dict[str, Any], args: dict[str, Any], positions: Float[Array, "*batch 2"]
) -> Float[Array, "*batch 3"]:
    """Returns the colors at `positions`, on 0..255 but not clipped; the network's widths are those of its weights."""
    inputs = positions if "frequencies" not in args else fourier_features(positions, args["frequencies"])
    layers = [params[f"dense{index}"]["kernel"].shape for index in range(len(params))]
    return _network((layers[0][0], *(outputs for _, outputs in layers))).apply(params, inputs)


def _errors(params: dict[str, Any], args: dict[str, Any], pixels: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Returns `sum_c |f(x)_c - y_c|` at pixels, counted row by row."""
    predicted = _predict(params, args, args["positions"].reshape(-1, 2)[pixels])
    return jnp.sum(jnp.abs(predicted - args["colors"].reshape(-1, 3)[pixels]), axis=-1)


def _check_holes(holes: Any, size: tuple[int, ...]) -> np.ndarray:
    if holes is None:
        return np.zeros(size, bool)
    if not is_array(holes):
        raise InputError(f"a mask of holes as an array {list(size)}", describe(holes), "convert it with numpy.asarray")
    holes = np.asarray(holes)
    if holes.shape != size:
        raise InputError(f"a mask of holes of shape {size}", holes.shape, "make it as large as the picture")
    if not (holes.min() >= 0 and holes.max() <= 1):  # nor with NaN
        raise InputError("a mask of holes in [0, 1]", f"values from {holes.min()} to {holes.max()}", "divide by 255")
    is_hole = holes > 0.5
    if not is_hole.any():
        raise InputError("a mask with a hole in it", "one of zeros only", "make it 1 (white) where to leave out")
    if is_hole.all():
        raise InputError(
            "a mask that leaves some of the picture", "one of ones only", "make it 0 (black) where to learn"
        )
    return is_hole
