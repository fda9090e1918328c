"""L-BFGS that skips pairs of wrong curvature, for steps that no strong Wolfe search has chosen; and the first step.

optax's `scale_by_lbfgs` keeps every pair. After a step of fixed length, or of backtracking, `y^T s` may be negative;
such a pair makes the approximation indefinite, and the run climbs. The known programs (SciPy, PyTorch) leave it out.

Nothing here depends on the units of the loss: a loss times 1e-10 takes the same way. What is left of that is what
float32 can hold, and `scale_by_skipping_lbfgs` where it has no pair yet.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree


class ScaleBySkippingLbfgsState(NamedTuple):
    """What the next direction needs.

    Attributes:
        count: Updates so far.
        kept: Pairs kept so far, those that newer ones have replaced included.
        params: Parameters at which the last direction was computed.
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


def scale_by_skipping_lbfgs(memory_size: int) -> optax.GradientTransformation:
    """Returns the transformation of a gradient `g` to `H g`.

    `H` is that of Nocedal and Wright (2006), algorithms 7.4 (the two loops) and 7.5, equation 7.20 (`gamma`). A pair
    with `y^T s <= sqrt(eps) |y| |s|` is skipped, where `eps` is the precision of the parameters: the rule of Press et
    al., "Numerical Recipes", 3rd ed. (2007), section 10.9 (`dfpmin`). Unlike PyTorch's `y^T s <= 1e-10`, and unlike Li
    and Fukushima (2001), `y^T s < eps |s|^2 |g|^a`, it depends neither on the units of the loss nor on those of the
    parameters; below it, rounding may have decided the sign.

    The first `H` is `1 / |g|_1`, as in PyTorch but for its bound of 1, with which a small loss would never move. While
    there is no pair after the first step, `H` is PyTorch's 1, or `1 / |g|_1` where that is more: only there does a
    step depend on the units of the loss.

    Args:
        memory_size: Pairs that are kept.
    """

    def init(params: optax.Params) -> ScaleBySkippingLbfgsState:
        flat, _ = ravel_pytree(params)
        empty, zero = jnp.zeros((memory_size, flat.size), flat.dtype), jnp.zeros((), jnp.int32)
        return ScaleBySkippingLbfgsState(
            zero, zero, jnp.zeros_like(flat), jnp.zeros_like(flat), empty, empty, jnp.ones((), flat.dtype)
        )

    def update(
        updates: optax.Updates, state: ScaleBySkippingLbfgsState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, ScaleBySkippingLbfgsState]:
        if params is None:
            raise ValueError("expected the parameters, got none; pass them to update")
        grad, unravel = ravel_pytree(updates)
        here, _ = ravel_pytree(params)
        step, change = here - state.params, grad - state.updates
        curvature = jnp.vdot(step, change)
        squares = jnp.vdot(change, change)
        limits = jnp.finfo(grad.dtype)
        # Norms are multiplied, not their squares, which would underflow sooner. What did underflow is no curvature.
        least = jnp.sqrt(limits.eps) * jnp.linalg.norm(step) * jnp.sqrt(squares)
        is_kept = (state.count > 0) & (curvature > jnp.maximum(least, limits.tiny)) & (squares > limits.tiny)
        place = state.kept % memory_size
        steps, changes = (
            jnp.where(is_kept, memory.at[place].set(new), memory)
            for memory, new in ((state.steps, step), (state.changes, change))
        )
        kept = state.kept + is_kept
        unit = 1.0 / jnp.maximum(jnp.sum(jnp.abs(grad)), limits.tiny)
        newest = jnp.where(is_kept, curvature / squares, state.scale)
        without_pair = jnp.where(state.count > 0, jnp.maximum(1.0, unit), unit)
        scale = jnp.where(kept > 0, newest, without_pair)
        direction = _two_loops(grad, steps, changes, kept, scale)
        state = ScaleBySkippingLbfgsState(state.count + 1, kept, here, grad, steps, changes, newest)
        return unravel(direction), state

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]


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


class LengthenFirstStepState(NamedTuple):
    """State of `lengthen_first_step`.

    Attributes:
        is_first: Whether no update has been made yet.
    """

    is_first: jax.Array


def lengthen_first_step() -> optax.GradientTransformation:
    """Returns a transformation that gives the first update a norm of 1, if it is shorter, and changes nothing else.

    optax's `scale_by_lbfgs` begins with `min(1, 1 / |g|) g`. Where the loss is small, that is a step of the size of its
    gradient, which a line search would have to double again and again (all of its 20 times for a loss times 1e-10).
    """

    def init(params: optax.Params) -> LengthenFirstStepState:
        del params
        return LengthenFirstStepState(jnp.array(True))

    def update(
        updates: optax.Updates, state: LengthenFirstStepState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, LengthenFirstStepState]:
        del params
        norm = optax.tree.norm(updates)
        # An update of norm 1 has it but for rounding: that is left alone.
        is_short = state.is_first & (norm > 0) & (norm < 1 - 1e-3)
        factor = jnp.where(is_short, 1 / norm, 1.0)
        return jax.tree.map(lambda u: (factor * u).astype(u.dtype), updates), LengthenFirstStepState(jnp.array(False))

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]
