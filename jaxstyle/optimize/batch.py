"""Many runs in one program: pictures, seeds, weights or hyper-parameters, by `vmap`.

An accelerator is often not filled by one small picture. Runs of equal shapes can be stacked: whatever differs between
them becomes an axis, and whatever is the same object (the network, above all) is shared.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.argument_checks import check_kind, describe
from jaxstyle.checks import InputError, check_not_negative
from jaxstyle.memory import compile_to_fit
from jaxstyle.optimize.loop import (
    CHUNK_CAPACITY,
    Loop,
    Optimizer,
    make_loop,
    next_boundary,
    stop_arrays,
    take_steps,
)
from jaxstyle.optimize.records import LoopState, Progress, Result, Status, StepInfo, StopRule, status_of
from jaxstyle.problems.problem import Params, Problem
from jaxstyle.short_repr import short_repr
from jaxstyle.types import Key


class BatchProgram(NamedTuple):
    """A compiled batch, for any other batches of as many runs whose functions and shapes are equal.

    Attributes:
        loop: What was compiled.
        chunk: `take_steps` of that loop, for all runs at once.
        axes: Which arguments are stacked (0) and which shared (None).
        count: How many runs.
        seconds: What that took.
    """

    loop: Loop
    chunk: jax.stages.Compiled
    axes: Any
    count: int
    seconds: float


class BatchProgress(NamedTuple):
    """What a callback of `minimize_batch` gets after each chunk.

    Attributes:
        step: The last step taken by the runs that still go on.
        states: The state of every run, stacked. Its buffers are given to the next chunk: copy what you keep.
        infos: For each run, a `StepInfo` with NumPy arrays for its steps of the chunk: of length 0, if it ended before.
        run_seconds: Time for all steps so far of all runs, compilation left out.
        compile_seconds: Time for compilation.
    """

    step: int
    states: LoopState
    infos: list[StepInfo]
    run_seconds: float
    compile_seconds: float

    def __repr__(self) -> str:
        """Names, numbers and shapes."""
        return short_repr(self)

    def of(self, index: int) -> Progress:
        """Returns what one of the runs would have told alone, but for the times, which are those of the batch."""
        state = _pick(self.states, index)
        return Progress(int(state.step), state, self.infos[index], self.run_seconds, self.compile_seconds)


def stack_shared(trees: Sequence[Any], axes: Any = None) -> tuple[Any, Any]:
    """Stacks pytrees of equal structure, but for leaves that are one and the same object in all of them.

    Args:
        trees: At least one.
        axes: What to stack (0) and what to share (None), for instance of an earlier call; a prefix of the structure
            will do. What is the same object is shared, if this is left out.

    Returns:
        The stacked tree, and a tree of 0 (stacked) and None (shared) as `vmap` takes for `in_axes`.

    Raises:
        InputError: If structures, shapes or types differ, or leaves to be shared.
    """
    leaves, structures = zip(*(jax.tree.flatten(tree) for tree in trees), strict=True)
    if len(set(structures)) > 1:
        raise InputError("runs with the same layers and numbers of styles", "different ones", "batch equal problems")
    columns = list(zip(*leaves, strict=True))
    if axes is None:
        are_shared = [all(leaf is column[0] for leaf in column) for column in columns]
    else:
        spread = jax.tree.map(
            lambda axis, part: jax.tree.map(lambda _: axis is None, part), axes, trees[0], is_leaf=_is_none
        )
        are_shared = jax.tree.leaves(spread)
    stacked = []
    for column, is_shared in zip(columns, are_shared, strict=True):
        if is_shared and any(leaf is not column[0] for leaf in column):
            raise InputError("one array that all runs of a batch share", "different ones", "stack them")
        kinds = {(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in column}
        if len(kinds) > 1:
            raise InputError("arrays of one shape and type in a batch", kinds, "make the pictures equal in size")
        stacked.append(column[0] if is_shared else jnp.stack(column))
    found = [None if is_shared else 0 for is_shared in are_shared]
    return jax.tree.unflatten(structures[0], stacked), jax.tree.unflatten(structures[0], found)


def _is_none(node: Any) -> bool:
    return node is None


class _Inputs(NamedTuple):
    """Of a batch, stacked: what `Loop.init` takes, then what else the program takes."""

    starts: Params
    keys: Key
    options: dict[str, jax.Array]
    args: Any
    stops: StopRule
    axes: Any


def _stack_inputs(
    problems: Sequence[Problem],
    keys: Sequence[Key],
    options: Sequence[Mapping[str, float]] | None,
    stop: StopRule | Sequence[StopRule | None] | None,
    axes: Any,
) -> _Inputs:
    """Checks the counts, draws the starts, and stacks everything."""
    options = [{} for _ in problems] if options is None else options
    stops = [stop] * len(problems) if stop is None or isinstance(stop, StopRule) else stop
    if not problems or {len(keys), len(options), len(stops)} != {len(problems)}:
        raise InputError(
            f"{len(problems)} keys and options, one for each of at least one problem",
            f"{len(keys)} and {len(options)}",
            "repeat the problem or the key for each run",
        )
    args, axes = stack_shared([problem.args for problem in problems], axes)
    init_keys, run_keys = zip(*(jax.random.split(key) for key in keys), strict=True)
    starts = [problem.init_fn(key) for problem, key in zip(problems, init_keys, strict=True)]
    return _Inputs(
        starts=jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts),
        keys=jnp.stack(run_keys),
        options={name: jnp.array([option[name] for option in options], jnp.float32) for name in options[0]},
        args=args,
        stops=jax.tree.map(lambda *values: np.stack(values), *(stop_arrays(one) for one in stops)),
        axes=axes,
    )


def _compile(problem: Problem, optimizer: Optimizer, inputs: _Inputs) -> BatchProgram:
    clock = time.perf_counter()
    loop = make_loop(problem, optimizer)
    chunk = jax.jit(jax.vmap(partial(take_steps, loop.step), in_axes=(0, inputs.axes, 0, None, None)), donate_argnums=0)
    # Compiled before the states exist: see `jaxstyle.optimize.loop.compile_run`.
    states = jax.eval_shape(jax.vmap(loop.init), inputs.starts, inputs.keys, inputs.options)
    compiled = compile_to_fit(chunk, states, inputs.args, inputs.stops, np.int32(1), np.bool_(False))
    return BatchProgram(loop, compiled, inputs.axes, len(inputs.keys), time.perf_counter() - clock)


def compile_batch(
    problems: Sequence[Problem],
    optimizer: Optimizer,
    *,
    keys: Sequence[Key],
    options: Sequence[Mapping[str, float]] | None = None,
    axes: Any = None,
) -> BatchProgram:
    """Compiles the batch that `minimize_batch` would run, for it to run with as many other problems.

    Args:
        problems: Their functions and shapes, and which arrays they share.
        optimizer: As for `minimize_batch`.
        keys: Random keys; only their type and number matter.
        options: The names of the hyper-parameters that `optimizer` takes.
        axes: As for `minimize_batch`.

    Raises:
        InputError: If counts or shapes differ, or the batch does not fit into memory.
    """
    return _compile(problems[0], optimizer, _stack_inputs(problems, keys, options, None, axes))


def minimize_batch(
    problems: Sequence[Problem],
    make_optimizer: Optimizer | BatchProgram,
    *,
    keys: Sequence[Key],
    num_steps: int,
    options: Sequence[Mapping[str, float]] | None = None,
    stop: StopRule | Sequence[StopRule | None] | None = None,
    axes: Any = None,
    report_every: Sequence[int] = (),
    report_at: Sequence[int] = (),
    chunk_seconds: float = 2.0,
    callback: Callable[[BatchProgress], bool | None] | None = None,
) -> list[Result]:
    """Minimizes several problems of equal shapes in one program.

    Every run is what `minimize` would have made of it alone, but for rounding; runs that end early wait for the rest.
    Methods with a line search lose what they save elsewhere: all branches are computed for all runs.

    Args:
        problems: Problems of the same kind, with arguments of equal shapes: other pictures, other weights, or the same
            problem several times. The first one's functions serve all, so they may differ in `args` and `init_fn` only.
            To share the network's memory, freeze it once (`vgg.freeze`) and pass that to every `make_problem`.
        make_optimizer: Returns the optimizer, given one of `options`, whose values it gets as traced scalars; or a
            program from `compile_batch`.
        keys: One for each run.
        num_steps: Updates to take.
        options: Hyper-parameters for each run, the same names in each; none if left out.
        stop: When to stop early: one rule for all, or one for each.
        axes: Which of the problems' arguments to stack (0) or to share (None), as a tree or a prefix of one. What is
            the same object is shared, if this is left out.
        report_every: As for `minimize`.
        report_at: As for `minimize`.
        chunk_seconds: As for `minimize`.
        callback: As for `minimize`, but for all runs together.

    Returns:
        A result for each run. Their times are those of the whole batch.

    Raises:
        InputError: If counts or shapes differ, or the batch does not fit into memory.
    """
    check_not_negative("num_steps", num_steps)
    if not isinstance(problems, Sequence):
        raise InputError("a list of problems", describe(problems), "pass [problem], also if there is one")
    for problem in problems:
        check_kind("each of the problems", problem, Problem)
    is_new = not isinstance(make_optimizer, BatchProgram)
    inputs = _stack_inputs(problems, keys, options, stop, axes if is_new else make_optimizer.axes)
    program = _compile(problems[0], make_optimizer, inputs) if is_new else make_optimizer
    states = jax.vmap(program.loop.init)(inputs.starts, inputs.keys, inputs.options)

    compile_seconds, run_seconds = program.seconds * is_new, 0.0
    traces: list[list[StepInfo]] = [[] for _ in problems]
    done, length = -1, 1
    goes_on, wants_end = True, False
    while goes_on and not wants_end and done < num_steps:
        boundary = next_boundary(done, num_steps, report_every, report_at)
        length = min(length, boundary - done, CHUNK_CAPACITY)
        clock = time.perf_counter()
        wants_terms = np.bool_(done + length == boundary)
        states, buffers, counts = program.chunk(states, inputs.args, inputs.stops, np.int32(length), wants_terms)
        counts = np.asarray(counts)  # waits for the device
        seconds = time.perf_counter() - clock
        run_seconds += seconds
        buffers = jax.tree.map(np.asarray, buffers)
        infos = [_pick_steps(buffers, index, int(count)) for index, count in enumerate(counts)]
        for trace, info in zip(traces, infos, strict=True):
            trace.append(info)
        done += int(counts.max())  # all of it, unless every run has ended
        length = max(1, min(4 * length, int(length * chunk_seconds / max(seconds, 1e-6))))
        goes_on = bool((np.asarray(states.status) == Status.RUNNING).any())
        if callback is not None:
            wants_end = bool(callback(BatchProgress(done, states, infos, run_seconds, compile_seconds)))

    whole = [jax.tree.map(lambda *parts: np.concatenate(parts), *trace) for trace in traces]
    terms = _best_terms(program, inputs, states, whole)
    results = []
    for index, trace in enumerate(whole):
        state = _pick(states, index)
        status = status_of(state, is_spent=done >= num_steps)
        results.append(
            Result(
                params=state.params,
                best_params=state.best_params,
                best_loss=float(state.best_loss),
                best_step=max(int(state.best_step), 0),
                best_terms=terms[index],
                trace=trace,
                status=Status.INTERRUPTED if status == Status.RUNNING else status,
                compile_seconds=compile_seconds,
                run_seconds=run_seconds,
                opt_state=state.opt_state,
            )
        )
    return results


@jax.jit
def _pick(states: LoopState, index: int | jax.Array) -> LoopState:
    return jax.tree.map(lambda leaf: leaf[index], states)


def _pick_steps(buffers: StepInfo, index: int, count: int) -> StepInfo:
    return jax.tree.map(lambda buffer: buffer[index, :count], buffers)


def _best_terms(
    program: BatchProgram, inputs: _Inputs, states: LoopState, traces: Sequence[StepInfo]
) -> list[dict[str, float]]:
    """Returns the terms of each run's best step; where a line search left them unknown, evaluates all again."""
    steps = np.maximum(np.asarray(states.best_step), 0)
    terms = [
        {name: float(values[step]) for name, values in trace.terms.items()}
        for trace, step in zip(traces, steps, strict=True)
    ]
    is_known = np.array([not np.isnan(list(known.values())).any() for known in terms])
    if (is_known | ~np.isfinite(np.asarray(states.best_loss))).all():
        return terms
    again = jax.vmap(program.loop.init)(states.best_params, inputs.keys, inputs.options)
    _, buffers, _ = program.chunk(again, inputs.args, inputs.stops, np.int32(1), np.bool_(True))
    found = jax.tree.map(np.asarray, buffers.terms)
    return [
        known if is_known[index] else {name: float(values[index, 0]) for name, values in found.items()}
        for index, known in enumerate(terms)
    ]
