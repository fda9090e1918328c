"""The teaching problems against NumPy, SciPy and closed forms."""

from functools import partial
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from PIL import Image

from benchmarks.problems import BenchmarkProblem, registry
from benchmarks.problems.defaults import DESCENT_DEFAULTS, NETWORK_DEFAULTS
from benchmarks.problems.registry import PROBLEMS as ALL_PROBLEMS
from benchmarks.teaching import batches, descent, painting, regression, stocks, waves
from benchmarks.teaching.__main__ import WAVES_VARIANCE
from jaxstyle import load_sample, make_optimizer, minimize
from jaxstyle.checks import InputError
from jaxstyle.optimize.optimizers import OPTIMIZERS
from jaxstyle.problems.painter import draw_batch, full_cost

KEY, OTHER_KEY = jax.random.key(3), jax.random.key(4)
PICTURES = ("style", "reconstruction", "texture", "dream")
PROBLEMS = tuple(problem for name, problem in ALL_PROBLEMS.items() if not name.startswith(PICTURES))


def as_float64(tree):
    return jax.tree.map(lambda leaf: leaf.astype(float) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree)


# --- all of them


def are_equal(one, other) -> bool:
    return all(map(np.array_equal, jax.tree.leaves(one), jax.tree.leaves(other)))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_instances_have_other_data(problem: BenchmarkProblem):
    made = {name: problem.make(name).args for name in (*problem.tuning, *problem.scoring)}
    for one, other in combinations(made, 2):
        assert not are_equal(made[one], made[other]), (one, other)
    assert problem.tuning
    assert problem.scoring


@pytest.mark.parametrize("name", ["descent2d", "sine-degree3", "sine-tanh-batches", "waves", "stocks"])
def test_keys_decide(name: str):
    (benchmark,) = (problem for problem in PROBLEMS if problem.name == name)
    instance = benchmark.scoring[-1]
    problem = benchmark.make(instance)
    assert are_equal(problem.args, benchmark.make(instance).args)
    init = jax.jit(problem.init_fn)
    start = init(KEY)
    assert are_equal(start, init(KEY))
    assert not are_equal(start, init(OTHER_KEY))
    evaluate = jax.jit(problem.loss_fn)
    loss, other = evaluate(start, problem.args, KEY)[0], evaluate(start, problem.args, OTHER_KEY)[0]
    assert 0 < loss < np.inf
    assert (loss != other) == problem.is_stochastic
    if benchmark.reference is None:
        assert not problem.is_stochastic
    else:
        assert 0 < jax.jit(benchmark.reference)(start, problem.args) < np.inf


def test_defaults_are_for_every_optimizer_and_can_be_built():
    assert set(NETWORK_DEFAULTS) == set(OPTIMIZERS)
    for name, options in (*NETWORK_DEFAULTS.items(), *DESCENT_DEFAULTS.items()):
        make_optimizer(name, **options).init(jnp.ones(2))


def test_names_are_unique():
    assert len(ALL_PROBLEMS) == len(registry._PROBLEMS)


# --- descent


@pytest.mark.parametrize("frequency", [9.0, 10.0, 11.0])
def test_minima_in_closed_form(frequency: float):
    f = lambda x: np.sin(frequency * x) * np.exp(-x)
    grid = np.linspace(-1, 1, 20_001)
    values = f(grid)
    inner = np.flatnonzero((values[1:-1] < values[:-2]) & (values[1:-1] < values[2:])) + 1
    found = [
        scipy.optimize.minimize_scalar(
            f, bounds=(grid[i - 1], grid[i + 1]), method="bounded", options={"xatol": 1e-10}
        ).x
        for i in inner
    ]
    np.testing.assert_allclose(descent.minima(frequency), found, atol=1e-7)
    np.testing.assert_allclose(np.tan(frequency * descent.minima(frequency)), frequency, rtol=1e-9)
    np.testing.assert_allclose(descent.lowest(frequency), values.min(), atol=1e-6)


def test_smooth_descent_and_its_derivative(float64: None):
    problem = descent.make_problem(descent.DescentConfig(dimensions=2))
    index = jnp.array([30.7, 151.2])
    x = -1 + 2 * np.asarray(index) / 199
    f = np.sin(10 * x) * np.exp(-x)
    loss, terms = problem.loss_fn(index, problem.args, KEY)
    np.testing.assert_allclose(loss, f.sum() - 2 * descent.lowest(), rtol=1e-6)
    np.testing.assert_allclose(terms["f"], f.sum(), rtol=1e-6)
    gradient = jax.grad(lambda index: problem.loss_fn(index, problem.args, KEY)[0])(index)
    np.testing.assert_allclose(gradient, np.exp(-x) * (10 * np.cos(10 * x) - np.sin(10 * x)) * 2 / 199, rtol=1e-6)
    at_best = jnp.full(2, descent.place(descent.minima()[0]))
    np.testing.assert_allclose(problem.loss_fn(at_best, problem.args, KEY)[0], 0, atol=1e-6)


def test_sampled_descent_is_the_walk_of_the_course():
    """The course walks along the differences of neighboring samples, at the place's whole part."""
    samples = np.sin(10 * np.linspace(-1, 1, 200)) * np.exp(-np.linspace(-1, 1, 200))
    place, walk = 120.0, []
    for _ in range(500):
        place -= np.diff(samples)[int(place)]
        walk.append(np.interp(place, np.arange(200), samples))
    problem = descent.make_problem(descent.DescentConfig(is_sampled=True))
    optimizer = make_optimizer("sgd", learning_rate=1.0)
    result = minimize(problem, optimizer, key=KEY, num_steps=500, params=jnp.array([120.0]))
    np.testing.assert_allclose(result.params, place, rtol=1e-4)
    np.testing.assert_allclose(result.trace.terms["f"][1:], walk, atol=1e-4)


def test_descent_stays_between_the_ends_and_starts_in_the_middle():
    problem = descent.make_problem(descent.DescentConfig(dimensions=2))
    np.testing.assert_array_equal(problem.project_fn(jnp.array([-5.0, 250.0])), [0, 199])
    starts = np.asarray(jax.jit(jax.vmap(problem.init_fn))(jax.random.split(KEY, 500))) / 199
    assert scipy.stats.kstest(starts.ravel(), "uniform", (0.2, 0.6)).pvalue > 0.01
    with pytest.raises(InputError, match="dimensions between 1 and 2"):
        descent.DescentConfig(dimensions=3)


# --- regression


def predict_sine(model: str, params: dict, x: np.ndarray) -> np.ndarray:
    weight = np.asarray(params["weight"], float)
    bias = np.asarray(params.get("bias", [0.0]), float)
    if model == "polynomial":
        return sum(w * x**power for power, w in enumerate(weight)) + bias
    if model == "line":
        return weight[0] * x + bias[0]
    return sum(np.tanh(w * x + b) for w, b in zip(weight, bias, strict=True))


@pytest.mark.parametrize(
    ("model", "extra", "batch_size"),
    [("line", 0.0, 0), ("polynomial", 0.0, 200), ("polynomial", 1.0, 0), ("tanh", 0.0, 200)],
)
def test_absolute_error_and_its_gradient(model: str, extra: float, batch_size: int):
    config = regression.RegressionConfig(model, degree=4, batch_size=batch_size, extra_bias=extra)
    problem = regression.make_problem(config, seed=5)
    params = jax.tree.map(lambda leaf: leaf + 0.05, jax.jit(problem.init_fn)(KEY))
    batch = np.asarray(draw_batch(KEY, 1000, 200)) if batch_size else np.arange(1000)
    x, y = (np.asarray(problem.args[name], float)[batch] for name in ("x", "y"))
    error = predict_sine(model, params, x) - y
    (loss, terms), grad = jax.jit(jax.value_and_grad(problem.loss_fn, has_aux=True))(params, problem.args, KEY)
    np.testing.assert_allclose(loss, np.abs(error).mean(), rtol=1e-5)
    assert terms == {"absolute_error": loss}
    sign = np.sign(error)
    if model == "polynomial":
        wanted = [np.mean(sign * x**power) for power in range(5)]
    elif model == "line":
        wanted = [np.mean(sign * x)]
    else:
        slope = 1 - np.tanh(np.outer(x, params["weight"]) + np.asarray(params["bias"])) ** 2
        wanted = np.mean((sign * x)[:, None] * slope, axis=0)
    np.testing.assert_allclose(grad["weight"], wanted, rtol=1e-4, atol=1e-4)
    if model != "tanh" and "bias" in params:
        np.testing.assert_allclose(grad["bias"], [sign.mean()], atol=1e-6)


def test_points_and_what_the_sine_itself_leaves():
    x, y = (np.asarray(values, float) for values in regression.draw_points(KEY))
    np.testing.assert_allclose(x, np.linspace(-3, 3, 1000), atol=1e-6)
    noise = y - np.sin(x)
    assert scipy.stats.kstest(noise, "uniform", (-0.5, 1.0)).pvalue > 0.01
    deviation = 0.5 / np.sqrt(12 * 1000)  # |u| is uniform on [0, 0.5]
    np.testing.assert_allclose(np.abs(noise).mean(), 0.25, atol=4 * deviation)


@pytest.mark.parametrize(("model", "count"), [("line", 1), ("polynomial", 4), ("tanh", 10)])
def test_initial_models(model: str, count: int):
    config = regression.RegressionConfig(model, extra_bias=1.0 if model == "polynomial" else 0.0)
    init = jax.jit(jax.vmap(partial(regression.init_model, config=config)))
    params = init(jax.random.split(KEY, 2000))
    assert params["weight"].shape == (2000, count)
    assert scipy.stats.kstest(np.ravel(params["weight"]) / 0.1, "norm").pvalue > 0.01
    if model == "polynomial":
        assert scipy.stats.kstest(np.ravel(params["bias"]), "norm").pvalue > 0.01
    else:
        assert params["bias"].shape == (2000, count)
        assert not params["bias"].any()


def test_a_batch_has_no_more_points_than_there_are():
    with pytest.raises(InputError, match="batch_size between 0 and 1000"):
        regression.RegressionConfig(batch_size=1001)
    with pytest.raises(InputError, match="line, polynomial, tanh"):
        regression.RegressionConfig("sine")


# --- painting


def test_painter_learns_the_picture_as_the_course_resized_it():
    problem = painting.make_problem("coffee")
    photograph = Image.fromarray(np.round(255 * load_sample("coffee")).astype(np.uint8))
    picture = np.asarray(photograph.resize((64, 64), Image.Resampling.BILINEAR), float)
    black = jax.tree.map(jnp.zeros_like, jax.jit(problem.init_fn)(KEY))
    np.testing.assert_allclose(full_cost(black, problem.args), picture.sum(-1).mean(), rtol=0.005)
    assert ALL_PROBLEMS["painter"].reference(black, problem.args) == full_cost(black, problem.args)


# --- waves


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def run_lstm(params: dict, seen: np.ndarray, state: tuple | None = None) -> tuple[np.ndarray, tuple]:
    params = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
    hidden, cell = (np.zeros(6), np.zeros(6)) if state is None else state
    predicted = []
    for inputs in np.asarray(seen, float):
        sums = np.concatenate([inputs, hidden]) @ params["gates"]["kernel"] + params["gates"]["bias"]
        enter, candidate, forget, leave = sums[:6], sums[6:12], sums[12:18], sums[18:]
        cell = sigmoid(forget + 1) * cell + sigmoid(enter) * np.tanh(candidate)
        hidden = sigmoid(leave) * np.tanh(cell)
        predicted.append(hidden @ params["readout"]["kernel"] + params["readout"]["bias"])
    return np.array(predicted), (hidden, cell)


def test_sequences_are_the_two_waves(float64: None):
    seen, wanted = map(np.asarray, jax.jit(waves.draw_sequence, static_argnums=1)(KEY, 60))
    np.testing.assert_allclose(wanted[:-23], seen[23:, :2], atol=1e-9)  # what comes 23 steps later
    np.testing.assert_allclose(np.diff(seen[:, :2], axis=0), seen[1:, 2:4], atol=1e-9)
    np.testing.assert_allclose(np.diff(seen[:, 2:4], axis=0), seen[1:, 4:], atol=1e-9)
    # Waves of both periods around their mean, and nothing else, obey this recurrence.
    recurrence = np.polymul(*([1, -2 * np.cos(2 * np.pi / period), 1] for period in (300, 200)))
    for wave, mean in zip(seen[:, :2].T, (5, 7), strict=True):
        np.testing.assert_allclose(np.convolve(wave - mean, recurrence, "valid"), 0, atol=1e-9)
    np.testing.assert_allclose(
        waves.waves(0.3, 0.4), [5 + 5 * np.sin(0.3) + 10 * np.cos(0.4), 7 + 7 * np.sin(0.4) + 14 * np.cos(0.3)]
    )


def test_starts_are_anywhere_and_the_variance_is_known():
    values = jax.jit(jax.vmap(lambda key: waves.draw_sequence(key, 1)[0][0, :2]))(jax.random.split(KEY, 20_000))
    np.testing.assert_allclose(np.var(values, axis=0), [12.5 + 50, 24.5 + 98], rtol=0.03)
    np.testing.assert_allclose(np.var(values, axis=0).sum(), WAVES_VARIANCE, rtol=0.03)
    np.testing.assert_allclose(np.mean(values, axis=0), [5, 7], atol=0.4)


def test_lstm_and_its_losses_by_hand():
    problem = waves.make_problem()
    params = jax.jit(problem.init_fn)(KEY)
    params["gates"]["bias"] = jnp.linspace(-1, 1, 24)
    params["readout"]["bias"] = jnp.array([5.0, 7.0])
    seen, wanted = jax.jit(waves.draw_sequence, static_argnums=1)(KEY, 32)
    predicted, _ = run_lstm(params, seen)
    assert np.ptp(predicted, axis=0).min() > 0.1
    errors = ((predicted - np.asarray(wanted)) ** 2).sum(-1)
    np.testing.assert_allclose(jax.jit(problem.loss_fn)(params, problem.args, KEY)[0], errors.mean(), rtol=1e-4)
    single = jax.jit(partial(waves.sequence_loss, config=waves.WavesConfig(through_time=False)))
    np.testing.assert_allclose(single(params, problem.args, KEY)[0], errors[-1], rtol=1e-4)
    validation = [
        ((run_lstm(params, seen)[0] - wanted) ** 2).sum(-1).mean()
        for seen, wanted in zip(*problem.args.values(), strict=True)
    ]
    assert len(validation) == 64
    np.testing.assert_allclose(jax.jit(waves.validation_loss)(params, problem.args), np.mean(validation), rtol=1e-4)


def test_gradient_through_time(float64: None):
    params = as_float64(jax.jit(waves.init_lstm)(KEY))
    loss = partial(waves.sequence_loss, config=waves.WavesConfig(length=5))
    evaluate = jax.jit(lambda params: jax.value_and_grad(lambda params: loss(params, {}, KEY)[0])(params))
    rng = np.random.default_rng(0)
    way = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), params)
    above, below = (evaluate(jax.tree.map(lambda p, d: p + s * d, params, way))[0] for s in (1e-5, -1e-5))  # noqa: B023
    slope = jax.tree.reduce(jnp.add, jax.tree.map(lambda g, d: jnp.sum(g * d), evaluate(params)[1], way))
    np.testing.assert_allclose(slope, (above - below) / 2e-5, rtol=1e-6)


def test_gradient_of_one_step_takes_the_state_for_a_constant(float64: None):
    params = as_float64(jax.jit(waves.init_lstm)(KEY))
    loss = partial(waves.sequence_loss, config=waves.WavesConfig(length=5, through_time=False))
    grad = jax.jit(jax.grad(lambda params: loss(params, {}, KEY)[0]))(params)
    seen, wanted = jax.jit(waves.draw_sequence, static_argnums=1)(KEY, 5)
    _, state = run_lstm(params, seen[:-1])
    for row, column in ((0, 3), (4, 9), (8, 20), (11, 23)):
        moved = []
        for sign in (-1, 1):
            kernel = np.array(params["gates"]["kernel"])
            kernel[row, column] += sign * 1e-5
            shifted = {**params, "gates": {**params["gates"], "kernel": kernel}}
            moved.append(((run_lstm(shifted, seen[-1:], state)[0][0] - wanted[-1]) ** 2).sum())
        expected = (moved[1] - moved[0]) / 2e-5
        np.testing.assert_allclose(grad["gates"]["kernel"][row, column], expected, rtol=1e-4, atol=1e-7)


def test_initial_lstm():
    params = jax.jit(jax.vmap(waves.init_lstm))(jax.random.split(KEY, 200))
    gates = np.ravel(params["gates"]["kernel"])
    assert scipy.stats.kstest(gates, "uniform", (-0.5, 1.0)).pvalue > 0.01
    assert scipy.stats.kstest(np.ravel(params["readout"]["kernel"]), "truncnorm", (-2, 2)).pvalue > 0.01
    assert not params["gates"]["bias"].any()
    assert not params["readout"]["bias"].any()


# --- stocks


def test_the_best_predictor_leaves_the_documented_error():
    market = stocks.draw_market(KEY, strength=0.6, days=4000)
    changes = market.changes.astype(float)
    assert sorted(market.followed) == list(range(30))
    assert set(market.delays) <= set(range(1, 31))
    best = np.stack(
        [0.6 * changes[30 - d : -d, p] for d, p in zip(market.delays, market.followed, strict=True)], axis=1
    )
    noise = changes[30:] - best
    assert market.floor == pytest.approx(1 - 0.6**2)
    np.testing.assert_allclose(np.mean(noise**2), market.floor, rtol=4 * np.sqrt(2 / noise.size))
    assert scipy.stats.kstest(noise[::50].ravel() / np.sqrt(market.floor), "norm").pvalue > 0.01
    np.testing.assert_allclose(changes.var(), 1, atol=0.03)
    assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < 4 / np.sqrt(noise.size)


def test_parts_follow_each_other_and_predict_no_day_twice():
    changes = np.arange(2530.0)[:, None] * np.ones(30)
    parts = stocks.split_days(changes)
    predicted = [np.asarray(part)[30:, 0] for part in parts.values()]
    assert [days.size for days in predicted] == [1500, 500, 500]
    np.testing.assert_array_equal(np.concatenate(predicted), np.arange(30, 2530))


def run_network(params: dict, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the hidden layer and what is predicted."""
    first, second = (jax.tree.map(lambda leaf: np.asarray(leaf, float), params[name]) for name in ("dense0", "dense1"))
    hidden = np.tanh(seen @ first["kernel"] + first["bias"])
    return hidden, hidden @ second["kernel"] + second["bias"]


def test_network_its_losses_and_gradient_by_hand():
    problem = stocks.make_problem(stocks.StocksConfig(batch_size=7, scale=0.5), seed=1)
    params = jax.jit(problem.init_fn)(KEY)
    params["dense0"]["bias"], params["dense1"]["bias"] = jnp.linspace(-1, 1, 100), jnp.linspace(0, 1, 30)
    days = np.asarray(draw_batch(KEY, 1500, 7))
    training = np.asarray(problem.args["training"], float)
    seen = np.stack([training[day : day + 30].ravel() for day in days])
    hidden, predicted = run_network(params, seen)
    errors = predicted - training[days + 30]
    (loss, terms), grad = jax.jit(jax.value_and_grad(problem.loss_fn, has_aux=True))(params, problem.args, KEY)
    np.testing.assert_allclose(loss, np.mean(errors**2), rtol=1e-4)
    np.testing.assert_allclose(terms["squared_error"], np.mean(errors**2) / 0.25, rtol=1e-4)
    back = 2 * errors / errors.size
    np.testing.assert_allclose(grad["dense1"]["kernel"], hidden.T @ back, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(grad["dense1"]["bias"], back.sum(0), rtol=1e-3, atol=1e-6)
    back = back @ np.asarray(params["dense1"]["kernel"], float).T * (1 - hidden**2)
    np.testing.assert_allclose(grad["dense0"]["kernel"], seen.T @ back, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(grad["dense0"]["bias"], back.sum(0), rtol=1e-3, atol=1e-6)
    half = jax.jit(partial(stocks.stocks_loss, config=stocks.StocksConfig(batch_size=7, is_summed=True)))
    np.testing.assert_allclose(half(params, problem.args, KEY)[0], np.sum(errors**2) / 2, rtol=1e-4)
    validation = np.asarray(problem.args["validation"], float)
    _, predicted = run_network(params, np.stack([validation[day : day + 30].ravel() for day in range(500)]))
    expected = np.mean((predicted - validation[30:]) ** 2) / 0.25
    np.testing.assert_allclose(jax.jit(stocks.validation_error)(params, problem.args), expected, rtol=1e-4)


def test_initial_network():
    params = jax.jit(stocks.init_network)(KEY)
    shapes = {name: (layer["kernel"].shape, layer["bias"].shape) for name, layer in params.items()}
    assert shapes == {"dense0": ((900, 100), (100,)), "dense1": ((100, 30), (30,))}
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 93_130  # as published
    weights = np.ravel(params["dense0"]["kernel"]) / 0.05
    assert scipy.stats.kstest(weights, "truncnorm", (-2, 2)).pvalue > 0.01
    assert not params["dense0"]["bias"].any()


# --- the table


def test_follow_scores_what_minimize_passes_through():
    config = regression.RegressionConfig("line")
    problems = [regression.make_problem(config, seed=seed) for seed in (0, 1)]
    _, scores = batches.follow(
        problems,
        "sgd",
        [0.1] * 2,
        num_steps=20,
        score_at=(7, 20),
        scores={"error": partial(regression.full_error, model="line")},
        first_key=5,
    )
    assert scores["error"].shape == (2, 2)
    alone = minimize(problems[1], make_optimizer("sgd", learning_rate=0.1), key=jax.random.key(6), num_steps=20)
    np.testing.assert_allclose(scores["error"][:, 1], alone.trace.loss[[7, 20]], rtol=1e-5)
    assert np.ptp(scores["error"], axis=1).min() > 1e-3  # other noise, another key


def test_verdicts():
    assert batches.spread([1.0, 2.0, 6.0]) == "3 [1, 6]"
    assert batches.agree([1.0, 3.0], 2.5) == "reproduced"
    assert batches.agree([1.0, 1.2], 1.0) == "reproduced"
    assert batches.agree([1.05, 1.15], 1.0) == "near: +10 %"
    assert batches.agree([0.4, 0.6], 1.0) == "differs: -50 %"
