"""The optimizer that a `RunConfig` describes."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxstyle.checks import InputError, check_choice
from jaxstyle.optimize.optimizer_table import OPTIMIZERS
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.optimize.transforms.averaging import keep_average
from jaxstyle.run_config import RunConfig
from jaxstyle.types import Scalar

#: Pairs of pictures, and how many bytes they may take, that L-BFGS keeps where nothing says how many.
MEMORY_SIZE, MEMORY_BYTES = 20, 2e9


def configured_optimizer(
    config: RunConfig, height: int = 0, width: int = 0, **defaults: float
) -> optax.GradientTransformation:
    """Returns the optimizer with its options, its schedule and the running average, as far as there are any.

    Args:
        config: Names the optimizer and its options.
        height: Height of the largest picture to come; it limits the memory of L-BFGS where the options do not.
        width: Width of that picture.
        defaults: Options for what the config leaves open, where the optimizer has them.

    Raises:
        InputError: If there is no such optimizer, or it has no such option or no schedule.
    """
    spec = OPTIMIZERS[check_choice("optimizer", config.optimizer, OPTIMIZERS)]
    if height * width > 0:
        defaults = {"memory_size": choose_memory_size(height, width), **defaults}
    options: dict[str, Any] = {name: value for name, value in defaults.items() if name in spec.defaults} | dict(
        config.options
    )
    if config.schedule:
        if spec.rate != "learning_rate" or spec.reads_rate_once:
            raise InputError(
                "an optimizer that has a learning rate at every step",
                config.optimizer,
                "leave the schedule out or choose another",
            )
        options["learning_rate"] = schedule_of(config.schedule)
    # Not every optimizer takes a function of the step for its rate; with the rate in its state, every one does.
    traced = ["learning_rate"] if config.schedule else []
    optimizer = make_optimizer(config.optimizer, traced=traced, **options)
    return keep_average(optimizer, config.average) if config.average else optimizer


def choose_memory_size(height: int, width: int) -> int:
    """Returns the memory of L-BFGS for a picture: 20 pairs, or fewer, for one beyond four million pixels.

    >>> choose_memory_size(512, 512), choose_memory_size(4096, 4096)
    (20, 4)
    """
    pair = 2 * 3 * 4 * height * width  # two float32 pictures of three colors
    return int(max(3, min(MEMORY_SIZE, MEMORY_BYTES // pair)))


def schedule_of(pairs: Sequence[tuple[int, float]]) -> Callable[[Any], Scalar]:
    """Returns the learning rate as a function of the step, constant from each pair's step to the next one's.

    Args:
        pairs: Steps that grow from 0, and the rates from there on.

    >>> rate = schedule_of([(0, 10.0), (100, 1.0)])
    >>> float(rate(99)), float(rate(100))
    (10.0, 1.0)
    """
    steps, rates = (list(column) for column in zip(*pairs, strict=True))

    def rate(step: int | jax.Array) -> Scalar:
        place = jnp.searchsorted(jnp.asarray(steps, jnp.int32), jnp.asarray(step, jnp.int32), side="right") - 1
        return jnp.asarray(rates, jnp.float32)[place]

    return rate
