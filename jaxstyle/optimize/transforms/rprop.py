"""Rprop: a step size for each coordinate, which grows while the gradient keeps its sign and shrinks when it changes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class RpropState(NamedTuple):
    """State of `rprop`.

    Attributes:
        step_sizes: Step size of each coordinate.
        grads: The gradient of the step before; 0 before the first, and where the sign had changed.
    """

    step_sizes: optax.Updates
    grads: optax.Updates


def rprop(
    learning_rate: float | jax.Array,
    eta_minus: float | jax.Array = 0.5,
    eta_plus: float | jax.Array = 1.2,
    min_step_size: float | jax.Array = 1e-6,
    max_step_size: float | jax.Array = 50.0,
) -> optax.GradientTransformation:
    """Rprop in the variant iRprop-.

    Igel and Hüsken (2000), "Improving the Rprop learning algorithm", of Riedmiller and Braun (1993), "A direct adaptive
    method for faster backpropagation learning: the RPROP algorithm". For each coordinate, with gradient `g`, that of
    the step before `h`, and step size `d`::

        d <- min(eta_plus d, max_step_size)     if g h > 0
             max(eta_minus d, min_step_size)    if g h < 0
        g <- 0                                  if g h < 0
        w <- w - sign(g) d
        h <- g

    So a coordinate whose gradient has changed its sign stays where it is for one step, and its step size is not
    changed by the next. The algorithm of 1993 (Rprop+) takes the last step back instead. PyTorch's `Rprop` is this one.
    It is here because optax 0.2.8 applies the update of the step before (its pull request 1725).

    Args:
        learning_rate: The first step size, in units of the parameters.
        eta_minus: Factor of a step size where the gradient has changed its sign.
        eta_plus: Factor of a step size where it has kept it.
        min_step_size: Least step size.
        max_step_size: Greatest step size.
    """

    def init(params: optax.Params) -> RpropState:
        sizes = jax.tree.map(lambda w: jnp.full_like(w, learning_rate), params)
        return RpropState(sizes, optax.tree.zeros_like(params))

    def update(
        updates: optax.Updates, state: RpropState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, RpropState]:
        del params
        # Signs, because a product of two small gradients may be 0 in float32.
        agreement = jax.tree.map(lambda g, h: jnp.sign(g) * jnp.sign(h), updates, state.grads)

        def resize(size: jax.Array, same: jax.Array) -> jax.Array:
            grown, shrunk = jnp.minimum(eta_plus * size, max_step_size), jnp.maximum(eta_minus * size, min_step_size)
            return jnp.where(same > 0, grown, jnp.where(same < 0, shrunk, size))

        sizes = jax.tree.map(resize, state.step_sizes, agreement)
        grads = jax.tree.map(lambda g, same: jnp.where(same < 0, 0, g), updates, agreement)
        moves = jax.tree.map(lambda g, size: -jnp.sign(g) * size, grads, sizes)
        return moves, RpropState(sizes, grads)

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]
