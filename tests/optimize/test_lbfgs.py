"""L-BFGS with fixed steps and with backtracking, against PyTorch's numbers and SciPy's."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.optimize.programs import ProgramCache
from jaxstyle.optimize.transforms.lbfgs import scale_by_skipping_lbfgs
from jaxstyle.problems.problem import Problem

KEY = jax.random.key(0)
CURVATURES = jnp.array([1.0, 2.0, 3.0])

# torch 2.13, LBFGS(lr=0.8, history_size=3, tolerance_grad=-1, tolerance_change=-1, no line search), in double
# precision, on `waves` from (0.3, -0.2, 0.5): ten steps. The first two pairs have negative curvature.
PYTORCH = [
    [0.566197022, -0.368696335, 0.865106643],
    [1.219126321, -0.789314245, 1.595677241],
    [2.161493306, -1.552524624, 2.123607675],
    [2.684732558, -2.728545882, 2.124135507],
    [2.365679812, -2.207341691, 2.058915293],
    [2.298630141, -2.166715211, 2.044534893],
    [2.284576539, -2.158602735, 2.04062785],
    [2.28167289, -2.156904715, 2.039834934],
    [2.281087264, -2.156561533, 2.039675116],
    [2.280969916, -2.156492759, 2.039643106],
]


def waves(x: jax.Array) -> jax.Array:
    return jnp.sum(jnp.cos(1.3 * x)) + 0.05 * jnp.sum(CURVATURES * x**2)


def make_waves(start: list[float]) -> Problem:
    return Problem(
        "waves",
        lambda key: jnp.array(start),
        lambda x, args, key: (waves(x), {}),
        (),
        lambda x, args: x,
        is_bounded_below=False,
    )


def test_fixed_steps_are_pytorchs(float64: None):
    places: list[np.ndarray] = []
    minimize(
        make_waves([0.3, -0.2, 0.5]),
        make_optimizer("lbfgs_fixed", learning_rate=0.8, memory_size=3),
        key=KEY,
        num_steps=10,
        report_every=(1,),
        programs=PROGRAMS,
        callback=lambda progress: places.append(np.asarray(progress.state.params)),
    )
    np.testing.assert_allclose(places[1:], PYTORCH, atol=2e-9)


@pytest.mark.parametrize("name", ["lbfgs_fixed", "lbfgs_backtracking"])
def test_minima_are_scipys(name: str, float64: None):
    start = [2.0, -2.5, 1.9]
    result = minimize(make_waves(start), make_optimizer(name), key=KEY, num_steps=60)
    expected = optimize.minimize(
        lambda x: float(waves(jnp.asarray(x))), start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}
    )
    np.testing.assert_allclose(result.best_params, expected.x, atol=1e-5)


def test_parameters_may_be_any_tree():
    tree = {"a": jnp.ones((2, 3)), "b": [jnp.zeros(4)]}
    transformation = scale_by_skipping_lbfgs(5)
    updates, _ = transformation.update(tree, transformation.init(tree), tree)
    np.testing.assert_allclose(updates["a"], np.full((2, 3), 1 / 6))  # 1 / |g|_1
    with pytest.raises(ValueError, match="parameters"):
        transformation.update(tree, transformation.init(tree))


ROWS = ("lbfgs_fixed", "lbfgs_backtracking", "lbfgs")
SLOPES = np.logspace(0, 2, 30).astype(np.float32)

#: A quadratic of condition 100, times its argument.
SCALED = Problem(
    "scaled",
    lambda key: jnp.asarray(np.random.default_rng(0).normal(0, 1, 30), jnp.float32),
    lambda x, factor, key: (factor * jnp.sum(SLOPES * jnp.square(x)) / 2, {}),
    jnp.float32(1),
    lambda x, factor: x,
)


#: The program of each row of the table, for all factors.
PROGRAMS = ProgramCache()


def path_of(name: str, factor: float, num_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns where a run went, and its losses in units of the start's."""
    places: list[np.ndarray] = []
    result = minimize(
        replace(SCALED, args=jnp.float32(factor)),
        make_optimizer(name),
        key=KEY,
        num_steps=num_steps,
        report_every=(1,),
        programs=PROGRAMS,
        callback=lambda progress: places.append(np.asarray(progress.state.params)),
    )
    return np.array(places), result.trace.loss / max(result.trace.loss[0], np.finfo(np.float32).tiny)


@pytest.mark.parametrize("name", ROWS)
def test_the_units_of_the_loss_do_not_change_the_way(name: str):
    # Powers of 2 near 1e-10, 1e-6, 1, 1e6 and 1e10: with them the factor itself is not rounded.
    paths = {power: path_of(name, 2.0**power, 12)[0] for power in (-33, -20, 0, 20, 33)}
    for power, path in paths.items():
        np.testing.assert_allclose(path, paths[0], rtol=1e-6, atol=1e-6, err_msg=f"2^{power}")
    for factor in (1e-10, 1e-6, 1e6, 1e10):  # whose rounding grows with the steps
        np.testing.assert_allclose(path_of(name, factor, 6)[0], paths[0][:7], atol=1e-3, err_msg=str(factor))


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("factor", [1e-15, 1e-10, 1e-6, 1e6, 1e10, 1e15])
def test_the_minimum_is_found_in_any_units_of_the_loss(name: str, factor: float):
    assert path_of(name, factor, 60)[1].min() < 1e-6


@pytest.mark.parametrize("name", ROWS)
def test_a_loss_too_small_for_float32_ends_without_nan(name: str):
    assert np.isfinite(path_of(name, 1e-30, 20)[0]).all()


@pytest.mark.parametrize("name", ROWS)
def test_a_start_without_a_slope_is_not_left(name: str):
    places, _ = path_of(name, 0.0, 3)
    assert (places == places[0]).all()


def test_from_where_the_loss_curves_down_a_small_loss_moves_too():
    """Its first pairs are skipped: until one is kept, steps have a length of their own."""
    small = replace(make_waves([0.3, -0.2, 0.5]), loss_fn=lambda x, args, key: (1e-10 * waves(x), {}))
    result = minimize(small, make_optimizer("lbfgs_fixed"), key=KEY, num_steps=10)
    assert result.best_loss < 0.5 * result.trace.loss[0]
