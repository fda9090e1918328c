"""The interface between experiments and the loop: a `Problem` defines an experiment except how to optimize it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax

from jaxstyle.argument_checks import check_kind
from jaxstyle.short_repr import short_repr
from jaxstyle.types import Key, Scalar

Params = Any
Args = Any


@dataclass(frozen=True, repr=False)
class Problem:
    """A loss over parameters, with the initial parameters and a function that renders the result.

    Attributes:
        name: Name of the problem in records and messages.
        init_fn: Function `init_fn(key) -> params` that returns the initial parameters.
        loss_fn: Pure function `loss_fn(params, args, key) -> (loss, terms)`, where `terms` is a dictionary of scalars,
            the terms of the loss. A deterministic problem ignores `key`. It is differentiated outside of `jax.jit`, so
            that a `jax.custom_vjp` in it must not close over traced values.
        args: A pytree with every array that the loss needs (weights, targets, data). They must not be in `loss_fn`'s
            closure: arrays in a closure become part of the program's text, twice their size and compiled each time.
        render_fn: Function `render_fn(params, args)` that returns the result to show; for pictures RGB in about [0, 1].
        project_fn: Function `project_fn(params) -> params`, applied after every update (for instance clipping).
        is_stochastic: Whether the loss depends on `key`, so that values of earlier steps cannot be compared with it.
        is_bounded_below: Whether the loss is at least 0, so that a multiple of the initial loss means divergence.
    """

    name: str
    init_fn: Callable[[Key], Params]
    loss_fn: Callable[[Params, Args, Key], tuple[Scalar, dict[str, Scalar]]]
    args: Args
    render_fn: Callable[[Params, Args], jax.Array]
    project_fn: Callable[[Params], Params] | None = None
    is_stochastic: bool = False
    is_bounded_below: bool = True

    __repr__ = short_repr


def reparameterize(
    problem: Problem, init: Callable[[Key, Params], Params], decode: Callable[[Params], Params], *, name: str = ""
) -> Problem:
    """Returns `problem` with new parameters, from which `decode` computes the parameters of `problem`.

    Args:
        problem: The problem whose loss is minimized over the new parameters.
        init: Function `init(key, start) -> params` whose result decodes to `start`, or to another start if none does.
        decode: Differentiable function `decode(params)` that returns the parameters of `problem`.
        name: Text that is appended to the problem's name.

    Raises:
        ValueError: If `problem` has a projection, which is defined for the old parameters only.
    """
    check_kind("the problem", problem, Problem, "make one with make_problem")
    if problem.project_fn is not None:
        raise ValueError(
            f"expected a problem without a projection, got {problem.name}; reparameterize before projecting"
        )

    # Not `problem` itself: its functions would keep its arguments in memory.
    old_init_fn, old_loss_fn, old_render_fn = problem.init_fn, problem.loss_fn, problem.render_fn

    def init_fn(key: Key) -> Params:
        start_key, own_key = jax.random.split(key)
        return init(own_key, old_init_fn(start_key))

    return replace(
        problem,
        name=f"{problem.name}/{name}" if name else problem.name,
        init_fn=init_fn,
        loss_fn=lambda params, args, key: old_loss_fn(decode(params), args, key),
        render_fn=lambda params, args: old_render_fn(decode(params), args),
    )
