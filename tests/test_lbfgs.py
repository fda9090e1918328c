"""L-BFGS with fixed steps and with backtracking, against PyTorch's numbers and SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jaxstyle.loop import minimize
from jaxstyle.optimizers import make_optimizer
from jaxstyle.problem import Problem
from jaxstyle.transforms.lbfgs import scale_by_cautious_lbfgs

KEY = jax.random.key(0)
CURVATURES = jnp.array([1.0, 2.0, 3.0])

# torch 2.13, LBFGS(lr=0.8, history_size=3, tolerance_grad=-1, tolerance_change=-1, no line search), in double
# precision, on `waves` from (0.3, -0.2, 0.5): ten steps. The first two pairs have negative curvature.
PYTORCH = [
    [0.566197022, -0.368696335, 0.865106643], [1.219126321, -0.789314245, 1.595677241],
    [2.161493306, -1.552524624, 2.123607675], [2.684732558, -2.728545882, 2.124135507],
    [2.365679812, -2.207341691, 2.058915293], [2.298630141, -2.166715211, 2.044534893],
    [2.284576539, -2.158602735, 2.04062785], [2.28167289, -2.156904715, 2.039834934],
    [2.281087264, -2.156561533, 2.039675116], [2.280969916, -2.156492759, 2.039643106],
]  # fmt: skip


def waves(x: jax.Array) -> jax.Array:
    return jnp.sum(jnp.cos(1.3 * x)) + 0.05 * jnp.sum(CURVATURES * x**2)


def make_waves(start: list[float]) -> Problem:
    return Problem("waves", lambda key: jnp.array(start), lambda x, args, key: (waves(x), {}), (), lambda x, args: x,
                   is_bounded_below=False)  # fmt: skip


def test_fixed_steps_are_pytorchs(float64: None):
    places: list[np.ndarray] = []
    minimize(
        make_waves([0.3, -0.2, 0.5]), make_optimizer("lbfgs_fixed", learning_rate=0.8, memory_size=3), key=KEY,
        num_steps=10, report_every=(1,), callback=lambda progress: places.append(np.asarray(progress.state.params)),
    )  # fmt: skip
    np.testing.assert_allclose(places[1:], PYTORCH, atol=2e-9)


@pytest.mark.parametrize("name", ["lbfgs_fixed", "lbfgs_backtracking"])
def test_minima_are_scipys(name: str, float64: None):
    start = [2.0, -2.5, 1.9]
    result = minimize(make_waves(start), make_optimizer(name), key=KEY, num_steps=60)
    expected = optimize.minimize(lambda x: float(waves(jnp.asarray(x))), start, method="Nelder-Mead",
                                 options={"xatol": 1e-9, "fatol": 1e-12})  # fmt: skip
    np.testing.assert_allclose(result.best_params, expected.x, atol=1e-5)


def test_parameters_may_be_any_tree():
    tree = {"a": jnp.ones((2, 3)), "b": [jnp.zeros(4)]}
    transformation = scale_by_cautious_lbfgs(5)
    updates, _ = transformation.update(tree, transformation.init(tree), tree)
    np.testing.assert_allclose(updates["a"], np.full((2, 3), 1 / 6))  # 1 / |g|_1
    with pytest.raises(ValueError, match="parameters"):
        transformation.update(tree, transformation.init(tree))
