"""L-BFGS that keeps no pair of wrong curvature, for steps that no strong Wolfe search has chosen.

optax's `scale_by_lbfgs` keeps every pair. After a step of fixed length, or of backtracking, `y^T s` may be negative;
such a pair makes the approximation indefinite, and the run climbs. The known programs (SciPy, PyTorch) leave it out.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree

#: Least curvature `y^T s` of a pair that is kept: PyTorch's.
LEAST_CURVATURE = 1e-10


class ScaleByCautiousLbfgsState(NamedTuple):
    """What the next direction needs.

    Attributes:
        count: Updates so far.
        kept: Pairs kept so far, those that newer ones have replaced included.
        params: Where the last direction was asked for.
        updates: The gradient there.
        steps: `s`, differences of parameters, `[memory, n]`.
        changes: `y`, differences of gradients, `[memory, n]`.
        scale: `gamma = s^T y / y^T y` of the newest pair.
    """

    count: jax.Array
    kept: jax.Array
    params: jax.Array
    updates: jax.Array
    steps: jax.Array
    changes: jax.Array
    scale: jax.Array


def scale_by_cautious_lbfgs(memory_size: int) -> optax.GradientTransformation:
    """Returns the transformation of a gradient `g` to `H g`.

    `H` is that of Nocedal and Wright (2006), algorithms 7.4 (the two loops) and 7.5, equation 7.20 (`gamma`). A pair
    with `y^T s <= 1e-10` is left out, as PyTorch does. As there, `H` is `min(1, 1 / |g|_1)` at the first step, and 1
    after it, as long as there is no pair.

    Args:
        memory_size: Pairs that are kept.
    """

    def init(params: optax.Params) -> ScaleByCautiousLbfgsState:
        flat, _ = ravel_pytree(params)
        empty, zero = jnp.zeros((memory_size, flat.size), flat.dtype), jnp.zeros((), jnp.int32)
        return ScaleByCautiousLbfgsState(
            zero, zero, jnp.zeros_like(flat), jnp.zeros_like(flat), empty, empty, jnp.ones((), flat.dtype)
        )

    def update(
        updates: optax.Updates, state: ScaleByCautiousLbfgsState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, ScaleByCautiousLbfgsState]:
        if params is None:
            raise ValueError("expected the parameters, got none; pass them to update")
        grad, unravel = ravel_pytree(updates)
        here, _ = ravel_pytree(params)
        step, change = here - state.params, grad - state.updates
        curvature = jnp.vdot(step, change)
        is_kept = (state.count > 0) & (curvature > LEAST_CURVATURE)
        place = state.kept % memory_size
        steps, changes = (
            jnp.where(is_kept, memory.at[place].set(new), memory)
            for memory, new in ((state.steps, step), (state.changes, change))
        )
        kept = state.kept + is_kept
        first = jnp.minimum(1.0, 1.0 / jnp.maximum(jnp.sum(jnp.abs(grad)), jnp.finfo(grad.dtype).tiny))
        newest = jnp.where(is_kept, curvature / jnp.vdot(change, change), state.scale)
        scale = jnp.where(state.count > 0, newest, first)
        direction = _two_loops(grad, steps, changes, kept, scale)
        state = ScaleByCautiousLbfgsState(state.count + 1, kept, here, grad, steps, changes, newest)
        return unravel(direction), state

    return optax.GradientTransformation(init, update)


def _two_loops(grad: jax.Array, steps: jax.Array, changes: jax.Array, kept: jax.Array, scale: jax.Array) -> jax.Array:
    """Returns `H g`: Nocedal and Wright (2006), algorithm 7.4. Of the pairs, `kept` have been written, in turn."""
    memory_size = len(steps)
    count = jnp.minimum(kept, memory_size)

    def share(place: jax.Array) -> jax.Array:
        return 1.0 / jnp.vdot(steps[place], changes[place])

    def back(age: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        rest, weights = carry
        place = (kept - 1 - age) % memory_size
        weight = share(place) * jnp.vdot(steps[place], rest)
        return rest - weight * changes[place], weights.at[place].set(weight)

    def forth(turn: jax.Array, direction: jax.Array) -> jax.Array:
        place = (kept - count + turn) % memory_size
        again = share(place) * jnp.vdot(changes[place], direction)
        return direction + (weights[place] - again) * steps[place]

    rest, weights = lax.fori_loop(0, count, back, (grad, jnp.zeros(memory_size, grad.dtype)))
    return lax.fori_loop(0, count, forth, scale * rest)
