"""Gradient descent on f(x) = sin(10 x) exp(-x), in one and in two dimensions: local minima, and rates.

The illustration of P. K. Mital, "Creative applications of deep learning with TensorFlow" (2016), session 2: f is
sampled at 200 places on [-1, 1], the unknown is the number of a place, and the gradient is the difference of
neighboring samples. Rates are therefore of that scale: 0.01, 1 and 500 were shown, for 500 steps.

The loss here is f - min f, at least 0, so that ten times the initial loss means something; and the unknown is
projected onto 0..199, outside of which f falls without bound on the left.

Deviations. The unknown is continuous. By default f is smooth, and its derivative by the number of the place is what
the difference of neighbors approximates; with `is_sampled` f is linear between the samples, so that the gradient *is*
that difference. In two dimensions f(x) + f(y) is minimized, whose minima are those of f in each coordinate; the course
only draws a surface there, of f(x) times cos(10 y) exp(-y).

The derivative is exp(-x) (10 cos 10x - sin 10x), so that the stationary points are where tan 10x = 10:
x = (arctan 10 + k pi) / 10, a minimum where k is odd (sin 10x < 0) and a maximum where it is even.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.checks import check_between, check_positive
from jaxstyle.problems.problem import Problem
from jaxstyle.types import Key, Scalar

#: The interval on which f is minimized.
LOW, HIGH = -1.0, 1.0

#: Range of the places where a run may begin, as shares of the interval: as in the course.
START_SHARES = (0.2, 0.8)


@dataclass(frozen=True)
class DescentConfig:
    """The function and its places.

    Attributes:
        frequency: 10 in sin(10 x).
        dimensions: 1 or 2: how many coordinates, whose f are added.
        places: Samples on [-1, 1]; they set the scale of the unknown.
        is_sampled: Whether f is linear between the places.
    """

    frequency: float = 10.0
    dimensions: int = 1
    places: int = 200
    is_sampled: bool = False

    def __post_init__(self) -> None:
        check_positive("frequency", self.frequency)
        check_between("dimensions", self.dimensions, 1, 2)
        check_between("places", self.places, 2, 10**6)


def position(index: Any, places: int = 200) -> Any:
    """Returns the x of a place, which may be a fraction: -1 at 0, 1 at `places - 1`."""
    return LOW + (HIGH - LOW) * index / (places - 1)


def place(x: Any, places: int = 200) -> Any:
    """Returns the place of an x; the inverse of `position`."""
    return (x - LOW) / (HIGH - LOW) * (places - 1)


def minima(frequency: float = 10.0) -> np.ndarray:
    """Returns the local minima of f inside (-1, 1), in closed form and in order.

    The right end, 1, may be another, at the border: for the frequency 10 it is.
    """
    first = np.arctan(frequency)
    odd = 2 * np.arange(-int(frequency) - 2, int(frequency) + 2) + 1
    found = (first + odd * np.pi) / frequency
    return found[(found > LOW) & (found < HIGH)]


def lowest(frequency: float = 10.0) -> float:
    """Returns min f on [-1, 1]: at the leftmost of the minima, since exp(-x) falls."""
    x = minima(frequency)[0]
    return float(np.sin(frequency * x) * np.exp(-x))


def descent_loss(
    index: Float[Array, " dimensions"], args: dict[str, Any], key: Key, *, is_sampled: bool
) -> tuple[Scalar, dict[str, Scalar]]:
    """Returns `sum_d f(x_d) - min f`, and the sum by itself as a term.

    Args:
        index: The place of each coordinate.
        args: The arguments of the problem that `make_problem` returns.
        key: Not used.
        is_sampled: Whether f is linear between the places.
    """
    del key
    samples = args["samples"]
    if is_sampled:
        left = jnp.clip(jnp.floor(index).astype(int), 0, samples.size - 2)
        values = samples[left] + (index - left) * (samples[left + 1] - samples[left])
    else:
        x = position(index, samples.size)
        values = jnp.sin(args["frequency"] * x) * jnp.exp(-x)
    return jnp.sum(values - args["lowest"]), {"f": jnp.sum(values)}


def make_problem(config: DescentConfig = DescentConfig()) -> Problem:
    """Returns the problem of minimizing f over places; a run begins at a random place in the middle 60 %."""
    x = position(np.arange(config.places), config.places)
    samples = np.sin(config.frequency * x) * np.exp(-x)
    last = config.places - 1
    low, high = (share * last for share in START_SHARES)
    return Problem(
        name="descent",
        init_fn=lambda key: jax.random.uniform(key, (config.dimensions,), minval=low, maxval=high),
        loss_fn=partial(descent_loss, is_sampled=config.is_sampled),
        args={
            "samples": jnp.asarray(samples, jnp.float32),
            "frequency": jnp.float32(config.frequency),
            "lowest": jnp.float32(samples.min() if config.is_sampled else lowest(config.frequency)),
        },
        render_fn=lambda index, args: position(index, args["samples"].size),
        project_fn=partial(jnp.clip, min=0.0, max=float(last)),
    )


def make_instance(instance: str, *, dimensions: int) -> Problem:
    """Returns the problem of sinN, N the frequency: settings are chosen on others than the course's function, sin10."""
    return make_problem(DescentConfig(float(instance.removeprefix("sin")), dimensions))
