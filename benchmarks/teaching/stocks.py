"""A network that predicts the next price change of 30 stocks from their last 30, on a generated market.

After S. Smith, "The road to TensorFlow", parts 5 to 8 (2016): 900 inputs, 100 units of tanh, 30 linear outputs, weights
from a normal of deviation 0.05 cut off at two deviations, the squared error, and days split into training, test and
validation parts. There the stocks were those of the Dow Jones index, and the lowest possible error is unknown.

Here the market is generated, and the lowest possible error is known. Every stock s follows another one, p(s), after a
delay of d(s) days (1 to 30, so that all that matters is among the inputs):

    r[t, s] = c r[t - d(s), p(s)] + sqrt(1 - c^2) n[t, s],    n normal of deviation 1,

where p is a random permutation. All changes have mean 0 and variance 1, and n[t] is independent of all before it: the
best prediction is c r[t - d(s), p(s)], with a mean squared error of 1 - c^2; predicting 0 has an error of 1. Changes
are in units of their own deviation; `scale` makes them as small as the fractions of a price in the published run.

The network can over-fit: it has 93,130 weights for 45,000 numbers to predict. The training error falls below 1 - c^2,
which is only possible by memorizing the days, while the validation error rises.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxstyle.checks import check_between, check_positive
from jaxstyle.problems.painter import draw_batch
from jaxstyle.problems.problem import Problem
from jaxstyle.types import Key, Scalar

#: Numbers of stocks, of days in the input, and of hidden units.
STOCKS, HISTORY, HIDDEN = 30, 30, 100

#: Days of the training part, and of the validation and of the test part: about 3 to 1 to 1, as published.
TRAINING_DAYS, HELD_OUT_DAYS = 1500, 500

#: Days that are discarded at the start: after 500 days, at least 16 delays of up to 30, its influence is c^16 or less.
_BURN_IN = 500


@dataclass(frozen=True)
class StocksConfig:
    """The market and how the network is trained on it.

    Attributes:
        strength: The correlation c of a change with the one that it follows, in (0, 1).
        batch_size: Days per step.
        weight_deviation: Standard deviation of the initial weights; biases start at 0.
        is_summed: Whether the loss is half the sum of all squared errors of a batch, as in the published program, and
            not their mean; a rate then counts for 15 times `batch_size` as much.
        scale: Factor of all changes.
    """

    strength: float = 0.7
    batch_size: int = 100
    weight_deviation: float = 0.05
    is_summed: bool = False
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_between("strength", self.strength, 0, 0.99)
        check_between("batch_size", self.batch_size, 1, TRAINING_DAYS)
        check_positive("weight_deviation", self.weight_deviation)
        check_positive("scale", self.scale)


@dataclass(frozen=True)
class Market:
    """A generated market.

    Attributes:
        changes: `[days, stocks]`, in order.
        followed: p: the stock that each stock follows.
        delays: d: after how many days, 1 to 30.
        strength: c.
    """

    changes: np.ndarray
    followed: np.ndarray
    delays: np.ndarray
    strength: float

    @property
    def floor(self) -> float:
        """The mean squared error of the best predictor, in units of the changes' variance."""
        return 1 - self.strength**2


@partial(jax.jit, static_argnames="days")
def _draw_changes(
    key: Key, followed: jax.Array, delays: jax.Array, strength: float, days: int
) -> Float[Array, "days stocks"]:
    start_key, noise_key = jax.random.split(key)
    noise = jnp.sqrt(1 - strength**2) * jax.random.normal(noise_key, (_BURN_IN + days, STOCKS))

    def step(last: jax.Array, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        change = strength * last[-delays, followed] + noise
        return jnp.concatenate([last[1:], change[None]]), change

    _, changes = lax.scan(step, jax.random.normal(start_key, (HISTORY, STOCKS)), noise)
    return changes[_BURN_IN:]


def draw_market(key: Key, *, strength: float = 0.7, days: int | None = None) -> Market:
    """Draws which stock follows which, and the changes of all days.

    Args:
        key: The only source of randomness.
        strength: c.
        days: Number of days; as many as the three parts need, if left out.
    """
    days = HISTORY + TRAINING_DAYS + 2 * HELD_OUT_DAYS if days is None else days
    followed_key, delays_key, changes_key = jax.random.split(key, 3)
    followed = jax.random.permutation(followed_key, STOCKS)
    delays = jax.random.randint(delays_key, (STOCKS,), 1, HISTORY + 1)
    changes = _draw_changes(changes_key, followed, delays, strength, days)
    return Market(np.asarray(changes), np.asarray(followed), np.asarray(delays), strength)


def split_days(changes: np.ndarray) -> dict[str, jax.Array]:
    """Returns `training`, `validation` and `test`: changes in order, each part with the 30 days before its first."""
    ends = np.cumsum([HISTORY, TRAINING_DAYS, HELD_OUT_DAYS, HELD_OUT_DAYS])
    parts = zip(("training", "validation", "test"), ends[:-1] - HISTORY, ends[1:], strict=True)
    return {name: jnp.asarray(changes[first:last]) for name, first, last in parts}


def init_network(key: Key, *, deviation: float = 0.05) -> dict[str, Any]:
    """Draws the weights, from a normal cut off at two of its deviations; biases are 0."""

    def layer(key: Key, inputs: int, outputs: int) -> dict[str, jax.Array]:
        kernel = deviation * jax.random.truncated_normal(key, -2.0, 2.0, (inputs, outputs))
        return {"kernel": kernel, "bias": jnp.zeros(outputs)}

    keys = jax.random.split(key)
    return {"dense0": layer(keys[0], HISTORY * STOCKS, HIDDEN), "dense1": layer(keys[1], HIDDEN, STOCKS)}


def predict(params: dict[str, Any], history: Float[Array, "days 900"]) -> Float[Array, "days 30"]:
    """Returns the predicted changes: `tanh(x W + b) V + v`."""
    hidden = jnp.tanh(history @ params["dense0"]["kernel"] + params["dense0"]["bias"])
    return hidden @ params["dense1"]["kernel"] + params["dense1"]["bias"]


def _squared_errors(params: dict[str, Any], part: jax.Array, days: jax.Array) -> Float[Array, "days 30"]:
    """Returns the squared errors for days of a part, counted from 0 for the first that is predicted."""
    history = part[days[:, None] + jnp.arange(HISTORY)].reshape(days.size, -1)
    return (predict(params, history) - part[days + HISTORY]) ** 2


def mean_error(params: dict[str, Any], part: Float[Array, "days 30"], scale: Any = 1.0) -> Scalar:
    """Returns the mean squared error over all days of a part, in units of the changes' variance."""
    return jnp.mean(_squared_errors(params, part, jnp.arange(part.shape[0] - HISTORY))) / scale**2


def validation_error(params: dict[str, Any], args: dict[str, Any]) -> Scalar:
    """Returns the mean squared error over the validation part, in units of the changes' variance.

    It scores every optimizer. Settings are chosen on other markets than they are scored on. In the table of
    `benchmarks.teaching` a run counts at its lowest validation error; `args["test"]` shows how optimistic that is.
    """
    return mean_error(params, args["validation"], args["scale"])


def stocks_loss(
    params: dict[str, Any], args: dict[str, Any], key: Key, *, config: StocksConfig
) -> tuple[Scalar, dict[str, Scalar]]:
    """Returns the mean (or half the sum) of the squared errors of a batch of training days, drawn from `key`."""
    part = args["training"]
    days = draw_batch(key, part.shape[0] - HISTORY, config.batch_size)
    errors = _squared_errors(params, part, days)
    error = jnp.mean(errors)
    return jnp.sum(errors) / 2 if config.is_summed else error, {"squared_error": error / args["scale"] ** 2}


def make_problem(config: StocksConfig = StocksConfig(), *, seed: int = 0) -> Problem:
    """Returns the problem of training the network on the market drawn from `seed`."""
    market = draw_market(jax.random.key(seed), strength=config.strength)
    parts = split_days(config.scale * market.changes)
    return Problem(
        name="stocks",
        init_fn=partial(init_network, deviation=config.weight_deviation),
        loss_fn=partial(stocks_loss, config=config),
        args={**parts, "scale": jnp.float32(config.scale)},
        render_fn=lambda params, args: predict(params, args["validation"][:HISTORY].reshape(1, -1))[0],
        is_stochastic=True,
    )


def make_instance(instance: str) -> Problem:
    """Returns the problem market-N, N the seed of its market."""
    return make_problem(seed=int(instance.removeprefix("market-")))
