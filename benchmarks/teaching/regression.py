"""Regression of a noisy sine: lines, polynomials and a layer of tanh, by their mean absolute error.

The exercise of P. K. Mital, "Creative applications of deep learning with TensorFlow" (2016), session 2: 1000 points,
evenly on [-3, 3], of y = sin x + u with u uniform in +-0.5; gradient descent on the mean of |prediction - y|. With the
sine itself for a prediction that is 0.25 on average, the lowest possible.

    line          w x + b
    polynomial    sum_p w_p x^p, p from 0 to the degree
    tanh          sum_j tanh(w_j x + b_j), 10 neurons

Weights start from a normal of deviation 0.1, biases from 0. The course trains the line with all points at rate 0.01
for up to 500 epochs, stopping when the error of an epoch changes by less than 1e-6, and the others with batches of 200
at rate 0.02 for 100 epochs.

Deviation: the course goes through all points once per epoch, in a new order each time. Here each batch is drawn
independently, without repetition inside it, since a step has a random key and no place in an epoch.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.checks import check_between, check_choice, check_not_negative, check_positive
from jaxstyle.problems.painter import draw_batch
from jaxstyle.problems.problem import Problem
from jaxstyle.types import Key, Scalar

#: Number of points, and where they lie.
POINTS, LOW, HIGH = 1000, -3.0, 3.0

#: The noise is uniform between minus this and this. The mean of its absolute value is half of it.
NOISE = 0.5

#: The course stops when the error of an epoch changes by less.
LEAST_CHANGE = 1e-6

#: Points in the course's mini-batches.
BATCH_SIZE = 200

MODELS = ("line", "polynomial", "tanh")


@dataclass(frozen=True)
class RegressionConfig:
    """The model and the batches.

    Attributes:
        model: One of `MODELS`.
        degree: Highest power of the polynomial.
        neurons: Number of neurons of the tanh layer.
        batch_size: Points per step; 0 for all of them.
        weight_deviation: Standard deviation of the initial weights; biases start at 0.
        extra_bias: Deviation of a second constant that is added to the polynomial's, as in the course's program, where
            it is 1: it doubles the constant's rate. 0 for none.
    """

    model: str = "line"
    degree: int = 3
    neurons: int = 10
    batch_size: int = 0
    weight_deviation: float = 0.1
    extra_bias: float = 0.0

    def __post_init__(self) -> None:
        check_choice("model", self.model, MODELS)
        check_between("batch_size", self.batch_size, 0, POINTS)
        for name in ("degree", "neurons", "weight_deviation"):
            check_positive(name, getattr(self, name))
        check_not_negative("extra_bias", self.extra_bias)


def draw_points(key: Key) -> tuple[Float[Array, " points"], Float[Array, " points"]]:
    """Returns x and y of the points, the noise drawn from `key`."""
    x = jnp.linspace(LOW, HIGH, POINTS)
    return x, jnp.sin(x) + jax.random.uniform(key, (POINTS,), minval=-NOISE, maxval=NOISE)


def init_model(key: Key, *, config: RegressionConfig) -> dict[str, jax.Array]:
    """Draws a model's unknowns: `weight`, and `bias` where it has one."""
    weight_key, bias_key = jax.random.split(key)
    count = {"line": 1, "polynomial": config.degree + 1, "tanh": config.neurons}[config.model]
    params = {"weight": config.weight_deviation * jax.random.normal(weight_key, (count,))}
    if config.model == "polynomial":
        bias = config.extra_bias * jax.random.normal(bias_key, (1,))
        return params | ({"bias": bias} if config.extra_bias else {})
    return params | {"bias": jnp.zeros(count)}


def predict(params: dict[str, jax.Array], x: Float[Array, " points"], *, model: str) -> Float[Array, " points"]:
    """Returns the model's y at each x."""
    weight, bias = params["weight"], params.get("bias", jnp.zeros(1))
    if model == "polynomial":
        return x[:, None] ** jnp.arange(weight.size) @ weight + bias
    sums = x[:, None] * weight + bias
    return jnp.sum(jnp.tanh(sums) if model == "tanh" else sums, axis=1)


def regression_loss(
    params: dict[str, jax.Array], args: dict[str, Any], key: Key, *, config: RegressionConfig
) -> tuple[Scalar, dict[str, Scalar]]:
    """Returns the mean absolute error over all points, or over a batch drawn from `key`."""
    x, y = args["x"], args["y"]
    if config.batch_size:
        batch = draw_batch(key, x.size, config.batch_size)
        x, y = x[batch], y[batch]
    error = jnp.mean(jnp.abs(predict(params, x, model=config.model) - y))
    return error, {"absolute_error": error}


def full_error(params: dict[str, jax.Array], args: dict[str, Any], *, model: str) -> Scalar:
    """Returns the mean absolute error over all points."""
    return jnp.mean(jnp.abs(predict(params, args["x"], model=model) - args["y"]))


def make_problem(config: RegressionConfig = RegressionConfig(), *, seed: int = 0) -> Problem:
    """Returns the problem of fitting a model to the points whose noise is drawn from `seed`."""
    x, y = draw_points(jax.random.key(seed))
    return Problem(
        name=f"regression/{config.model}",
        init_fn=partial(init_model, config=config),
        loss_fn=partial(regression_loss, config=config),
        args={"x": x, "y": y},
        render_fn=lambda params, args: predict(params, args["x"], model=config.model),
        is_stochastic=config.batch_size > 0,
    )


def make_instance(instance: str, **options: Any) -> Problem:
    """Returns the problem noise-N, N the seed of its noise, with these options of `RegressionConfig`."""
    return make_problem(RegressionConfig(**options), seed=int(instance.removeprefix("noise-")))
