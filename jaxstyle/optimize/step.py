"""One step of the loop, for any `Problem` and any optax optimizer: two pure functions, which `jit` and `vmap` take.

A *step* updates the parameters and then evaluates the loss where they arrived, so that after `n` steps the loss of the
last parameters is known and can be the best. The first step takes no update: it evaluates the loss at the start.

Everything that decides when to stop, and which parameters were best, is here, inside the compiled program, and looks at
every step.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxstyle.argument_checks import check_kind, describe
from jaxstyle.checks import InputError
from jaxstyle.optimize.records import (
    DIVERGENCE_FACTOR,
    DIVERGENCE_STEPS,
    LONGEST_DIVERGENCE,
    LoopState,
    Status,
    StepInfo,
    StopRule,
)
from jaxstyle.problems.problem import Args, Params, Problem
from jaxstyle.types import Key, Scalar


class Loop(NamedTuple):
    """The two pure functions of a run.

    Attributes:
        init: `init(params, key, opt_state=None) -> LoopState`.
        step: `step(state, args, stop, wants_terms) -> (LoopState, StepInfo)`.
    """

    init: Callable[..., LoopState]
    step: Callable[[LoopState, Args, StopRule, jax.Array], tuple[LoopState, StepInfo]]


def make_loop(problem: Problem, optimizer: optax.GradientTransformation) -> Loop:
    """Returns the pure `init` and `step` that minimize `problem` with `optimizer`.

    Any optax optimizer will do. One with a line search (optax's zoom or backtracking search, anywhere in a chain) has
    evaluated the loss where it arrives; that value is used again, unless the problem is stochastic or projected, where
    it would be stale.
    """
    check_kind("the problem", problem, Problem, "make one with make_problem")
    check_optimizer(optimizer)
    transformation = optax.with_extra_args_support(optimizer)

    # As a jitted function, the loss and its gradient are traced once and stand once in the program's text: the start,
    # the line search and the terms call them.
    @jax.jit
    def loss_fn(params: Params, args: Args, key: Key) -> tuple[Scalar, dict[str, Scalar]]:
        return problem.loss_fn(params, args, key)

    def init(params: Params, key: Key, opt_state: optax.OptState | None = None) -> LoopState:
        params = _copy(params)
        for leaf in jax.tree.leaves(params):
            if not jnp.issubdtype(leaf.dtype, jnp.inexact):
                raise InputError("parameters of a floating-point type", leaf.dtype, "convert them")
        count = partial(jnp.array, dtype=jnp.int32)
        number = partial(jnp.array, dtype=_loss_dtype(params))
        return LoopState(
            step=count(-1),
            params=params,
            key=_copy(key),
            opt_state=_copy(transformation.init(params) if opt_state is None else opt_state),
            loss=number(jnp.inf),
            grad=jax.tree.map(jnp.zeros_like, params),
            evaluations=count(0),
            best_params=_copy(params),
            best_loss=number(jnp.inf),
            best_step=count(-1),
            initial_loss=number(jnp.inf),
            reference_loss=number(jnp.inf),
            reference_step=count(0),
            high_steps=count(0),
            high_loss=number(jnp.inf),
            status=count(Status.RUNNING),
        )

    def update(state: LoopState, args: Args) -> tuple[Params, optax.OptState, Scalar, jax.Array]:
        key = jax.random.fold_in(state.key, state.step)
        updates, opt_state = transformation.update(
            state.grad,
            state.opt_state,
            state.params,
            value=state.loss,
            grad=state.grad,
            value_fn=lambda params: loss_fn(params, args, key)[0],
        )
        params = optax.apply_updates(state.params, updates)
        if problem.project_fn is not None:
            params = problem.project_fn(params)
        searched = optax.tree.get(opt_state, "num_linesearch_steps", jnp.zeros((), jnp.int32))
        return params, opt_state, optax.tree.norm(updates).astype(jnp.float32), searched.astype(jnp.int32)

    def step(state: LoopState, args: Args, stop: StopRule, wants_terms: jax.Array) -> tuple[LoopState, StepInfo]:
        is_first = state.step < 0
        params, opt_state, update_norm, searched = lax.cond(
            is_first,
            lambda: (state.params, state.opt_state, jnp.float32(0), jnp.int32(0)),
            lambda: update(state, args),
        )
        now = state.step + 1
        evaluate = partial(_evaluate, loss_fn, params, args, jax.random.fold_in(state.key, now))
        known = _known_value_and_grad(problem, opt_state)
        if known is None:
            (loss, terms), grad = evaluate()
            evaluated = jnp.int32(1)
        else:
            (loss, terms), grad, evaluated = _evaluate_if_needed(evaluate, known, is_first, wants_terms)
        evaluations = state.evaluations + searched + evaluated
        is_stuck = (update_norm == 0) & (searched > 0)  # a line search that found no lower point finds none next time
        state = state._replace(
            step=now, params=params, opt_state=opt_state, loss=loss, grad=grad, evaluations=evaluations
        )
        state = _update_status(problem, _keep_best(state), stop, is_stuck)
        info = StepInfo(loss, terms, optax.tree.norm(grad).astype(jnp.float32), update_norm, evaluations)
        return state, info

    return Loop(init, step)


def _copy(tree: Any) -> Any:
    """Returns a copy of `tree` whose leaves are strongly typed and have a buffer each.

    A weak type would retrace at the second chunk. A buffer that the caller, or another leaf, holds as well must not
    be donated; under `jit` an input that comes out unchanged would be such a buffer, so `init` is not compiled.
    """

    def copy(leaf: Any) -> jax.Array:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(jnp.array(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        return jnp.array(leaf, dtype=jnp.result_type(leaf))

    return jax.tree.map(copy, tree)


def _evaluate(loss_fn: Callable[..., Any], params: Params, args: Args, key: Key) -> tuple[tuple[Scalar, dict], Params]:
    (loss, terms), grad = jax.value_and_grad(loss_fn, has_aux=True)(params, args, key)
    dtype = _loss_dtype(params)
    return (loss.astype(dtype), jax.tree.map(lambda term: jnp.asarray(term, dtype), terms)), grad


def _loss_dtype(params: Params) -> jnp.dtype:
    """Returns float32, or what is wider among the parameters."""
    return jnp.result_type(jnp.float32, *jax.tree.leaves(params))


def _known_value_and_grad(problem: Problem, opt_state: optax.OptState) -> tuple[Scalar, Params] | None:
    """Returns the value and gradient that a line search left in `opt_state`, or None if there are none to trust."""
    has_line_search = optax.tree.get(opt_state, "num_linesearch_steps", None) is not None
    if not has_line_search or problem.is_stochastic or problem.project_fn is not None:
        return None
    value, grad = optax.tree.get(opt_state, "value"), optax.tree.get(opt_state, "grad", None)
    if grad is None:  # a backtracking search without `store_grad`
        return None
    return value.astype(_loss_dtype(grad)), grad


def _evaluate_if_needed(
    evaluate: Callable[[], Any], known: tuple[Scalar, Params], is_first: jax.Array, wants_terms: jax.Array
) -> tuple[tuple[Scalar, dict], Params, jax.Array]:
    """Evaluates at the first step, after a failed search, and where the terms are requested.

    Asking for terms must not change the run, so the search's own value and gradient then stay the ones to go on from
    (the two evaluations agree but for rounding).
    """
    known_loss, known_grad = known
    is_unknown = is_first | ~jnp.isfinite(known_loss)
    (_, shapes), _ = jax.eval_shape(evaluate)
    no_terms = jax.tree.map(lambda shape: jnp.full(shape.shape, jnp.nan, shape.dtype), shapes)
    needed = is_unknown | wants_terms
    (loss, terms), grad = lax.cond(needed, evaluate, lambda: ((known_loss, no_terms), known_grad))
    loss = jnp.where(is_unknown, loss, known_loss)
    grad = jax.tree.map(lambda new, old: jnp.where(is_unknown, new, old), grad, known_grad)
    return (loss, terms), grad, needed.astype(jnp.int32)


def _keep_best(state: LoopState) -> LoopState:
    is_better = state.loss < state.best_loss  # false for NaN
    return state._replace(
        best_params=jax.tree.map(lambda new, old: jnp.where(is_better, new, old), state.params, state.best_params),
        best_loss=jnp.where(is_better, state.loss, state.best_loss),
        best_step=jnp.where(is_better, state.step, state.best_step),
        initial_loss=jnp.where(state.step == 0, state.loss, state.initial_loss),
    )


def _update_status(problem: Problem, state: LoopState, stop: StopRule, is_stuck: jax.Array) -> LoopState:
    """Advances the counters of the stop rules and sets the status."""
    least_gain = stop.relative_delta * jnp.abs(state.reference_loss)
    has_improved = (state.step == 0) | (state.best_loss < state.reference_loss - least_gain)
    reference_loss = jnp.where(has_improved, state.best_loss, state.reference_loss)
    reference_step = jnp.where(has_improved, state.step, state.reference_step)
    is_converged = is_stuck | ((stop.patience > 0) & (state.step - reference_step >= stop.patience))

    # A bad first step of a good optimizer can spike a thousandfold and recover; only staying high is divergence.
    is_high = problem.is_bounded_below & (state.loss > DIVERGENCE_FACTOR * state.initial_loss)
    high_steps = jnp.where(is_high, state.high_steps + 1, 0)
    high_loss = jnp.where(high_steps == 1, state.loss, state.high_loss)
    is_rising = (high_steps >= DIVERGENCE_STEPS) & (state.loss > high_loss)
    is_diverged = is_rising | (high_steps >= LONGEST_DIVERGENCE)

    is_spent = (stop.max_evaluations > 0) & (state.evaluations >= stop.max_evaluations)
    status = jnp.where(is_spent, Status.BUDGET_SPENT, Status.RUNNING)
    status = jnp.where(is_converged, Status.CONVERGED, status)
    status = jnp.where(is_diverged, Status.DIVERGED, status)
    status = jnp.where(jnp.isfinite(state.loss), status, Status.NOT_FINITE)
    return state._replace(
        reference_loss=reference_loss,
        reference_step=reference_step,
        high_steps=high_steps,
        high_loss=high_loss,
        status=status.astype(jnp.int32),
    )


def check_optimizer(optimizer: Any) -> None:
    """Raises `InputError` for what is no optax optimizer."""
    if not isinstance(optimizer, optax.GradientTransformation):
        advice = f"pass jaxstyle.make_optimizer({optimizer!r})" if isinstance(optimizer, str) else "see make_optimizer"
        raise InputError("an optax optimizer", describe(optimizer), advice)
