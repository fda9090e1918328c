"""The running average of the parameters, kept by any optimizer as part of its state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxstyle.checks import check_between
from jaxstyle.problem import Params


class AverageState(NamedTuple):
    """The state of `keep_average`.

    Attributes:
        inner: The optimizer's own.
        average: The average before the correction of its bias, `sum_k (1 - d) d^(n - k) x_k`.
        remainder: `d^n`, by which the weights of that sum fall short of 1.
    """

    inner: optax.OptState
    average: Params
    remainder: jax.Array


def keep_average(optimizer: optax.GradientTransformation, decay: float = 0.99) -> optax.GradientTransformationExtraArgs:
    """Returns `optimizer`, which goes where it would have gone, and keeps the running average of where it has been.

    `a_n = d a_(n-1) + (1 - d) x_n`, divided by `1 - d^n` when it is read (`average_of`): Kingma and Ba (2015), section
    7.2 and algorithm 1's correction, for the parameters after each step; where it starts does not count. A projection
    that follows the step is not seen.

    Args:
        optimizer: Any.
        decay: `d` in [0, 1): how much of the average is kept at each step.
    """
    check_between("decay", decay, 0, 1 - 1e-6)
    inner = optax.with_extra_args_support(optimizer)

    def init(params: Params) -> AverageState:
        return AverageState(inner.init(params), jax.tree.map(jnp.zeros_like, params), jnp.ones((), jnp.float32))

    def update(grads: Params, state: AverageState, params: Params, **extra: Any) -> tuple[Params, AverageState]:
        updates, inner_state = inner.update(grads, state.inner, params, **extra)
        average = jax.tree.map(
            lambda old, param, change: decay * old + (1 - decay) * (param + change), state.average, params, updates
        )
        return updates, AverageState(inner_state, average, state.remainder * decay)

    return optax.GradientTransformationExtraArgs(init, update)  # type: ignore[arg-type]


def average_of(opt_state: optax.OptState) -> Params | None:
    """Returns the average that `keep_average` has kept, or None: without it, or before the first step."""
    is_average = lambda node: isinstance(node, AverageState)  # noqa: E731
    states = [node for node in jax.tree.leaves(opt_state, is_leaf=is_average) if is_average(node)]
    if not states or float(states[0].remainder) == 1:
        return None
    return jax.tree.map(lambda average: average / (1 - states[0].remainder), states[0].average)
