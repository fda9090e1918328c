"""Runs of methods: what they are said to cost is what they cost, and how a run is watched does not change it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.engine import run_method
from benchmarks.instances import InstanceCache
from benchmarks.methods import METHODS, is_installed
from benchmarks.peers import run_peer
from benchmarks.problems import BenchmarkProblem
from benchmarks.trace import Outcome, Trace, grid
from jaxstyle.problems.problem import Problem

SIDE, BUDGET = 16, 24

# One of each kind; all other first-order methods differ from the first in their arithmetic only.
KINDS = (
    "adam",
    "polyak_sgd",
    "lbfgs",
    "lbfgs_backtracking",
    "lbfgs_fixed",
    "lbfgs_preconditioned",
    "adam_then_lbfgs",
    "adam_warm_restarts",
    "lbfgs_random_restarts",
    "lbfgs_coarse_to_fine",
    "scipy_lbfgsb",
    "torch_lbfgs",
)
TARGET = np.random.default_rng(0).uniform(50, 200, (SIDE, SIDE, 3)).astype(np.float32)


def target_of(shrink: int) -> np.ndarray:
    side = SIDE // shrink
    return TARGET.reshape(side, shrink, side, shrink, 3).mean((1, 3))


def misfit(pixels: jax.Array, target: jax.Array) -> jax.Array:
    curvatures = jnp.linspace(1.0, 30.0, pixels.shape[1])[None, :, None]
    return jnp.mean(curvatures * jnp.square(pixels - target)) + 0.01 * jnp.mean(jnp.abs(pixels - target) ** 3)


def make_pixels(count: Callable[[int], None], instance: str, shrink: int = 1, *, noise: float = 0.0) -> Problem:
    """A bowl of pixels that calls `count(shrink)` whenever its loss is really computed."""

    def loss(pixels: jax.Array, args: jax.Array, key: jax.Array) -> tuple[jax.Array, dict]:
        jax.debug.callback(partial(count, shrink))
        return misfit(pixels + noise * jax.random.normal(key, pixels.shape), args), {}

    return Problem(
        "pixels",
        lambda key: 128 + jax.random.normal(key, (SIDE // shrink, SIDE // shrink, 3)),
        loss,
        jnp.asarray(target_of(shrink)),
        lambda pixels, args: pixels / 255,
        is_stochastic=noise > 0,
    )


def make_entry(count: Callable[[int], None], **options) -> BenchmarkProblem:
    return BenchmarkProblem(
        "pixels", "", partial(make_pixels, count, **options), ("a",), ("b",), BUDGET, reference=misfit, has_pixels=True
    )


@pytest.mark.parametrize("name", KINDS)
def test_recorded_evaluations_are_the_real_ones(name: str):
    if METHODS[name].peer and not is_installed(METHODS[name].peer):
        pytest.skip(f"{METHODS[name].peer} is not installed")
    calls: list[int] = []
    outcome = run(name, make_entry(calls.append), {}, 0, BUDGET, InstanceCache())
    jax.effects_barrier()
    cost = sum(1 / shrink**2 for shrink in calls)
    assert outcome.status in ("budget", "done", "diverged"), outcome.reason
    assert outcome.trace.evaluations[-1] == pytest.approx(cost)
    assert outcome.trace.evaluations == sorted(outcome.trace.evaluations)
    if outcome.status == "budget":
        most = BUDGET + 2 * 20 + 1  # a line search of at most 20 may begin before the budget is spent, in two phases
        assert BUDGET - 2 <= cost <= most


@pytest.mark.parametrize("name", ["adam", "scipy_lbfgsb", "lbfgs_coarse_to_fine"])
def test_losses_are_those_of_the_reference(name: str):
    outcome = run(name, make_entry(lambda shrink: None), {}, 3, BUDGET, InstanceCache())
    start = 128 + np.asarray(jax.random.normal(jax.random.key(3), (SIDE, SIDE, 3)))
    off = start - TARGET
    curvatures = np.linspace(1.0, 30.0, SIDE)[None, :, None]
    expected = np.mean(curvatures * off**2) + 0.01 * np.mean(np.abs(off) ** 3)  # NumPy's, of the start
    assert outcome.initial == pytest.approx(expected, rel=1e-5)
    assert outcome.trace.points(BUDGET)[-1].best < 0.5 * expected


def test_a_stochastic_run_is_scored_without_its_noise_and_uncounted():
    calls: list[int] = []
    outcome = run_method(
        make_entry(calls.append, noise=5.0), "b", METHODS["adam"], {"learning_rate": 20.0}, 0, BUDGET, InstanceCache()
    )
    jax.effects_barrier()
    assert len(calls) == outcome.trace.evaluations[-1] == BUDGET
    start = 128 + np.asarray(jax.random.normal(jax.random.key(0), (SIDE, SIDE, 3)))
    np.testing.assert_allclose(
        outcome.trace.losses[0], float(misfit(jnp.asarray(start), jnp.asarray(TARGET))), rtol=1e-5
    )


def run(name: str, entry: BenchmarkProblem, *args: object) -> Outcome:
    method = METHODS[name]
    return (run_peer if method.peer else run_method)(entry, "b", method, *args)


def make_watched(sign: float, noise: float = 0.0) -> BenchmarkProblem:
    """A problem whose reference is `sign` times the loss: with -1 it prefers what the method does not."""
    entry = make_entry(lambda shrink: None, noise=noise)
    return replace(entry, reference=lambda pixels, target: sign * misfit(pixels, target))


@pytest.mark.parametrize("name", ["lbfgs_coarse_to_fine", "adam_coarse_to_fine"])
def test_a_coarse_phase_hands_on_what_it_knows_itself(name: str):
    """The reference at full size, which is not counted, has no say in where the fine phase begins."""
    fine = []
    for sign in (1.0, -1.0):
        trace = run_method(make_watched(sign), "b", METHODS[name], {}, 0, BUDGET, InstanceCache()).trace
        coarse = sum(evaluations <= 0.1 * BUDGET + 1e-9 for evaluations in trace.evaluations)
        assert np.sign(trace.losses[:coarse]).tolist() == [sign] * coarse
        fine.append(trace.losses[coarse:])
    assert fine[0] == fine[1]


def test_phases_that_draw_at_random_hand_on_what_they_know_themselves():
    paths = [
        run_method(
            make_watched(sign, 5.0), "b", METHODS["adam_warm_restarts"], {}, 0, BUDGET, InstanceCache()
        ).trace.losses
        for sign in (1.0, -1.0)
    ]
    np.testing.assert_array_equal(paths[0], -np.array(paths[1]))


def test_a_phase_at_full_size_continues_from_the_best_of_the_one_before():
    method = METHODS["adam_then_lbfgs"]
    trace = run_method(make_entry(lambda shrink: None), "b", method, {}, 1, BUDGET, InstanceCache()).trace
    first = method.phases[0].share * BUDGET
    before = [loss for cost, loss in zip(trace.evaluations, trace.losses, strict=True) if cost <= first]
    assert trace.losses[len(before)] == pytest.approx(min(before), rel=1e-5)
    assert min(trace.losses) < min(before)


def test_a_kept_program_runs_as_a_new_one():
    cache = InstanceCache()
    entry = make_entry(lambda shrink: None)
    runs = [run_method(entry, "b", METHODS["adam"], {"learning_rate": rate}, 1, BUDGET, cache) for rate in (3.0, 9.0)]
    alone = run_method(entry, "b", METHODS["adam"], {"learning_rate": 9.0}, 1, BUDGET, InstanceCache())
    assert runs[1].trace.losses == alone.trace.losses
    assert runs[0].trace.losses != alone.trace.losses


def test_points_thin_out_but_keep_the_best_and_the_end():
    trace = Trace()
    losses = np.random.default_rng(1).uniform(1, 2, 500)
    losses[200] = np.nan
    for index, loss in enumerate(losses):
        trace.add(index + 1, index, loss, 0.1 * index)
    points = trace.points(500)
    assert points[-1].evaluations == 500
    cut = trace.points(300.5)
    assert cut[-1].evaluations == 300
    assert cut[-1].best == np.nanmin(losses[:300])  # what came after the budget is no merit
    assert len(points) < 120
    for point in points:
        assert point.best == np.nanmin(losses[: int(point.evaluations)])
    ratios = np.diff([point.evaluations for point in points]) / [point.evaluations for point in points[:-1]]
    assert all(
        ratio <= 0.08 or step == 1 for ratio, step in zip(ratios, np.diff([p.evaluations for p in points]), strict=True)
    )
    assert list(grid(3)) == [1, 2, 3]
