"""The image painter: a network learns one picture, as a function from position to color.

This is the regression exercise of P. K. Mital's course "Creative applications of deep learning with TensorFlow" (2016,
session 2, https://github.com/pkmital/CADL). Its pictures are blurred, for which `fourier_features` are the remedy of
Tancik et al. (2020). Regions excluded from training (`holes`) are filled in, and pictures of any size can be painted.

The published costs (171.7 after the first epoch, 41 after 499) are for the astronaut at 64x64, resized with an
antialiased *bilinear* filter and measured by `full_cost`. Resized with the sharper cubic filter of
`jaxstyle.pictures.images`, the same picture has more detail, and its final cost is a fifth higher.
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

#: Largest value of the colors that the network learns.
COLOR_SCALE = 255.0

# Standard deviation of positions in a unit interval. Frequencies are given in cycles per unit interval, as in Tancik et
# al. (2020), whereas positions have deviation 1 here.
_UNIT_INTERVAL_DEVIATION = 12**-0.5

# Number of pixels that are computed at once outside of training; 64 units for each take 4 MB.
_PIXELS_AT_ONCE = 2**14


def make_problem(
    config: PainterConfig, picture: Picture, *, holes: Bool[Array, "height width"] | np.ndarray | None = None
) -> Problem:
    """Returns the problem of learning `picture`, whose parameters are a network's weights.

    The loss of a step is the cost of a random batch, drawn with the step's key (`painter_loss`). The progress of a run
    is measured by `full_cost` of its last parameters, because the lowest loss belongs to the easiest batch only.

    Args:
        config: The network and the batches.
        picture: Target, `[height, width, 3]` in [0, 1].
        holes: Mask `[height, width]` that is true (or above 0.5) where pixels are excluded from training.

    Raises:
        InputError: For a picture of the wrong shape, a mask of another size, a mask without a hole or with nothing
            else, or fewer known pixels than a batch has.
    """
    check_kind("the config", config, PainterConfig)
    check_picture_shape("a picture", picture)
    is_hole = _check_holes(holes, picture.shape[:2])
    shown = np.where(is_hole[..., None], 0, np.asarray(picture, np.float32))  # pixels in holes are not kept at all
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
    """Returns the cost of a random batch, and the same number as the term `cost`.

    `L = mean_i sum_c |f(x_i)_c - y_ic|`: the absolute error on the scale 0..255, summed over the three colors and
    averaged over the pixels i of the batch.

    Deviation: the published run uses all pixels once per epoch, in a new order each time. Here each batch is drawn
    independently, without repetition inside it, because a step has a key but no position in an epoch.

    Args:
        params: The network's weights.
        args: The `args` of the problem that `make_problem` returns.
        key: Random key of this step.
        batch_size: Number of pixels to draw.
    """
    known = args["known"]
    cost = jnp.mean(_errors(params, args, known[draw_batch(key, known.size, batch_size)]))
    return cost, {"cost": cost}


@jax.jit
def full_cost(params: dict[str, Any], args: dict[str, Any]) -> Scalar:
    """Returns the cost over all pixels outside of holes: `painter_loss` with all of them in the batch."""
    errors = lax.map(lambda pixel: _errors(params, args, pixel), args["known"], batch_size=_PIXELS_AT_ONCE)
    return jnp.mean(errors)


@partial(jax.jit, static_argnames=("height", "width"))
def paint(params: dict[str, Any], args: dict[str, Any], height: int, width: int) -> Picture:
    """Returns the picture that the network has learned, at any size, clipped to [0, 1].

    Its pixels cover the same interval of positions as those of the picture that was learned.

    Args:
        params: The network's weights.
        args: The `args` of the problem that `make_problem` returns.
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
    j = count - size + i, and is replaced by j if t was drawn before. Its cost depends on `size` only, whereas
    `jax.random.choice` without replacement sorts all `count` numbers at every step. The set of the numbers is random,
    but their order is not.

    Args:
        key: Random key.
        count: How many numbers to choose from; at least `size`.
        size: How many numbers to draw.
    """
    last = count - size + jnp.arange(size)
    drawn = jax.random.randint(key, (size,), 0, last + 1)
    is_earlier = jnp.tri(size, k=-1, dtype=bool)

    # Each result depends on earlier results only, so updating all at once until nothing changes gives the same numbers
    # as the sequential algorithm. Collisions are rare, so mostly two rounds are enough.
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
    """Returns the colors at `positions`, on 0..255, not clipped; the network's widths follow from `params`."""
    inputs = positions if "frequencies" not in args else fourier_features(positions, args["frequencies"])
    layers = [params[f"dense{index}"]["kernel"].shape for index in range(len(params))]
    return _network((layers[0][0], *(outputs for _, outputs in layers))).apply(params, inputs)


def _errors(params: dict[str, Any], args: dict[str, Any], pixels: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Returns `sum_c |f(x)_c - y_c|` at `pixels`, indices in row-major order."""
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
    if not (holes.min() >= 0 and holes.max() <= 1):  # also true for NaN
        raise InputError("a mask of holes in [0, 1]", f"values from {holes.min()} to {holes.max()}", "divide by 255")
    is_hole = holes > 0.5
    if not is_hole.any():
        raise InputError("a mask with a hole in it", "one of zeros only", "make it 1 (white) where to leave out")
    if is_hole.all():
        raise InputError(
            "a mask that leaves some of the picture", "one of ones only", "make it 0 (black) where to learn"
        )
    return is_hole
