"""The loop's bookkeeping: every step counted, the best kept, each way to end, nothing compiled twice."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import rosen, rosen_der

from jaxstyle.checks import InputError
from jaxstyle.optimize.loop import minimize, run_chunk, take_steps
from jaxstyle.optimize.records import DIVERGENCE_STEPS, Status, StopRule
from jaxstyle.optimize.step import make_loop
from jaxstyle.problems.problem import Problem

from ..toys import TARGET, make_bowl, make_rosenbrock

KEY = jax.random.key(0)
LINE_SEARCHES = {
    "zoom": optax.lbfgs(),
    "backtracking": optax.chain(
        optax.sgd(0.15), optax.scale_by_backtracking_linesearch(max_backtracking_steps=15, store_grad=True)
    ),
}


class Counter:
    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1


def test_gradient_descent_equals_numpys():
    result = minimize(make_rosenbrock(), optax.sgd(1e-3), key=KEY, num_steps=50)
    x = np.array([-1.2, 1.0])
    losses = [rosen(x)]
    for _ in range(50):
        x = x - 1e-3 * rosen_der(x)
        losses.append(rosen(x))
    np.testing.assert_allclose(result.trace.loss, losses, rtol=1e-4)
    np.testing.assert_allclose(result.params, x, rtol=1e-4)
    np.testing.assert_allclose(result.trace.grad_norm[-1], np.linalg.norm(rosen_der(x)), rtol=1e-3)
    assert result.status == Status.BUDGET_SPENT
    assert len(result.trace.loss) == 51


def test_the_best_of_every_step_is_kept():
    # Momentum overshoots, so that the best is neither the first, nor the last, nor at the end of a chunk.
    problem = make_bowl()
    result = minimize(problem, optax.sgd(0.05, momentum=0.97), key=KEY, num_steps=60)
    assert result.best_step == int(np.argmin(result.trace.loss))
    assert 0 < result.best_step < 60
    loss, terms = problem.loss_fn(result.best_params, problem.args, KEY)
    np.testing.assert_allclose(loss, result.best_loss, rtol=1e-5)
    np.testing.assert_allclose(result.best_loss, result.trace.loss.min(), rtol=1e-6)
    assert result.best_terms == pytest.approx({name: float(term) for name, term in terms.items()}, rel=1e-5)


@pytest.mark.parametrize("optimizer", [optax.sgd(0.01), *LINE_SEARCHES.values()], ids=["sgd", *LINE_SEARCHES])
def test_recorded_evaluations_are_the_real_ones(optimizer: optax.GradientTransformation):
    counter = Counter()
    result = minimize(make_bowl(counter), optimizer, key=KEY, num_steps=12, report_every=(5,))
    jax.effects_barrier()
    recorded = int(result.trace.evaluations[-1])
    extra = int(np.isnan(result.trace.terms["a"][result.best_step]))  # looking up the best terms after the run
    assert counter.count == recorded + extra
    assert recorded >= len(result.trace.loss)


@pytest.mark.parametrize("name", LINE_SEARCHES)
def test_line_search_values_are_used_again_and_true(name: str):
    problem = make_bowl()
    result = minimize(problem, LINE_SEARCHES[name], key=KEY, num_steps=10)
    assert result.best_loss < 0.05 * result.trace.loss[0]
    loss, _ = problem.loss_fn(result.params, problem.args, KEY)
    np.testing.assert_allclose(result.trace.loss[-1], loss, rtol=1e-3, atol=1e-9)
    assert set(result.best_terms) == {"a", "b"}
    assert sum(result.best_terms.values()) == pytest.approx(result.best_loss, rel=1e-3, abs=1e-9)


def test_asking_for_terms_does_not_change_a_run():
    optimizer = optax.lbfgs()
    often = minimize(make_rosenbrock(), optimizer, key=KEY, num_steps=20, report_every=(1,))
    seldom = minimize(make_rosenbrock(), optimizer, key=KEY, num_steps=20)
    np.testing.assert_array_equal(often.trace.loss, seldom.trace.loss)
    np.testing.assert_array_equal(often.best_params, seldom.best_params)
    assert np.isnan(seldom.trace.terms["valley"][1:-1]).all()
    np.testing.assert_allclose(often.trace.terms["valley"], often.trace.loss, rtol=1e-5, atol=1e-9)
    assert often.trace.evaluations[-1] == seldom.trace.evaluations[-1] + 19


def test_chunk_lengths_do_not_change_a_run():
    runs = [
        minimize(make_bowl(), optax.adam(0.1), key=KEY, num_steps=37, chunk_seconds=seconds, report_every=every)
        for seconds, every in ((1e-9, ()), (10.0, (5, 7)))
    ]
    np.testing.assert_array_equal(runs[0].trace.loss, runs[1].trace.loss)
    jax.tree.map(np.testing.assert_array_equal, runs[0].params, runs[1].params)


def test_nothing_is_traced_again_after_the_first_chunk():
    traces = Counter()
    bowl = make_bowl()

    def loss(params, args, key):
        traces()
        return bowl.loss_fn(params, args, key)

    problem = Problem("bowl", bowl.init_fn, loss, bowl.args, bowl.render_fn)
    for optimizer in (optax.adam(0.1), optax.lbfgs()):
        step = make_loop(problem, optimizer)
        state = step.init(problem.init_fn(KEY), KEY)
        stop = StopRule(np.float32(0), np.int32(0))  # type: ignore[arg-type]
        sizes = []
        for length in (1, 4, 9):
            state, _, _ = run_chunk(step.step, state, problem.args, stop, np.int32(length), np.bool_(False))
            sizes.append((run_chunk._cache_size(), traces.count))
        assert sizes[0] == sizes[1] == sizes[2]


@pytest.mark.parametrize("optimizer", [optax.adam(0.1), optax.lbfgs()], ids=["adam", "lbfgs"])
def test_the_loss_stands_once_in_the_text_of_a_program(optimizer: optax.GradientTransformation):
    loss = lambda params, args, key: (jnp.sum(jnp.tan(params)), {})
    problem = Problem("tangent", lambda key: jnp.ones(3), loss, (), lambda params, args: params)
    loop = make_loop(problem, optimizer)
    stop = StopRule(np.float32(0), np.int32(0))  # type: ignore[arg-type]
    state = loop.init(jnp.ones(3), KEY)
    text = run_chunk.lower(loop.step, state, (), stop, np.int32(1), np.bool_(False)).as_text()
    assert text.count(".tan") == 1


def test_callback_sees_every_boundary_and_can_interrupt():
    seen = []

    def callback(progress):
        seen.append(progress.step)
        return progress.step >= 12

    result = minimize(make_bowl(), optax.adam(0.1), key=KEY, num_steps=1000, report_every=(5, 6), callback=callback)
    assert {5, 6, 10, 12} <= set(seen)
    assert result.status == Status.INTERRUPTED
    assert len(result.trace.loss) == 13


def test_stops_when_the_best_loss_stops_improving():
    result = minimize(
        make_bowl(), optax.sgd(0.05), key=KEY, num_steps=5000, stop=StopRule(relative_delta=0.5, patience=10)
    )
    assert result.status == Status.CONVERGED
    best = np.minimum.accumulate(result.trace.loss)
    last = len(best) - 1
    anchor, anchor_step = best[0], 0  # the rule, said again in NumPy
    for step, loss in enumerate(best):
        if loss < anchor - 0.5 * abs(anchor):
            anchor, anchor_step = loss, step
        assert (step - anchor_step >= 10) == (step == last)


def test_a_line_search_at_the_minimum_stops_instead_of_spinning():
    result = minimize(make_bowl(), optax.lbfgs(), key=KEY, num_steps=500)
    assert result.status == Status.CONVERGED
    assert len(result.trace.loss) < 100
    jax.tree.map(lambda p, t: np.testing.assert_allclose(p, t, atol=1e-3), result.best_params, TARGET)


def test_divergence_is_told_from_a_spike():
    diverging = minimize(make_bowl(), optax.sgd(0.21), key=KEY, num_steps=10_000)
    assert diverging.status == Status.DIVERGED
    high = diverging.trace.loss > 10 * diverging.trace.loss[0]
    assert high[-DIVERGENCE_STEPS:].all()
    assert high.sum() == DIVERGENCE_STEPS
    assert np.isfinite(diverging.best_loss)
    assert "learning rate" in diverging.status.advice

    spike = optax.sgd(optax.piecewise_constant_schedule(0.01, {3: 100.0, 4: 0.01}))
    recovering = minimize(make_bowl(), spike, key=KEY, num_steps=200)
    assert recovering.trace.loss.max() > 10 * recovering.trace.loss[0]
    assert recovering.status == Status.BUDGET_SPENT


def test_not_finite_stops_at_once_and_keeps_the_best():
    result = minimize(make_rosenbrock(), optax.sgd(10.0), key=KEY, num_steps=1000)
    assert result.status == Status.NOT_FINITE
    assert not np.isfinite(result.trace.loss[-1])
    assert np.isfinite(result.trace.loss[:-1]).all()
    np.testing.assert_allclose(rosen(np.asarray(result.best_params)), result.best_loss, rtol=1e-4)


def test_stochastic_problems_draw_anew_each_step_and_repeat_with_the_key():
    def loss(params, args, key):
        value = jnp.sum((params - jax.random.normal(key, params.shape)) ** 2)
        return value, {"value": value}

    problem = Problem("noisy", lambda key: jnp.zeros(3), loss, (), lambda p, a: p, is_stochastic=True)
    first, second = (minimize(problem, optax.sgd(0.0), key=KEY, num_steps=5) for _ in range(2))
    np.testing.assert_array_equal(first.trace.loss, second.trace.loss)
    assert len(set(first.trace.loss.tolist())) == 6
    other = minimize(problem, optax.sgd(0.0), key=jax.random.key(1), num_steps=5)
    assert other.trace.loss[0] != first.trace.loss[0]


@pytest.mark.parametrize("optimizer", [optax.sgd(0.05), optax.lbfgs()], ids=["sgd", "lbfgs"])
def test_projection_holds_at_every_step(optimizer: optax.GradientTransformation):
    problem = make_bowl(project_fn=lambda params: jax.tree.map(lambda p: jnp.clip(p, -2.0, 2.0), params))
    result = minimize(problem, optimizer, key=KEY, num_steps=150)
    expected = jax.tree.map(lambda target: np.clip(target, -2, 2), TARGET)
    jax.tree.map(lambda p, t: np.testing.assert_allclose(p, t, atol=0.05), result.best_params, expected)


def test_vmap_runs_equal_single_runs():
    problem = make_rosenbrock()
    loop = make_loop(problem, optax.adam(0.05))
    stop = StopRule(np.float32(0), np.int32(0))  # type: ignore[arg-type]
    starts = jnp.array([[-1.2, 1.0], [0.0, 0.0], [2.0, 2.0]])

    def run(start):
        state, infos, _ = take_steps(loop.step, loop.init(start, KEY), (), stop, np.int32(20), np.bool_(True))
        return state.best_params, infos.loss[:20]

    batched = jax.jit(jax.vmap(run))(starts)
    for index, start in enumerate(starts):
        single = run(start)
        np.testing.assert_allclose(batched[0][index], single[0], rtol=1e-5)
        np.testing.assert_allclose(batched[1][index], single[1], rtol=1e-5)


def test_what_the_caller_passes_in_is_still_there_afterwards():
    start, key = jnp.array([0.5, 0.5]), jax.random.key(3)
    problem = make_rosenbrock()
    first = minimize(problem, optax.adam(0.1), key=key, num_steps=3, params=start)
    second = minimize(problem, optax.adam(0.1), key=key, num_steps=3, params=start)
    np.testing.assert_array_equal(first.params, second.params)
    np.testing.assert_array_equal(start, [0.5, 0.5])


def test_a_huge_rate_that_stays_finite_is_divergence():
    result = minimize(
        make_bowl(), optax.sgd(optax.piecewise_constant_schedule(1e3, {1: 1e-12})), key=KEY, num_steps=1000
    )
    assert result.status == Status.DIVERGED
    assert len(result.trace.loss) < 150
    # Adam's first step is its worst, so that its loss falls ever after: far above where it began.
    short = minimize(make_bowl(), optax.adam(1e4), key=KEY, num_steps=30)
    assert short.status == Status.DIVERGED
    assert short.best_step == 0


def test_double_precision(float64: None):
    problem = make_rosenbrock()
    for optimizer in (optax.adam(0.1), optax.lbfgs()):
        result = minimize(problem, optimizer, key=jax.random.key(0), num_steps=60)
        assert result.trace.loss.dtype == result.best_params.dtype == np.float64
    np.testing.assert_allclose(result.best_params, [1, 1], rtol=1e-10)


def test_a_backtracking_search_that_stores_no_gradient():
    optimizer = optax.chain(optax.sgd(0.15), optax.scale_by_backtracking_linesearch(max_backtracking_steps=15))
    result = minimize(make_bowl(), optimizer, key=KEY, num_steps=10)
    assert result.best_loss < 0.05 * result.trace.loss[0]


def test_bad_input():
    with pytest.raises(InputError, match="num_steps"):
        minimize(make_bowl(), optax.adam(0.1), key=KEY, num_steps=-1)
    with pytest.raises(InputError, match="floating-point"):
        minimize(make_rosenbrock(), optax.adam(0.1), key=KEY, num_steps=1, params=jnp.array([1, 2]))
    with pytest.raises(InputError, match="patience"):
        minimize(make_bowl(), optax.adam(0.1), key=KEY, num_steps=1, stop=StopRule(0.1, -1))
