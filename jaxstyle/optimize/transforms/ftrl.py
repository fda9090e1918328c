"""FTRL-Proximal: follow the (proximally) regularized leader, per coordinate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class FtrlState(NamedTuple):
    """State of `ftrl_proximal`.

    Attributes:
        z: Gradients minus the proximal shifts, summed; the next parameters follow from it alone.
        n: Squared gradients, summed.
    """

    z: optax.Params
    n: optax.Params


def ftrl_proximal(
    learning_rate: float | jax.Array,
    beta: float | jax.Array = 1.0,
    l1: float | jax.Array = 0.0,
    l2: float | jax.Array = 0.0,
) -> optax.GradientTransformation:
    """FTRL-Proximal with per-coordinate learning rates.

    McMahan et al. (2013), "Ad click prediction: a view from the trenches", algorithm 1. For each coordinate, with
    gradient `g` and parameter `w`::

        sigma = (sqrt(n + g^2) - sqrt(n)) / alpha
        z <- z + g - sigma w
        n <- n + g^2
        w <- 0                                                     if |z| <= l1
             -(z - sign(z) l1) / ((beta + sqrt(n)) / alpha + l2)   otherwise

    Deviation: the paper starts with `z = 0`, which means `w = 0`. Here `z` starts where the update above would leave
    the initial parameters unmoved, so that a run can begin anywhere; from `w = 0` the two are the same. Without
    regularization the update then equals Adagrad's with `beta` added to the root.

    Args:
        learning_rate: `alpha`, the step of a coordinate in units of the parameters.
        beta: Added to the root of `n`; slows the first steps.
        l1: Strength of the absolute penalty, which makes coordinates exactly zero.
        l2: Strength of the squared penalty.
    """

    def init(params: optax.Params) -> FtrlState:
        z = jax.tree.map(lambda w: -w * (beta / learning_rate + l2) - jnp.sign(w) * l1, params)
        return FtrlState(z, optax.tree.zeros_like(params))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, FtrlState]:
        if params is None:
            raise ValueError("expected params in the update of ftrl_proximal, got None; pass the parameters")
        n = jax.tree.map(lambda n, g: n + g**2, state.n, updates)
        z = jax.tree.map(
            lambda z, g, w, old, new: z + g - (jnp.sqrt(new) - jnp.sqrt(old)) / learning_rate * w,
            state.z,
            updates,
            params,
            state.n,
            n,
        )

        def leader(z: jax.Array, n: jax.Array) -> jax.Array:
            strength = (beta + jnp.sqrt(n)) / learning_rate + l2
            return jnp.where(jnp.abs(z) <= l1, 0.0, -(z - jnp.sign(z) * l1) / strength)

        moves = jax.tree.map(lambda z, n, w: leader(z, n) - w, z, n, params)
        return moves, FtrlState(z, n)

    return optax.GradientTransformation(init, update)
