"""The one loop: any `Problem`, any optax optimizer, on any device.

A run is `Loop.init`, then `take_steps`, compiled, again and again: `chunks` calls it under a clock, and `minimize`
collects what that yields. How many steps a chunk has is decided by the clock and must not change the result: it does
not, because all that decides the result is in the program (`jaxstyle.optimize.step`).
"""

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxstyle.argument_checks import check_key
from jaxstyle.checks import check_between, check_not_negative
from jaxstyle.memory import compile_to_fit
from jaxstyle.optimize.programs import Program, ProgramCache, shape_key, value_key
from jaxstyle.optimize.records import LoopState, Progress, Result, Status, StepInfo, StopRule, final_status
from jaxstyle.optimize.step import make_loop
from jaxstyle.problems.problem import Args, Params, Problem
from jaxstyle.types import Key

#: Steps per chunk at the most: the length of the trace's buffers on the device.
CHUNK_CAPACITY = 256

#: As many steps as a run without a limit has at most.
NO_LIMIT = np.iinfo(np.int32).max


class Chunk(NamedTuple):
    """What `chunks` yields: some steps of a run, or of all runs of a batch.

    Attributes:
        state: After them. Its buffers are given to the next chunk.
        infos: `StepInfo` with NumPy arrays for these steps; of a batch a list of them, one for each run, of length 0
            for runs that ended before.
        seconds: Time that they took.
        done: The last step taken by the runs that still go on.
    """

    state: LoopState
    infos: Any
    seconds: float
    done: int


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

    def is_running(carry: tuple[LoopState, StepInfo, jax.Array]) -> jax.Array:
        state, _, count = carry
        return (count < num_steps) & (state.status == Status.RUNNING)

    def body(carry: tuple[LoopState, StepInfo, jax.Array]) -> tuple[LoopState, StepInfo, jax.Array]:
        state, infos, count = carry
        state, info = step(state, args, stop, wants_terms & (count == num_steps - 1))
        infos = jax.tree.map(lambda buffer, value: buffer.at[count].set(value), infos, info)
        return state, infos, count + 1

    return lax.while_loop(is_running, body, (state, infos, jnp.int32(0)))


run_chunk = jax.jit(take_steps, static_argnames=("step", "capacity"), donate_argnames="state")


def minimize(
    problem: Problem,
    optimizer: optax.GradientTransformation,
    *,
    key: Key,
    num_steps: int,
    params: Params | None = None,
    opt_state: optax.OptState | None = None,
    stop: StopRule | None = None,
    report_every: Sequence[int] = (),
    report_at: Sequence[int] = (),
    chunk_seconds: float = 2.0,
    callback: Callable[[Progress], bool | None] | None = None,
    programs: ProgramCache | None = None,
) -> Result:
    """Minimizes `problem` and returns the best parameters met, the last ones and the whole trace.

    Args:
        problem: What to minimize.
        optimizer: Any optax optimizer (see `jaxstyle.optimize.optimizers`).
        key: The only source of randomness: the same key gives the same result on the same machine with the same number
            of cores.
        num_steps: Updates to take; the trace has one entry more.
        params: Where to start; `problem.init_fn(key)` if left out.
        opt_state: The optimizer's state to start from; a new one if left out.
        stop: When to stop early; never, if left out.
        report_every: Numbers of steps: a chunk ends at every multiple of each, with its terms known, and at the end.
        report_at: Steps at which a chunk ends as well.
        chunk_seconds: About how long the program runs before the host looks again (and may be interrupted).
        callback: Called after each chunk; a true return value ends the run as `INTERRUPTED`.
        programs: Where to look for the compiled program, and to keep it: runs whose functions and shapes are equal
            then share it, whatever their arguments, keys and traced hyper-parameters (`make_optimizer`).

    Returns:
        The result; `result.status` says why the run ended.

    Raises:
        InputError: If the program would not fit into memory; nothing has run then.
    """
    check_not_negative("num_steps", num_steps)
    loop = make_loop(problem, optimizer)
    check_key(key)
    init_key, run_key = jax.random.split(key)
    params = problem.init_fn(init_key) if params is None else params
    programs = ProgramCache() if programs is None else programs
    before = programs.compilations
    program = compile_run(problem, optimizer, params, run_key, opt_state=opt_state, programs=programs)
    compile_seconds, run_seconds = program.seconds * (programs.compilations - before), 0.0
    fixed = (problem.args, stop_arrays(stop))
    traces: list[StepInfo] = []
    start = loop.init(params, run_key, opt_state)
    boundaries = {"num_steps": num_steps, "report_every": report_every, "report_at": report_at}
    for state, infos, seconds, done in chunks(program, start, *fixed, **boundaries, chunk_seconds=chunk_seconds):
        traces.append(infos)
        run_seconds += seconds
        if callback is not None and callback(Progress(done, state, infos, run_seconds, compile_seconds)):
            break

    result = collect(state, traces, num_steps, compile_seconds, run_seconds)
    if result.lacks_terms:
        # The line search that found the best did not know its terms: the first step of a new run evaluates them.
        _, infos, _ = program.chunk(loop.init(result.best_params, run_key), *fixed, np.int32(1), np.bool_(True))
        result = result._replace(best_terms={name: float(values[0]) for name, values in infos.terms.items()})
    return result


def collect(
    state: LoopState, infos: Sequence[StepInfo], num_steps: int, compile_seconds: float, run_seconds: float
) -> Result:
    """Returns the result of a run from its last state and what its chunks gave."""
    trace = jax.tree.map(lambda *parts: np.concatenate(parts), *infos)
    best_step = max(int(state.best_step), 0)
    return Result(
        params=state.params,
        best_params=state.best_params,
        best_loss=float(state.best_loss),
        best_step=best_step,
        best_terms={name: float(values[best_step]) for name, values in trace.terms.items()},
        trace=trace,
        status=final_status(state, num_steps),
        compile_seconds=compile_seconds,
        run_seconds=run_seconds,
        opt_state=state.opt_state,
    )


def chunks(
    program: Program,
    state: LoopState,
    args: Args,
    stop: StopRule,
    *,
    num_steps: int = NO_LIMIT,
    report_every: Sequence[int] = (),
    report_at: Sequence[int] = (),
    chunk_seconds: float = 2.0,
    wants_terms: bool = True,
) -> Iterator[Chunk]:
    """Runs a compiled run, or a batch of them, and yields after each chunk, until all have ended or taken `num_steps`.

    A chunk has one step at first, then up to four times as many as the one before, as `chunk_seconds` allows; it ends
    at each boundary, which is the end or a step to report. Whoever iterates may stop at any time.

    Args:
        program: From `compile_run`, or that of a batch.
        state: From `init` or from an earlier chunk. It is gone afterwards.
        args: The problem's arrays.
        stop: From `stop_arrays`; of a batch, stacked.
        num_steps: The last step.
        report_every: Numbers of steps whose multiples are boundaries.
        report_at: Steps that are boundaries.
        chunk_seconds: About how long a chunk takes.
        wants_terms: Whether the step at a boundary must know the terms of its loss, even if that costs an evaluation.
    """
    done, length = int(np.max(state.step)), 1
    while done < num_steps and (np.asarray(state.status) == Status.RUNNING).any():
        multiples = [(done // every + 1) * every for every in report_every if every > 0]
        boundary = min([num_steps, *multiples, *(step for step in report_at if step > done)])
        length = min(length, boundary - done, CHUNK_CAPACITY)
        is_boundary = np.bool_(wants_terms and done + length == boundary)
        clock = time.perf_counter()
        state, infos, counts = program.chunk(state, args, stop, np.int32(length), is_boundary)
        counts = np.asarray(counts)  # waits for the device
        seconds = time.perf_counter() - clock
        infos = jax.tree.map(np.asarray, infos)
        if counts.ndim:
            infos = [_first_steps(infos, count, index) for index, count in enumerate(counts.tolist())]
        else:
            infos = _first_steps(infos, int(counts))
        done += int(counts.max())  # all of `length`, unless every run has ended
        yield Chunk(state, infos, seconds, done)
        length = max(1, int(min(4 * length, length * chunk_seconds / max(seconds, 1e-6))))


def _first_steps(infos: StepInfo, count: int, index: Any = ()) -> StepInfo:
    return jax.tree.map(lambda buffer: buffer[index][:count], infos)


def compile_run(
    problem: Problem,
    optimizer: optax.GradientTransformation,
    params: Params,
    key: Key,
    *,
    opt_state: optax.OptState | None = None,
    programs: ProgramCache | None = None,
) -> Program:
    """Compiles the run that `minimize` would make, for `chunks` to run with any arguments, keys and starts.

    Args:
        problem: Its functions, and the shapes of its arguments.
        optimizer: As for `minimize`.
        params: The shapes of the parameters.
        key: Its kind.
        opt_state: The shapes of the optimizer's state; those of a new one, if left out.
        programs: As for `minimize`.

    Raises:
        InputError: If the program would not fit into memory.
    """
    loop = make_loop(problem, optimizer)
    # Compiled before the state exists: L-BFGS's pairs of pictures may be what does not fit.
    state = jax.eval_shape(loop.init, params, key, opt_state)

    def make() -> Program:
        clock = time.perf_counter()
        fixed = (problem.args, stop_arrays(None), np.int32(1), np.bool_(False))
        chunk = compile_to_fit(run_chunk, loop.step, state, *fixed)
        return Program(chunk, time.perf_counter() - clock)

    return (ProgramCache() if programs is None else programs).get(program_key(problem, optimizer, state), make)


def program_key(problem: Problem, optimizer: optax.GradientTransformation, state: LoopState) -> Hashable:
    """Returns a key that is equal for runs which one program can serve."""
    functions = (problem.loss_fn, problem.project_fn, problem.is_stochastic, problem.is_bounded_below, optimizer.update)
    return value_key(functions), shape_key((state, problem.args)), jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]


def stop_arrays(stop: StopRule | None) -> StopRule:
    """Returns a stop rule as strongly typed arguments of a program; the rule that never stops for None."""
    stop = StopRule(*(stop or StopRule()))
    for name in ("patience", "max_evaluations"):
        check_between(name, getattr(stop, name), 0, np.iinfo(np.int32).max)
    delta, patience, most = np.float32(stop.relative_delta), np.int32(stop.patience), np.int32(stop.max_evaluations)
    return StopRule(delta, patience, most)  # type: ignore[arg-type]
