"""Many runs in one program: pictures, seeds, weights or hyper-parameters, by `vmap`.

An accelerator is often not filled by one small picture. Runs of equal shapes can be stacked: whatever differs between
them becomes an axis, and whatever is the same object (the network, above all) is shared.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxstyle.checks import InputError
from jaxstyle.loop import make_loop, stop_arrays, take_steps
from jaxstyle.memory import compile_to_fit
from jaxstyle.problem import Problem
from jaxstyle.runs import Result, StopRule, status_of
from jaxstyle.types import Key


def stack_shared(trees: Sequence[Any]) -> tuple[Any, Any]:
    """Stacks pytrees of equal structure, but for leaves that are one and the same object in all of them.

    Returns:
        The stacked tree, and a tree of 0 (stacked) and None (shared) as `vmap` takes for `in_axes`.

    Raises:
        InputError: If structures, shapes or types differ.
    """
    leaves, structures = zip(*(jax.tree.flatten(tree) for tree in trees), strict=True)
    if len(set(structures)) > 1:
        raise InputError("runs with the same layers and numbers of styles", "different ones", "batch equal problems")
    stacked, axes = [], []
    for column in zip(*leaves, strict=True):
        if all(leaf is column[0] for leaf in column):
            stacked.append(column[0])
            axes.append(None)
            continue
        kinds = {(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in column}
        if len(kinds) > 1:
            raise InputError("arrays of one shape and type in a batch", kinds, "make the pictures equal in size")
        stacked.append(jnp.stack(column))
        axes.append(0)
    return jax.tree.unflatten(structures[0], stacked), jax.tree.unflatten(structures[0], axes)


def minimize_batch(
    problems: Sequence[Problem],
    make_optimizer: Callable[..., optax.GradientTransformation],
    *,
    keys: Sequence[Key],
    num_steps: int,
    options: Sequence[dict[str, float]] | None = None,
    stop: StopRule | None = None,
) -> list[Result]:
    """Minimizes several problems of equal shapes in one program.

    Every run is what `minimize` would have made of it alone, but for rounding; runs that end early wait for the rest.

    Args:
        problems: Of the same kind, with arguments of equal shapes: other pictures, other weights, or the same problem
            several times. The first one's functions serve all, so they may differ in `args` and `init_fn` only. To
            share the network's memory, freeze it once (`vgg.freeze`) and pass that to every `make_problem`.
        make_optimizer: Returns the optimizer, given one of `options`, whose values it gets as traced scalars.
        keys: One for each run.
        num_steps: Updates to take.
        options: Hyper-parameters for each run, the same names in each; none if left out.
        stop: When to stop early.

    Returns:
        A result for each run. Their times are those of the whole batch.

    Raises:
        InputError: If counts or shapes differ, or the batch does not fit into memory.
    """
    count = len(problems)
    options = [{} for _ in problems] if options is None else options
    if not count or len(keys) != count or len(options) != count:
        raise InputError(
            f"{count} keys and options, one for each of at least one problem", f"{len(keys)} and {len(options)}",
            "repeat the problem or the key for each run",
        )  # fmt: skip
    first = problems[0]
    args, axes = stack_shared([problem.args for problem in problems])
    hyper = {name: jnp.array([option[name] for option in options], jnp.float32) for name in options[0]}
    init_keys, run_keys = zip(*(jax.random.split(key) for key in keys), strict=True)
    starts = [problem.init_fn(key) for problem, key in zip(problems, init_keys, strict=True)]
    starts = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    stop = stop_arrays(stop)

    def run(start: Any, args: Any, key: Key, hyper: dict[str, jax.Array]) -> Any:
        loop = make_loop(first, make_optimizer(**hyper))
        state = loop.init(start, key)
        entries = num_steps + 1
        return take_steps(loop.step, state, args, stop, jnp.int32(entries), jnp.array(False), capacity=entries)

    inputs = (starts, args, jnp.stack(run_keys), hyper)
    clock = time.perf_counter()
    program = compile_to_fit(jax.jit(jax.vmap(run, in_axes=(0, axes, 0, 0))), *inputs)
    compile_seconds = time.perf_counter() - clock
    clock = time.perf_counter()
    states, infos, counts = jax.block_until_ready(program(*inputs))
    run_seconds = time.perf_counter() - clock
    # The terms of the best, which a line search leaves unknown.
    evaluate = jax.jit(jax.vmap(first.loss_fn, in_axes=(0, axes, 0)))
    _, terms = evaluate(states.best_params, args, jax.vmap(jax.random.fold_in)(inputs[2], states.best_step))
    results = []
    for index in range(count):
        state, info, term = jax.tree.map(lambda leaf: leaf[index], (states, infos, terms))  # noqa: B023
        trace = jax.tree.map(lambda buffer: np.asarray(buffer)[: int(counts[index])], info)  # noqa: B023
        results.append(
            Result(
                params=state.params,
                best_params=state.best_params,
                best_loss=float(state.best_loss),
                best_step=max(int(state.best_step), 0),
                best_terms={name: float(value) for name, value in term.items()},
                trace=trace,
                status=status_of(state, is_spent=True),
                compile_seconds=compile_seconds,
                run_seconds=run_seconds,
            )
        )
    return results
