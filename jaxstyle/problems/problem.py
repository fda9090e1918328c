"""What the loop minimizes: a `Problem` says everything about an experiment but how to optimize it."""

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
    """A loss over parameters, with all it takes to start from and to look at the result.

    Attributes:
        name: For records and messages.
        init_fn: `init_fn(key) -> params`: where to start.
        loss_fn: `loss_fn(params, args, key) -> (loss, metrics)`: pure; metrics is a dictionary of scalars, the terms
            of the loss. A deterministic problem ignores `key`.
        args: A pytree with every array the loss needs (weights, targets, data). Never hide them in `loss_fn`'s
            closure: closed-over arrays become part of the program's text, twice their size and compiled each time.
        render_fn: `render_fn(params, args)`: what people look at; for pictures RGB in [0, 1].
        project_fn: `project_fn(params) -> params`, applied after every update (for instance clipping to bounds).
        is_stochastic: Whether the loss depends on `key`: then a value from an earlier step is stale.
        is_bounded_below: Whether the loss is at least 0, so that "ten times the initial loss" means divergence.
    """

    name: str
    init_fn: Callable[[Key], Params]
    loss_fn: Callable[[Params, Args, Key], tuple[Scalar, dict[str, Scalar]]]
    args: Args
    render_fn: Callable[[Params, Args], jax.Array]
    project_fn: Callable[[Params], Params] | None = None
    is_stochastic: bool = False
    is_bounded_below: bool = True

    def __repr__(self) -> str:
        """Names, numbers and shapes."""
        return short_repr(self)


def reparameterize(
    problem: Problem, init: Callable[[Key, Params], Params], decode: Callable[[Params], Params], *, name: str = ""
) -> Problem:
    """Returns `problem` with other unknowns: those of which `decode` makes the parameters that it had.

    Args:
        problem: Whose loss is minimized over the new unknowns.
        init: `init(key, start) -> params`: unknowns that decode to `start` (or, if that cannot be, that suit it).
        decode: `decode(params)`: the old parameters, differentiable.
        name: Appended to the problem's name.

    Raises:
        ValueError: For a problem with a projection, which is of the old parameters.
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
