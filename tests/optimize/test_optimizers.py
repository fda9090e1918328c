"""Every optimizer of the table on problems with known minima, and the table's own rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.checks import InputError
from jaxstyle.optimize.loop import run_chunk
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer
from jaxstyle.optimize.records import StopRule
from jaxstyle.optimize.step import make_loop
from jaxstyle.optimize.transforms.ftrl import ftrl_proximal

from ..toys import make_bowl, make_rosenbrock

KEY = jax.random.key(0)

# The table's rates are for pixels, these for toys of size 1: {optimizer: {option: value}}.
TOY_OPTIONS: dict[str, dict[str, float]] = {
    "adadelta": {"learning_rate": 100.0},
    "adagrad": {"learning_rate": 1.0},
    "fromage": {"learning_rate": 0.02},
    "ftrl": {"learning_rate": 1.0},
    "lamb": {"learning_rate": 0.02},
    "lars": {"learning_rate": 10.0},
    "lbfgs": {},
    "lbfgs_backtracking": {},
    "lbfgs_fixed": {"learning_rate": 1.0},
    "lion": {"learning_rate": 0.02},
    "momentum": {"learning_rate": 0.01},
    "nesterov": {"learning_rate": 0.01},
    "novograd": {"learning_rate": 0.1},
    "optimistic_sgd": {"learning_rate": 0.03},
    "polyak_sgd": {"max_learning_rate": 1.0},
    "prodigy": {"estim_lr0": 0.01},
    "rmsprop": {"learning_rate": 0.02},
    "rprop": {"learning_rate": 0.1},
    "sgd": {"learning_rate": 0.05},
    "sign_sgd": {"learning_rate": 0.02},
    "signum": {"learning_rate": 0.02},
    "sm3": {"learning_rate": 0.3},
}
DEFAULT_TOY_OPTIONS = {"learning_rate": 0.1}

# The walls of the valley are a hundred times as steep.
VALLEY_OPTIONS = {
    "momentum": {"learning_rate": 1e-3},
    "nesterov": {"learning_rate": 1e-3},
    "optimistic_sgd": {"learning_rate": 1e-3},
    "sgd": {"learning_rate": 1e-3},
}


@pytest.mark.parametrize("make_problem", [make_bowl, make_rosenbrock])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_finds_known_minima_without_recompiling(name: str, make_problem):
    problem = make_problem()
    options = TOY_OPTIONS.get(name, DEFAULT_TOY_OPTIONS)
    if make_problem is make_rosenbrock:
        options = VALLEY_OPTIONS.get(name, options)
    loop = make_loop(problem, make_optimizer(name, **options))
    stop = StopRule(np.float32(0), np.int32(0))  # type: ignore[arg-type]
    state = loop.init(problem.init_fn(KEY), KEY)
    compiled = []
    for _ in range(2):
        state, _, _ = run_chunk(loop.step, state, problem.args, stop, np.int32(250), np.bool_(False))
        compiled.append(run_chunk._cache_size())
    assert compiled[0] == compiled[1]
    # Both minima are 0. The valley is a hard one: there, an optimizer must have come down to its floor (about 4).
    share = 0.01 if make_problem is make_bowl else 0.2
    assert float(state.best_loss) < share * float(state.initial_loss)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_row_is_complete(name: str):
    spec = OPTIMIZERS[name]
    assert spec.name == name
    assert spec.source
    optimizer = make_optimizer(name)
    state = optimizer.init(jnp.ones(3))
    searches = any("linesearch" in str(path) for path, _ in jax.tree_util.tree_flatten_with_path(state)[0])
    assert searches == spec.searches_line
    assert spec.needs_fixed_objective or not searches
    assert {spec.rate, spec.decay} - {""} <= set(spec.defaults)


def test_the_defaults_that_neural_style_users_know():
    assert dict(OPTIMIZERS["adam"].defaults) == {"learning_rate": 10.0, "b1": 0.9, "b2": 0.999, "eps": 1e-8}


def test_rprop_takes_the_step_of_its_own_gradient():
    # torch.optim.Rprop(lr=0.1, etas=(0.5, 1.2)) on gradients 1, 1, 1, -1, 1; optax 0.2.8 returns 0, 0.1, 0.12, 0, 0.
    optimizer = make_optimizer("rprop", learning_rate=0.1)
    state = optimizer.init(jnp.zeros(1))
    moves = []
    for grad in (1.0, 1.0, 1.0, -1.0, 1.0):
        move, state = optimizer.update(jnp.array([grad]), state)
        moves.append(-float(move[0]))
    np.testing.assert_allclose(moves, [0.1, 0.12, 0.144, 0.0, 0.072], rtol=1e-6)


def test_rprop_sees_the_signs_of_gradients_whose_product_is_0_in_float32():
    optimizer = make_optimizer("rprop", learning_rate=0.1)
    state = optimizer.init(jnp.zeros(1))
    for grad in (1e-30, 1e-30):
        move, state = optimizer.update(jnp.array([grad], jnp.float32), state)
    np.testing.assert_allclose(move, [-0.12], rtol=1e-6)


def published_ftrl(gradient, w: np.ndarray, alpha: float, beta: float, l1: float, l2: float, steps: int):
    """McMahan et al. (2013), algorithm 1, from w = 0, in plain NumPy."""
    z, n = np.zeros_like(w), np.zeros_like(w)
    path = []
    for _ in range(steps):
        for i in range(len(w)):
            w[i] = 0.0 if abs(z[i]) <= l1 else -(z[i] - np.sign(z[i]) * l1) / ((beta + np.sqrt(n[i])) / alpha + l2)
        g = gradient(w)
        sigma = (np.sqrt(n + g * g) - np.sqrt(n)) / alpha
        z += g - sigma * w
        n += g * g
        path.append(w.copy())
    return np.array(path)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (3.0, 0.0), (0.3, 2.0)])
def test_ftrl_proximal_equals_the_published_update(l1: float, l2: float):
    target, curvature = np.array([2.0, -0.1, 1.0, -3.0]), np.array([1.0, 0.4, 0.2, 2.0])

    def gradient(w):
        return curvature * (w - target)

    expected = published_ftrl(gradient, np.zeros(4), 0.5, 1.0, l1, l2, 30)
    optimizer = ftrl_proximal(0.5, 1.0, l1, l2)
    w = jnp.zeros(4)
    state = optimizer.init(w)
    found = []
    for _ in range(30):
        found.append(np.asarray(w))
        updates, state = optimizer.update(jnp.asarray(gradient(w)), state, w)
        w = w + updates
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)
    if l1 == 3.0:
        assert (expected[-1] == 0).any()
        assert not np.asarray(w)[expected[-1] == 0].any()


def test_ftrl_proximal_starts_anywhere_as_adagrad_with_beta():
    start, gradient = jnp.array([50.0, -20.0, 3.0]), jnp.array([4.0, -1.0, 0.5])
    optimizer = ftrl_proximal(2.0, beta=1.0)
    updates, _ = optimizer.update(gradient, optimizer.init(start), start)
    np.testing.assert_allclose(updates, -2.0 * gradient / (1.0 + jnp.abs(gradient)), rtol=1e-4)
    still, _ = optimizer.update(jnp.zeros(3), optimizer.init(start), start)
    np.testing.assert_allclose(still, 0, atol=1e-5)


def test_ftrl_proximal_needs_the_parameters():
    optimizer = ftrl_proximal(1.0)
    with pytest.raises(ValueError, match="pass the parameters"):
        optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("admm", {}, "did you mean 'adam'"),
        ("sgd", {"b1": 0.9}, r"an option that sgd has \(learning_rate\), got b1"),
        ("lbfgs", {"learning_rate": 1.0}, "memory_size"),
        ("adam", {"learning_rate": 0}, "learning_rate above 0, got 0"),
        ("adam", {"learning_rate": "fast"}, "a number for learning_rate"),
        ("adam", {"b1": -1}, "at least 0"),
        ("lbfgs", {"memory_size": 2.5}, "whole number"),
        ("lbfgs", {"initial_guess": "two"}, "one of one, keep"),
    ],
)
def test_bad_input(name: str, options: dict, message: str):
    with pytest.raises(InputError, match=message):
        make_optimizer(name, **options)
