"""Adan: Adam with Nesterov's momentum, estimated from the differences of successive gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class AdanState(NamedTuple):
    """State of `adan`.

    Attributes:
        count: Updates so far.
        m: Average of the gradients.
        v: Average of their differences.
        n: Average of the squares of the gradients with their differences added.
        grads: The gradient of the step before.
    """

    count: jax.Array
    m: optax.Updates
    v: optax.Updates
    n: optax.Updates
    grads: optax.Updates


def adan(
    learning_rate: optax.ScalarOrSchedule,
    b1: float | jax.Array = 0.98,
    b2: float | jax.Array = 0.92,
    b3: float | jax.Array = 0.99,
    eps: float | jax.Array = 1e-8,
) -> optax.GradientTransformation:
    """Adan, without weight decay.

    Xie et al. (2022), "Adan: adaptive Nesterov momentum algorithm for faster optimizing deep models", algorithm 1. With
    gradient `g`, its change `d` since the step before (0 at the first), and `b` for the paper's `1 - beta`::

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) d
        n <- b3 n + (1 - b3) (g + b2 d)^2
        w <- w - learning_rate (m' + b2 v') / (sqrt(n') + eps)

    Deviation, as in sail-sg/Adan: averages start at 0 and are corrected, `m' = m / (1 - b1^t)` and so on, whereas the
    paper starts them with the first gradient.

    It is here because optax 0.2.8 multiplies both differences by `1 - b2` instead of `b2` (its pull request 1715).

    Args:
        learning_rate: Learning rate, or a schedule of it.
        b1: Decay rate of the average of gradients.
        b2: Decay rate of the average of their differences.
        b3: Decay rate of the average of squares.
        eps: Number added to the root.
    """

    def init(params: optax.Params) -> AdanState:
        zeros = optax.tree.zeros_like(params)
        return AdanState(jnp.zeros((), jnp.int32), zeros, zeros, zeros, zeros)

    def update(
        updates: optax.Updates, state: AdanState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AdanState]:
        del params
        count = state.count + 1
        changes = jax.tree.map(lambda g, old: jnp.where(state.count > 0, g - old, 0), updates, state.grads)
        ahead = jax.tree.map(lambda g, d: g + b2 * d, updates, changes)
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        v = optax.tree.update_moment(changes, state.v, b2, 1)
        n = optax.tree.update_moment_per_elem_norm(ahead, state.n, b3, 2)
        moves = jax.tree.map(
            lambda m, v, n: (m + b2 * v) / (jnp.sqrt(n) + eps),
            optax.tree.bias_correction(m, b1, count),
            optax.tree.bias_correction(v, b2, count),
            optax.tree.bias_correction(n, b3, count),
        )
        return moves, AdanState(count, m, v, n, updates)

    return optax.chain(
        optax.GradientTransformation(init, update),  # type: ignore[arg-type]
        optax.scale_by_learning_rate(learning_rate),
    )
