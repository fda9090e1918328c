"""Many runs with one program: pictures, seeds, weights or hyper-parameters, at once by `vmap` or one after the other.

Runs of equal functions and shapes differ in what a program takes as arguments: pictures, weights, where to start,
seeds, traced hyper-parameters. An accelerator is often not filled by one small picture: `minimize_batch` stacks such
runs. What differs between them becomes an axis, and what is the same object (the network, above all) is shared.
`minimize_many` takes any number of runs and chooses how many to stack.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxstyle.argument_checks import check_kind, describe
from jaxstyle.checks import DoesNotFitError, InputError, check_not_negative
from jaxstyle.optimize.loop import chunks, collect, compile_program, minimize, program_key, stop_arrays, take_steps
from jaxstyle.optimize.programs import ProgramCache, shape_key, value_key
from jaxstyle.optimize.records import LoopState, Progress, Result, StepInfo, StopRule
from jaxstyle.optimize.step import check_optimizer, make_loop
from jaxstyle.problems.problem import Problem
from jaxstyle.types import Key

#: Maximum number of runs, and of pixels of all pictures together, of a batch that `choose_batch` chooses.
MOST_RUNS, MOST_PIXELS = 64, 1024**2


class Task(NamedTuple):
    """One of the runs of `minimize_many`.

    Attributes:
        make_problem: Function that returns the problem. It is called when the run begins, which saves memory.
        key: The only source of randomness.
        optimizer: Any optax optimizer; those of all runs may differ in traced hyper-parameters only.
        stop: When to stop early; never, if left out.
    """

    make_problem: Callable[[], Problem]
    key: Key
    optimizer: optax.GradientTransformation
    stop: StopRule | None = None


def stack_shared(trees: Sequence[Any], axes: Any = None) -> tuple[Any, Any]:
    """Stacks pytrees of equal structure, but for leaves that are one and the same object in all of them.

    Args:
        trees: At least one.
        axes: Tree of what to stack (0) and what to share (None), or a prefix of it, for instance from an earlier call.
            If it is left out, leaves that are the same object are shared.

    Returns:
        The stacked tree, and a tree of 0 (stacked) and None (shared) as `vmap` takes for `in_axes`.

    Raises:
        InputError: If structures, shapes or types differ, or leaves to be shared.
    """
    if len({jax.tree.structure(tree) for tree in trees}) > 1:
        raise InputError("runs with the same layers and numbers of styles", "different ones", "batch equal problems")
    if axes is None:
        axes = shared_axes(trees)
    else:  # a prefix is spread over all that is below it
        spread = lambda axis, part: jax.tree.map(lambda _: axis, part)
        axes = jax.tree.map(spread, axes, trees[0], is_leaf=_is_none)

    def stack(axis: int | None, *leaves: Any) -> Any:
        if axis is None and any(leaf is not leaves[0] for leaf in leaves):
            raise InputError("one array that all runs of a batch share", "different ones", "stack them")
        kinds = {(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves}
        if len(kinds) > 1:
            raise InputError("arrays of one shape and type in a batch", kinds, "make the pictures equal in size")
        return leaves[0] if axis is None else jnp.stack(leaves)

    return jax.tree.map(stack, axes, *trees, is_leaf=_is_none), axes


def shared_axes(trees: Sequence[Any]) -> Any:
    """Returns a tree of None for leaves that are one and the same object in all trees, and of 0 for the others."""
    return jax.tree.map(lambda leaf, *others: None if all(other is leaf for other in others) else 0, *trees)


def _is_none(node: Any) -> bool:
    return node is None


def minimize_batch(
    problems: Sequence[Problem],
    optimizer: optax.GradientTransformation | Sequence[optax.GradientTransformation],
    *,
    keys: Sequence[Key],
    num_steps: int,
    stop: StopRule | Sequence[StopRule | None] | None = None,
    axes: Any = None,
    report_every: Sequence[int] = (),
    report_at: Sequence[int] = (),
    chunk_seconds: float = 2.0,
    callback: Callable[[Progress], bool | None] | None = None,
    programs: ProgramCache | None = None,
) -> list[Result]:
    """Minimizes several problems of equal shapes in one program.

    Except for rounding, every run has the result that `minimize` would give; runs that end early wait for the rest.
    Methods with a line search are slower in a batch, because all branches are computed for all runs.

    Args:
        problems: Problems of the same kind, with arguments of equal shapes: other pictures, other weights, or the same
            problem several times. The first one's functions serve all, so they may differ in `args` and `init_fn` only.
            To share the network's memory, freeze it once (`vgg.freeze`) and pass that to every `make_problem`.
        optimizer: One for all runs, or one for each. They may differ in traced hyper-parameters only (those named in
            `jaxstyle.make_optimizer(..., traced=[...])`).
        keys: A random key for each run.
        num_steps: Updates to take.
        stop: When to stop early: one rule for all, or one for each.
        axes: Which of the problems' arguments to stack (0) or to share (None), as a tree or a prefix of one. If it is
            left out, arguments that are the same object are shared.
        report_every: Numbers of steps at whose multiples a chunk ends, with the terms of the losses known.
        report_at: Steps at which a chunk ends as well.
        chunk_seconds: Approximate duration of a chunk in seconds.
        callback: Function that is called after each chunk; a true return value ends all runs as `INTERRUPTED`.
        programs: Cache of compiled programs.

    Returns:
        A result for each run. Their times are those of the whole batch.

    Raises:
        InputError: If counts or shapes differ, or optimizers, or the batch does not fit into memory.
    """
    check_not_negative("num_steps", num_steps)
    if not isinstance(problems, Sequence):
        raise InputError("a list of problems", describe(problems), "pass [problem], also if there is one")
    for problem in problems:
        check_kind("each of the problems", problem, Problem)
    is_one = isinstance(optimizer, optax.GradientTransformation) or not isinstance(optimizer, Sequence)
    optimizers: list[Any] = [optimizer] * len(problems) if is_one else list(optimizer)
    stops = [stop] * len(problems) if stop is None or isinstance(stop, StopRule) else stop
    if not problems or {len(keys), len(optimizers), len(stops)} != {len(problems)}:
        raise InputError(
            f"{len(problems)} keys, optimizers and stop rules, one for each of at least one problem",
            f"{len(keys)}, {len(optimizers)} and {len(stops)}",
            "repeat the problem or the key for each run",
        )
    _check_optimizers(optimizers)
    args, axes = stack_shared([problem.args for problem in problems], axes)
    fixed = (args, jax.tree.map(lambda *values: np.stack(values), *(stop_arrays(one) for one in stops)))
    loops = [make_loop(*both) for both in zip(problems, optimizers, strict=True)]
    init_keys, run_keys = zip(*(jax.random.split(key) for key in keys), strict=True)
    starts = [problem.init_fn(key) for problem, key in zip(problems, init_keys, strict=True)]

    def init() -> LoopState:
        states = [loop.init(*start) for loop, *start in zip(loops, starts, run_keys, strict=True)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)

    # Compiled before the states exist, as in `compile_run`.
    shapes = jax.eval_shape(init)

    def take_steps_of_all(
        states: LoopState, args: Any, stops: StopRule, num_steps: jax.Array, wants_terms: jax.Array
    ) -> tuple[LoopState, StepInfo, jax.Array]:
        run = lambda state, args, stop: take_steps(loops[0].step, state, args, stop, num_steps, wants_terms)
        return jax.vmap(run, in_axes=(0, axes, 0))(states, args, stops)

    place = (*program_key(problems[0], optimizers[0], shapes), *jax.tree.leaves(axes, is_leaf=_is_none))
    together = jax.jit(take_steps_of_all, donate_argnums=0)
    program = compile_program(place, together, shapes, *fixed, programs=programs)
    reports = {"report_every": report_every, "report_at": report_at, "chunk_seconds": chunk_seconds}
    infos: list[list[StepInfo]] = []
    for progress in chunks(program, init(), *fixed, num_steps=num_steps, **reports):
        infos.append(progress.infos)
        if callback is not None and callback(progress):
            break

    each = enumerate(zip(*infos, strict=True))
    results = [collect(progress.of(index), trace, num_steps) for index, trace in each]
    if any(result.lacks_terms for result in results):  # as in `minimize`
        starts = [result.best_params for result in results]
        terms = jax.tree.map(np.asarray, program.chunk(init(), *fixed, np.int32(1), np.bool_(True))[1].terms)
        for index, result in enumerate(results):
            if result.lacks_terms:
                best_terms = {name: float(values[index, 0]) for name, values in terms.items()}
                results[index] = result._replace(best_terms=best_terms)
    return results


def _check_optimizers(optimizers: Sequence[Any]) -> None:
    for optimizer in optimizers:
        check_optimizer(optimizer)
    if len({value_key(optimizer.update) for optimizer in optimizers}) > 1:
        raise InputError(
            "optimizers that differ in traced hyper-parameters only", "others", "see traced of make_optimizer"
        )


def choose_batch(problem: Problem, optimizer: optax.GradientTransformation, count: int) -> int:
    """Returns the number of runs, of `count`, that are faster in one batch on this device.

    One, with a line search: stacked, all its branches are computed for all runs (8 runs of L-BFGS at 96x96 took 6 times
    as long as one after the other). One, on a CPU, where 8 runs of Adam at 64x64 to 128x128 took 0.77 to 0.91 of the
    time: not worth their memory, nor a picture that differs in rounding from what `minimize` makes. Elsewhere as many
    as have a million pixels together: 64 pictures of 128x128, 4 of 512x512.

    Args:
        problem: The problem of one of the runs.
        optimizer: Its optimizer.
        count: How many runs there are.
    """
    params = jax.eval_shape(problem.init_fn, jax.random.key(0))
    opt_state = jax.eval_shape(optimizer.init, params)
    searches_line = optax.tree.get(opt_state, "num_linesearch_steps", None) is not None
    if searches_line or jax.default_backend() == "cpu":
        return 1
    height, width = jax.eval_shape(problem.render_fn, params, problem.args).shape[:2]
    return max(1, min(count, MOST_RUNS, MOST_PIXELS // (height * width)))


def minimize_many(
    tasks: Sequence[Task],
    *,
    num_steps: int,
    batch: int = 0,
    axes: Any = None,
    report_every: Sequence[int] = (),
    report_at: Sequence[int] = (),
    callback: Callable[[int, Problem, Progress], bool | None] | None = None,
    programs: ProgramCache | None = None,
) -> Iterator[tuple[Problem, Result]]:
    """Minimizes any number of problems of equal functions and shapes, with one program, and yields them in order.

    Args:
        tasks: The runs. Their problems may differ as those of `minimize_batch`.
        num_steps: Updates to take in each.
        batch: Number of runs at a time: 1 runs one after the other, 0 uses `choose_batch`. It is reduced if the runs do
            not fit into memory.
        axes: Which of the problems' arguments to stack (0) or to share (None), an argument of `minimize_batch`.
        report_every: Numbers of steps at whose multiples a chunk ends, with the terms of the losses known.
        report_at: Steps at which a chunk ends as well.
        callback: Function `callback(index, problem, progress)` that is called after each chunk, for each run that took
            steps in it; a true return value ends all runs.
        programs: Cache of compiled programs.

    Yields:
        Each task's problem and its result, with an equal share of its batch's time. After a true value of `callback`,
        the runs that had begun are yielded as `INTERRUPTED`, and the others are not yielded.

    Raises:
        InputError: If shapes differ, or not even one run fits into memory.
    """
    if not tasks:
        return
    made = [tasks[0].make_problem()]  # the problems of the tasks to run next
    kind = shape_key(made[0].args)
    size = batch or choose_batch(made[0], tasks[0].optimizer, len(tasks))
    programs = ProgramCache() if programs is None else programs
    start, some, is_ended = 0, list(tasks[:0]), False

    def share(record: Any) -> Any:
        return record._replace(run_seconds=record.run_seconds / len(some))

    def report(progress: Progress) -> bool:
        nonlocal is_ended
        for index in range(len(some)):
            own = progress if size == 1 else progress.of(index)
            if callback is not None and len(own.infos.loss) and callback(start + index, made[index], share(own)):
                is_ended = True
        return is_ended

    while start < len(tasks) and not is_ended:
        size = -(-len(tasks) // -(-len(tasks) // min(size, len(tasks))))  # so that the last batch is nearly full
        some = list(tasks[start : start + size])
        for task in some[len(made) :]:
            made.append(task.make_problem())
            if shape_key(made[-1].args) != kind:
                raise InputError(
                    "problems with equal layers, numbers of styles and sizes of pictures",
                    "different ones",
                    "group them by what differs",
                )
        if axes is None:  # those of the first batch: another choice would be another program
            axes = shared_axes([problem.args for problem in made[:size]])
        # The last run again, whose result is thrown away: a program for fewer runs would take longer to compile.
        places = [min(index, len(some) - 1) for index in range(size)]
        problems, (_, keys, optimizers, stops) = [made[i] for i in places], zip(*(some[i] for i in places), strict=True)
        options: dict = {"report_every": report_every, "report_at": report_at, "callback": report, "programs": programs}
        options["num_steps"] = num_steps
        try:
            if size == 1:
                results = [minimize(problems[0], optimizers[0], key=keys[0], stop=stops[0], **options)]
            else:
                results = minimize_batch(problems, optimizers, keys=keys, stop=stops, axes=axes, **options)
        except DoesNotFitError:
            if size == 1:
                raise
            size = -(-size // 2)
            continue
        for index, (problem, result) in enumerate(zip(made, results[: len(some)], strict=False)):
            # It was compiled once.
            yield problem, share(result)._replace(compile_seconds=0.0 if index else result.compile_seconds)
        start += len(some)
        made = made[len(some) :]
