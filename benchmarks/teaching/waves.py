"""An LSTM that predicts two coupled waves 23 steps ahead.

The exercise of S. Joglekar, "Predicting trigonometric waves few steps ahead with LSTMs in TensorFlow" (2016): the waves
are

    5 + 5 sin a + 10 cos b    and    7 + 7 sin b + 14 cos a,

where a and b advance by 2 pi / 300 and 2 pi / 200 a step. The inputs are both values and their first and second
differences, not normalized; the network has one layer of 6 units and a linear read-out. The published run took 80,000
single steps, one after the other along one endless wave: the state was carried from step to step, and each gradient was
that of one step, with the state before it as a constant.

Deviations. A step here has a random key and no place in a wave, so that each draws the beginning of its own sequence,
and starts from the state zero, `length` steps before the end. `through_time=False` is nearest to the published run: the
error of the last step alone, and its gradient by that step alone. By default the error is that of all steps of the
sequence, with the gradient through all of them.

The source does not give the initial weights of the gates; here they are the defaults of TensorFlow at that time:
uniform in +-sqrt(3 / inputs), biases of 0, and 1 added to the forget gate. As published, the read-out starts from a
normal of deviation 1, truncated at two deviations, and a bias of 0.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxstyle.checks import check_positive
from jaxstyle.problems.problem import Problem
from jaxstyle.types import Key, Scalar

#: Steps of a whole turn of a and of b.
PERIODS = (300, 200)

#: Steps from the last input to the prediction.
AHEAD = 23

#: Units of the LSTM, and its inputs: two values, two first and two second differences.
UNITS = INPUTS = 6

#: Added to the sums of the forget gate (Jozefowicz, Zaremba and Sutskever 2015), so that it is open at the start.
FORGET_BIAS = 1.0

#: Sequences in the validation batch.
VALIDATION_SEQUENCES = 64

#: The rate that the author found best, for Adam.
PUBLISHED_RATE = 6e-4


@dataclass(frozen=True)
class WavesConfig:
    """How the network is trained.

    Attributes:
        length: Steps of a sequence.
        through_time: Whether the gradient goes through all steps; the module's docstring describes both.
    """

    length: int = 32
    through_time: bool = True

    def __post_init__(self) -> None:
        check_positive("length", self.length)


def waves(a: Float[Array, "*batch"], b: Float[Array, "*batch"]) -> Float[Array, "*batch 2"]:
    """Returns both waves at the phases a and b, in radians."""
    first = 5 + 5 * jnp.sin(a) + 10 * jnp.cos(b)
    second = 7 + 7 * jnp.sin(b) + 14 * jnp.cos(a)
    return jnp.stack([first, second], axis=-1)


def draw_sequence(key: Key, length: int) -> tuple[Float[Array, "length 6"], Float[Array, "length 2"]]:
    """Draws the first a and b, and returns the inputs at each step and the values to predict there.

    The differences of the first step are those to the values before it, so that every step has six inputs.
    """
    start = jax.random.uniform(key, (2,), maxval=2 * jnp.pi)
    steps = jnp.arange(-2, length + AHEAD)
    values = waves(*(start[:, None] + 2 * jnp.pi * steps / jnp.array(PERIODS)[:, None]))
    first = jnp.diff(values, axis=0)
    second = jnp.diff(first, axis=0)
    inputs = jnp.concatenate([values[2:], first[1:], second], axis=-1)[:length]
    return inputs, values[2 + AHEAD :]


def init_lstm(key: Key) -> dict[str, Any]:
    """Draws the network's weights. Gates are in the order input, candidate, forget, output."""
    gates_key, readout_key = jax.random.split(key)
    bound = (3 / (INPUTS + UNITS)) ** 0.5
    gates = jax.random.uniform(gates_key, (INPUTS + UNITS, 4 * UNITS), minval=-bound, maxval=bound)
    readout = jax.random.truncated_normal(readout_key, -2.0, 2.0, (UNITS, 2))
    return {
        "gates": {"kernel": gates, "bias": jnp.zeros(4 * UNITS)},
        "readout": {"kernel": readout, "bias": jnp.zeros(2)},
    }


def predict(
    params: dict[str, Any], inputs: Float[Array, "length 6"], *, through_time: bool = True
) -> Float[Array, "length 2"]:
    """Returns what the network predicts at each step of a sequence, from the state zero.

    With the sums z = [x, h] W + b, split into i, g, f and o: c <- sigmoid(f + 1) c + sigmoid(i) tanh(g), then
    h <- sigmoid(o) tanh(c), and the prediction is h V + v (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

    Args:
        params: The weights, from `init_lstm`.
        inputs: The inputs of each step, from `draw_sequence`.
        through_time: Whether gradients go through the state from step to step.
    """
    kernel = params["gates"]["kernel"]
    sums = inputs @ kernel[:INPUTS] + params["gates"]["bias"]  # for all steps at once, outside the scan: faster

    def step(state: tuple[jax.Array, jax.Array], total: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        hidden, cell = state if through_time else lax.stop_gradient(state)
        enter, candidate, forget, leave = jnp.split(total + hidden @ kernel[INPUTS:], 4)
        cell = jax.nn.sigmoid(forget + FORGET_BIAS) * cell + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
        hidden = jax.nn.sigmoid(leave) * jnp.tanh(cell)
        return (hidden, cell), hidden

    _, hidden = lax.scan(step, (jnp.zeros(UNITS), jnp.zeros(UNITS)), sums)
    return hidden @ params["readout"]["kernel"] + params["readout"]["bias"]


def sequence_loss(
    params: dict[str, Any], args: dict[str, Any], key: Key, *, config: WavesConfig
) -> tuple[Scalar, dict[str, Scalar]]:
    """Returns the squared error of one sequence, drawn from `key`: summed over both waves, averaged over its steps.

    Without `through_time`, it is that of the last step alone.
    """
    del args
    inputs, targets = draw_sequence(key, config.length)
    errors = jnp.sum((predict(params, inputs, through_time=config.through_time) - targets) ** 2, axis=-1)
    loss = jnp.mean(errors) if config.through_time else errors[-1]
    return loss, {"squared_error": loss}


def validation_loss(params: dict[str, Any], args: dict[str, Any]) -> Scalar:
    """Returns the squared error over the validation batch: summed over both waves, averaged over all else."""
    predicted = jax.vmap(partial(predict, params))(args["inputs"])
    return jnp.mean(jnp.sum((predicted - args["targets"]) ** 2, axis=-1))


def make_problem(config: WavesConfig = WavesConfig(), *, seed: int = 0) -> Problem:
    """Returns the problem of training the network.

    Args:
        config: Length of the sequences and extent of the gradient.
        seed: Seed of the validation batch.
    """
    keys = jax.random.split(jax.random.key(seed), VALIDATION_SEQUENCES)
    inputs, targets = jax.jit(jax.vmap(partial(draw_sequence, length=config.length)))(keys)
    return Problem(
        name="waves",
        init_fn=init_lstm,
        loss_fn=partial(sequence_loss, config=config),
        args={"inputs": inputs, "targets": targets},
        render_fn=lambda params, args: predict(params, args["inputs"][0]),
        is_stochastic=True,
    )


def make_instance(instance: str) -> Problem:
    """Returns the problem waves-N, N the seed of its validation batch."""
    return make_problem(seed=int(instance.removeprefix("waves-")))
