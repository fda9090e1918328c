"""The running average, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxstyle.checks import InputError
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.optimize.transforms.averaging import average_of, keep_average

from ..toys import make_rosenbrock


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_the_run_is_the_same_and_the_average_is_numpys(name: str):
    options = {"learning_rate": 0.05} if name == "adam" else {}
    decay, problem, key = 0.8, make_rosenbrock(), jax.random.key(0)
    places = []
    plain = minimize(
        problem,
        make_optimizer(name, **options),
        key=key,
        num_steps=12,
        report_every=(1,),
        callback=lambda progress: places.append(np.asarray(progress.state.params)),
    )
    averaged = minimize(problem, keep_average(make_optimizer(name, **options), decay), key=key, num_steps=12)
    np.testing.assert_allclose(averaged.trace.loss, plain.trace.loss, rtol=1e-5)
    weights = decay ** np.arange(11, -1, -1)
    expected = np.average(places[1:], axis=0, weights=weights)
    np.testing.assert_allclose(average_of(averaged.opt_state), expected, rtol=1e-5)


def test_without_an_average_or_a_step_there_is_none():
    assert average_of(optax.adam(1.0).init(np.zeros(2))) is None
    assert average_of(keep_average(optax.adam(1.0)).init(np.zeros(2))) is None
    with pytest.raises(InputError, match="decay between"):
        keep_average(optax.adam(1.0), 1.0)


def test_a_constant_has_itself_as_its_average():
    optimizer = keep_average(optax.sgd(1.0), 0.999999)
    params = jnp.full(3, 200.0)
    state = optimizer.init(params)
    for _ in range(20):
        _, state = optimizer.update(jnp.zeros(3), state, params)
    np.testing.assert_allclose(average_of(state), 200, rtol=1e-6)
