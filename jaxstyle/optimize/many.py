"""Any number of runs of one kind, with one program for all of them.

Runs of equal functions and shapes differ in what a program takes as arguments: pictures, weights, where to start,
seeds, hyper-parameters. So one compilation serves them all, whether they run one after the other or several at a time
(`jaxstyle.optimize.batch`).
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxstyle.checks import DoesNotFitError, InputError
from jaxstyle.optimize.batch import BatchProgram, BatchProgress, compile_batch, minimize_batch
from jaxstyle.optimize.loop import Optimizer, Program, compile_run, make_loop, minimize
from jaxstyle.optimize.records import Progress, Result, StopRule
from jaxstyle.problems.problem import Problem
from jaxstyle.types import Key

#: Runs that one batch has at most where `choose_batch` chooses, and the pixels of all its pictures together.
MOST_RUNS, MOST_PIXELS = 64, 1024**2


class Task(NamedTuple):
    """One of the runs of `minimize_many`.

    Attributes:
        make_problem: Called when its turn comes, so that no more problems are in memory than run.
        key: The only source of randomness.
        options: Hyper-parameters, the same names for every run.
        stop: When to stop early; never, if left out.
    """

    make_problem: Callable[[], Problem]
    key: Key
    options: Mapping[str, float] | None = None
    stop: StopRule | None = None


def choose_batch(task: Task, problem: Problem, optimizer: Optimizer, count: int) -> int:
    """Returns how many of `count` runs are worth stacking on this device.

    One, with a line search: stacked, all its branches are computed for all runs (8 runs of L-BFGS at 96x96 took 6 times
    as long as one after the other). One, on a CPU, where 8 runs of Adam at 64x64 to 128x128 took 0.77 to 0.91 of the
    time: not worth their memory, nor a picture that differs in rounding from what `minimize` makes. Elsewhere as many
    as have a million pixels together: 64 pictures of 128x128, 4 of 512x512.

    Args:
        task: One of the runs.
        problem: Its problem.
        optimizer: As for `minimize_many`.
        count: How many runs there are.
    """
    params = jax.eval_shape(problem.init_fn, task.key)
    state = jax.eval_shape(make_loop(problem, optimizer).init, params, task.key, task.options)
    searches_line = optax.tree.get(state.opt_state, "num_linesearch_steps", None) is not None
    if searches_line or jax.default_backend() == "cpu":
        return 1
    height, width = jax.eval_shape(problem.render_fn, params, problem.args).shape[:2]
    return max(1, min(count, MOST_RUNS, MOST_PIXELS // (height * width)))


def minimize_many(
    tasks: Sequence[Task],
    optimizer: Optimizer,
    *,
    num_steps: int,
    batch: int = 0,
    axes: Any = None,
    report_every: Sequence[int] = (),
    report_at: Sequence[int] = (),
    callback: Callable[[int, Problem, Progress], bool | None] | None = None,
) -> Iterator[tuple[Problem, Result]]:
    """Minimizes any number of problems of equal functions and shapes, with one program, and yields them in order.

    Args:
        tasks: The runs. Their problems may differ as those of `minimize_batch`.
        optimizer: As for `minimize`.
        num_steps: Updates to take in each.
        batch: How many at a time: 1 for one after the other, 0 for what `choose_batch` says. Fewer, if so many do not
            fit into memory.
        axes: As for `minimize_batch`.
        report_every: As for `minimize`.
        report_at: As for `minimize`.
        callback: `callback(index, problem, progress)`, after each chunk for each of the runs in it that has taken
            steps: as for `minimize`. A true value ends all runs.

    Yields:
        Each task's problem and its result; of a batch's time, each has its share. After an end asked for by `callback`,
        the runs that had begun come as `INTERRUPTED`, and the others do not come.

    Raises:
        InputError: If shapes differ, or not even one run fits into memory.
    """
    if not tasks:
        return
    made = deque([tasks[0].make_problem()])
    kind = _kind(made[0])
    size = batch or choose_batch(tasks[0], made[0], optimizer, len(tasks))
    program: Program | BatchProgram | None = None
    while program is None:
        size = -(-len(tasks) // -(-len(tasks) // min(size, len(tasks))))  # so that the last batch is nearly full
        made.extend(_make(task, kind) for task in tasks[len(made) : size])
        try:
            program = _compile_for(list(made)[:size], tasks[:size], optimizer, axes)
        except DoesNotFitError:
            if size == 1:
                raise
            size = -(-size // 2)

    seconds, has_ended = program.seconds, False
    for start in range(0, len(tasks), size):
        some = tasks[start : start + size]
        problems = [made.popleft() if made else _make(task, kind) for task in some]

        def tell(index: int, progress: Progress) -> bool:
            nonlocal has_ended
            if callback is not None and callback(start + index, problems[index], progress):  # noqa: B023
                has_ended = True
            return has_ended

        results = _minimize_some(
            problems, some, program, tell, num_steps=num_steps, report_every=report_every, report_at=report_at
        )
        for problem, result in zip(problems, results, strict=True):
            yield problem, result._replace(compile_seconds=seconds)
            seconds = 0.0  # it was compiled once
        if has_ended:
            return


def _kind(problem: Problem) -> Any:
    """What must be equal for problems to share a program."""
    leaves, structure = jax.tree.flatten(problem.args)
    return structure, [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]


def _make(task: Task, kind: Any) -> Problem:
    problem = task.make_problem()
    if _kind(problem) != kind:
        raise InputError(
            "problems with equal layers, numbers of styles and sizes of pictures",
            "different ones",
            "group them by what differs",
        )
    return problem


def _compile_for(
    problems: Sequence[Problem], tasks: Sequence[Task], optimizer: Optimizer, axes: Any
) -> Program | BatchProgram:
    task, problem = tasks[0], problems[0]
    if len(tasks) == 1:
        params = jax.eval_shape(problem.init_fn, task.key)
        return compile_run(problem, optimizer, params, task.key, task.options)
    keys, options = [task.key for task in tasks], [task.options or {} for task in tasks]
    return compile_batch(problems, optimizer, keys=keys, options=options, axes=axes)


def _minimize_some(
    problems: Sequence[Problem],
    tasks: Sequence[Task],
    program: Program | BatchProgram,
    callback: Callable[[int, Progress], bool],
    **reports: Any,
) -> list[Result]:
    """Runs as many tasks as the program takes, or fewer."""
    if isinstance(program, Program):
        (problem,), (task,) = problems, tasks
        result = minimize(
            problem,
            program,
            key=task.key,
            options=task.options,
            stop=task.stop,
            callback=lambda progress: callback(0, progress),
            **reports,
        )
        return [result]

    def share(told: Any) -> Any:
        return told._replace(run_seconds=told.run_seconds / len(tasks))

    def tell(progress: BatchProgress) -> bool:
        begun = [index for index in range(len(tasks)) if len(progress.infos[index].loss)]
        answers = [callback(index, share(progress.of(index))) for index in begun]
        return any(answers)

    # The last run again, to be thrown away: another program costs more.
    places = [min(index, len(tasks) - 1) for index in range(program.count)]
    filled = [tasks[place] for place in places]
    results = minimize_batch(
        [problems[place] for place in places],
        program,
        keys=[task.key for task in filled],
        options=[task.options or {} for task in filled],
        stop=[task.stop for task in filled],
        callback=tell,
        **reports,
    )
    return [share(result) for result in results[: len(tasks)]]
