"""A batch must give what single runs give, and share what is the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle import vgg
from jaxstyle.batch import minimize_batch, stack_shared
from jaxstyle.checks import InputError
from jaxstyle.loop import minimize
from jaxstyle.optimizers import make_optimizer
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem
from jaxstyle.runs import Status, StopRule

from .conftest import make_wave_picture
from .toys import make_rosenbrock


def test_leaves_that_are_the_same_object_are_shared():
    shared = jnp.arange(3.0)
    stacked, axes = stack_shared([{"a": shared, "b": jnp.zeros(2)}, {"a": shared, "b": jnp.ones(2)}])
    assert axes == {"a": None, "b": 0}
    assert stacked["a"] is shared
    np.testing.assert_array_equal(stacked["b"], [[0, 0], [1, 1]])


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_pictures_weights_and_seeds_in_one_program(tiny_network: dict, name: str):
    network = vgg.freeze(tiny_network)
    contents = [make_wave_picture(16, 20, phase) for phase in (0.0, 1.0, 2.0)]
    configs = [StyleTransferConfig(style_weight=weight) for weight in (100.0, 500.0, 500.0)]
    style = make_wave_picture(16, 16, 2.1)
    problems = [make_problem(c, network, p, [style]) for c, p in zip(configs, contents, strict=True)]
    keys = [jax.random.key(seed) for seed in (0, 1, 1)]
    batch = minimize_batch(problems, lambda: make_optimizer(name), keys=keys, num_steps=8)
    for problem, key, result in zip(problems, keys, batch, strict=True):
        single = minimize(problem, make_optimizer(name), key=key, num_steps=8)
        np.testing.assert_allclose(result.trace.loss, single.trace.loss, rtol=2e-2)
        assert result.best_terms == pytest.approx(single.best_terms, rel=2e-2)
        np.testing.assert_array_equal(result.trace.evaluations[0], 1)
    assert batch[1].best_loss != batch[2].best_loss


def test_hyper_parameters_in_one_program_end_each_in_its_own_way():
    problem, key = make_rosenbrock(), jax.random.key(0)
    rates = (1e-3, 10.0, 1e-6)
    batch = minimize_batch(
        [problem] * 3,
        lambda learning_rate: make_optimizer("sgd", learning_rate=learning_rate),
        keys=[key] * 3,
        num_steps=40,
        options=[{"learning_rate": rate} for rate in rates],
        stop=StopRule(relative_delta=0.01, patience=5),
    )
    assert batch[1].status == Status.NOT_FINITE
    for rate, result in zip(rates, batch, strict=True):
        optimizer = make_optimizer("sgd", learning_rate=rate)
        single = minimize(problem, optimizer, key=key, num_steps=40, stop=StopRule(0.01, 5))
        assert result.status == single.status
        assert len(result.trace.loss) == len(single.trace.loss)
        np.testing.assert_allclose(result.trace.loss, single.trace.loss, rtol=1e-4)
        np.testing.assert_allclose(result.best_params, single.best_params, rtol=1e-4)


def test_bad_input():
    problem, key = make_rosenbrock(), jax.random.key(0)
    with pytest.raises(InputError, match="one for each"):
        minimize_batch([problem], lambda: make_optimizer("adam"), keys=[key] * 2, num_steps=1)
    with pytest.raises(InputError, match="equal in size"):
        stack_shared([jnp.zeros(2), jnp.zeros(3)])
    with pytest.raises(InputError, match="same layers"):
        stack_shared([{"a": 1.0}, {"b": 1.0}])
