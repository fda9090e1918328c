"""The one loop: any `Problem`, any optax optimizer, on any device.

A run is `init`, then `run_chunk` again and again; `minimize` is that with a clock and a callback. One *step* updates
the parameters and then evaluates the loss where they arrived, so that after `n` steps the loss of the last parameters
is known and can be the best. Entry 0 of the trace is the loss at the start, which takes no update.

Everything that decides when to stop, and which parameters were best, is inside the compiled program and looks at
every step. How many steps a chunk has is decided by a clock and must not change the result: it does not.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxstyle.argument_checks import check_key, check_kind, describe
from jaxstyle.checks import InputError, check_between, check_not_negative
from jaxstyle.memory import compile_to_fit
from jaxstyle.optimize.records import (
    DIVERGENCE_FACTOR,
    DIVERGENCE_STEPS,
    HOPELESS_STEPS,
    LoopState,
    Progress,
    Result,
    Status,
    StepInfo,
    StopRule,
    status_of,
)
from jaxstyle.problems.problem import Args, Params, Problem
from jaxstyle.types import Key, Scalar

#: What is taken for an optimizer: one of optax's, or a function that returns one, given hyper-parameters by name.
Optimizer = optax.GradientTransformation | Callable[..., optax.GradientTransformation]

#: Steps per chunk at the most: the length of the trace's buffers on the device.
CHUNK_CAPACITY = 256


class Loop(NamedTuple):
    """The two pure functions of a run.

    Attributes:
        init: `init(params, key, options={}, opt_state=None) -> LoopState`.
        step: `step(state, args, stop, wants_terms) -> (LoopState, StepInfo)`.
    """

    init: Callable[..., LoopState]
    step: Callable[[LoopState, Args, StopRule, jax.Array], tuple[LoopState, StepInfo]]


class Program(NamedTuple):
    """A compiled run, for any number of problems whose functions and shapes are equal.

    Attributes:
        loop: What was compiled.
        chunk: `run_chunk` for that loop and those shapes.
        seconds: What that took.
    """

    loop: Loop
    chunk: jax.stages.Compiled
    seconds: float


def make_loop(problem: Problem, optimizer: Optimizer) -> Loop:
    """Returns the pure `init` and `step` that minimize `problem` with `optimizer`.

    Any optax optimizer will do, or a function that returns one, given hyper-parameters by name: these are then part of
    the state (`LoopState.options`), so that other values need no other program. One with a line search (optax's zoom or
    backtracking search, anywhere in a chain) has evaluated the loss where it arrives; that value is used again, unless
    the problem is stochastic or projected, where it would be stale.
    """
    check_kind("the problem", problem, Problem, "make one with make_problem")
    if not isinstance(optimizer, optax.GradientTransformation) and not callable(optimizer):
        advice = f"pass jaxstyle.make_optimizer({optimizer!r})" if isinstance(optimizer, str) else "see make_optimizer"
        raise InputError("an optax optimizer", describe(optimizer), advice)

    def build(options: Mapping[str, Scalar]) -> optax.GradientTransformationExtraArgs:
        return optax.with_extra_args_support(optimizer(**options) if callable(optimizer) else optimizer)

    def init(
        params: Params, key: Key, options: Mapping[str, Any] | None = None, opt_state: optax.OptState | None = None
    ) -> LoopState:
        params = _own(params)
        options = {name: jnp.asarray(value, jnp.float32) for name, value in (options or {}).items()}
        for leaf in jax.tree.leaves(params):
            if not jnp.issubdtype(leaf.dtype, jnp.inexact):
                raise InputError("parameters of a floating-point type", leaf.dtype, "convert them")
        count = partial(jnp.array, dtype=jnp.int32)
        number = partial(jnp.array, dtype=_loss_dtype(params))
        return LoopState(
            step=count(-1),
            params=params,
            key=_own(key),
            options=_own(options),
            opt_state=_own(build(options).init(params) if opt_state is None else opt_state),
            loss=number(jnp.inf),
            grad=jax.tree.map(jnp.zeros_like, params),
            evaluations=count(0),
            best_params=_own(params),
            best_loss=number(jnp.inf),
            best_step=count(-1),
            initial_loss=number(jnp.inf),
            anchor_loss=number(jnp.inf),
            anchor_step=count(0),
            high_steps=count(0),
            high_loss=number(jnp.inf),
            status=count(Status.RUNNING),
        )

    def update(state: LoopState, args: Args) -> tuple[Params, optax.OptState, Scalar, jax.Array]:
        key = jax.random.fold_in(state.key, state.step)
        updates, opt_state = build(state.options).update(
            state.grad,
            state.opt_state,
            state.params,
            value=state.loss,
            grad=state.grad,
            value_fn=lambda params: problem.loss_fn(params, args, key)[0],
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
        evaluate = partial(_evaluate, problem, params, args, jax.random.fold_in(state.key, now))
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
        state = _judge(problem, _keep_best(state), stop, is_stuck)
        info = StepInfo(loss, terms, optax.tree.norm(grad).astype(jnp.float32), update_norm, evaluations)
        return state, info

    return Loop(init, step)


def _own(tree: Any) -> Any:
    """Returns `tree` with strongly typed leaves in buffers of their own.

    A weak type would retrace at the second chunk. A buffer that the caller, or another leaf, holds as well must not
    be donated; under `jit` an input that comes out unchanged would be such a buffer, so `init` is not compiled.
    """

    def own(leaf: Any) -> jax.Array:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(jnp.array(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        return jnp.array(leaf, dtype=jnp.result_type(leaf))

    return jax.tree.map(own, tree)


def _evaluate(problem: Problem, params: Params, args: Args, key: Key) -> tuple[tuple[Scalar, dict], Params]:
    (loss, terms), grad = jax.value_and_grad(problem.loss_fn, has_aux=True)(params, args, key)
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
    if grad is None:  # a backtracking search that was not told to store it
        return None
    return value.astype(_loss_dtype(grad)), grad


def _evaluate_if_needed(
    evaluate: Callable[[], Any], known: tuple[Scalar, Params], is_first: jax.Array, wants_terms: jax.Array
) -> tuple[tuple[Scalar, dict], Params, jax.Array]:
    """Evaluates at the first step, after a failed search, and where the terms are asked for.

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


def _judge(problem: Problem, state: LoopState, stop: StopRule, is_stuck: jax.Array) -> LoopState:
    """Advances the counters of the stop rules and sets the status."""
    least_gain = stop.relative_delta * jnp.abs(state.anchor_loss)
    has_improved = (state.step == 0) | (state.best_loss < state.anchor_loss - least_gain)
    anchor_loss = jnp.where(has_improved, state.best_loss, state.anchor_loss)
    anchor_step = jnp.where(has_improved, state.step, state.anchor_step)
    is_converged = is_stuck | ((stop.patience > 0) & (state.step - anchor_step >= stop.patience))

    # A bad first step of a good optimizer can spike a thousandfold and recover; only staying high is divergence.
    is_high = problem.is_bounded_below & (state.loss > DIVERGENCE_FACTOR * state.initial_loss)
    high_steps = jnp.where(is_high, state.high_steps + 1, 0)
    high_loss = jnp.where(high_steps == 1, state.loss, state.high_loss)
    is_rising = (high_steps >= DIVERGENCE_STEPS) & (state.loss > high_loss)
    is_diverged = is_rising | (high_steps >= HOPELESS_STEPS)

    is_spent = (stop.max_evaluations > 0) & (state.evaluations >= stop.max_evaluations)
    status = jnp.where(is_spent, Status.BUDGET_SPENT, Status.RUNNING)
    status = jnp.where(is_converged, Status.CONVERGED, status)
    status = jnp.where(is_diverged, Status.DIVERGED, status)
    status = jnp.where(jnp.isfinite(state.loss), status, Status.NOT_FINITE)
    return state._replace(
        anchor_loss=anchor_loss,
        anchor_step=anchor_step,
        high_steps=high_steps,
        high_loss=high_loss,
        status=status.astype(jnp.int32),
    )


def take_steps(
    step: Callable[..., tuple[LoopState, StepInfo]],
    state: LoopState,
    args: Args,
    stop: StopRule,
    num_steps: jax.typing.ArrayLike,
    wants_terms: jax.Array,
    *,
    capacity: int = CHUNK_CAPACITY,
) -> tuple[LoopState, StepInfo, jax.Array]:
    """Takes up to `num_steps` steps; fewer if the run's status ends it. `run_chunk` is this, compiled.

    A `while_loop` whose count is an argument, rather than a scan of fixed length: one program serves every chunk
    length, so that reports and checkpoints may fall anywhere without a second compilation, and a run that ends early
    stops computing at once.

    Args:
        step: `make_loop(...).step`.
        state: From `init` or from the chunk before. `run_chunk` is given its buffers to reuse: it is gone afterwards.
        args: The problem's arrays.
        stop: When to stop early; traced, so changing it does not recompile.
        num_steps: At most `capacity`.
        wants_terms: Whether the last of the steps must know the terms of its loss, even if that costs an evaluation.
        capacity: Length of the trace's buffers.

    Returns:
        The state, a `StepInfo` of arrays of length `capacity`, and how many of their entries are valid.
    """
    _, shapes = jax.eval_shape(step, state, args, stop, jnp.array(False))
    infos = jax.tree.map(lambda shape: jnp.zeros((capacity, *shape.shape), shape.dtype), shapes)

    def goes_on(carry: tuple[LoopState, StepInfo, jax.Array]) -> jax.Array:
        state, _, count = carry
        return (count < num_steps) & (state.status == Status.RUNNING)

    def body(carry: tuple[LoopState, StepInfo, jax.Array]) -> tuple[LoopState, StepInfo, jax.Array]:
        state, infos, count = carry
        state, info = step(state, args, stop, wants_terms & (count == num_steps - 1))
        infos = jax.tree.map(lambda buffer, value: buffer.at[count].set(value), infos, info)
        return state, infos, count + 1

    return lax.while_loop(goes_on, body, (state, infos, jnp.int32(0)))


run_chunk = jax.jit(take_steps, static_argnames=("step", "capacity"), donate_argnames="state")


def minimize(
    problem: Problem,
    optimizer: Optimizer | Program,
    *,
    key: Key,
    num_steps: int,
    params: Params | None = None,
    options: Mapping[str, float] | None = None,
    opt_state: optax.OptState | None = None,
    stop: StopRule | None = None,
    report_every: Sequence[int] = (),
    report_at: Sequence[int] = (),
    chunk_seconds: float = 2.0,
    callback: Callable[[Progress], bool | None] | None = None,
) -> Result:
    """Minimizes `problem` and returns the best parameters met, the last ones and the whole trace.

    Args:
        problem: What to minimize.
        optimizer: Any optax optimizer (see `jaxstyle.optimize.optimizers`), a function that returns one given
            `options`, or a `Program` that `compile_run` made for a problem of equal functions and shapes.
        key: The only source of randomness: the same key gives the same result on the same machine with the same number
            of cores.
        num_steps: Updates to take; the trace has one entry more.
        params: Where to start; `problem.init_fn(key)` if left out.
        options: Hyper-parameters for an optimizer that is a function of them.
        opt_state: The optimizer's state to start from; a new one if left out.
        stop: When to stop early; never, if left out.
        report_every: Numbers of steps: a chunk ends at every multiple of each, with its terms known, and at the end.
        chunk_seconds: About how long the program runs before the host looks again (and may be interrupted).
        report_at: Steps at which a chunk ends as well.
        callback: Called after each chunk; a true return value ends the run as `INTERRUPTED`.

    Returns:
        The result; `result.status` says why the run ended.

    Raises:
        InputError: If the program would not fit into memory; nothing has run then.
    """
    check_not_negative("num_steps", num_steps)
    check_kind("the problem", problem, Problem, "make one with make_problem")
    check_key(key)
    init_key, run_key = jax.random.split(key)
    params = problem.init_fn(init_key) if params is None else params
    is_new = not isinstance(optimizer, Program)
    loop, program, compile_seconds = compile_run(problem, optimizer, params, run_key, options) if is_new else optimizer
    compile_seconds *= is_new
    fixed = (problem.args, stop_arrays(stop))
    state = loop.init(params, run_key, options, opt_state)

    traces: list[StepInfo] = []
    done = -1
    run_seconds = 0.0
    length = 1
    status = Status.RUNNING
    while status == Status.RUNNING:
        boundary = next_boundary(done, num_steps, report_every, report_at)
        length = min(length, boundary - done, CHUNK_CAPACITY)
        clock = time.perf_counter()
        state, infos, count = program(state, *fixed, np.int32(length), np.bool_(done + length == boundary))
        count = int(count)  # waits for the device
        seconds = time.perf_counter() - clock
        run_seconds += seconds
        infos = jax.tree.map(lambda buffer: np.asarray(buffer)[:count], infos)  # noqa: B023
        traces.append(infos)
        done += count
        length = max(1, min(4 * length, int(length * chunk_seconds / max(seconds, 1e-6))))
        status = status_of(state, is_spent=done >= num_steps)
        wants_end = callback is not None and callback(Progress(done, state, infos, run_seconds, compile_seconds))
        if wants_end and status == Status.RUNNING:
            status = Status.INTERRUPTED

    trace = jax.tree.map(lambda *parts: np.concatenate(parts), *traces)
    best_step = max(int(state.best_step), 0)
    best_terms = {name: float(values[best_step]) for name, values in trace.terms.items()}
    params, best_params, best_loss = state.params, state.best_params, float(state.best_loss)
    if any(np.isnan(term) for term in best_terms.values()) and np.isfinite(best_loss):
        # The line search that found the best did not know its terms: the first step of a new run evaluates them.
        again = loop.init(best_params, run_key, options)
        _, infos, _ = program(again, *fixed, np.int32(1), np.bool_(True))
        best_terms = {name: float(values[0]) for name, values in infos.terms.items()}
    return Result(
        params,
        best_params,
        best_loss,
        best_step,
        best_terms,
        trace,
        status,
        compile_seconds,
        run_seconds,
        state.opt_state,
    )


def compile_run(
    problem: Problem, optimizer: Optimizer, params: Params, key: Key, options: Mapping[str, float] | None = None
) -> Program:
    """Compiles the run that `minimize` would make, for `minimize` to run with other arguments, keys and options.

    Args:
        problem: Its functions, and the shapes of its arguments.
        optimizer: As for `minimize`.
        params: The shapes of the parameters.
        key: Its kind.
        options: The names of the hyper-parameters that `optimizer` takes.

    Raises:
        InputError: If the program would not fit into memory.
    """
    clock = time.perf_counter()
    loop = make_loop(problem, optimizer)
    # Compiled before the state exists: L-BFGS's pairs of pictures may be what does not fit.
    state = jax.eval_shape(loop.init, params, key, options)
    stop = stop_arrays(None)
    chunk = compile_to_fit(run_chunk, loop.step, state, problem.args, stop, np.int32(1), np.bool_(False))
    return Program(loop, chunk, time.perf_counter() - clock)


def stop_arrays(stop: StopRule | None) -> StopRule:
    """Returns a stop rule as strongly typed arguments of a program; the rule that never stops for None."""
    stop = StopRule(*(stop or StopRule()))
    for name in ("patience", "max_evaluations"):
        check_between(name, getattr(stop, name), 0, np.iinfo(np.int32).max)
    delta, patience, most = np.float32(stop.relative_delta), np.int32(stop.patience), np.int32(stop.max_evaluations)
    return StopRule(delta, patience, most)  # type: ignore[arg-type]


def next_boundary(done: int, num_steps: int, report_every: Sequence[int], report_at: Sequence[int]) -> int:
    """Returns the first step after `done` that must end a chunk."""
    multiples = [(done // every + 1) * every for every in report_every if every > 0]
    return min([num_steps, *multiples, *(step for step in report_at if step > done)])
