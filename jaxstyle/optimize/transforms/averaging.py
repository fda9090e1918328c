"""The running average of the parameters, kept by any optimizer as part of its state."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxstyle.checks import check_between
from jaxstyle.problems.problem import Params


class AverageState(NamedTuple):
    """The state of `keep_average`.

    Attributes:
        inner: The optimizer's own.
        average: So far; zeros before the first step.
        steps: Taken so far.
    """

    inner: optax.OptState
    average: Params
    steps: jax.Array


def keep_average(optimizer: optax.GradientTransformation, decay: float = 0.99) -> optax.GradientTransformationExtraArgs:
    """Returns `optimizer`, which goes where it would have gone, and keeps the running average of where it has been.

    `a_n = (1 - d) / (1 - d^n) sum_k d^(n - k) x_k` over the parameters `x_k` after each step, k from 1 to n: Kingma and
    Ba (2015), section 7.2, with the correction of the bias in algorithm 1, here made at each step. A projection that
    follows the step is not seen.

    Args:
        optimizer: Any.
        decay: `d` in [0, 1): how much of the average is kept at each step, in the long run.
    """
    check_between("decay", decay, 0, 1 - 1e-6)
    inner_init, inner_update = optax.with_extra_args_support(optimizer)

    def init(params: Params) -> AverageState:
        return AverageState(inner_init(params), jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32))

    def update(grads: Params, state: AverageState, params: Params, **extra: Any) -> tuple[Params, AverageState]:
        updates, inner_state = inner_update(grads, state.inner, params, **extra)
        steps = state.steps + 1
        # 1 - d^n by way of logarithms: a product of many d would be wrong by more than its distance from 1.
        weight = (1 - decay) / -jnp.expm1(steps * math.log(decay)) if decay else jnp.ones(())
        average = jax.tree.map(
            lambda old, param, change: old + weight.astype(old.dtype) * (param + change - old),
            state.average,
            params,
            updates,
        )
        return updates, AverageState(inner_state, average, steps)

    return optax.GradientTransformationExtraArgs(init, update)  # type: ignore[arg-type]


def average_of(opt_state: optax.OptState) -> Params | None:
    """Returns the average that `keep_average` has kept, or None: without it, or before the first step."""
    is_average = lambda node: isinstance(node, AverageState)
    states = [node for node in jax.tree.leaves(opt_state, is_leaf=is_average) if is_average(node)]
    return states[0].average if states and int(states[0].steps) > 0 else None
