"""Coarse to fine: a sequence of `minimize` calls on pictures of growing size, each starting where the last one ended.

Large forms are optimized at small sizes, where a step is cheap, so that only details remain for the large ones (Gatys
et al. 2017, "Controlling perceptual factors in neural style transfer", section 6). The octaves of DeepDream are the
same sequence, with `carry="change"`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxstyle.argument_checks import check_key, describe
from jaxstyle.checks import InputError, check_choice
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.programs import ProgramCache
from jaxstyle.optimize.records import LoopState, Progress, Result, Status, StopRule
from jaxstyle.optimize.transforms.averaging import average_of
from jaxstyle.problems.parameterizations import apply_parameterization, make_parameterization
from jaxstyle.problems.problem import Params, Problem
from jaxstyle.short_repr import short_repr
from jaxstyle.types import AnyPicture, Key, Picture

#: What the next size starts from: the picture, or the picture's change since its start, added to the next start.
CARRIES = ("picture", "change")

#: Names, in the states of optax's optimizers, of averages of gradients, and of averages of their squares.
FIRST_MOMENTS = frozenset({"mu", "m1", "m2", "trace", "ema", "previous_gradient"})
SECOND_MOMENTS = frozenset({"nu", "nu_max", "sum_of_squares"})


class Scale(NamedTuple):
    """One size of the sequence.

    Attributes:
        index: Number of the size, from 0.
        height: Height of its pictures.
        width: Width of its pictures.
        problem: The reparameterized problem; its `args` are dropped once the next size has run.
    """

    index: int
    height: int
    width: int
    problem: Problem

    __repr__ = short_repr


class ScaleResult(NamedTuple):
    """The result at one size of the sequence.

    Attributes:
        scale: The size.
        result: Result of the run at this size.
        picture: The picture to show, `[height, width, 3]`, RGB in about [0, 1]: the running average if there is one,
            otherwise the best picture; for a stochastic problem, whose losses cannot be compared, the last one.
    """

    scale: Scale
    result: Result
    picture: Picture

    __repr__ = short_repr


def minimize_pyramid(
    make_problem: Callable[[int, int], Problem],
    optimizer: optax.GradientTransformation,
    *,
    sizes: Sequence[tuple[int, int]],
    num_steps: Sequence[int],
    key: Key,
    parameterization: str = "pixels",
    carry: str = "picture",
    carry_moments: bool = True,
    stop: StopRule | None = None,
    report_every: Sequence[int] = (),
    callback: Callable[[Scale, Progress], bool | None] | None = None,
    is_interrupted: Callable[[], bool] = lambda: False,
    programs: ProgramCache | None = None,
) -> list[ScaleResult]:
    """Minimizes a problem at one size after the other.

    Args:
        make_problem: Function `make_problem(height, width)` that returns the problem at a size; its parameters are
            pixels, `[height, width, 3]` on 0..255.
        optimizer: Any optax optimizer.
        sizes: The `(height, width)` of each size; with a single one, this is `minimize`.
        num_steps: Steps at each size.
        key: The only source of randomness. The first size draws what `minimize(key=key)` would draw.
        parameterization: What the pictures are made of: see `jaxstyle.problems.parameterizations`.
        carry: `picture`: each size starts with the picture before it, enlarged by cubic interpolation. `change`: with
            its own `init_fn`'s picture plus the enlarged change that the size before it made of its own start, so that
            details of the start come in again at every size (Mordvintsev et al. 2015).
        carry_moments: Whether the optimizer's state is enlarged with the picture (see `carry_state`).
        stop: When each size stops early.
        report_every: Numbers of steps, at each size, at whose multiples a chunk ends with the terms of the loss known.
        callback: Function `callback(scale, progress)`, called after each chunk; a true return value ends the sequence.
        is_interrupted: Function that is called before each size but the first is compiled; a true return value ends the
            sequence there, as `INTERRUPTED`, with the result of the size before it.
        programs: Cache of compiled programs; each size has a program of its own.

    Returns:
        A result for each size begun: the sequence ends at one that fails or is interrupted.
    """
    check_choice("carry", carry, CARRIES)
    if not callable(make_problem):
        raise InputError("a function make_problem(height, width)", describe(make_problem), "pass a function")
    check_key(key)
    if len(num_steps) != len(sizes):
        raise InputError(f"{len(sizes)} numbers of steps, one for each scale", len(num_steps), "pass one for each")
    done: list[ScaleResult] = []
    change: Any = None  # since the start of the size before, in pixels
    for index, ((height, width), steps) in enumerate(zip(sizes, num_steps, strict=True)):
        base = make_problem(height, width)
        if done and is_interrupted():
            done[-1] = done[-1]._replace(result=done[-1].result._replace(status=Status.INTERRUPTED))
            break
        form = make_parameterization(parameterization, height, width)
        problem = apply_parameterization(base, parameterization, height, width)
        scale = Scale(index, height, width, problem)
        scale_key = key if index == 0 else jax.random.fold_in(key, index)
        init_key = jax.random.split(scale_key)[0]
        params, opt_state = None, None
        start = base.init_fn(init_key) if carry == "change" else None
        if done:
            before = done[-1]
            if not form.keeps_start:
                params = chosen_params(before.scale.problem, before.result)  # weights of a network, of no size
            else:
                enlarged = _enlarge(change if start is not None else 255.0 * before.picture, height, width, "cubic")
                params = form.init(init_key, enlarged if start is None else start + enlarged)
            if carry_moments:
                opt_state = carry_state(before.result.opt_state, before.result.params, params)
        result = minimize(
            problem,
            optimizer,
            key=scale_key,
            num_steps=steps,
            params=params,
            opt_state=opt_state,
            stop=stop,
            report_every=report_every,
            callback=None if callback is None else lambda progress: callback(scale, progress),  # noqa: B023
            programs=programs,
        )
        done.append(ScaleResult(scale, result, problem.render_fn(chosen_params(problem, result), problem.args)))
        if result.status == Status.INTERRUPTED or result.status.has_failed:
            break
        if start is not None:
            change = form.decode(result.params) - start
        if len(done) > 1:  # its network and targets are as large as those to come
            passed = done[-2].scale
            done[-2] = done[-2]._replace(scale=passed._replace(problem=replace(passed.problem, args=None)))
    return done


def chosen_params(problem: Problem, run: Result | LoopState) -> Params:
    """Returns the parameters to show: the running average, or the best, or the last (see `ScaleResult.picture`).

    If the run failed, it returns the best parameters in every case.
    """
    if Status(int(run.status)).has_failed:
        return run.best_params
    average = average_of(run.opt_state)
    if average is not None:
        return average
    return run.params if problem.is_stochastic else run.best_params


def carry_state(opt_state: optax.OptState, params: Params, new_params: Params) -> optax.OptState | None:
    """Returns an optimizer's state for pictures of another size, or None where it has to start anew.

    First moments are enlarged by cubic interpolation, averages of squares by linear interpolation and kept from below
    zero, as in crowsonkb/style-transfer-pytorch. Counts are kept, and so is the whole state of a coordinate network,
    whose weights do not depend on the size. Any other state starts anew: the pairs of L-BFGS belong to another
    function, and the spectrum of `fourier` has other waves.

    Deviation: losses are means over the pixels, so that a pixel's gradient falls as their number grows; first moments
    are divided by that factor, averages of squares by its square. (So is adamax's `nu`, although it is a maximum and
    not a square: its next step takes a maximum again, with the new gradient.)

    Args:
        opt_state: The state to carry.
        params: The parameters it belongs to.
        new_params: The parameters to come.
    """
    old, new = jax.tree.leaves(params), jax.tree.leaves(new_params)
    shapes = {before.shape: after.shape for before, after in zip(old, new, strict=False)}
    is_picture = all(before == after or len(before) == 3 for before, after in shapes.items())
    if jax.tree.structure(params) != jax.tree.structure(new_params) or not is_picture:
        return None
    leaves, structure = jax.tree_util.tree_flatten_with_path(opt_state)
    shrink = sum(leaf.size for leaf in old) / sum(leaf.size for leaf in new)
    carried = [_carry_leaf({getattr(step, "name", "") for step in path}, leaf, shapes, shrink) for path, leaf in leaves]
    return None if any(leaf is None for leaf in carried) else jax.tree.unflatten(structure, carried)


def _carry_leaf(
    names: set[str], leaf: jax.Array, shapes: dict[tuple[int, ...], tuple[int, ...]], shrink: float
) -> jax.Array | None:
    if "average" in names:  # of the pictures of one size: `keep_average` begins again
        return jnp.zeros(shapes[leaf.shape], leaf.dtype)
    if "steps" in names:
        return jnp.zeros_like(leaf)
    if leaf.ndim == 0:
        return leaf
    if leaf.shape not in shapes or not names & (FIRST_MOMENTS | SECOND_MOMENTS):
        return None
    if shapes[leaf.shape] == leaf.shape:
        return leaf
    height, width, _ = shapes[leaf.shape]
    if names & SECOND_MOMENTS:
        return jnp.maximum(_enlarge(leaf, height, width, "linear"), 0) * shrink**2
    return _enlarge(leaf, height, width, "cubic") * shrink


def _enlarge(picture: AnyPicture, height: int, width: int, method: str) -> Float[jax.Array, "{height} {width} 3"]:
    return jax.image.resize(picture, (height, width, picture.shape[2]), method)
