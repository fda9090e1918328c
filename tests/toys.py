"""Small problems whose minima are known, for testing loops and optimizers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxstyle.problems.problem import Problem

TARGET = {"a": jnp.array([3.0, -2.0, 0.5]), "b": jnp.array([[1.0, 4.0], [-3.0, 2.0]])}


def make_bowl(count: Callable[[], None] | None = None, **options) -> Problem:
    """Returns a quadratic with curvatures from 1 to 10 and its minimum, 0, at `TARGET`, and with a fixed start.

    Args:
        count: Function that is called on the host at every real evaluation of the loss.
        options: Further arguments of `Problem`.
    """

    def loss(params: dict, args: dict, key: jax.Array) -> tuple[jax.Array, dict]:
        if count is not None:
            jax.debug.callback(count)
        off = jax.tree.map(lambda p, t: p - t, params, args)
        terms = {"a": 0.5 * jnp.sum(off["a"] ** 2), "b": 5.0 * jnp.sum(off["b"] ** 2)}
        return terms["a"] + terms["b"], terms

    start = {"a": jnp.array([1.0, 1.0, 1.0]), "b": jnp.full((2, 2), -1.0)}
    return Problem("bowl", lambda key: start, loss, TARGET, lambda params, args: params["b"], **options)


def make_rosenbrock() -> Problem:
    """Returns Rosenbrock's valley (1960), whose minimum, 0, is at (1, 1), with his start at (-1.2, 1)."""

    def loss(params: jax.Array, args: tuple, key: jax.Array) -> tuple[jax.Array, dict]:
        x, y = params
        value = (1 - x) ** 2 + 100 * (y - x**2) ** 2
        return value, {"valley": value}

    return Problem("rosenbrock", lambda key: jnp.array([-1.2, 1.0]), loss, (), lambda params, args: params)
